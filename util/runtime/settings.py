"""Settings: from TOML files to frozen dataclasses."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from util.runtime.errors import InputError
from util.runtime.facts import structure, unstructure
from util.runtime.input_file import read_whole

T = TypeVar("T")

_MISSING = "no such settings file; give an existing one or restore it from git"


def load(cls: type[T], path: Path) -> T:
    """Read a TOML file into the dataclass `cls`, as strictly as `util.runtime.facts.structure` does.

    Raises
    ------
    InputError
        A missing file, malformed TOML, an unknown or missing key, a wrong type, a value out of range.
    """
    try:
        table = tomllib.loads(read_whole(path, _MISSING).decode())
    except ValueError as error:  # malformed, not UTF-8, or an integer of thousands of digits
        raise InputError(f"{path}: not a TOML file ({error}); correct that line") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; correct it") from None
    return structure(cls, table, path)


def changed(settings: T, changes: Mapping[str, object], where: Path | str) -> T:
    """Return settings with values from the command line in place of their own, checked like those of a file.

    Parameters
    ----------
    settings : dataclass
    changes : mapping
        Values by name of the field; None is an option that was not given.
    where : Path or str
        What is changed, named first in a message.

    Raises
    ------
    InputError
        A value of the wrong type or out of range.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return structure(type(settings), {**unstructure(settings), **given}, where)
