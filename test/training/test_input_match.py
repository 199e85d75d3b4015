"""Measured inputs of the network against the simulated ones that it is trained on."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import chi2

from src import gen_finaltest_npy
from src.answer_steps.network import fold_hits
from support import ROOT
from support.param import INPUT
from support.truth import DESIGN
from util.electrons.hits import read_hits
from util.physics.polar_map import coarsen
from util.physics.shell_maps import expected_maps, observe
from util.training.input_match import map_pulls, principal_pulls

SPREAD = INPUT.weight_spread


def expected(spheres=DESIGN, electrons=4.3e6):
    R, sigma_R, beta = (np.array([[getattr(s, name) for s in spheres]]) for name in ("R", "sigma_R", "beta"))
    return expected_maps(INPUT.bins, beta, R, sigma_R, np.full(R.shape, electrons / 2))[0]


def test_pulls_of_simulated_maps_are_normal_and_those_of_other_weights_wider():
    pulls = [map_pulls(observe(expected(), s, rng=np.random.default_rng(0)), expected(), SPREAD) for s in (SPREAD, 0.4)]
    right, wrong = (p[np.isfinite(p)] for p in pulls)
    assert right.size > 3000
    assert right.mean() == pytest.approx(0, abs=0.07)
    assert right.std() == pytest.approx(1, abs=0.04)
    assert wrong.std() > 1.05


def test_pulls_of_inputs_that_vary_together_are_independent_and_normal():
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(6, 40))  # six numbers make forty elements
    mixing[:, 7] = 0

    def draw(n, scale=1.0):
        return scale * rng.normal(size=(n, 6)) @ mixing + 3

    pulls = principal_pulls(draw(20_000), draw(2000), 6)
    assert pulls.mean() == pytest.approx(0, abs=0.05) and pulls.std(axis=0) == pytest.approx(np.ones(6), abs=0.1)
    assert np.abs(np.corrcoef(pulls.T) - np.eye(6)).max() < 0.15
    assert principal_pulls(draw(20_000, 1.3), draw(2000), 6).std() > 1.2
    assert np.abs(principal_pulls(draw(200) + 2 * mixing[0], draw(2000), 6).mean(axis=0)).max() > 0.5


@pytest.mark.slow
def test_maps_measured_through_frames_and_finder_are_those_that_the_network_is_trained_on(simulated, tmp_path):
    param = ["--phosphor", f"{ROOT}/param/phosphor.toml", "--finder", f"{ROOT}/param/finder.toml"]
    gen_finaltest_npy.main(["--finaltest", str(simulated), "--output", str(tmp_path), *param, "--workers", "1"])
    hits = read_hits(tmp_path, hit_weights="flux", partial=False)
    assert hits.variance.sum() / hits.weight.sum() == pytest.approx(1 + SPREAD**2, abs=0.004)
    found = coarsen(fold_hits(INPUT.bins, hits.x, hits.z, hits.weight), 8, 8)

    def p_value(spheres):
        pulls = map_pulls(found, coarsen(expected(spheres), 8, 8), SPREAD)
        return chi2.sf(np.nansum(pulls**2), np.isfinite(pulls).sum() - 1)

    assert p_value(DESIGN) > 0.01
    swapped = [dataclasses.replace(one, beta=other.beta) for one, other in zip(DESIGN, DESIGN[::-1], strict=True)]
    assert p_value(swapped) < 1e-4
