"""Run a stage: what every program of script/ calls.

usage: python -m src STAGE OPTION ..

The stage is loaded only once signals, streams and the want of memory are taken care of: its libraries take seconds.
"""

import importlib
import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType

from util.runtime.errors import InputError, run_program

# Counts of threads that libraries read, and answer with a traceback or a page of warnings.
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def check_threads() -> None:
    """Raise InputError unless the numbers of threads in the environment, if any, are such."""
    for name in THREADS:
        if not re.fullmatch(r"|0*[1-9]\d*(,0*[1-9]\d*)*", found := os.environ.get(name, "")):
            raise InputError(f"{name}: expected a number of threads of at least 1, found {found!r}; unset it")


def load(name: str) -> ModuleType:
    """Import a stage's program.

    Raises
    ------
    InputError
        There is none of this name, or a library is missing or cannot be loaded.
    """
    try:
        return importlib.import_module(f"src.{name}")
    except ImportError as error:
        if error.name == f"src.{name}":
            raise InputError(f"{name}: no such stage; those that there are stand in script/") from None
        if (error.name or "").partition(".")[0] in ("src", "util"):
            raise
        raise InputError(f"{error.name}: cannot be loaded ({error}); install it with bash script/setup.sh") from None


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage that the command line names, with what follows the name."""
    words = sys.argv[1:] if argv is None else argv
    if not words:
        raise InputError("expected the name of a stage, found none; those that there are stand in script/")
    check_threads()
    stage = load(words[0])
    if "numba" in sys.modules:  # which takes a second to load
        importlib.import_module("util.runtime.compiling").announce()
    stage.main(words[1:])


if __name__ == "__main__":
    run_program(main)
