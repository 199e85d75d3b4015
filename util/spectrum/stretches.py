"""Stretches of radii in which lines are wider, or narrower, than elsewhere.

One width serves sharp lines beside a continuum badly: it blurs the ones or describes the noise of the other. Spectra
of several widths that were fitted to the same electrons may be blended, one taking over from the other where two
stretches meet; that is a spectrum too, and what it expects of electrons that no fit has seen takes no new fit. So
stretches are cut one by one, each where it tells most of those electrons, until no cut is worth its cost.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.spectrum.polar_counts import PolarCounts

KNOTS = 21  # radii from 0 to 1 between which widths change: further apart than the widest line is wide
_COST = 3.0  # of a change of width, in log likelihood of the electrons held out, for chance gains some as well
_LEAST = 1e-9  # counts


class Blend(NamedTuple):
    """What fits of W widths expect of one part of the electrons: (W, `KNOTS`, bins), of the lines about each knot.

    And of that part, the rest of what is expected, by each width (W, bins), which no line makes.
    """

    held: PolarCounts
    of_lines: NDArray[np.float64]
    rest: NDArray[np.float64]


def about_knots(radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of lines at radii (J,) belongs to each knot (`KNOTS`, J): together all of it."""
    place = np.clip(radii, 0, 1) * (KNOTS - 1)
    return np.maximum(1 - np.abs(place - np.arange(KNOTS)[:, None]), 0)


class _Gain:
    """Log likelihood that a choice of widths gains over one width everywhere: to second order, which is quick."""

    def __init__(self, blends: Sequence[Blend], start: int) -> None:
        self._start = start
        self._size = blends[0].of_lines.shape[0]
        count = self._size * KNOTS
        self._slope, self._curvature = np.zeros(count), np.zeros((count, count))
        for held, of_lines, rest in blends:
            expected = rest + of_lines.sum(axis=1)
            middle = np.maximum((expected[start] + expected.mean(axis=0)) / 2, _LEAST)
            change = (of_lines - of_lines[start]).reshape(count, -1)
            slope = held.slope(middle.reshape(held.counts.shape)).ravel()
            self._slope -= change @ (slope + (expected[start] - middle) / middle)
            self._curvature += (change / middle) @ change.T

    def of(self, chosen: NDArray[np.int64]) -> float:
        """Return what widths (`KNOTS`,), as places among those that were fitted, gain, less what they cost.

        To leave the width that is best everywhere altogether counts as a change.
        """
        index = chosen * KNOTS + np.arange(KNOTS)
        gain = self._slope[index].sum() - self._curvature[np.ix_(index, index)].sum() / 2
        return float(gain) - _cost(chosen, self._start)


def _cost(chosen: NDArray[np.int64], start: int) -> float:
    return _COST * (np.count_nonzero(np.diff(chosen)) + (start not in chosen))


def _held_out(blends: Sequence[Blend], chosen: NDArray[np.int64], start: int) -> float:
    """Return the log likelihood of the electrons held out."""
    total = 0.0
    for held, of_lines, rest in blends:
        expected = rest[start] + of_lines[chosen, np.arange(KNOTS)].sum(axis=0)
        total += held.log_likelihood(np.maximum(expected, _LEAST).reshape(held.counts.shape))
    return total


def cut_stretches(blends: Sequence[Blend], start: int) -> NDArray[np.int64]:
    """Return the width at each knot (`KNOTS`,), as places among those that were fitted.

    Parameters
    ----------
    blends : sequence of Blend
        Of each part of the electrons that was held out.
    start : int
        Which width is best where all lines have one.
    """
    gain, best = _Gain(blends, start), np.full(KNOTS, start)
    reached = 0.0
    while True:
        cuts = [best]
        for first in range(KNOTS):
            for last in range(first, KNOTS):
                for width in range(blends[0].of_lines.shape[0]):
                    cut = best.copy()
                    cut[first : last + 1] = width
                    cuts.append(cut)
        gains = [gain.of(cut) for cut in cuts]
        place = int(np.argmax(gains))
        if gains[place] <= reached + _LEAST:
            break
        best, reached = cuts[place], gains[place]
    everywhere = np.full(KNOTS, start)
    gained = _held_out(blends, best, start) - _held_out(blends, everywhere, start)
    return best if gained > _cost(best, start) else everywhere
