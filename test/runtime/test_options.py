"""Ranged options, and options as dataclasses."""

import argparse
from dataclasses import FrozenInstanceError, dataclass

import pytest

from util.runtime.options import Parser, as_options, number


def test_a_number_within_its_range_is_read_as_its_kind():
    assert number(int, 1)("3") == 3
    assert number(float, 0, 1)("0.5") == 0.5


@pytest.mark.parametrize("text", ["0", "x", "2.5", "nan", ""])
def test_anything_else_is_refused_with_the_range_and_what_was_found(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"integer of at least 1 and at most 9, found {text!r}"):
        number(int, 1, 9)(text)


@dataclass(frozen=True)
class Search:
    first_frame: int
    radii: tuple[float, ...] | None


@dataclass(frozen=True)
class Options:
    name: str
    search: Search

    def __post_init__(self):
        if self.name == "all" and self.search.first_frame:
            raise ValueError("--first-frame contradicts --name all; leave it out")


def options(*argv):
    parser = Parser("some.sh", "What it does.")
    parser.add_argument("--name")
    parser.add_argument("--first-frame", type=int, default=0)
    parser.add_argument("--radii", type=float, nargs="+")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def test_options_end_in_a_frozen_dataclass_whose_parts_hold_their_own():
    found = options("--name", "a", "--first-frame", "3", "--radii", "0.5", "0.8")
    assert found == Options("a", Search(3, (0.5, 0.8)))
    assert options("--name", "all").search == Search(0, None)
    with pytest.raises(FrozenInstanceError):
        found.name = "b"


def test_options_that_contradict_each_other_end_with_status_two_and_a_sentence(capsys):
    with pytest.raises(SystemExit) as ended:
        options("--name", "all", "--first-frame", "3")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == "error: --first-frame contradicts --name all; leave it out; some.sh --help tells all options\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--first-frame", "a"), "--first-frame: invalid int value: 'a'; some.sh"),
        (("--firstframe", "3"), "unrecognized arguments: --firstframe 3; did you mean --first-frame? some.sh"),
        (("--first", "3"), "unrecognized arguments: --first 3; did you mean --first-frame? some.sh"),
        (("--f=3",), "unrecognized arguments: --f=3; did you mean --first-frame? some.sh"),
        (("--zzz",), "unrecognized arguments: --zzz; some.sh"),
        (("--name",), "--name: expected one argument; some.sh"),
        (("a\nb",), "unrecognized arguments: a b; some.sh"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_with_the_one_that_is_like_it(capsys, argv, said):
    with pytest.raises(SystemExit) as ended:
        options(*argv)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"error: {said} --help tells all options\n")
