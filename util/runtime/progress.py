"""Progress of what takes long, on standard error: a bar with the time left on a terminal, else a line a minute at most.

Nothing is shown of what is done within a second, nothing under ``--quiet``, and nothing by worker processes.
"""

import multiprocessing
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

from util.runtime import console

Item = TypeVar("Item")

_SHOWN_AFTER_S = 1.0
_BETWEEN_LINES_S = 60.0
_TICK_S = 1.0
_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} {unit}, {remaining} to go{postfix}"
_OF_UNKNOWN_LENGTH = "{desc}: {elapsed}"


class Progress:
    """Progress of one piece of work.

    Parameters
    ----------
    label : str
        What is being done, as "searching".
    total : int or None
        How much there is to do; None: nobody knows, and the time is shown alone.
    unit : str
        Of the work, in the singular, as "frame".
    done : int
        What was done before.
    shown : bool
        Whether this process is the one to show it, rather than one of several alike.
    lines : bool
        Whether lines are printed where there is no bar; no: what is being done prints its own.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        unit: str = "",
        *,
        done: int = 0,
        shown: bool = True,
        lines: bool = True,
    ) -> None:
        is_worker = multiprocessing.parent_process() is not None
        shown = shown and not is_worker and console.chosen() > console.Level.QUIET
        self._label, self._total, self._unit, self._first, self._done = label, total, unit, done, done
        self._begun = self._told = time.monotonic()
        self._bar = tqdm(
            desc=label,
            total=total,
            initial=done,
            unit=f"{unit}s",
            unit_scale=total is not None and total >= 10**5,
            delay=_SHOWN_AFTER_S,
            leave=False,
            dynamic_ncols=True,
            smoothing=0.1,
            bar_format=_OF_UNKNOWN_LENGTH if total is None else _BAR,
            disable=None if shown else True,  # None: where standard error is no terminal
        )
        self._prints = shown and lines and self._bar.disable

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def update(self, more: int = 1) -> None:
        """Count what has been done."""
        self._done += more
        self._bar.update(more)
        self._tell()

    def note(self, text: str) -> None:
        """Show a text behind the bar."""
        self._bar.set_postfix_str(text)

    def tick(self) -> None:
        """Show the time that has passed."""
        self.update(0)  # tqdm's own refresh would not know, at the end, that there is something to take away

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _tell(self) -> None:
        """Print a line where there is no bar, and none was printed for a minute."""
        now = time.monotonic()
        if not self._prints or now - self._told < _BETWEEN_LINES_S:
            return
        self._told = now
        passed = now - self._begun
        text = f"{self._label}: {tqdm.format_interval(passed)} so far"
        if self._total is not None and self._done > self._first:
            left = passed * (self._total - self._done) / (self._done - self._first)
            text = f"{self._label}: {self._done:,} of {self._total:,} {self._unit}s, {tqdm.format_interval(left)} to go"
        print(text, file=sys.stderr)


def over(items: Iterable[Item], label: str, total: int, unit: str) -> Iterator[Item]:
    """Yield items, and show how many of them are done; arguments as those of `Progress`."""
    with Progress(label, total, unit) as progress:
        for item in items:
            yield item
            progress.update()


@contextmanager
def working(label: str) -> Iterator[None]:
    """Show for how long something has been going on whose length nobody knows."""
    ended = threading.Event()
    with Progress(label) as progress:

        def tick() -> None:
            while not ended.wait(_TICK_S):
                progress.tick()

        ticking = threading.Thread(target=tick, daemon=True)
        ticking.start()
        try:
            yield
        finally:
            ended.set()
            ticking.join()
