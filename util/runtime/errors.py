"""Bad input as one line on standard error and exit status 2."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class InputError(Exception):
    """The user's input cannot be used; the message names file, expected, found and remedy in one line."""


class FrameError(InputError):
    """One frame cannot be used; those beside it may well be."""


def run_program(main: Callable[[], None]) -> None:
    """Run a stage's ``main`` and end the process with its exit status.

    0: done; 2: the input, an option or the machine's disk is at fault, which one line on standard error says;
    130: interrupted from the keyboard. Everything else is a defect of the program and keeps its traceback.
    """
    try:
        with _no_interrupt_lost():
            main()
    except InputError as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # A full disk, a vanished file, missing permission: strerror and the file say enough.
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {_one_line(error.strerror or error)}{where}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemError) as error:
        if not _caused_by_interrupt(error):
            raise
        print("interrupted: files that were finished are kept; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


@contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Raise Ctrl-C once more where it strikes in a finalizer or a weak reference's callback, which drop it."""
    usual = sys.unraisablehook

    def raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            usual(unraisable)
            return
        # A little later, since here and now it would be dropped as well; to the thread that handles signals.
        main_thread = threading.main_thread().ident or 0
        later = threading.Timer(0.01, signal.pthread_kill, [main_thread, signal.SIGINT])
        later.daemon = True
        later.start()

    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        sys.unraisablehook = usual


def _caused_by_interrupt(error: BaseException | None) -> bool:
    # One that strikes while numba prepares a call arrives as the cause of a SystemError.
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _one_line(message: object) -> str:
    # HDF5's messages, for example, carry the line break of ctime().
    return " ".join(str(message).splitlines())
