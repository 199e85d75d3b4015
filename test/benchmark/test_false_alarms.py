"""False alarms: each seed is another experiment, always the same, and every alarm is told and counted."""

import pytest

from benchmark.false_alarms import DARK, draw, summary, told


def test_experiments_differ_and_are_repeated_by_their_seed():
    drawn = [draw(seed, 100) for seed in range(12)]
    assert drawn[3] == draw(3, 100)
    assert {len(one.experiment.spheres) for one in drawn} == {1, 2, 3}
    assert [one.detector == DARK for one in drawn] == [True, False] * 6
    assert len({one.recipe.sigma.mean for one in drawn}) == 12
    assert all(14 <= one.experiment.electrons_per_frame <= 120 for one in drawn)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"found": [{"what": "gain", "value": 2.0, "alarm": False}]}, "seed 7: nothing found"),
        ({"found": [{"what": "gain", "value": 2.0, "alarm": True}]}, "seed 7: what gain, value 2.0, alarm True"),
        ({"refused": "no spheres"}, "seed 7: refused: no spheres"),
    ],
)
def test_an_experiment_is_told_in_a_line(row, line):
    assert told({"seed": 7, **row}) == line


def test_alarms_are_counted_and_the_least_p_told():
    rows = [{"found": [{"p": 0.2, "alarm": False}, {"p": 1e-5, "alarm": True}]}, {"refused": "no spheres"}]
    assert summary(rows) == "1 ideal experiments, 2 looks: 1 found something; 1 refused; least p: 1e-05"
    assert summary([{"found": [{"alarm": False}]}]) == "1 ideal experiments, 1 looks: 0 found something; 0 refused"
