"""Settings: from TOML files to frozen dataclasses."""

import tomllib
from pathlib import Path
from typing import TypeVar

from util.runtime.errors import InputError
from util.runtime.facts import structure

T = TypeVar("T")


def load(cls: type[T], path: Path) -> T:
    """Read a TOML file into the dataclass `cls`, as strictly as `util.runtime.facts.structure` does.

    Raises
    ------
    InputError
        A missing file, malformed TOML, an unknown or missing key, a wrong type, a value out of range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such settings file; give an existing one or restore it from git") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error}); correct that line") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; correct it") from None
    return structure(cls, table, path)
