"""Settings from TOML files into frozen dataclasses: every key known, every value of its type."""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import TypeVar

from util.runtime.errors import InputError

T = TypeVar("T")


def load(cls: type[T], path: Path) -> T:
    """Read a TOML file into the dataclass `cls`.

    Parameters
    ----------
    cls : type
        A dataclass, possibly with dataclasses, ``tuple[X, ...]`` and plain types as fields. Its
        ``__post_init__`` may raise ValueError for values out of range.
    path : Path
        The TOML file.

    Raises
    ------
    InputError
        Missing file, malformed TOML, unknown or missing key, wrong type, value out of range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such settings file; give an existing one or restore it from git") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error}); correct that line") from None
    return _build(cls, table, str(path), "")


def _build(cls: type[T], table: object, path: str, where: str) -> T:
    if not isinstance(table, dict):
        key = where.rstrip(".")
        raise InputError(f"{path}: expected a table at '{key}', found {table!r}; write it as [{key}]")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in table:
        if key not in fields:
            raise InputError(f"{path}: unknown key '{where}{key}'; known here: {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _convert(hints[name], table[name], path, where + name)
        elif field.default is dataclasses.MISSING:
            raise InputError(f"{path}: key '{where}{name}' is missing; add it")
    try:
        return cls(**values)
    except ValueError as error:
        raise InputError(f"{path}: {where.rstrip('.') or 'settings'}: {error}") from None


def _convert(hint: object, value: object, path: str, where: str) -> object:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _build(hint, value, path, where + ".")
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise InputError(f"{path}: expected a list at '{where}', found {value!r}")
        item, *rest = typing.get_args(hint)
        items = [item] * len(value) if rest == [...] else [item, *rest]
        if len(items) != len(value):
            raise InputError(f"{path}: expected {len(items)} values at '{where}', found {len(value)}")
        pairs = enumerate(zip(items, value, strict=True))
        return tuple(_convert(kind, part, path, f"{where}[{i}]") for i, (kind, part) in pairs)
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, types.UnionType) or type(value) is not hint:
        raise InputError(f"{path}: expected {getattr(hint, '__name__', hint)} at '{where}', found {value!r}")
    return value
