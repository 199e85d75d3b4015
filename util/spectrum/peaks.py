"""Peaks of a spectrum: where they are, how wide, how many electrons they hold, and their anisotropy.

A peak is what rises above the higher of the valleys beside it by a number of errors. Its electrons are those within a
few of its widths, and between the valleys; what is as high as the lower end, all along, is taken for something broader
and left out. Electrons and betas are those of its lines together (`util.spectrum.pooled`).
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from util.spectrum.curves import Curves, line_shapes, weighted
from util.spectrum.interior_point import Solution
from util.spectrum.line_widths import SPACING
from util.spectrum.pooled import pool
from util.spectrum.spectrum import Lines, Peaks

CLEAR = 5.0  # errors by which a peak rises above the valleys beside it
_REACH = 4.0  # widths to each side that belong to a peak
_HALF = 1.1774  # sigma from the top of a Gaussian to half its height


class Place(NamedTuple):
    """Lower end, top and upper end of a peak, as indices, and the height of the higher end over that of the top."""

    low: int
    top: int
    high: int
    overlap: float


def clear_tops(height: NDArray[np.float64], error: NDArray[np.float64]) -> list[Place]:
    """Return the places of all clear peaks."""
    padded, spread = (np.concatenate(([0.0], part, [0.0])) for part in (height, error))
    tops, facts = signal.find_peaks(padded, prominence=0)
    left, right = facts["left_bases"], facts["right_bases"]
    tops = tops[facts["prominences"] > CLEAR * np.hypot(spread[tops], np.minimum(spread[left], spread[right]))]
    if not tops.size:
        return []
    valleys = [int(a + np.argmin(padded[a : b + 1])) for a, b in itertools.pairwise(tops)]
    out = []
    for top, before, behind in zip(tops, [1, *valleys], [*valleys, height.size], strict=True):
        # Where a neighbour hides one side, the other one tells the width; the top of a broad peak may be anywhere.
        left, right = _half_way(padded[before : top + 1][::-1]), _half_way(padded[top : behind + 1])
        left, right = min(left, 2 * right), min(right, 2 * left)
        middle, half = (top + (right - left) / 2, (left + right) / 2) if np.isfinite(left) else (top, height.size)
        reach = _REACH * half / _HALF
        low, high = max(before, int(middle - reach)), min(behind, int(np.ceil(middle + reach)))
        # No neighbour is slower than nothing.
        overlap = float(max(padded[low] if low > 1 else 0.0, padded[high]) / padded[top])
        out.append(Place(low - 1, int(top) - 1, high - 1, overlap))
    return out


def _half_way(side: NDArray[np.float64]) -> float:
    """Return how many steps from a top, at the side's first place, half its height is; infinite if it ends before.

    A dip that is not clear enough to part two peaks is none.
    """
    last = int(np.flatnonzero(side >= side[0] / 2)[-1])
    return last + 1.0 if last + 1 < side.size else np.inf


def peak_parts(
    found: list[Place], r: NDArray[np.float64], intensity: NDArray[np.float64], lines: Lines
) -> NDArray[np.float64]:
    """Return which part of each line belongs to each peak, and then to what lies between two tops (2 p + 1, J)."""
    number, radii = len(found), lines.radii
    held = np.maximum(lines.terms[:, 0], 1e-300)
    parts = np.zeros((2 * number + 1, radii.size))
    for i, (low, _, high, _) in enumerate(found):
        inside = (radii >= r[low]) & (radii <= r[high])
        # What is as high as the lower end, all along, is not the peak's.
        floor = max(min(intensity[low], intensity[high]), 0.0) * SPACING * lines.widths[inside]
        parts[i, inside] = np.maximum(1 - floor / held[inside], 0)
    between = np.searchsorted(r[[place.top for place in found]], radii)
    parts[number + between, np.arange(radii.size)] = 1 - parts[:number].sum(axis=0)
    return parts


def place_and_width(
    found: list[Place], r: NDArray[np.float64], intensity: NDArray[np.float64], lines: Lines
) -> NDArray[np.float64]:
    """Return R, its error, sigma_R and its error (4, p) of peaks, by moments of their lines."""
    step, shapes = r[1] - r[0], line_shapes(r, lines)
    covariance = lines.covariance.reshape(*lines.terms.shape, *lines.terms.shape)[:, 0, :, 0]
    out = np.zeros((4, len(found)))
    for number, (low, top, high, _) in enumerate(found):
        inside = slice(low, high + 1)
        at = r[inside] - r[top]
        end = low if intensity[low] < intensity[high] else high
        weights = np.stack((np.ones(at.size), at, at**2)) * step @ (shapes[inside] - shapes[end])
        N, first, second = weights @ lines.terms[:, 0]
        mean = first / N
        square = max(second / N - mean**2, 1e-12)
        by_mean = np.array([-first / N**2, 1 / N, 0])
        by_square = np.array([-second / N**2, 0, 1 / N]) - 2 * mean * by_mean
        moments = weights @ covariance @ weights.T
        errors = np.sqrt(by_mean @ moments @ by_mean), np.sqrt(by_square @ moments @ by_square)
        out[:, number] = r[top] + mean, errors[0], np.sqrt(square), errors[1] / (2 * np.sqrt(square))
    return out


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
    parts = peak_parts(found, r, curves.intensity, lines)
    pooled = pool(best, parts, common, sure=len(found), barrier=barrier)
    unit = 2 * best.data.per_count
    groups = Lines(parts @ lines.widths, parts @ lines.radii, unit * pooled.terms, unit**2 * pooled.covariance)
    own = weighted(np.eye(len(found), len(parts)), groups)
    overlap = np.array([place.overlap for place in found])
    R, R_error, sigma_R, sigma_R_error = place_and_width(found, r, curves.intensity, lines)
    return Peaks(R, R_error, sigma_R, sigma_R_error, *own, overlap)
