"""The finder's bias: measured on simulated frames, subtracted, and the bootstrap through the same chain."""

import numpy as np
import pytest
import truth

from util import pad, settings
from util.chain import Scene, play
from util.executor import open_executor
from util.finder import FinderSettings
from util.finder_bias import FinderBias, bootstrap, crowd_of, measure_bias, scene_at, subtract
from util.likelihood import fit
from util.phosphor import PhosphorRecipe

RECIPE = settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml")
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")


@pytest.fixture(scope="module")
def answer():
    parts = zip(*((s.R, s.sigma_R, s.beta) for s in truth.DESIGN), strict=True)
    with open_executor(1) as executor:
        run = play(Scene(*parts, (0.5, 0.5), (0.0, 0.0), (86,)), 200, RECIPE, FINDER, seed=9, executor=executor)
    hits = [run.found[key].astype(float) for key in ("x", "z", "weight")]
    return fit(*hits, start=[(s.R, s.sigma_R) for s in truth.DESIGN])


def test_the_bias_is_small_beside_the_errors_and_is_subtracted(answer):
    with open_executor(1) as executor:
        bias = measure_bias(answer, (86,), 400, RECIPE, FINDER, seed=1, executor=executor)
    assert bias.frames == 400 and bias.names == answer.names
    betas = answer.beta_index.ravel()
    assert np.abs(bias.bias[betas] / answer.errors[betas]).max() < 0.5
    assert np.any(bias.error[betas] > 0)
    assert bias.bias[0] == bias.bias[-1] == 0
    corrected = subtract(answer, bias)
    assert np.allclose(corrected.values + bias.bias, answer.values)
    assert np.array_equal(corrected.beta, corrected.values[answer.beta_index])
    assert np.all(corrected.errors >= answer.errors)


def test_subtracting_nothing_changes_nothing(answer):
    zero = np.zeros(len(answer.names))
    assert np.array_equal(subtract(answer, FinderBias(answer.names, zero, zero, 0)).values, answer.values)


def test_a_bootstrap_scatters_about_the_answer_by_its_errors(answer):
    with open_executor(1) as executor:
        values = bootstrap(answer, (86,), 200, 3, RECIPE, FINDER, seed=2, executor=executor)
    assert values.shape == (3, len(answer.names))
    moved = [i for i, name in enumerate(answer.names) if not name.startswith("N_")]
    ratio = values.std(axis=0, ddof=1)[moved] / answer.errors[moved]
    assert 0.5 < np.sqrt((ratio**2).mean()) < 1.6


def test_the_scene_of_an_answer_is_a_density_and_the_crowd_is_what_was_seen(answer):
    answer.beta[0, 1] += 3.0
    try:
        assert not pad.is_density(answer.beta[0])
        scene = scene_at(answer, (5,))
        assert pad.is_density(np.array(scene.beta)).all()
    finally:
        answer.beta[0, 1] -= 3.0
    assert sorted(crowd_of(np.array([3, 3, 3, 7]), np.ones(4))) == [1, 3]
