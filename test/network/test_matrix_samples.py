"""Matrices of electrons drawn on the device."""

import numpy as np
import pytest
import torch

from src.network.matrix_samples import MatrixDrawer
from support.param import prior_named
from util.physics.polar_map import PolarBins
from util.physics.shell_maps import expected_maps
from util.training.matrix_input import MatrixInput
from util.training.priors import draw

PIXELS = 64
DRAWS = draw(prior_named("pretraining"), 3, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def drawer():
    return MatrixDrawer(MatrixInput(PIXELS, 12), torch.device("cpu"))


@pytest.fixture(scope="module")
def expected(drawer):
    made = drawer.prepare(DRAWS, 0, 1)
    return drawer.expected(made.power, made.shells).double().numpy()


def test_what_is_expected_is_what_the_folded_maps_expect_far_below_the_statistical_error(expected):
    bins = PolarBins(2000, 800)
    maps = expected_maps(bins, *(values[:1] for values in DRAWS))[0]
    rho, angle = (np.arange(2000) + 0.5) / 2000, (np.arange(800) + 0.5) / 800 * np.pi / 2
    x, z = (rho[:, None] * part * PIXELS / 2 for part in (np.sin(angle), np.cos(angle)))
    half = PIXELS // 2
    folded = np.bincount((x.astype(int) * half + z.astype(int)).ravel(), maps.ravel(), half * half)
    quadrants = expected[0].reshape(2, half, 2, half)
    found = quadrants[1, :, 1] + quadrants[0, ::-1, 1] + quadrants[1, :, 0, ::-1] + quadrants[0, ::-1, 0, ::-1]
    filled = folded > 10
    chi2 = ((found.ravel() - folded) ** 2 / folded.clip(1))[filled]
    assert filled.sum() > 100 and chi2.mean() < 0.1


def test_the_matrix_holds_all_electrons_and_is_the_same_in_all_quadrants(expected):
    np.testing.assert_allclose(expected.sum((1, 2)), DRAWS.electrons.sum(1), rtol=1e-6)
    assert (expected == expected[:, ::-1]).all() and (expected == expected[:, :, ::-1]).all()
    assert not np.allclose(expected[0], expected[0].T, rtol=0.1)


def test_counts_are_poisson_numbers_about_what_is_expected(drawer, expected):
    counts = drawer.draw_all(drawer.prepare(DRAWS, 0, 1)).numpy()
    assert (counts == np.round(counts)).all()
    seen = expected > 5
    pulls = (counts - expected)[seen] / np.sqrt(expected[seen])
    assert abs(pulls.mean()) < 4 / pulls.size**0.5
    assert pulls.var() == pytest.approx(1, abs=4 * (2 / pulls.size) ** 0.5)
    assert abs(np.corrcoef(pulls[:-1], pulls[1:])[0, 1]) < 4 / pulls.size**0.5


def test_a_sample_is_the_same_in_any_batch_and_no_other_is(drawer):
    made = drawer.prepare(DRAWS, 0, 1)
    (one, betas), (two, _) = drawer.draw(made, [2, 0]), drawer.draw(made, [0, 1, 2])
    assert torch.equal(one[0], two[2]) and torch.equal(one[1], two[0])
    np.testing.assert_allclose(betas.numpy(), DRAWS.beta[[2, 0]], rtol=1e-6)
    for seed, key in ((0, 2), (1, 1)):
        other = drawer.draw(drawer.prepare(DRAWS, seed, key), [2])[0]
        assert not torch.equal(one[0], other[0])
    twice = drawer.prepare(type(DRAWS)(*(values[[0, 0]] for values in DRAWS)), 0, 1)
    assert not torch.equal(*drawer.draw_all(twice))
