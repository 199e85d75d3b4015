"""Peaks of a spectrum: where they are, how wide, how many electrons they hold, and their anisotropy.

A peak is what rises above the higher of the valleys beside it by a number of errors. Its electrons are those within a
few of its widths, and between the valleys; what is as high as the lower end, all along, is taken for something broader
and left out.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from util.spectrum.curves import line_shapes, weighted
from util.spectrum.spectrum import Lines, Peaks

CLEAR = 5.0  # errors by which a peak rises above the valleys beside it
_REACH = 4.0  # widths to each side that belong to a peak
_HALF = 1.1774  # sigma from the top of a Gaussian to half its height


class _Place(NamedTuple):
    """Lower end, top and upper end of a peak, as indices, and the height of the higher end over that of the top."""

    low: int
    top: int
    high: int
    overlap: float


def _clear_tops(height: NDArray[np.float64], error: NDArray[np.float64]) -> list[_Place]:
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
        # The steeper side tells the width: on the other one there may be a neighbour.
        below = padded < padded[top] / 2
        sides = [np.flatnonzero(part) for part in (below[top::-1], below[top:])]
        half = min(float(side[0]) if side.size else np.inf for side in sides)
        reach = _REACH * half / _HALF if np.isfinite(half) else height.size
        low, high = max(before, int(top - reach)), min(behind, int(np.ceil(top + reach)))
        overlap = float(max(padded[low], padded[high]) / padded[top])
        out.append(_Place(low - 1, int(top) - 1, high - 1, overlap))
    return out


def find_peaks(
    r: NDArray[np.float64], intensity: NDArray[np.float64], error: NDArray[np.float64], lines: Lines
) -> Peaks:
    """Return the clear peaks of an intensity (n,) at radii (n,) in even steps."""
    found = _clear_tops(intensity, error)
    step = r[1] - r[0]
    shapes = line_shapes(r, lines)
    weights = np.zeros((len(found), 3, lines.radii.size))
    for number, (low, top, high, _) in enumerate(found):
        inside = slice(low, high + 1)
        at = r[inside] - r[top]
        moments = np.stack((np.ones(at.size), at, at**2)) * step
        # What is as high as the lower end, all along, is not the peak's.
        end = low if intensity[low] < intensity[high] else high
        weights[number] = moments @ (shapes[inside] - shapes[end])
    own = weighted(weights[:, 0], lines)
    covariance = lines.covariance.reshape(*lines.terms.shape, *lines.terms.shape)[:, 0, :, 0]
    values = weights @ lines.terms[:, 0]
    R, R_error, sigma, sigma_error = np.zeros((4, len(found)))
    for number, (_, top, _, _) in enumerate(found):
        N, first, second = values[number]
        mean = first / N
        square = max(second / N - mean**2, 1e-12)
        by_mean = np.array([-first / N**2, 1 / N, 0])
        by_square = np.array([-second / N**2, 0, 1 / N]) - 2 * mean * by_mean
        moments = weights[number] @ covariance @ weights[number].T
        R[number], R_error[number] = r[top] + mean, np.sqrt(by_mean @ moments @ by_mean)
        sigma[number] = np.sqrt(square)
        sigma_error[number] = np.sqrt(by_square @ moments @ by_square) / (2 * sigma[number])
    overlap = np.array([place.overlap for place in found])
    return Peaks(R, R_error, sigma, sigma_error, own.intensity, own.intensity_error, own.beta, own.beta_error, overlap)
