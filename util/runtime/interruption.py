"""Signals to end, as Ctrl-C: the first lets the work come to an end of its own, the second ends the process at once."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from util.runtime.signals import Ended, heard


class Interruption:
    """A context in which the first signal to end is only noted.

    Parameters
    ----------
    say : function
        Told what happens now when that signal comes.
    what : str
        What does, and what a second signal does.
    """

    def __init__(self, say: Callable[[str], None], what: str) -> None:
        self._say, self._what, self._caught = say, what, 0
        self._before: dict[signal.Signals, signal.Handlers | object] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in heard()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        self._caught = number
        self._restore()
        self._say(self._what)

    def caught(self) -> bool:
        """Return whether a signal came."""
        return self._caught != 0

    def end(self) -> None:
        """End as the signal would have; as SIGTERM where another process got one.

        Raises
        ------
        Ended
        """
        raise Ended(self._caught or signal.SIGTERM)
