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


def test_a_bias_that_is_not_measured_cannot_be_subtracted(capsys):
    parse_args([*COMMON, "--subtract-bias", "never", "--bias", "0"])
    with pytest.raises(SystemExit):
        parse_args([*COMMON, "--subtract-bias", "--bias", "0"])
    assert "--subtract-bias always: expected a bias that is measured, found --bias 0" in capsys.readouterr().err


def test_more_processes_than_any_machine_has_are_refused(capsys):
    with pytest.raises(SystemExit):
        parse_args([*COMMON, "--workers", "9" * 39])
    assert "--workers: expected an integer of at least 1 and at most 1024" in capsys.readouterr().err


def test_the_suffix_of_a_figure_may_be_in_capitals():
    assert parse_args([*COMMON, "--figure", "a.PNG"]).figure.suffix == ".PNG"


def test_the_frames_of_summed_frames_may_be_named():
    assert parse_args([*COMMON, "--method", "integrated", "--dataset", "frames", "--frame-axis", "1"]).frame_axis == 1


def test_degrees_go_to_the_radii_beside_which_they_were_typed():
    model = parse_args([*COMMON, "--start", "0.8", "0.5", "--order", "4", "8"]).model
    assert (model.start, model.order) == ((0.5, 0.8), (8, 4))


def test_degrees_of_spheres_of_which_not_all_are_named_are_refused(capsys):
    with pytest.raises(SystemExit):
        parse_args([*COMMON, "--start", "0.8", "--order", "4", "8"])
    assert "--order: expected 2 radii after --start, or none, to tell whose each degree is" in capsys.readouterr().err
