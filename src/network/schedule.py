"""When a training ends, and its learning rate on the way there."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from util.training.course import Course
from util.training.recipe import Schedule

_WARM_UP = {"onecycle": 0.2, "cosine": 0.02}
_FIRST, _LAST = 0.04, 1e-3


class Rates(Protocol):
    """What `rate_at` asks of settings."""

    @property
    def rate(self) -> float:
        """Highest learning rate."""

    @property
    def schedule(self) -> Schedule:
        """How the rate rises and falls."""


def rate_at(settings: Rates, progress: float) -> float:
    """Return the learning rate at `progress` 0 .. 1 of a round: warm-up, then half a cosine down to a thousandth.

    Cosine annealing (Loshchilov and Hutter, arXiv:1608.03983), with the long warm-up of one cycle (Smith and Topin,
    arXiv:1708.07120) if the settings say so.
    """
    warm_up = _WARM_UP[settings.schedule]
    if progress < warm_up:
        return settings.rate * (_FIRST + (1 - _FIRST) * (1 - math.cos(math.pi * progress / warm_up)) / 2)
    fallen = (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2
    return settings.rate * (_LAST + (1 - _LAST) * fallen)


@dataclass(frozen=True)
class Duration:
    """How long a training lasts.

    Attributes
    ----------
    epochs : int
        Of a round, in which the learning rate rises and falls once.
    rounds : int
    minutes : float or None
        A training ends with the epoch in which these run out, and the rate falls in time.
    """

    epochs: int
    rounds: int = 1
    minutes: float | None = None

    def is_over(self, course: Course) -> bool:
        """Return whether no epoch is left."""
        out_of_time = self.minutes is not None and course.seconds >= 60 * self.minutes
        return out_of_time or course.epoch >= self.epochs * self.rounds

    def progress(self, course: Course, steps: int) -> Callable[[int], float]:
        """Return the part of a round that is done, 0 .. 1, as a function of the next epoch's step.

        By epochs and, with a limit, by the clock. All processes must find the same value, so it is reckoned from the
        time that one process measured for past epochs, not from the present.
        """
        epoch, behind, last = course.epoch, course.seconds, 0.0
        if course.curve:
            last = course.curve[-1].seconds - (course.curve[-2].seconds if len(course.curve) > 1 else 0.0)

        def progress(step: int) -> float:
            part = step / steps
            within = (epoch % self.epochs + part) / self.epochs
            clock = (behind + part * last) / (60 * self.minutes) if self.minutes else 0.0
            return min(max(within, clock), 1.0)

        return progress
