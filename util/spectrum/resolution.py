"""How wide the lines of a spectrum are to be: as narrow as electrons that a fit has not seen allow.

Too wide lines blur what the image shows, too narrow ones describe its noise. A fifth of the electrons is held out, the
rest is fitted with lines of several widths, and the likelihood of those held out is compared; so in turn with each
fifth, for one alone hardly tells widths apart where electrons are few (Stone 1974, J. R. Stat. Soc. B 36, 111). The
widths race: one that is clearly worse is out, so that the next fifth is spent on the others alone (Maron & Moore 1994,
Adv. Neural Inf. Process. Syst. 6, 59). Of those that are not worse than the best by more than the standard error of the
difference in the end, the narrowest wins, for blur is worse than noise. Where other widths tell clearly more in some
stretch of radii, they are taken there (`util.spectrum.stretches`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.physics.polar_map import PolarBins
from util.spectrum.interior_point import climb
from util.spectrum.line_widths import LineWidths
from util.spectrum.polar_counts import PolarCounts
from util.spectrum.shell_model import ShellModel, shell_model
from util.spectrum.stretches import KNOTS, Blend, about_knots, cut_stretches

WIDEST = 0.04
NARROWEST_IN_BINS = 1.5
RATIO = 1.25  # of a width to the next
_FOLDS = 5  # parts of the electrons, each held out once
_GAP = 0.1
_LOST = 5.0  # log likelihood below the best, at which no narrower width is tried
_OUT = 2.0  # errors by which a width is worse that is out of the race before its end
_WORSE = 1.0  # the same at its end
_NARROWER = 2  # steps below the winner that are tried in stretches


@dataclass(frozen=True, eq=False)
class Choice:
    """The widths chosen, and of each single one that was tried, arrays (n,), how often and with what success.

    `winner` is the single width that won the race, and `held_out` the log likelihood of the electrons held out, of the
    first `parts` fifths, over that of the same with the winner. `is_narrowest` says that no line could be narrower than
    the narrowest are.
    """

    widths: LineWidths
    winner: float
    tried: NDArray[np.float64]
    parts: NDArray[np.int64]
    held_out: NDArray[np.float64]
    is_narrowest: bool


def _width(step: int) -> float:
    return float(WIDEST / RATIO**step)


def _step(width: float) -> int:
    return round(float(np.log(WIDEST / width) / np.log(RATIO)))


def told(width: float) -> Choice:
    """Return a width [detector units] that is not chosen but told."""
    return Choice(LineWidths((width,)), width, np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0), False)


class _Guess(NamedTuple):
    """What lines of one width, fitted to the other parts of the electrons, expect of one."""

    parameters: NDArray[np.float64]  # (P,), of the whole
    expected: NDArray[np.float64]


class _Race:
    """Widths, each so many steps below the widest, and what they expect of the electrons held out."""

    def __init__(self, counts: PolarCounts, degrees: tuple[int, ...], rng: np.random.Generator) -> None:
        self._bins, self._degrees = counts.bins, degrees
        self._folds = counts.folds(_FOLDS, rng)
        self._guesses: dict[int, list[_Guess]] = {}

    def _model(self, step: int) -> ShellModel:
        return shell_model(self._bins, self._degrees, LineWidths((_width(step),)))

    def _of(self, step: int, folds: int) -> list[_Guess]:
        """Return what a width expects of each of the first `folds` parts."""
        done = self._guesses.setdefault(step, [])
        if len(done) < folds:
            model = self._model(step)
            for kept, _ in self._folds[len(done) : folds]:
                found = climb(model, kept, gap=_GAP)
                done.append(_Guess(found.q, found.expected / (_FOLDS - 1)))
        return done[:folds]

    def held_out(self, step: int, folds: int = 1) -> float:
        """Return the log likelihood of the first `folds` parts."""
        return sum(
            held.log_likelihood(guess.expected)
            for guess, (_, held) in zip(self._of(step, folds), self._folds, strict=False)
        )

    def is_worse(self, step: int, best: int, folds: int = 1, *, errors: float = _OUT) -> bool:
        """Return whether a width is worse than the best by so many standard errors of their difference."""
        variance = 0.0
        for one, other, (_, held) in zip(self._of(step, folds), self._of(best, folds), self._folds, strict=False):
            apart = np.log(one.expected / other.expected)
            variance += float((np.maximum(held.counts, held.pedestal) * apart**2).sum())
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

    def _blend(self, steps: Sequence[int], fold: int) -> Blend:
        """Return what widths expect of one part, knot by knot."""
        held = self._folds[fold][1]
        of_lines = np.zeros((len(steps), KNOTS, held.counts.size))
        rest = np.zeros((len(steps), held.counts.size))
        for place, step in enumerate(steps):
            model, guess = self._model(step), self._of(step, fold + 1)[fold]
            parts = model.terms(guess.parameters) * about_knots(model.radii)[:, :, None]
            seen = model.design[:, :, :-1] @ parts.reshape(KNOTS, -1).T
            counts = np.einsum("rmk,ma->kra", seen, held.angular(self._degrees), optimize=True)
            of_lines[place] = (held.exposure * counts).reshape(KNOTS, -1)
            rest[place] = guess.expected.ravel() - of_lines[place].sum(axis=0)
        return Blend(held, of_lines, rest)

    def by_stretches(self, chosen: int, last: int) -> LineWidths:
        """Return the width that won, and others in stretches where they tell clearly more."""
        steps = [*range(chosen % 2, chosen, 2), *range(chosen, min(chosen + _NARROWER, last) + 1)]
        start = steps.index(chosen)
        blends = [self._blend(steps, fold) for fold in range(len(self._guesses[chosen]))]
        cut = cut_stretches(blends, start)
        if (cut == cut[0]).all():
            return LineWidths((_width(steps[cut[0]]),))
        return LineWidths.no_steeper(np.array([_width(steps[place]) for place in cut]))

    def choice(self, chosen: int, widths: LineWidths, last: int) -> Choice:
        """Return a choice of widths, with what was tried on the way."""
        tried = sorted(self._guesses)
        folds = [len(self._guesses[step]) for step in tried]
        over = [self.held_out(*one) - self.held_out(chosen, one[1]) for one in zip(tried, folds, strict=True)]
        single = np.array([_width(step) for step in tried])
        is_narrowest = min(widths.sigma) <= _width(last)
        return Choice(widths, _width(chosen), single, np.array(folds), np.array(over), is_narrowest)


def choose_widths(
    counts: PolarCounts,
    degrees: tuple[int, ...],
    *,
    narrowest: float,
    rng: np.random.Generator,
    near: float | None = None,
    finer: bool = False,
) -> Choice:
    """Return the widths of lines that held-out electrons allow.

    Parameters
    ----------
    counts : PolarCounts
    degrees : tuple of int
    narrowest : float
        Width below which none is tried [detector units].
    rng : np.random.Generator
    near : float or None
        Width that won with coarser bins.
    finer : bool
        Whether finer bins are there for narrower lines: the narrowest is then not looked into any further.
    """
    race = _Race(counts, degrees, rng)
    last = int(np.log(WIDEST / narrowest) / np.log(RATIO))
    winner = race.run(race.best_of_first(last) if near is None else _step(near), last)
    widths = LineWidths((_width(winner),)) if finer and winner == last else race.by_stretches(winner, last)
    return race.choice(winner, widths, last)


def narrowest_of(bins: PolarBins) -> float:
    """Return the narrowest lines [detector units] that bins can tell."""
    return NARROWEST_IN_BINS * bins.rho_max / bins.n_rho
