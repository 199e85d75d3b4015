"""Steps of the answer stage, joined."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from src.answer_steps.step import Step, join
from util.answer.tables import Table


def test_steps_join_in_their_order_and_the_answer_is_that_of_the_last():
    tests, bias = Table(np.zeros(3)), Table(np.ones(2), {"p": 0.5})
    first = Step("fitted", ("a", "b"), ("beware",), {"Tests": tests})
    second = Step("unbiased", ("c",), ("of this", "and that"), {"FinderBias": bias}, {"orders": [2]})
    done = join([first, Step("fitted"), second])
    assert done.answer == "unbiased"
    assert done.lines == ("a", "b", "c")
    assert done.warnings == ("beware", "of this", "and that")
    assert done.tables == {"Tests": tests, "FinderBias": bias}
    assert done.facts == {"orders": [2]}


def test_a_step_is_not_changed_by_a_later_one():
    step = Step("fitted")
    with pytest.raises(FrozenInstanceError):
        step.lines = ("more",)
