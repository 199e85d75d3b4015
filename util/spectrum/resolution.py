"""How wide the lines of a spectrum are to be: as wide as electrons that a fit has not seen allow.

Too wide lines blur what the image shows, too narrow ones describe its noise. A part of the electrons is held out, the
rest is fitted with lines of several widths, and the likelihood of those held out is compared. It hardly tells narrow
widths apart, for the image hardly does; so the widest is sought that is worse than the best by no more than its
standard error (as trees are pruned: Breiman, Friedman, Olshen & Stone 1984, section 3.4.3). That one may be as wide as
the spectrum's own lines, which it would then blur; the next narrower one is taken.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.physics.polar_map import PolarBins
from util.spectrum.interior_point import climb
from util.spectrum.polar_counts import PolarCounts
from util.spectrum.shell_model import shell_model

WIDEST = 0.04
NARROWEST_IN_BINS = 1.5
_RATIO = 1.25  # of a width to the next
_KEPT = 0.8  # part of the electrons that is fitted
_GAP = 0.1
_LOST = 5.0  # log likelihood below the best, at which no narrower width is tried


@dataclass(frozen=True, eq=False)
class Choice:
    """The width chosen, and the log likelihood held out of each width that was tried, arrays (n,).

    `is_narrowest` says that a narrower one was not to be had.
    """

    width: float
    tried: NDArray[np.float64]
    held_out: NDArray[np.float64]
    is_narrowest: bool


def choose_width(
    counts: PolarCounts, degrees: tuple[int, ...], *, narrowest: float, rng: np.random.Generator
) -> Choice:
    """Return the width of lines [detector units] that held-out electrons allow, at least `narrowest`."""
    kept, rest = counts.split(_KEPT, rng)
    found: dict[int, NDArray[np.float64]] = {}

    def expected(step: int) -> NDArray[np.float64]:
        if step not in found:
            model = shell_model(counts.bins, degrees, WIDEST / _RATIO**step)
            found[step] = climb(model, kept, gap=_GAP).expected * (1 - _KEPT) / _KEPT
        return found[step]

    def held_out(step: int) -> float:
        return rest.log_likelihood(expected(step))

    last = int(np.log(WIDEST / narrowest) / np.log(_RATIO))
    best = 0
    for step in range(0, last + 1, 2):
        if held_out(step) >= held_out(best):
            best = step
        elif step > best + 2 or held_out(step) < held_out(best) - _LOST:
            break

    def is_worse(step: int) -> bool:
        ratio = np.log(expected(step) / expected(best))
        error = np.sqrt((np.maximum(rest.counts, rest.pedestal) * ratio**2).sum())
        return held_out(best) - held_out(step) > error

    chosen = best
    while chosen > 0 and not is_worse(chosen - 1):
        chosen -= 1
    chosen = min(chosen + 1, last)
    tried = sorted(found)
    widths = WIDEST / _RATIO ** np.array(tried, dtype=float)
    values = np.array([held_out(step) for step in tried])
    return Choice(float(WIDEST / _RATIO**chosen), widths, values, chosen == last)


def narrowest_of(bins: PolarBins) -> float:
    """Return the narrowest lines [detector units] that bins can tell."""
    return NARROWEST_IN_BINS * bins.rho_max / bins.n_rho
