"""Types of command line options."""

import argparse
import math
from collections.abc import Callable


def number(kind: type[int] | type[float], low: float, high: float = math.inf) -> Callable[[str], int | float]:
    """Type of an option: a number of a kind from `low` to `high`."""

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            what = "an integer" if kind is int else "a number"
            upper = "" if high == math.inf else f" and at most {high}"
            raise argparse.ArgumentTypeError(f"expected {what} of at least {low}{upper}, found {text!r}")
        return value

    return parse


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Add the option of a stage that can work on many machines."""
    parser.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="running Dask scheduler, as tcp://host:8786 (default: none)"
    )
