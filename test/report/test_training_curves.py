"""Training curves stand between what is best and what is nothing, of own runs as of the released weights."""

import pytest

from support.param import PARAM
from util.report.training_curves import draw_curves, read_curves
from util.runtime.facts import to_json
from util.training.released import read_manifest

FACTS = {file.stage: file for file in read_manifest(PARAM / "weights.json").files}


@pytest.fixture
def run(tmp_path):
    """Return a folder of data with a run of one stage, three epochs long, and its weights."""
    for name in ("train_loss", "network"):
        (tmp_path / name).mkdir()
    lines = [to_json(line) for line in FACTS["fine_tuning"].curve[:3]]
    (tmp_path / "train_loss" / "mine.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "network" / "mine.weights.pt").touch()
    return tmp_path


def test_released_curves_have_the_floor_and_the_mean_as_levels(tmp_path):
    curves = read_curves(tmp_path, PARAM)
    assert set(curves) == {"released weights: pretraining", "released weights: fine_tuning"}
    for title, curve in curves.items():
        facts = FACTS[title.removeprefix("released weights: ")]
        assert curve.epochs == facts.curve
        mean, floor = curve.levels.values()
        assert mean == facts.predicting_the_mean
        assert floor == pytest.approx(0.0053, rel=0.08)  # doc/network.md, of many samples


def test_an_own_run_is_shown_in_place_of_the_released_weights_with_levels_of_its_own(run):
    asked = []

    def facts_of(path):
        asked.append(path)
        return FACTS["fine_tuning"]

    (title, curve), *others = read_curves(run, PARAM, facts_of).items()
    assert (title, others, asked) == ("your run: mine", [], [run / "network" / "mine.weights.pt"])
    assert curve.epochs == FACTS["fine_tuning"].curve[:3]
    assert curve.levels["predicting the mean"] == FACTS["fine_tuning"].predicting_the_mean
    assert read_curves(run, PARAM)["your run: mine"].levels == {}


def test_a_figure_shows_each_curve_between_its_levels(run):
    curves = read_curves(run, PARAM, lambda _: FACTS["fine_tuning"])
    (ax,) = draw_curves(curves).axes
    assert ax.get_title() == "your run: mine"
    shown = {line.get_label().split(":")[0]: line.get_ydata() for line in ax.lines}
    assert list(shown["validation, after it"]) == [line.valid[0] for line in FACTS["fine_tuning"].curve[:3]]
    assert all(shown[name.split(":")[0]][0] == level for name, level in curves["your run: mine"].levels.items())
    low, high = ax.get_ylim()
    assert low < shown["floor of fits, about"][0] < shown["predicting the mean"][0] < high
