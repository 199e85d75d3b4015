"""Peaks of a spectrum: where they are, how wide, how many electrons they hold, and their anisotropy.

A peak is what rises above the higher of the valleys beside it by a number of errors, of noise alone. Its electrons are
those within a few of its widths, short of its neighbours; what lies evenly below, as high as beside it, is taken for
something broader and left out. Electrons and betas are those of its lines together (`util.spectrum.pooled`).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from util.spectrum.curves import Curves, line_shapes, weighted
from util.spectrum.interior_point import Solution
from util.spectrum.pooled import pool
from util.spectrum.spectrum import Lines, Peaks

CLEAR = 5.0  # errors by which a peak rises above the valleys beside it
_REACH = 4.0  # widths to each side that belong to a peak
_BESIDE = 4  # part of a peak over which what lies beside it is averaged, for noise is uneven
_BROADER = 3.0  # times as wide
_DOUBTED = 5.0  # errors between a peak as one and the sum of its lines
_LEAST_SPREAD = 0.5  # widths of a line, of the lines of a peak as narrow as one
_WITHIN = 2.0  # sigma_R, where what lies below a peak may be taken for its own
_HALF = 1.1774  # sigma from the top of a Gaussian to half its height


class Place(NamedTuple):
    """Lower end, top and upper end of a peak, as indices, and the height of the higher end over that of the top.

    `first` and `last` are where neighbours begin, or the ends of the spectrum.
    """

    low: int
    top: int
    high: int
    overlap: float
    first: int
    last: int


def clear_tops(height: NDArray[np.float64], error: NDArray[np.float64]) -> list[Place]:
    """Return the places of all clear peaks."""
    padded, spread = (np.concatenate(([0.0], part, [0.0])) for part in (height, error))
    tops, facts = signal.find_peaks(padded, prominence=0)
    left, right = facts["left_bases"], facts["right_bases"]
    tops = tops[facts["prominences"] > CLEAR * np.hypot(spread[tops], np.minimum(spread[left], spread[right]))]
    if not tops.size:
        return []
    valleys = [int(a + np.argmin(padded[a : b + 1])) for a, b in itertools.pairwise(tops)]
    limits = list(zip([1, *valleys], [*valleys, height.size], strict=True))
    extents = [_extent(padded, int(top), *limit) for top, limit in zip(tops, limits, strict=True)]
    out = []
    for i, (top, (before, behind), (middle, reach)) in enumerate(zip(tops, limits, extents, strict=True)):
        low, high = int(middle - reach), int(np.ceil(middle + reach))
        first, last = before, behind
        if i > 0:
            low, first = _parted(low, before, extents[i - 1], reach, -1, height.size)
        if i + 1 < len(tops):
            high, last = _parted(high, behind, extents[i + 1], reach, 1, height.size)
        low, high = max(1, low), min(height.size, high)
        # No neighbour is slower than nothing.
        overlap = float(max(padded[low] if low > 1 else 0.0, padded[high]) / padded[top])
        out.append(Place(low - 1, int(top) - 1, high - 1, overlap, first - 1, last - 1))
    return out


def _extent(height: NDArray[np.float64], top: int, before: int, behind: int) -> tuple[float, float]:
    """Return the middle of a peak and how far it reaches to both sides."""
    # Where a neighbour hides one side, the other one tells the width; the top of a broad peak may be anywhere.
    left, right = _half_way(height[before : top + 1][::-1]), _half_way(height[top : behind + 1])
    left, right = min(left, 2 * right), min(right, 2 * left)
    middle, half = (top + (right - left) / 2, (left + right) / 2) if np.isfinite(left) else (top, height.size)
    return middle, _REACH * half / _HALF


def _parted(
    end: int, valley: int, neighbour: tuple[float, float], reach: float, side: int, size: int
) -> tuple[int, int]:
    """Return where a peak ends on the side of a neighbour, and where the neighbour begins.

    What is much broader lies below a peak rather than beside it. Of others the peak is parted at the valley between
    both, which is a dip by noise where they do not reach as far as each other.
    """
    middle, far = neighbour
    nearest = min if side > 0 else max
    if far > _BROADER * reach:
        return nearest(end, valley), min(max(round(middle), 1), size)
    begins = round(middle - side * far)
    begins = max(valley, begins) if side > 0 else min(valley, begins)
    return nearest(end, begins), begins


def _half_way(side: NDArray[np.float64]) -> float:
    """Return how many steps from a top, at the side's first place, half its height is; infinite if it ends before.

    A dip that is not clear enough to part two peaks is none.
    """
    last = int(np.flatnonzero(side >= side[0] / 2)[-1])
    return last + 1.0 if last + 1 < side.size else np.inf


def _floor(place: Place, intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which mean of the intensities (n,) lies below a peak, at each of its points: (points, n).

    A straight line between what lies on both sides, as far as the peak is above it; where a neighbour or an end of the
    spectrum is near, the lower side.
    """
    low, top, high, _, first, last = place
    first, last = min(first, low), max(last, high)
    beside = max((high - low) // _BESIDE, 1)
    # What rises beyond an end is a neighbour's: the mean just within is no higher.
    lower, higher = (
        _lowest(intensity, ((max(low - beside, first), low), (low, low + beside))),
        _lowest(intensity, ((high, min(high + beside, last)), (high - beside, high))),
    )
    if lower @ intensity > higher @ intensity:
        lower, higher, along = higher, lower, np.linspace(1, 0, high - low + 1)
    else:
        along = np.linspace(0, 1, high - low + 1)
    if low <= first or high >= last:
        along[:] = 0
    core = slice(max((low + top) // 2 - low, 0), (top + high) // 2 - low + 1)
    above = np.maximum(intensity[low : high + 1] - lower @ intensity, 0)[core]
    rise = (along * ((higher - lower) @ intensity))[core]
    along *= np.divide(above, rise, out=np.ones(rise.size), where=rise > above).min()
    return lower + along[:, None] * (higher - lower)


def _lowest(intensity: NDArray[np.float64], ends: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Return the weights (n,) of the lowest of several means, each of the intensities from one place to another."""
    means = np.zeros((len(ends), intensity.size))
    for mean, (begin, end) in zip(means, ends, strict=True):
        mean[begin : end + 1] = 1 / (end - begin + 1)
    return means[np.argmin(means @ intensity)]


class Shape(NamedTuple):
    """R, its error, sigma_R and its error, and electrons of a peak, and those that lie below.

    `floor` (points,) in electrons a unit of r; `floor_error` in electrons, of what lies below within two sigma_R.
    """

    R: float
    R_error: float
    sigma_R: float
    sigma_R_error: float
    electrons: float
    floor: NDArray[np.float64]
    floor_error: float


def shape_of(place: Place, r: NDArray[np.float64], intensity: NDArray[np.float64], lines: Lines) -> Shape:
    """Return place and width of a peak, by moments of its lines above what lies below."""
    of_lines = line_shapes(r, lines)
    shape = _moments(place, r, lines, of_lines, _floor(place, intensity))
    if shape is None:  # for what lies beside is no guide
        ends = (place.low, place.low), (place.high, place.high)
        flat = np.tile(_lowest(intensity, ends), (place.high - place.low + 1, 1))
        shape = _moments(place, r, lines, of_lines, flat)
    if shape is None:
        return Shape(r[place.top], np.nan, np.nan, np.nan, 0.0, np.full(place.high - place.low + 1, np.inf), 0.0)
    return shape


def _moments(
    place: Place, r: NDArray[np.float64], lines: Lines, of_lines: NDArray[np.float64], below: NDArray[np.float64]
) -> Shape | None:
    """Return the shape of a peak above a floor; None where that leaves none."""
    step, inside = r[1] - r[0], slice(place.low, place.high + 1)
    covariance = lines.covariance.reshape(*lines.terms.shape, *lines.terms.shape)[:, 0, :, 0]
    at, electrons = r[inside] - r[place.top], lines.terms[:, 0]
    floor = below @ of_lines
    weights = np.stack((np.ones(at.size), at, at**2)) * step @ (of_lines[inside] - floor)
    N, first, second = weights @ electrons
    moments = weights @ covariance @ weights.T
    if np.sqrt(moments[0, 0]) >= N or second * N <= first**2 or not at[0] <= first / N <= at[-1]:
        return None
    mean = first / N
    square = second / N - mean**2
    by_mean = np.array([-first / N**2, 1 / N, 0])
    by_square = np.array([-second / N**2, 0, 1 / N]) - 2 * mean * by_mean
    errors = np.sqrt(by_mean @ moments @ by_mean), np.sqrt(by_square @ moments @ by_square)
    sigma = np.sqrt(square)
    within = step * (np.abs(at - mean) < _WITHIN * sigma) @ floor
    floor_error = np.sqrt(max(within @ covariance @ within, 0.0))
    return Shape(
        r[place.top] + mean,
        errors[0],
        sigma,
        errors[1] / (2 * sigma),
        N,
        np.maximum(floor @ electrons, 0),
        floor_error,
    )


def peak_parts(found: list[Place], shapes: list[Shape], r: NDArray[np.float64], lines: Lines) -> NDArray[np.float64]:
    """Return which part of each line belongs to each peak, and then to what lies between two tops (2 p + 1, J).

    As a peak of its electrons and width, were it Gaussian, would stand above what lies below; noise of single lines
    does not decide, of which only that above would be counted.
    """
    number, radii = len(found), lines.radii
    parts = np.zeros((2 * number + 1, radii.size))
    for i, ((low, _, high, *_), shape) in enumerate(zip(found, shapes, strict=True)):
        inside = (radii >= r[low]) & (radii <= r[high])
        at, width = radii[inside], lines.widths[inside]
        spread = np.sqrt(np.fmax(shape.sigma_R**2 - width**2, (_LEAST_SPREAD * width) ** 2))
        own = shape.electrons / (spread * np.sqrt(2 * np.pi)) * np.exp(-(((at - shape.R) / spread) ** 2) / 2)
        below = np.interp(at, r[low : high + 1], shape.floor)
        parts[i, inside] = np.where(below > 0, own / np.maximum(own + below, 1e-300), 1.0)
    parts /= np.maximum(parts.sum(axis=0), 1)  # a broad peak may reach into its neighbours
    between = np.searchsorted(r[[place.top for place in found]], radii)
    parts[number + between, np.arange(radii.size)] = 1 - parts[:number].sum(axis=0)
    return parts


def _trusted(pooled: Curves, summed: Curves) -> Curves:
    """Return peaks as groups of lines, but for those of which the sums of the lines clearly say otherwise.

    A group and what lies below it may take opposite PADs to mend what no spectrum describes, as a ring that is not
    quite round in an image of millions of electrons; lines one by one have no such freedom.
    """
    apart = np.abs(pooled.beta - summed.beta) > _DOUBTED * summed.beta_error
    return Curves(*(np.where(apart.any(axis=0), *both) for both in zip(summed, pooled, strict=True)))


def find_peaks(
    best: Solution, lines: Lines, r: NDArray[np.float64], curves: Curves, common: NDArray[np.float64], *, barrier: float
) -> Peaks:
    """Return the clear peaks of a spectrum.

    Parameters
    ----------
    best : Solution
        The lines at their likeliest, in counts.
    lines : Lines
        The same in electrons, with their covariance.
    r : (n,)
        Radii in even steps.
    curves : Curves
        At these radii.
    common : (P, P)
        As `util.spectrum.pooled.pool` takes it.
    barrier : float
        At which the errors are taken.
    """
    found = clear_tops(curves.intensity, curves.intensity_error)
    if not found:
        none, no_beta = np.zeros(0), np.zeros((lines.terms.shape[1] - 1, 0))
        return Peaks(none, none, none, none, none, none, no_beta, no_beta, none)
    shapes = [shape_of(place, r, curves.intensity, lines) for place in found]
    parts = peak_parts(found, shapes, r, lines)
    pooled = pool(best, parts, common, sure=len(found), barrier=barrier)
    unit = 2 * best.data.per_count
    groups = lines._replace(terms=unit * pooled.terms, covariance=unit**2 * pooled.covariance)
    own = _trusted(weighted(np.eye(len(found), len(parts)), groups), weighted(parts[: len(found)], lines))
    error = np.hypot(own.intensity_error, [shape.floor_error for shape in shapes])
    overlap = np.array([place.overlap for place in found])
    R, R_error, sigma_R, sigma_R_error = np.array([shape[:4] for shape in shapes]).T
    return Peaks(R, R_error, sigma_R, sigma_R_error, own.intensity, error, own.beta, own.beta_error, overlap)
