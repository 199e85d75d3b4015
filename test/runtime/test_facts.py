"""Facts in JSON: every value of its type and finite, every fault told in one line with file, key and remedy."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Literal

import pytest

from util.runtime.errors import InputError
from util.runtime.facts import from_json, structure, to_json, unstructure


@dataclasses.dataclass(frozen=True)
class Sphere:
    R: float
    beta: tuple[float, ...]

    def __post_init__(self):
        if self.R <= 0:
            raise ValueError(f"R must be above 0,\nfound {self.R}")


@dataclasses.dataclass(frozen=True)
class Facts:
    name: str
    frames: int
    spheres: tuple[Sphere, ...]
    span: tuple[int, float]
    how: Literal["learn", "recipe"]
    closed: bool
    dataset: str | None
    detector: Sphere | None
    scale: Sphere | float | tuple[float, ...]
    versions: dict[str, str]
    curve: list[Sphere]
    more: object
    file: Path
    epoch: int = 0


FACTS = Facts(
    "second",
    7,
    (Sphere(0.5, (1.0, 0.25)), Sphere(1e-300, ())),
    (3, 4.0),
    "learn",
    True,
    None,
    Sphere(1.0, (2.0,)),
    0.1,
    {"python": "3.11"},
    [Sphere(0.1, ())],
    {"any": [1, 2.5, None, "x"]},
    Path("data/final.h5"),
)
NESTED = "[" * 100_000 + "]" * 100_000


def told(text, cls=Facts, **kwargs):
    with pytest.raises(InputError) as raised:
        from_json(cls, text, "some.npz", **kwargs)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def changed(**values):
    return json.dumps({**json.loads(to_json(FACTS)), **values})


def test_what_was_written_is_read_again():
    assert from_json(Facts, to_json(FACTS), "some.npz") == FACTS
    assert from_json(Facts, to_json(FACTS, sort_keys=True).encode(), Path("some.npz")) == FACTS


def test_keys_come_in_the_order_of_the_fields_or_sorted_at_every_level():
    assert list(unstructure(FACTS)) == [field.name for field in dataclasses.fields(Facts)]
    rows = [{"b": 1, "a": (Sphere(1.0, ()),)}]
    assert to_json(rows) == '[{"b": 1, "a": [{"R": 1.0, "beta": []}]}]'
    assert to_json(rows, sort_keys=True) == '[{"a": [{"R": 1.0, "beta": []}], "b": 1}]'
    assert json.dumps(unstructure(rows, sort_keys=True)) == to_json(rows, sort_keys=True)


def test_an_integer_is_a_number_and_becomes_one():
    found = structure(Sphere, {"R": 1, "beta": [2]}, "here")
    assert type(found.R) is float and type(found.beta[0]) is float


def test_a_field_with_a_default_may_be_missing():
    content = json.loads(to_json(FACTS))
    del content["epoch"]
    assert structure(Facts, content, "here") == FACTS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": "7"}, "expected an integer at 'frames', found '7'"),
        ({"frames": 7.0}, "expected an integer at 'frames', found 7.0"),
        ({"frames": True}, "expected an integer at 'frames', found True"),
        ({"closed": 1}, "expected true or false at 'closed', found 1"),
        ({"name": None}, "expected text at 'name', found None"),
        ({"dataset": 5}, "expected text at 'dataset', found 5"),
        ({"how": "ask"}, "expected 'learn' or 'recipe' at 'how', found 'ask'"),
        ({"how": ["learn"]}, "expected 'learn' or 'recipe' at 'how', found ['learn']"),
        ({"file": 1}, "expected text at 'file', found 1"),
        ({"span": [3]}, "expected 2 values at 'span', found [3]"),
        ({"span": [3, 4, 5]}, "expected 2 values at 'span', found [3, 4, 5]"),
        ({"span": "34"}, "expected a list at 'span', found '34'"),
        ({"span": [3, "4"]}, "expected a finite number at 'span[1]', found '4'"),
        ({"spheres": {}}, "expected a list at 'spheres', found {}"),
        ({"spheres": [{"R": 1, "beta": []}, 5]}, "expected a table at 'spheres[1]', found 5"),
        ({"spheres": [{"R": 1, "beta": [0, True]}]}, "expected a finite number at 'spheres[0].beta[1]', found True"),
        ({"spheres": [{"R": 1}]}, "key 'spheres[0].beta' is missing"),
        ({"spheres": [{"R": 1, "Beta": []}]}, "unknown key 'spheres[0].Beta'"),
        ({"spheres": [{"R": -1, "beta": []}]}, "spheres[0]: R must be above 0, found -1.0"),
        ({"spheres": [{"R": 10**400, "beta": []}]}, "expected a finite number at 'spheres[0].R', found 1000000000"),
        ({"detector": {"R": math.nan, "beta": []}}, "expected a finite number at 'detector.R', found nan"),
        ({"detector": []}, "expected a table at 'detector', found []"),
        ({"scale": None}, "expected a table or a finite number or a list at 'scale', found None"),
        ({"scale": [1, "2"]}, "expected a finite number at 'scale[1]', found '2'"),
        ({"scale": -math.inf}, "expected a table or a finite number or a list at 'scale', found -inf"),
        ({"versions": {"python": 3}}, "expected text at 'versions.python', found 3"),
        ({"versions": [1]}, "expected a table at 'versions', found [1]"),
        ({"curve": [1]}, "expected a table at 'curve[0]', found 1"),
        ({"more": {"any": [1, {"deep": math.nan}]}}, "expected a finite number at 'more.any[1].deep', found nan"),
        ({"x" * 99: 1}, f"unknown key '{'x' * 55} ...; search again"),
        ({"name": ["y" * 99]}, f"expected text at 'name', found ['{'y' * 54} ...; search again"),
        ({"two\nlines": 1}, "unknown key 'two\\nlines'"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_key_and_the_remedy(values, message):
    line = told(changed(**values), remedy="search again")
    assert line.startswith(f"some.npz: {message}") and line.endswith("; search again")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON, found none (Expecting value"),
        ('{"R": 1, "beta": [', "expected JSON, found none ("),
        (b"\xff\xfe\x00", "expected JSON, found none ("),
        (NESTED, "nested too deeply"),
        ("[]", "expected a table, found []"),
        ("null", "expected a table, found None"),
        ('{"R": NaN, "beta": []}', "expected a finite number at 'R', found nan"),
        ('{"R": 1e999, "beta": []}', "expected a finite number at 'R', found inf"),
        ('{"R": 1, "beta": [-Infinity]}', "expected a finite number at 'beta[0]', found -inf"),
        ('{"R": 0, "beta": []}', "R must be above 0, found 0.0"),
        ("{}", "key 'R' is missing"),
    ],
)
def test_what_is_no_json_of_the_facts_is_refused(text, message):
    line = told(text, cls=Sphere, remedy="search again")
    assert line.startswith(f"some.npz: {message}") and line.endswith("; search again")


@pytest.mark.parametrize("kind", [object, int])
def test_content_nested_too_deeply_is_refused(kind):
    content = []
    for _ in range(100_000):
        content = [content]
    with pytest.raises(InputError, match=r"some\.npz: nested too deeply; correct it"):
        structure(kind, content, "some.npz")


@pytest.mark.parametrize(
    ("text", "hint"), [("{}", "add it"), ('{"r": 1}', "known here: R, beta"), ('{"R": "1", "beta": []}', "correct it")]
)
def test_without_a_remedy_the_line_says_what_to_correct(text, hint):
    assert told(text, cls=Sphere).endswith(f"; {hint}")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_that_is_not_finite_is_written(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"R": [value]})


def test_a_defect_in_a_dataclass_is_no_fault_of_the_file():
    @dataclasses.dataclass(frozen=True)
    class Broken:
        R: float

        def __post_init__(self):
            raise AttributeError("no such thing")

    with pytest.raises(AttributeError):
        structure(Broken, {"R": 1.0}, "here")
