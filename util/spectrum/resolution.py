"""How wide the lines of a spectrum are to be: as narrow as electrons that a fit has not seen allow.

Too wide lines blur what the image shows, too narrow ones describe its noise. A fifth of the electrons is held out, the
rest is fitted with lines of several widths, and the likelihood of those held out is compared; so in turn with each
fifth, for one alone hardly tells widths apart where electrons are few (Stone 1974, J. R. Stat. Soc. B 36, 111). The
widths race: one that is clearly worse is out, so that the next fifth is spent on the others alone (Maron & Moore 1994,
Adv. Neural Inf. Process. Syst. 6, 59). Of those that are not worse than the best by more than the standard error of the
difference in the end, the narrowest is taken: noise is part of the errors that are told, blur is not.
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
_FOLDS = 5  # parts of the electrons, each held out once
_GAP = 0.1
_LOST = 5.0  # log likelihood below the best, at which no narrower width is tried
_OUT = 2.0  # errors by which a width is worse that is out of the race before its end
_WORSE = 1.0  # the same at its end


@dataclass(frozen=True, eq=False)
class Choice:
    """The width chosen, and of each that was tried, arrays (n,), how often and with what success.

    `held_out` is the log likelihood of the electrons held out, of the first `parts` fifths, over that of the same with
    the width chosen. `is_narrowest` says that a narrower one was not to be had.
    """

    width: float
    tried: NDArray[np.float64]
    parts: NDArray[np.int64]
    held_out: NDArray[np.float64]
    is_narrowest: bool


def _width(step: int) -> float:
    return float(WIDEST / _RATIO**step)


class _Race:
    """Widths, each so many steps below the widest, and what they expect of the electrons held out."""

    def __init__(self, counts: PolarCounts, degrees: tuple[int, ...], rng: np.random.Generator) -> None:
        self._bins, self._degrees = counts.bins, degrees
        self._folds = counts.folds(_FOLDS, rng)
        self._expected: dict[int, list[NDArray[np.float64]]] = {}

    def _of(self, step: int, folds: int) -> list[NDArray[np.float64]]:
        """Return what a width expects of each of the first `folds` parts."""
        done = self._expected.setdefault(step, [])
        if len(done) < folds:
            model = shell_model(self._bins, self._degrees, _width(step))
            for kept, _ in self._folds[len(done) : folds]:
                done.append(climb(model, kept, gap=_GAP).expected / (_FOLDS - 1))
        return done[:folds]

    def held_out(self, step: int, folds: int = 1) -> float:
        """Return the log likelihood of the first `folds` parts."""
        return sum(held.log_likelihood(mu) for mu, (_, held) in zip(self._of(step, folds), self._folds, strict=False))

    def is_worse(self, step: int, best: int, folds: int = 1, *, errors: float = _OUT) -> bool:
        """Return whether a width is worse than the best by so many standard errors of their difference."""
        variance = 0.0
        for mu, other, (_, held) in zip(self._of(step, folds), self._of(best, folds), self._folds, strict=False):
            variance += float((np.maximum(held.counts, held.pedestal) * np.log(mu / other) ** 2).sum())
        return self.held_out(best, folds) - self.held_out(step, folds) > errors * np.sqrt(variance)

    def best_of_first(self, last: int) -> int:
        """Return which of every second width describes the first part best, down to where no narrower one can."""
        best = last % 2  # so that the narrowest is among them
        for step in range(best, last + 1, 2):
            if self.held_out(step) >= self.held_out(best):
                best = step
            elif step > best + 2 or self.held_out(step) < self.held_out(best) - _LOST:
                break
        return best

    def run(self, best: int, last: int) -> int:
        """Return the narrowest width that is not worse than the best, of those near one that the first part likes."""
        first = end = best
        while first > 0 and not self.is_worse(first - 1, best):
            first -= 1
        while end < last and not self.is_worse(end + 1, best):
            end += 1
        running = list(range(first, end + 1))
        for folds in range(1, _FOLDS + 1):
            if len(running) == 1:
                break
            best = max(running, key=lambda step: self.held_out(step, folds))
            errors = _OUT if folds < _FOLDS else _WORSE
            running = [step for step in running if not self.is_worse(step, best, folds, errors=errors)]
        return running[-1]

    def choice(self, chosen: int, last: int) -> Choice:
        """Return the choice of a width, with what was tried on the way."""
        tried = sorted(self._expected)
        folds = [len(self._expected[step]) for step in tried]
        over = [self.held_out(*one) - self.held_out(chosen, one[1]) for one in zip(tried, folds, strict=True)]
        widths = np.array([_width(step) for step in tried])
        return Choice(_width(chosen), widths, np.array(folds), np.array(over), chosen == last)


def choose_width(
    counts: PolarCounts, degrees: tuple[int, ...], *, narrowest: float, rng: np.random.Generator
) -> Choice:
    """Return the width of lines [detector units] that held-out electrons allow, at least `narrowest`."""
    race = _Race(counts, degrees, rng)
    last = int(np.log(WIDEST / narrowest) / np.log(_RATIO))
    return race.choice(race.run(race.best_of_first(last), last), last)


def narrowest_of(bins: PolarBins) -> float:
    """Return the narrowest lines [detector units] that bins can tell."""
    return NARROWEST_IN_BINS * bins.rho_max / bins.n_rho
