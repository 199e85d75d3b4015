"""The signals that end a program, raised where it stands: all that Ctrl-C would clean up is cleaned up by each."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C; what batch systems and `kill` send; a terminal that is closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal to end came; its number is kept."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def heard() -> list[signal.Signals]:
    """Return those of the signals that this process was not started to ignore, as in the background or by nohup."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


def _end(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)


@contextmanager
def raised() -> Iterator[None]:
    """Raise `Ended` in the main thread where a signal to end comes, for certain."""
    handlers = {number: signal.signal(number, _end) for number in heard()}
    usual = sys.unraisablehook

    def raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
        # It struck in a finalizer or a weak reference's callback, which drop what is raised in them.
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            usual(unraisable)
            return
        # A little later, since here and now it would be dropped as well; to the thread that handles signals.
        number = number_behind(unraisable.exc_value)
        later = threading.Timer(0.01, signal.pthread_kill, [threading.main_thread().ident or 0, number])
        later.daemon = True
        later.start()

    sys.unraisablehook = raise_again
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see script/env.sh
        yield
    finally:
        sys.unraisablehook = usual
        for number, handler in handlers.items():
            signal.signal(number, handler)


def number_behind(error: BaseException | None) -> int | None:
    """Return the signal that an error is or stems from, or None."""
    # One that strikes while numba prepares a call arrives as the cause of a SystemError.
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return None if error is None else getattr(error, "number", signal.SIGINT)
