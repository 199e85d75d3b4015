"""Bad input as one line on standard error and exit status 2."""

import sys
from collections.abc import Callable


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


def _caused_by_interrupt(error: BaseException | None) -> bool:
    # One that strikes while numba prepares a call arrives as the cause of a SystemError.
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _one_line(message: object) -> str:
    # HDF5's messages, for example, carry the line break of ctime().
    return " ".join(str(message).splitlines())
