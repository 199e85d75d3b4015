"""Which columns of a list of events hold positions, frame and weight."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from util.entries.event_file import EventFile
from util.runtime.errors import InputError

# How programs name a position along an axis; the first pair that is there is taken.
_POSITIONS = ("{}", "{}_fit", "{}centroid", "{}_centroid", "{}pos", "{}_pos", "pos_{}", "{}_px", "{}_pixel", "{}_0")
_FRAMES = ("frame", "imageid", "image_id", "frame_id", "frame_number", "shot", "trigger", "image")
_WEIGHTS = ("weight", "weights", "electrons")


class Columns(NamedTuple):
    """Numbers of columns: the position along the camera's W, the one along its H; frame and weight, if there are any.

    The second is named z or y.
    """

    first: int
    second: int
    frame: int | None = None
    weight: int | None = None

    @property
    def read(self) -> list[int]:
        """Those that are there, in their order."""
        return [column for column in self if column is not None]


def choose_columns(file: EventFile, asked: Sequence[str] | None) -> Columns:
    """Choose the columns of a file.

    Parameters
    ----------
    file : EventFile
    asked : sequence of str, or None
        Names, or numbers from 0, of the columns for the two positions and optionally frame and weight; an empty one is
        left out. None: by usual names.

    Raises
    ------
    InputError
        Columns that are not there, one for two purposes, or no usual names; it names those that are there.
    """
    if asked is not None:
        found = [_named(file, name) if name else None for name in asked]
        found += [None] * (4 - len(found))
        first, second, frame, weight = found
        if first is None or second is None:
            raise InputError(f"--columns {','.join(asked)}: expected two columns of positions; name both")
        return _apart(file, asked, Columns(first, second, frame, weight))
    if not file.named:
        if len(file.names) != 2:
            raise _ask(file, f"{len(file.names)} columns without names")
        return Columns(0, 1)
    usual = [_usual(name) for name in file.names]
    for position in _POSITIONS:
        across, others = position.format("x"), [position.format(letter) for letter in "zy"]
        along = [name for name in others if name in usual]
        if across in usual and len(along) == 1:
            frame, weight = (_first_of(names, usual) for names in (_FRAMES, _WEIGHTS))
            return Columns(usual.index(across), usual.index(along[0]), frame, weight)
    raise _ask(file, f"columns {', '.join(file.names)}")


def _apart(file: EventFile, asked: Sequence[str], columns: Columns) -> Columns:
    """Return columns once they are known to be different ones."""
    twice = next((column for column in columns.read if columns.read.count(column) > 1), None)
    if twice is not None:
        raise InputError(
            f"{file.path}: --columns {','.join(asked)}: expected a column of its own for each, found column "
            f"{file.names[twice]} for two; name the other"
        )
    return columns


def _usual(name: str) -> str:
    """Return a name without its unit, in small letters."""
    return re.sub(r"\s*[\[(].*$", "", name.strip().lower()).replace(" ", "_").replace("-", "_")


def _first_of(names: Sequence[str], usual: Sequence[str]) -> int | None:
    return next((usual.index(name) for name in names if name in usual), None)


def _named(file: EventFile, name: str) -> int:
    if name in file.names:
        return file.names.index(name)
    if name.isdecimal() and int(name) < len(file.names):
        return int(name)
    there = ", ".join(file.names) if file.named else f"0 .. {len(file.names) - 1}, without names"
    raise InputError(f"{file.path}: --columns: no column {name}; there are {there}")


def _ask(file: EventFile, found: str) -> InputError:
    return InputError(
        f"{file.path}: expected columns x and y, or x and z, found {found}; name those of the positions, and of frame "
        "and weight if there are any, as --columns x,z,frame,weight"
    )
