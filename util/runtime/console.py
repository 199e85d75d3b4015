"""What a stage says on standard output, and how much of it: ``--quiet``, as usual, or ``--verbose``.

Texts stand above the bars of `util.runtime.progress`, where there are any.
"""

import sys
import threading
from enum import IntEnum

from tqdm import tqdm

# No other process writes here, for which tqdm's own lock would take a semaphore, and a process that looks after that.
tqdm.set_lock(threading.RLock())


class Level(IntEnum):
    """How much is said."""

    QUIET = 0
    USUAL = 1
    VERBOSE = 2


_chosen = Level.USUAL


def choose(level: Level) -> None:
    """Say so much from now on."""
    global _chosen
    _chosen = level


def chosen() -> Level:
    """Return how much is said."""
    return _chosen


def say(text: str) -> None:
    """Print a text, unless only the last line is wanted."""
    _print(text, Level.USUAL)


def detail(text: str) -> None:
    """Print a text that only ``--verbose`` asks for."""
    _print(text, Level.VERBOSE)


def conclude(text: str) -> None:
    """Print the last line of a stage, its result, which ``--quiet`` leaves as well."""
    _print(text, Level.QUIET)


def warn(text: str) -> None:
    """Print a warning on standard error, in any case."""
    tqdm.write(f"warning: {text}", file=sys.stderr)


def _print(text: str, least: Level) -> None:
    if _chosen >= least:
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()  # in step with what is said on standard error
