"""Bad input, a want of memory and an interrupt as one line on standard error and an exit status."""

import signal
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor

from util.runtime import signals
from util.runtime.streams import lasting_streams, own_words_only

# What libraries say of memory and threads that the system does not give, beside MemoryError.
_EXHAUSTED = ("can't allocate memory", "out of memory", "can't start new thread")


class InputError(Exception):
    """The user's input cannot be used; the message names file, expected, found and remedy in one line."""


class FrameError(InputError):
    """One frame cannot be used; those beside it may well be."""


def run_program(main: Callable[[], None]) -> None:
    """Run a stage's ``main`` and end the process with its exit status.

    0: done; 2: the input, an option, the machine's disk or memory is at fault, which one line on standard error says;
    128 + n: a signal n ended it, such as 130 for Ctrl-C, or 141 where whoever read standard output has left, after all
    work was done. Everything else is a defect of the program and keeps its traceback.
    """
    with lasting_streams() as output:
        status = _status_of(main)
        if output.fault:
            status = status or _refuse(output.fault)
        if output.left:
            status = status or _killed_by(signal.SIGPIPE)
    if status:
        sys.exit(status)


def _status_of(main: Callable[[], None]) -> int:
    try:
        with own_words_only(), signals.raised():
            main()
    except SystemExit as end:
        if isinstance(end.code, str):
            return _refuse(end.code)
        return end.code or 0
    except InputError as error:
        return _refuse(error)
    except OSError as error:
        # A full disk, a vanished file, missing permission: strerror and the file say enough.
        return _refuse(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except BrokenExecutor:
        return _refuse(
            "a worker process was killed, as the system does for want of memory; what was finished is kept: "
            "run the same command again, with fewer WORKERS"
        )
    except RecursionError:
        return _refuse("the input is nested too deeply to be read; restore the file, or make it anew")
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in _EXHAUSTED):
            raise
        why = f" ({error})" if str(error) else ""
        return _refuse(f"not enough memory{why}; give the program more, or use fewer WORKERS or a smaller file")
    except (KeyboardInterrupt, SystemError) as error:
        number = signals.number_behind(error)
        if number is None:
            raise
        print("interrupted: files that were finished are kept; run the same command again to go on", file=sys.stderr)
        return _killed_by(number)
    return 0


def _refuse(message: object) -> int:
    print(f"error: {_one_line(message)}", file=sys.stderr)
    return 2


def _killed_by(number: int) -> int:
    return 128 + number


def _one_line(message: object) -> str:
    # HDF5's messages, for example, carry the line break of ctime().
    return " ".join(str(message).splitlines())
