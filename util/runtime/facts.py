"""Facts between files and frozen dataclasses: the one way in, which trusts nothing, and the one way out.

What a file says of itself (JSON) and what a user has set (TOML, `util.runtime.settings`) become a dataclass here, or
one line that says what is wrong with them::

    facts = from_json(ShardFacts, text, path, remedy="search its frames again")
    text = to_json(facts)

A dataclass says with its annotations what it takes: ``int``, ``float``, ``bool``, ``str``, ``Path``, ``Literal``,
other dataclasses, ``tuple[X, ...]``, ``tuple[X, Y]``, ``list[X]``, ``dict[str, X]``, ``X | Y``, ``X | None``, and
``object`` for any JSON. Its ``__post_init__`` raises ValueError for values that make no sense. Nothing is converted but
an integer where a number is expected; no number may be infinite or NaN; unknown keys are refused, and missing ones
where the field has no default.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from util.runtime.errors import InputError

T = TypeVar("T")

_BEYOND = 2**63
_LONGEST = 60  # characters of what was found, in a message
_NAMES = {
    int: "an integer",
    float: "a finite number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    type(None): "nothing",
    object: "any value",
    Any: "any value",
    dict: "a table",
    list: "a list",
    tuple: "a list",
}


def structure(cls: type[T], content: object, where: Path | str, *, remedy: str | None = None) -> T:
    """Turn what JSON or TOML holds into a `cls`.

    Parameters
    ----------
    cls : type
        A dataclass, or any other annotation of the module's docstring.
    content : object
        Made of dict, list, str, int, float, bool and None.
    where : Path or str
        The file, named first in every message.
    remedy : str, optional
        What to do about a file that a program has written, as "search its frames again". Without it, the message says
        what to correct.

    Raises
    ------
    InputError
        One line: file, key as ``spheres[1].R``, what was expected there and what was found, remedy.
    """
    try:
        found: T = _CONVERTER.structure(content, cls)
    except _Fault as fault:
        text, hint = fault.tell(fault.at)
        raise InputError("; ".join(filter(None, (f"{where}: {text}", remedy or hint)))) from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply; {remedy or 'correct it'}") from None
    return found


def from_json(cls: type[T], text: object, where: Path | str, *, remedy: str | None = None) -> T:
    """Read a `cls` from JSON, str or bytes, as a file holds it; parameters and errors as in `structure`."""
    if not isinstance(text, str | bytes):
        raise InputError(f"{where}: expected a text, found {_cut(text)}; {remedy or 'correct it'}")
    try:
        content = json.loads(text)
    except RecursionError:
        raise InputError(f"{where}: nested too deeply; {remedy or 'correct it'}") from None
    except ValueError as error:
        raise InputError(f"{where}: expected JSON, found none ({error}); {remedy or 'correct it'}") from None
    return structure(cls, content, where, remedy=remedy)


def unstructure(value: object, *, sort_keys: bool = False) -> Any:
    """Turn a dataclass, or anything made of dataclasses, into what JSON holds.

    Keys come in the order of the dataclass's fields, or, with `sort_keys`, in alphabetical order at every level.
    """
    content = _CONVERTER.unstructure(value)
    return _sorted(content) if sort_keys else content


def to_json(value: object, *, sort_keys: bool = False, indent: int | None = None) -> str:
    """Write a dataclass, or anything made of dataclasses, as JSON that `from_json` reads; keys as in `unstructure`.

    Raises
    ------
    ValueError
        A number is infinite or NaN.
    """
    return json.dumps(unstructure(value), sort_keys=sort_keys, indent=indent, allow_nan=False)


def _sorted(content: object) -> object:
    if isinstance(content, dict):
        return {key: _sorted(content[key]) for key in sorted(content)}
    if isinstance(content, list | tuple):
        return [_sorted(part) for part in content]
    return content


class _Fault(Exception):
    """What is wrong, and `at` which key; ``tell(at)`` returns message and hint, either of which may name the key."""

    def __init__(self, tell: Callable[[str], tuple[str, str]], at: str = "") -> None:
        self.tell = tell
        self.at = at

    def under(self, key: str) -> "_Fault":
        """Return the same fault as seen from one level up."""
        joint = "." if self.at and not self.at.startswith("[") else ""
        return _Fault(self.tell, key + joint + self.at)


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _unexpected(expected: str, found: object, hint: str = "correct it") -> _Fault:
    shown = _cut(found)

    def tell(at: str) -> tuple[str, str]:
        if not at:
            return f"expected {expected}, found {shown}", "correct it"
        return f"expected {expected} at {_cut(at)}, found {shown}", hint.format(at)

    return _Fault(tell)


def _part(content: object, kind: Any, key: str) -> Any:
    try:
        return _CONVERTER.structure(content, kind)
    except _Fault as fault:
        raise fault.under(key) from None


def _name(kind: Any) -> str:
    if _is_union(kind):
        return " or ".join(dict.fromkeys(_name(arm) for arm in typing.get_args(kind)))
    if _is_literal(kind):
        return " or ".join(repr(value) for value in typing.get_args(kind))
    return "a table" if dataclasses.is_dataclass(kind) else _NAMES[typing.get_origin(kind) or kind]


def _exactly(content: object, kind: Any) -> Any:
    # Not isinstance: to Python, True is an int.
    if type(content) is not kind:
        raise _unexpected(_name(kind), content)
    return content


def _int(content: object, _: object) -> int:
    number: int = _exactly(content, int)
    if not -_BEYOND <= number < _BEYOND:  # which no array holds
        raise _unexpected("an integer of 64 bits", content)
    return number


def _float(content: object, _: object) -> float:
    if type(content) not in (float, int):
        raise _unexpected(_name(float), content)
    try:
        number = float(typing.cast(float, content))
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _unexpected(_name(float), content)
    return number


def _path(content: object, _: object) -> Path:
    return Path(_exactly(content, str))


def _any(content: object, _: object) -> object:
    """Take any JSON in which no number is infinite or NaN."""
    if isinstance(content, dict):
        return {key: _part(value, object, key) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_part(value, object, f"[{i}]") for i, value in enumerate(content)]
    return _float(content, float) if isinstance(content, float) else content


def _is_literal(kind: object) -> bool:
    return typing.get_origin(kind) is typing.Literal


def _literal(content: object, kind: Any) -> object:
    for value in typing.get_args(kind):
        if type(content) is type(value) and content == value:
            return content
    raise _unexpected(_name(kind), content)


def _is_union(kind: object) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _union(content: object, kind: Any) -> object:
    arms = typing.get_args(kind)
    if content is None and type(None) in arms:
        return None
    others = [arm for arm in arms if arm is not type(None)]
    tables: list[Any] = [arm for arm in others if dataclasses.is_dataclass(arm)]
    if isinstance(content, dict) and len(tables) > 1:
        # Of several dataclasses, the one that knows most of the keys is meant; the faults are told of that one.
        return _CONVERTER.structure(content, max(tables, key=lambda arm: len(_keys(arm) & content.keys())))
    for arm in others:
        try:
            return _CONVERTER.structure(content, arm)
        except _Fault as fault:
            # A fault in an optional value is reported as if the value were required; so is one inside an arm.
            if len(others) == 1 or fault.at:
                raise
    raise _unexpected(_name(kind), content)


def _keys(cls: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}


def _is_list(kind: object) -> bool:
    return typing.get_origin(kind) in (tuple, list)


def _list(content: object, kind: Any) -> object:
    if not isinstance(content, list | tuple):
        raise _unexpected("a list", content)
    make, kinds = typing.get_origin(kind), typing.get_args(kind)
    if make is list or kinds[-1] is ...:
        kinds = kinds[:1] * len(content)
    if len(kinds) != len(content):
        raise _unexpected(f"{len(kinds)} values", content)
    return make(_part(part, kind, f"[{i}]") for i, (kind, part) in enumerate(zip(kinds, content, strict=True)))


def _is_dict(kind: object) -> bool:
    return typing.get_origin(kind) is dict


def _dict(content: object, kind: Any) -> dict[str, object]:
    if not isinstance(content, dict):
        raise _unexpected("a table", content)
    return {key: _part(value, typing.get_args(kind)[1], key) for key, value in content.items()}


def _dataclass(cls: Any, converter: Converter) -> Callable[[object, object], object]:
    build = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True)

    def read(content: object, _: object) -> object:
        if not isinstance(content, dict):
            raise _unexpected("a table", content, "write it as [{}]")
        try:
            return build(content, cls)
        except ClassValidationError as group:
            raise _first_of(group, content, cls) from None

    return read


def _first_of(group: ClassValidationError, content: dict[str, object], cls: Any) -> Exception:
    """Choose one of a dataclass's faults to report; a misspelt key comes before the one that it leaves missing."""
    in_fields, others = group.group_exceptions()
    known = ", ".join(field.name for field in dataclasses.fields(cls))
    for error in others:
        if isinstance(error, ForbiddenExtraKeysError):
            unknown = next(key for key in content if key in error.extra_fields)
            return _Fault(lambda at: (f"unknown key {_cut(at)}", f"known here: {known}"), unknown)
    for error, note in in_fields:
        if isinstance(error, _Fault):
            return error.under(note.name)
        if isinstance(error, KeyError):
            return _Fault(lambda at: (f"key {_cut(at)} is missing", "add it"), note.name)
        return error
    (error,) = others
    if isinstance(error, ValueError | ArithmeticError):
        text = " ".join(str(error).split())
        return _Fault(lambda at: (f"{at}: {text}" if at else text, ""))
    return error


def _converter() -> Converter:
    converter = Converter()
    for kind in (bool, str):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(int, _int)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(Path, _path)
    converter.register_unstructure_hook(Path, str)
    for holds, hook in ((_is_literal, _literal), (_is_union, _union), (_is_list, _list), (_is_dict, _dict)):
        converter.register_structure_hook_func(holds, hook)
    converter.register_structure_hook_func(lambda kind: kind in (object, Any), _any)
    converter.register_structure_hook_factory(dataclasses.is_dataclass, _dataclass)
    return converter


_CONVERTER = _converter()
