"""SIGTERM and Ctrl-C: the first lets the epoch end and be kept, the second ends the process at once."""

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """A context in which the first signal to end is only noted.

    Parameters
    ----------
    say : function
        Told what happens now.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._caught, self._before = say, 0, dict[signal.Signals, signal.Handlers | object]()

    def __enter__(self) -> Self:
        # A program that was started in the background ignores Ctrl-C, and must go on to do so.
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heard}
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
        self._say("ends after this epoch, and keeps it; a second signal ends at once, with the last checkpoint")

    def caught(self) -> bool:
        """Return whether a signal came."""
        return self._caught != 0

    def end(self) -> None:
        """End this process as the signal would have, for what came after it to see; SIGTERM where another got one.

        Raises
        ------
        KeyboardInterrupt
            It was Ctrl-C.
        """
        if self._caught == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
