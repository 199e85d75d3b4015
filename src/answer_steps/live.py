"""The running answer of a search that goes on, and the figures of it."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from src.answer_steps.detection import detection_of
from src.answer_steps.likelihood import fit_hits
from src.answer_steps.options import Model
from util.electrons.hits import HitWeights, hits_of_events
from util.electrons.live_search import LiveSearch
from util.report.live import Running, draw_image, draw_radial, draw_rate
from util.runtime.errors import InputError

_SHARE = 2.0  # times as long as the last answer took, until the next is begun


class LiveAnswer:
    """Answers from time to time, as the answer stage does without simulating anything.

    Parameters
    ----------
    model : Model
    parts : Path
        Folder that messages name.
    hit_weights : {"flux", "unit"}
        As `util.electrons.hits.read_hits` takes it.
    every_s : float
        Between two answers, at least; more where one takes long.
    clock : function
        Returns the time in seconds.

    Attributes
    ----------
    running : Running or None
        The last answer.
    trouble : str
        Why the last try gave none; empty where it did.
    said : tuple of str
        What the answer stage would say of it.
    """

    def __init__(
        self,
        model: Model,
        parts: Path,
        *,
        hit_weights: HitWeights,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model, self._parts, self._weights = model, parts, hit_weights
        self._every_s, self._clock = every_s, clock
        self._next, self._of = -np.inf, 0
        self.running: Running | None = None
        self.trouble, self.said = "", tuple[str, ...]()

    def is_due(self, frames: int) -> bool:
        """Return whether so many frames are others than those of the last try, and that is long enough ago."""
        return frames not in (0, self._of) and self._clock() >= self._next

    def renew(self, search: LiveSearch) -> dict[str, bytes]:
        """Answer with what was found, and return the figures as PNG by their names."""
        began = self._clock()
        parts = search.found()
        events, frames = np.concatenate([part.events for part in parts]), search.counts()
        self._of = frames.frames
        seen = frames.frames - frames.saturated
        hits = hits_of_events(events, seen, "", search.settings, hit_weights=self._weights)
        try:
            told = detection_of(hits, self._model)
            fitted = fit_hits(hits, self._parts, self._model, told.detection)
        except InputError as error:
            self.trouble = str(error).removeprefix(f"{self._parts}: ")
        else:
            self.running = Running(fitted.answer, fitted.goodness, frames.frames)
            self.trouble, self.said = "", (*told.lines, *fitted.lines[:-1], *told.warnings, *fitted.warnings)
        of_now = None if self.trouble else self.running
        length = np.array([part.counts.frames for part in parts], float)
        total, squares = np.array([_sums(part.events["weight"]) for part in parts]).reshape(-1, 2).T
        figures = {
            "image": draw_image(hits.distribution),
            "radial": draw_radial(hits.x, hits.z, hits.weight, of_now),
            "rate": draw_rate(
                np.array([(part.start + part.stop) / 2 for part in parts]), total / length, np.sqrt(squares) / length
            ),
        }
        done = self._clock()
        self._next = done + max(self._every_s, _SHARE * (done - began))
        return figures


def _sums(weight: np.ndarray) -> tuple[float, float]:
    """Return the sum of weights and that of their squares."""
    wide = weight.astype(float)
    return float(wide.sum()), float((wide**2).sum())
