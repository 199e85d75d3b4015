"""Values with errors as text."""

import pytest

from util.runtime.value_with_error import shorthand


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.500234, 0.0000123, "0.500234(12)"),
        (0.5564, 0.0212, "0.556(21)"),
        (0.5564, 0.0412, "0.56(4)"),
        (0.5564, 0.0967, "0.56(10)"),
        (-0.0000213, 0.0000612, "-0.00002(6)"),
        (86012.3, 3.0, "86012.3(3.0)"),
        (2150000, 1523, "2.1500(15)e+06"),
    ],
)
def test_a_value_is_rounded_with_its_error_as_the_particle_data_group_does(value, error, text):
    assert shorthand(value, error) == text


@pytest.mark.parametrize("error", [0.0, float("nan")])
def test_a_value_without_error_stands_alone(error):
    assert shorthand(0.12345678, error) == "0.1235"


def test_a_sign_is_shown_where_it_is_asked_for():
    assert shorthand(0.5564, 0.0212, sign=True) == "+0.556(21)"
    assert shorthand(0.0, 0.0, sign=True) == "+0"
