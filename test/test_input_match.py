"""Measured inputs of the network against the simulated ones that it is trained on."""

import dataclasses

import numpy as np
import pytest
from network_making import INPUT, shortcut_network
from scipy.stats import chi2
from truth import DESIGN, ROOT

from src import gen_finaltest_npy
from src.gen_finaltest_answer import read_hits
from src.network_answer import fold_hits
from util.input_match import element_pulls, map_pulls
from util.polar_map import coarsen
from util.shell_maps import expected_maps, observe

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


def test_pulls_of_elements_allow_for_the_mean_being_that_of_a_sample():
    rng = np.random.default_rng(1)
    few = rng.normal(3, [1, 2, 0], (5, 3))
    pulls = element_pulls(rng.normal(3, [1, 2, 0], (20_000, 3)), few)
    assert np.isnan(pulls[:, 2]).all()
    pooled = [element_pulls(rng.normal(size=(1, 400)), rng.normal(size=(30, 400))) for _ in range(20)]
    assert np.std(pooled) == pytest.approx(np.sqrt(29 / 27), abs=0.03)  # Student's t of 29 degrees of freedom


def test_maps_measured_through_frames_and_finder_are_those_that_the_network_is_trained_on(simulated, tmp_path):
    param = ["--phosphor", f"{ROOT}/param/phosphor.toml", "--finder", f"{ROOT}/param/finder.toml"]
    gen_finaltest_npy.main(["--finaltest", str(simulated), "--output", str(tmp_path), *param, "--workers", "1"])
    hits = read_hits(tmp_path, weights="flux", partial=False)
    assert hits.variance.sum() / hits.weight.sum() == pytest.approx(1 + SPREAD**2, abs=0.02)
    found = coarsen(fold_hits(shortcut_network(samples=300), hits.x, hits.z, hits.weight), 8, 8)

    def p_value(spheres):
        pulls = map_pulls(found, coarsen(expected(spheres), 8, 8), SPREAD)
        return chi2.sf(np.nansum(pulls**2), np.isfinite(pulls).sum() - 1)

    assert p_value(DESIGN) > 0.01
    swapped = [dataclasses.replace(one, beta=other.beta) for one, other in zip(DESIGN, DESIGN[::-1], strict=True)]
    assert p_value(swapped) < 1e-4
