"""Whether the camera's counts rise with the light: learnt from pairs of spots that overlap.

Light adds and its power does not: where two spots overlap, counts that rise with the power gamma of the light are

    C = F ((L + l_1 + l_2) / F)^gamma,    L = F (B / F)^(1/gamma),

with F the full scale (as `util.camera.exposure.counts` has it), B the counts and L the light of the background, and
l_1, l_2 the light of the spots: Gaussians or Moffat profiles, of which a power on a background is none. Pairs apart
from all others are fitted with this, five parameters a spot and what is left of the background under them; gamma is one
for all (Gauss-Newton; the spots' parameters are eliminated pair by pair, so that the common ones are sums over pairs,
and their errors follow from the scatter of pairs).

Three things would pass for a power. A lone spot's shape: wings learnt from counts are not those of the light, so those
of the pairs are fitted beside gamma, and only what overlaps tells it. Noise: of pixels far apart, the most likely
parameters of a pair are off by more than gamma is; bins keep the light of all pixels. And what is believed of height
and size: it is known of counts, not of light, so nothing is.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from util.camera.detector import Detector
from util.camera.phosphor import detector_to_pixel
from util.finder.binning import bin_pixels
from util.finder.finder import Finder
from util.finder.one_electron import reach

NEAREST, FARTHEST, APART = 1.8, 3.6, 6.0  # spot sizes between a pair, and from it to all others
ENOUGH, FEWEST = 200, 40  # pairs
MANY = 5  # times as many are asked where these leave it in doubt
FINENESS = 2.5  # bins in a spot's size, at least
# What is smaller than LEAST moves an answer from 50,000 frames by less than 0.8 of its errors.
SIGNIFICANT, LEAST = 5.0, 0.008
_DOUBTFUL, _MUCH = 2.5, 0.05  # errors; what may not go unseen
_LIT = 0.05  # of a spot's height: fainter bins tell nothing
_KEPT = 0.7  # of the pairs: the worst fitted are triples
_MOST_STEPS, _LONGEST = 8, 0.15  # of gamma, and of wings
_WINGS = -0.15, 0.9  # what noise makes of them
_EDGE = 0.0015  # of gamma: what the edge of the recipe's spots, known to half a pixel, feigns; 0.003 if there is none


@dataclass(frozen=True)
class Gamma:
    """Power of the light with which counts rise, its error, and from how many pairs it is known."""

    value: float
    error: float
    pairs: int

    @property
    def clear(self) -> bool:
        """Whether it differs from 1 by more than chance and by more than is negligible."""
        return self.pairs >= FEWEST and abs(self.value - 1) > max(SIGNIFICANT * self.error, LEAST)

    @property
    def doubtful(self) -> bool:
        """Whether more pairs should be asked: it may differ from 1, or by much without being seen."""
        unlike = abs(self.value - 1) > max(_DOUBTFUL * self.error, LEAST)
        return not self.clear and (unlike or SIGNIFICANT * self.error > _MUCH)


class _Pair(NamedTuple):
    spots: NDArray[np.float64]  # (10,): A, x, z, s, rho of both, in pixels and counts
    x: NDArray[np.float64]  # middles of bins (n,) [pixels]
    z: NDArray[np.float64]
    counts: NDArray[np.float64]
    dark: NDArray[np.float64]  # counts of the background


class _Fitted(NamedTuple):
    """A pair's part in the step of gamma and wings, and where its spots go: ``step - slope @ common``."""

    information: NDArray[np.float64]  # (2, 2)
    gradient: NDArray[np.float64]  # (2,)
    chi_square: float  # a bin
    step: NDArray[np.float64]  # (10,)
    slope: NDArray[np.float64]  # (10, 2)


def learn_gamma(images: Iterable[NDArray[np.unsignedinteger]], finder: Finder, *, enough: int = ENOUGH) -> Gamma:
    """Learn the power of the light with which counts rise.

    Parameters
    ----------
    images : iterable of (H, W) arrays
        Frames, their afterglow subtracted; those after the first `enough` pairs are not looked at.
    finder : Finder
        With the detector as it was learnt from these frames.

    Returns
    -------
    Gamma
        1 with an infinite error where there are too few pairs.
    """
    pairs = _pairs(images, finder, enough)
    if len(pairs) < FEWEST:
        return Gamma(1.0, math.inf, len(pairs))
    spots = [pair.spots.copy() for pair in pairs]
    common, error = np.array([1.0, finder.detector.imperfections.wings]), math.inf
    for _ in range(_MOST_STEPS):
        fitted = [_fit(pair, at, common, finder) for pair, at in zip(pairs, spots, strict=True)]
        worst = np.quantile([part.chi_square for part in fitted], _KEPT)
        kept = [part for part in fitted if part.chi_square <= worst]
        information = np.array([part.information for part in kept])
        gradient = np.array([part.gradient for part in kept])
        covariance = np.linalg.inv(information.sum(axis=0))
        step = covariance @ gradient.sum(axis=0)
        scatter = (gradient - information @ step) @ covariance[0]
        error = math.hypot(float(np.sqrt(np.sum(scatter**2))), _EDGE)
        new = common + step.clip(-_LONGEST, _LONGEST)
        new[1] = new[1].clip(*_WINGS)
        for at, part in zip(spots, fitted, strict=True):
            _move(at, part.step - part.slope @ (new - common), finder.detector)
        common = new
        if abs(step[0]) < 0.1 * error:
            break
    return Gamma(float(common[0]), error, len(pairs))


def _pairs(images: Iterable[NDArray[np.unsignedinteger]], finder: Finder, enough: int) -> list[_Pair]:
    pairs: list[_Pair] = []
    for image in images:
        hits = finder.find(image)
        if hits is not None:
            pairs.extend(_pairs_of(image, hits, finder))
        if len(pairs) >= enough:
            break
    return pairs


def _pairs_of(image: NDArray[np.unsignedinteger], hits: NDArray[np.void], finder: Finder) -> Iterator[_Pair]:
    """Yield the pairs of a frame that overlap and lie apart from all other hits, and do not clip."""
    detector = finder.detector
    size = detector.sigma.mean / detector.pitch
    at = np.stack([detector_to_pixel(detector, hits[name], axis) for axis, name in enumerate("xz")], axis=1)
    gap = np.hypot(*(at[:, None] - at).transpose(2, 0, 1)) / size
    np.fill_diagonal(gap, np.inf)
    nearest = gap.argmin(axis=1) if len(hits) > 1 else np.zeros(0, np.int64)
    side = _bin_size(detector)
    data, clipped = bin_pixels(detector.without_hot_pixels(image), side, detector.saturation)
    for i, j in enumerate(nearest.tolist()):
        if not (i < j and nearest[j] == i and NEAREST < gap[i, j] < FARTHEST):
            continue
        if np.delete(gap[[i, j]].min(axis=0), [i, j]).min(initial=np.inf) < APART:
            continue
        # Averaging widens a spot.
        sizes = np.hypot(hits["sigma"][[i, j]].astype(float) / detector.pitch, math.sqrt((side**2 - 1) / 12))
        spots = np.stack([hits["A"][[i, j]], *at[[i, j]].T, sizes, hits["rho"][[i, j]]], axis=1).astype(float)
        low = np.maximum((spots[:, 1:3].min(axis=0) - 3 * size) // side, 0).astype(int)
        high = np.minimum((spots[:, 1:3].max(axis=0) + 3 * size) // side + 1, data.shape).astype(int)
        rows, columns = (part.ravel() for part in np.mgrid[low[0] : high[0], low[1] : high[1]])
        x, z = (side * index + (side - 1) / 2 for index in (rows, columns))
        wings = detector.imperfections.wings
        lit = np.sum([_spot(spot, x, z, wings, finder)[0] for spot in spots], axis=0) > _LIT * detector.A.mean
        rows, columns, x, z = rows[lit], columns[lit], x[lit], z[lit]
        if lit.sum() > 2 * spots.size and not clipped[rows, columns].any():
            dark = detector.background_at(x, z).clip(1e-6)  # a logarithm of 0 has no value, and 0 times it is 0
            yield _Pair(spots.ravel(), x, z, data[rows, columns], dark)


def _bin_size(detector: Detector) -> int:
    """Return the pixels along each side of a bin."""
    wide = math.sqrt(detector.imperfections.aspect)
    return max(1, int(detector.sigma.mean / detector.pitch * min(wide, 1 / wide) / FINENESS))


def _spot(
    spot: NDArray[np.float64], x: NDArray[np.float64], z: NDArray[np.float64], wings: float, finder: Finder
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a spot's light (n,) at x, z [pixels], and its derivatives (6, n) by A, x, z, s, rho and wings."""
    A, at_x, at_z, s, rho = spot
    stretch = math.sqrt(finder.detector.imperfections.aspect)
    dx, dz = (x - at_x) / stretch, (z - at_z) * stretch
    u = (dx * dx + dz * dz + 2 * rho * dx * dz) / (2 * s * s)
    wings = wings if abs(wings) > 1e-4 else 1e-4
    falling = np.maximum(1 + wings * u, 1e-3)
    # The published recipe lights the pixels that a square touches: half a count beyond would pass for 0.003 of gamma.
    within = np.maximum(np.abs(dx), np.abs(dz)) < reach(A, s, finder.electron) + 0.5
    shape = within * falling ** (-1 / wings)
    g = A * shape / falling / (s * s)
    slopes = (
        shape,
        g * (dx + rho * dz) / stretch,
        g * (dz + rho * dx) * stretch,
        g * u * 2 * s,
        -g * dx * dz,
        A * shape * (np.log(falling) / wings - u / falling) / wings,
    )
    return A * shape, np.stack(slopes)


def _fit(pair: _Pair, spots: NDArray[np.float64], common: NDArray[np.float64], finder: Finder) -> _Fitted:
    """Linearise a pair's counts about its spots, gamma and wings, and eliminate the spots."""
    model, by_spots, by_common = _counts(spots, pair, common, finder)
    variance = (finder.detector.noise**2 + 1 / 12) / _bin_size(finder.detector) ** 2
    # What is left of the background is unknown: half a count would pass for 0.04 of gamma.
    residual, by_spots, by_common = (
        part - part.mean(axis=-1, keepdims=True) for part in (pair.counts - model, by_spots, by_common)
    )
    matrix = by_spots @ by_spots.T
    matrix += 1e-9 * np.diag(1 + np.diag(matrix))  # a spot may fade, and light no bin
    shared = by_spots @ by_common.T
    solved = np.linalg.solve(matrix, np.column_stack((by_spots @ residual, shared)))
    step, slope = solved[:, 0], solved[:, 1:]
    return _Fitted(
        (by_common @ by_common.T - shared.T @ slope) / variance,
        (by_common @ residual - shared.T @ step) / variance,
        float(np.mean(residual**2) / variance),
        step,
        slope,
    )


def _counts(
    spots: NDArray[np.float64], pair: _Pair, common: NDArray[np.float64], finder: Finder
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean counts (n,) of a pair, derivatives by its spots (10, n) and by gamma and wings (2, n)."""
    gamma, wings = common.tolist()
    detector = finder.detector
    full, noise = detector.saturation, detector.noise
    dark = full * (pair.dark / full) ** (1 / gamma)
    light, slopes = zip(*(_spot(spot, pair.x, pair.z, wings, finder) for spot in spots.reshape(2, -1)), strict=True)
    total = dark + light[0] + light[1]
    level = full * (total / full) ** gamma
    by_light = gamma * level / total
    by_gamma = level * np.log(total / full) - by_light * dark * np.log(pair.dark / full) / gamma**2
    seen = ndtr(level / noise) if noise else 1.0  # negative counts become 0
    by_spots = seen * by_light * np.concatenate([slope[:5] for slope in slopes])
    return detector.mean_of(level), by_spots, seen * np.stack([by_gamma, by_light * (slopes[0][5] + slopes[1][5])])


def _move(spots: NDArray[np.float64], step: NDArray[np.float64], detector: Detector) -> None:
    """Change a pair's spots in place by a step, as far as one goes."""
    size = detector.sigma.mean / detector.pitch
    rows, steps = spots.reshape(2, -1), step.reshape(2, -1)
    steps[:, 1:3] = steps[:, 1:3].clip(-size / 3, size / 3)
    rows += steps
    rows[:, 0] = rows[:, 0].clip(1)
    rows[:, 3] = rows[:, 3].clip(0.5 * size, 2 * size)
    rows[:, 4] = rows[:, 4].clip(-0.8, 0.8)
