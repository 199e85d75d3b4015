"""Bad input as one line on standard error and exit status 2."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """The user's input cannot be used; the message names file, expected, found and remedy in one line."""


def run_program(main: Callable[[], None]) -> None:
    """Run a stage's ``main`` and end the process with its exit status.

    0: done; 2: the input, an option or the machine's disk is at fault, told in one line on standard error;
    130: interrupted from the keyboard. Everything else is a defect of the program and keeps its traceback.
    """
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # A full disk, a vanished file, missing permission: strerror and the file say it all.
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {error.strerror or error}{where}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: files that were finished are kept; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
