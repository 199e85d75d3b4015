"""Options of the answer stage that a method would ignore are refused."""

import pytest

from src.gen_finaltest_answer import parse_args

COMMON = ["--shards", "shards", "--output", "final.h5"]


@pytest.mark.parametrize(
    ("method", "option"),
    [
        (["--method", "resnet"], ["--dataset", "frames"]),
        (["--method", "resnet"], ["--frame-axis", "1"]),
        (["--method", "resnet", "--raw"], ["--order", "12"]),
        (["--method", "resnet", "--raw"], ["--seed", "3"]),
        (["--method", "resnet", "--raw"], ["--force"]),
        (["--method", "likelihood"], ["--dataset", "frames"]),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(capsys, method, option):
    parse_args([*COMMON, *method])
    with pytest.raises(SystemExit) as ended:
        parse_args([*COMMON, *method, *option])
    assert ended.value.code == 2
    assert f"{option[0]} does not apply to {' '.join(method)}; leave it out" in capsys.readouterr().err


def test_the_frames_of_summed_frames_may_be_named():
    assert parse_args([*COMMON, "--method", "integrated", "--dataset", "frames", "--frame-axis", "1"]).frame_axis == 1
