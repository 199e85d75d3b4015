"""Command-line options: ranged numbers, how much is said, and the way from a parser to a frozen dataclass."""

import argparse
import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from util.runtime import console
from util.runtime.console import Level
from util.runtime.output_names import clash

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_WORKERS = 1024  # processes

T = TypeVar("T", bound="DataclassInstance")


class Parser(argparse.ArgumentParser):
    """The options of a script: a fault of theirs is told in one line, and a misspelt one with those like it.

    Parameters
    ----------
    script : str
        As its user calls it.
    description : str or None
        Shown as it is by ``--help``: the program's docstring.
    """

    def __init__(self, script: str, description: str | None) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=script, description=description, formatter_class=formatter, allow_abbrev=False)
        console.choose(Level.USUAL)
        said = self.add_argument_group("what is said").add_mutually_exclusive_group()
        said.add_argument("--quiet", action=_Say, level=Level.QUIET, help="warnings and the last line alone")
        said.add_argument("--verbose", action=_Say, level=Level.VERBOSE, help="every number and test")

    def error(self, message: str) -> NoReturn:
        """End with status 2 and a line."""
        known = [*self._option_string_actions]
        named = set(re.findall(r"--[\w-]+", message))
        meant = [like for name in named.difference(known) for like in _like(name, known)]
        line = " ".join(message.removeprefix("argument ").splitlines())
        hint = f"did you mean {meant[0]}? " if meant else ""
        self.exit(2, f"error: {line}; {hint}{self.prog} --help tells all options\n")


def _like(name: str, known: Sequence[str]) -> list[str]:
    """Return the options that a name abbreviates, else the one that it resembles, if any."""
    return [option for option in known if option.startswith(name)] or difflib.get_close_matches(name, known, n=1)


class _Say(argparse.Action):
    """Chooses how much the stage says; no option that travels."""

    def __init__(self, *, level: Level, **settings: Any) -> None:
        super().__init__(**settings | {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS, "nargs": 0})
        self._level = level

    def __call__(self, *_: object) -> None:
        console.choose(self._level)


def number(kind: type[int] | type[float], low: float, high: float = math.inf) -> Callable[[str], int | float]:
    """Return a parser of an option's value, as argparse's ``type``: a number from `low` to `high`."""

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


def as_options(cls: type[T], parser: argparse.ArgumentParser, parsed: Mapping[str, object]) -> T:
    """Return parsed options as a frozen dataclass; options that contradict each other end the program.

    So does a file that is to be read and to be written.

    Parameters
    ----------
    cls : type
        Each field takes the option of its name; one that is a dataclass itself takes the options of its own fields.
        Its ``__post_init__`` raises ValueError, with a sentence, where options contradict each other.
    parser : argparse.ArgumentParser
        Prints that sentence, and exits with status 2.
    parsed : mapping of str
        ``vars(parser.parse_args(argv))``; it may hold more than `cls` takes.
    """
    if lost := clash(parser._actions, parsed):
        parser.error(lost)
    return _part_of_options(cls, parser, parsed)


def _part_of_options(cls: type[T], parser: argparse.ArgumentParser, parsed: Mapping[str, object]) -> T:
    hints = typing.get_type_hints(cls)
    values: dict[str, object] = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            values[field.name] = _part_of_options(hint, parser, parsed)
        else:
            value = parsed[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    try:
        return cls(**values)
    except ValueError as error:
        parser.error(str(error))


def option_name(field: str) -> str:
    """Return how a field of options is spelt on the command line."""
    return "--" + field.replace("_", "-")


def add_workers(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the option of a stage that runs on several processes."""
    kind = number(int, 1, MOST_WORKERS)
    parser.add_argument("--workers", type=kind, default=default, metavar="N", help="processes (default %(default)s)")


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Add the option of a stage that can run on many machines."""
    parser.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="running Dask scheduler, as tcp://host:8786 (default: none)"
    )
