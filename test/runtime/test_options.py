"""Ranged options."""

import argparse

import pytest

from util.runtime.options import number


def test_a_number_within_its_range_is_read_as_its_kind():
    assert number(int, 1)("3") == 3
    assert number(float, 0, 1)("0.5") == 0.5


@pytest.mark.parametrize("text", ["0", "x", "2.5", "nan", ""])
def test_anything_else_is_refused_with_the_range_and_what_was_found(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"integer of at least 1 and at most 9, found {text!r}"):
        number(int, 1, 9)(text)
