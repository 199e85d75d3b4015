"""Whether the camera's counts rise with the light: learnt from pairs of spots that overlap.

Alone, a spot cannot tell. A power of a Gaussian is a Gaussian, one of a Moffat profile another, and its height may be
anything. But light adds and its power does not: where two spots overlap, counts that rise with the power gamma of the
light are

    C = ((B + g_1)^(1/gamma) + (B + g_2)^(1/gamma) - B^(1/gamma))^gamma - B

above the background B, with g_1 and g_2 the counts that each would have alone. Pairs apart from all others are fitted
with this, five parameters a spot and one gamma for all (Gauss-Newton; the spots' parameters are eliminated pair by
pair, so that the common one is a sum over pairs, and its error follows from their scatter).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.imperfections import Imperfections
from util.camera.phosphor import detector_to_pixel
from util.finder.finder import Finder

NEAREST, FARTHEST, APART = 1.8, 3.6, 6.0  # spot sizes between a pair, and from it to all others
ENOUGH, FEWEST = 200, 40  # pairs
MANY = 5  # times as many are asked where these leave it in doubt
# The edge at which the published recipe cuts spots off feigns a gamma of up to 1.004 (seeds of 60 frames). What is
# smaller than LEAST moves an answer from 50,000 frames by less than 0.8 of its errors.
SIGNIFICANT, LEAST = 5.0, 0.008
_DOUBTFUL, _MUCH = 2.5, 0.05  # errors; what may not go unseen
_LIT = 0.05  # of a spot's height: fainter pixels tell nothing, and end where the recipe cuts spots off
_KEPT = 0.7  # of the pairs: the worst fitted are triples
_MOST_STEPS, _LONGEST = 8, 0.15  # of gamma


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
    x: NDArray[np.int64]  # pixels (n,)
    z: NDArray[np.int64]
    counts: NDArray[np.float64]  # above the background


class _Fitted(NamedTuple):
    """A pair's part in the common step, and where its spots go: ``step - common * slope``."""

    information: float
    gradient: float
    chi_square: float  # a pixel
    step: NDArray[np.float64]
    slope: NDArray[np.float64]


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
    detector = finder.detector
    pairs = _pairs(images, finder, enough)
    if len(pairs) < FEWEST:
        return Gamma(1.0, math.inf, len(pairs))
    spots = [pair.spots.copy() for pair in pairs]
    gamma, error = 1.0, math.inf
    for _ in range(_MOST_STEPS):
        fitted = [_fit(pair, at, gamma, detector) for pair, at in zip(pairs, spots, strict=True)]
        worst = np.quantile([part.chi_square for part in fitted], _KEPT)
        information, gradient = np.array(
            [(part.information, part.gradient) for part in fitted if part.chi_square <= worst]
        ).T
        step = gradient.sum() / information.sum()
        error = float(np.sqrt(np.sum((gradient - step * information) ** 2)) / information.sum())
        common = float(np.clip(step, -_LONGEST, _LONGEST))
        gamma += common
        for at, part in zip(spots, fitted, strict=True):
            _move(at, part.step - common * part.slope, detector)
        if abs(step) < 0.1 * error:
            break
    return Gamma(gamma, error, len(pairs))


def _pairs(images: Iterable[NDArray[np.unsignedinteger]], finder: Finder, enough: int) -> list[_Pair]:
    pairs: list[_Pair] = []
    for image in images:
        hits = finder.find(image)
        if hits is not None:
            pairs.extend(_pairs_of(image, hits, finder.detector))
        if len(pairs) >= enough:
            break
    return pairs


def _pairs_of(image: NDArray[np.unsignedinteger], hits: NDArray[np.void], detector: Detector) -> Iterator[_Pair]:
    """Yield the pairs of a frame that overlap and lie apart from all other hits, and do not clip."""
    size = detector.sigma.mean / detector.pitch
    at = np.stack([detector_to_pixel(detector, hits[name], axis) for axis, name in enumerate("xz")], axis=1)
    gap = np.hypot(*(at[:, None] - at).transpose(2, 0, 1)) / size
    np.fill_diagonal(gap, np.inf)
    nearest = gap.argmin(axis=1) if len(hits) > 1 else np.zeros(0, np.int64)
    step = max(1, int(size / 1.5))
    for i, j in enumerate(nearest.tolist()):
        if not (i < j and nearest[j] == i and NEAREST < gap[i, j] < FARTHEST):
            continue
        if np.delete(gap[[i, j]].min(axis=0), [i, j]).min(initial=np.inf) < APART:
            continue
        rows = [(hits["A"][n], *at[n], hits["sigma"][n] / detector.pitch, hits["rho"][n]) for n in (i, j)]
        spots = np.array(rows, np.float64)
        low = np.maximum(np.floor(spots[:, 1:3].min(axis=0) - 3 * size), 0).astype(int)
        high = np.minimum(np.ceil(spots[:, 1:3].max(axis=0) + 3 * size), image.shape).astype(int)
        x, z = (part.ravel() for part in np.mgrid[low[0] : high[0] : step, low[1] : high[1] : step])
        lit = sum(_spot(row, x, z, detector.imperfections)[0] for row in spots) > _LIT * detector.A.mean
        x, z = x[lit], z[lit]
        counts = image[x, z]
        if counts.size > 2 * spots.size and counts.max() < detector.saturation:
            yield _Pair(spots.ravel(), x, z, counts - detector.background_at(x, z))


def _spot(
    spot: NDArray[np.float64], x: NDArray[np.int64], z: NDArray[np.int64], look: Imperfections
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a spot's counts (n,) at pixels, and their derivatives (5, n) by A, x, z, s, rho."""
    A, at_x, at_z, s, rho = spot
    stretch = math.sqrt(look.aspect)
    dx, dz = (x - at_x) / stretch, (z - at_z) * stretch
    u = (dx * dx + dz * dz + 2 * rho * dx * dz) / (2 * s * s)
    falling = 1 + look.wings * u
    shape = falling ** (-1 / look.wings) if look.wings else np.exp(-u)
    g = A * shape / falling / (s * s)  # the power of a profile with wings has wings as well
    slopes = (shape, g * (dx + rho * dz) / stretch, g * (dz + rho * dx) * stretch, g * u * 2 * s, -g * dx * dz)
    return A * shape, np.stack(slopes)


def _fit(pair: _Pair, spots: NDArray[np.float64], gamma: float, detector: Detector) -> _Fitted:
    """Linearise a pair's counts about its spots and a gamma, and eliminate the spots."""
    model, by_spots, by_gamma = _counts(spots, pair, gamma, detector)
    variance = detector.noise**2 + 1 / 12
    expected, precision = _expected(detector)
    residual = pair.counts - model
    matrix = by_spots @ by_spots.T / variance + np.diag(precision)
    right = by_spots @ residual / variance - precision * (spots - expected)
    step, slope = np.linalg.solve(matrix, np.stack((right, by_spots @ by_gamma / variance), axis=1)).T
    shared = by_spots @ by_gamma / variance
    return _Fitted(
        float(by_gamma @ by_gamma / variance - shared @ slope),
        float(by_gamma @ residual / variance - shared @ step),
        float(np.mean(residual**2) / variance),
        step,
        slope,
    )


def _counts(
    spots: NDArray[np.float64], pair: _Pair, gamma: float, detector: Detector
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the counts (n,) of a pair above the background, and derivatives by its spots (10, n) and by gamma (n,)."""
    dark = max(detector.background[0], 0.0) + 1e-6  # a logarithm of 0 has no value, and 0 times it is 0
    alone, slopes = zip(
        *(_spot(spot, pair.x, pair.z, detector.imperfections) for spot in spots.reshape(2, -1)), strict=True
    )
    counts = [dark + values for values in alone]
    lights = [values ** (1 / gamma) for values in counts]
    dark_light = dark ** (1 / gamma)
    light = lights[0] + lights[1] - dark_light
    total = light**gamma
    by_spots = [light ** (gamma - 1) * c ** (1 / gamma - 1) * slope for c, slope in zip(counts, slopes, strict=True)]
    logs = sum(part * np.log(c) for part, c in zip(lights, counts, strict=True)) - dark_light * math.log(dark)
    by_gamma = total * (np.log(light) - logs / (gamma * light))
    return total - dark, np.concatenate(by_spots), by_gamma


def _expected(detector: Detector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a pair's spots are expected to be, (10,), and how precisely: 1 / variance, 0 of positions."""
    laws = (detector.A, None, None, detector.sigma, detector.rho)
    units = (1.0, 1.0, 1.0, detector.pitch, 1.0)
    mean = [0.0 if law is None else law.mean / unit for law, unit in zip(laws, units, strict=True)]
    spread = [
        math.inf if law is None else max(law.std / unit, 0.02 * abs(value), 1e-3)
        for law, unit, value in zip(laws, units, mean, strict=True)
    ]
    return np.tile(mean, 2), np.tile(np.power(spread, -2.0), 2)


def _move(spots: NDArray[np.float64], step: NDArray[np.float64], detector: Detector) -> None:
    """Change a pair's spots in place by a step, as far as one goes."""
    size = detector.sigma.mean / detector.pitch
    rows, steps = spots.reshape(2, -1), step.reshape(2, -1)
    steps[:, 1:3] = steps[:, 1:3].clip(-size / 3, size / 3)
    rows += steps
    rows[:, 0] = rows[:, 0].clip(1)
    rows[:, 3] = rows[:, 3].clip(0.5 * size, 2 * size)
    rows[:, 4] = rows[:, 4].clip(-0.8, 0.8)
