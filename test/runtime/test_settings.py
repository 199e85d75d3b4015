"""Settings files: every key known, every value of its type, every fault told with file and key."""

import dataclasses

import pytest

from support import ROOT
from util.camera.phosphor import PhosphorRecipe
from util.finder.finder import FinderSettings
from util.physics.sphere import Experiment
from util.runtime import settings
from util.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Part:
    size: float
    name: str = "unnamed"

    def __post_init__(self):
        if self.size <= 0:
            raise ValueError(f"size must be above 0, found {self.size}")


@dataclasses.dataclass(frozen=True)
class Whole:
    count: int
    first: Part
    parts: tuple[Part, ...]
    pair: tuple[int, float]
    ready: bool = True


WHOLE = """
count = 3
pair = [1, 2]
[first]
size = 1
[[parts]]
size = 0.5
name = "half"
[[parts]]
size = 0.25
"""


def load(tmp_path, text, cls=Whole):
    path = tmp_path / "some.toml"
    path.write_text(text)
    return settings.load(cls, path)


def test_tuples_and_nested_tables_become_dataclasses_with_defaults(tmp_path):
    found = load(tmp_path, WHOLE)
    assert found == Whole(3, Part(1.0), (Part(0.5, "half"), Part(0.25)), (1, 2.0), True)
    assert type(found.first.size) is float and type(found.pair[1]) is float


def test_a_tuple_of_any_length_may_be_empty(tmp_path):
    assert load(tmp_path, 'count = 1\npair = [1, 2]\nparts = []\nfirst = {size = 2.0, name = "a"}').parts == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count = 3", "count = 3\nclunt = 4", "unknown key 'clunt'; known here: count, first, parts, pair, ready"),
        ("size = 1", "size = 1\nsize_px = 4", "unknown key 'first.size_px'; known here: size, name"),
        ("size = 0.25", "seize = 0.25", "unknown key 'parts[1].seize'"),
        ("count = 3", "", "key 'count' is missing; add it"),
        ("size = 0.5", "", "key 'parts[0].size' is missing; add it"),
        ("count = 3", "count = 3.0", "expected an integer at 'count', found 3.0"),
        ("count = 3", "count = true", "expected an integer at 'count', found True"),
        ("count = 3", "count = 3\nready = 1", "expected true or false at 'ready', found 1"),
        ("size = 1", "size = '1'", "expected a finite number at 'first.size', found '1'"),
        ("size = 1", "size = true", "expected a finite number at 'first.size', found True"),
        ("size = 1", "size = nan", "expected a finite number at 'first.size', found nan"),
        ("size = 1", "size = -inf", "expected a finite number at 'first.size', found -inf"),
        ("size = 1", "size = 1979-05-27", "expected a finite number at 'first.size', found datetime.date(1979, 5, 27)"),
        ("count = 3", "count = " + 5000 * "[" + 5000 * "]", "nested too deeply; correct it"),
        ("name = \"half\"", "name = 5", "expected text at 'parts[0].name', found 5"),
        ("pair = [1, 2]", "pair = 1", "expected a list at 'pair', found 1"),
        ("pair = [1, 2]", "pair = [1, 2, 3]", "expected 2 values at 'pair', found [1, 2, 3]"),
        ("pair = [1, 2]", "pair = [1.5, 2]", "expected an integer at 'pair[0]', found 1.5"),
        ("[first]\nsize = 1", "first = 1", "expected a table at 'first', found 1; write it as [first]"),
        ("size = 1", "size = -1", "first: size must be above 0, found -1.0"),
        ("size = 0.25", "size = 0", "parts[1]: size must be above 0, found 0.0"),
        ("count = 3", "count = ", "not a TOML file (Invalid value (at line 2, column 9)); correct that line"),
        ("count = 3", "count = " + 5000 * "3", "not a TOML file (Exceeds the limit"),
        ("count = 3", "count = 3\ncount = 4", "not a TOML file (Cannot overwrite a value (at line 3"),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_one_line_that_names_file_and_key(tmp_path, old, new, message):
    assert WHOLE.count(old) == 1
    with pytest.raises(InputError) as told:
        load(tmp_path, WHOLE.replace(old, new))
    assert str(told.value).startswith(f"{tmp_path / 'some.toml'}: {message}")
    assert "\n" not in str(told.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "some.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"some\.toml: not a TOML file"):
        settings.load(Whole, tmp_path / "some.toml")


def test_a_missing_file_is_named_with_a_remedy(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: no such settings file; give an existing one"):
        settings.load(Whole, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("name", "cls", "old", "new", "message"),
    [
        ("finder", FinderSettings, "seed = 0.35", "seed = 0", "seed must be above 0, found 0.0"),
        ("finder", FinderSettings, "tail = 1.0", "tail = 1e9", "tail must be at most 255, found 1000000000.0"),
        ("finder", FinderSettings, "crowded = 0.1", "crowded = 10", "crowded must be at most 1, found 10.0"),
        ("finder", FinderSettings, "link = 2.8", "link = 1e6", "link must be at most 10, found 1000000.0"),
        ("finder", FinderSettings, "\npenalty = ", "\npenalti = ", "unknown key 'penalti'"),
        ("finder", FinderSettings, "[0.04, ", '["0.04", ', "expected a finite number at 'annealing[0]', found '0.04'"),
        ("finder", FinderSettings, "0.005, 0.004]", "0.0]", "annealing needs at least one value, all above"),
        ("phosphor", PhosphorRecipe, "std = 10.0", "std = -1", "A: std must be a finite number not below 0"),
        ("phosphor", PhosphorRecipe, "[1024, 1024]", "[1024]", "expected 2 values at 'frame_shape', found [1024]"),
        ("experiment", Experiment, "R = 0.8", "R = 0.99", "spheres[1]: R + 5 sigma_R must not exceed 1"),
        ("experiment", Experiment, "[0.1629,", "[9.0,", "spheres[0]: beta gives I(c) = "),
    ],
)
def test_the_programs_own_files_are_held_to_their_ranges(tmp_path, name, cls, old, new, message):
    text = (ROOT / "param" / f"{name}.toml").read_text()
    assert text.count(old) == 1
    load(tmp_path, text, cls)
    with pytest.raises(InputError) as told:
        load(tmp_path, text.replace(old, new), cls)
    assert f"some.toml: {message}" in str(told.value)
