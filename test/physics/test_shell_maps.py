"""Many expected maps at once, against those made bin by bin."""

import numpy as np
import pytest

from support.param import prior_named
from util.physics.polar_map import PolarBins, expected
from util.physics.shell_maps import expected_maps, observe, shell_weights
from util.training.priors import draw

BINS = PolarBins(64, 16)


def test_maps_from_tabulated_shells_are_those_integrated_bin_by_bin():
    draws = draw(prior_named("pretraining"), 3, rng=np.random.default_rng(0))
    maps = expected_maps(BINS, *draws)
    for i, found in enumerate(maps):
        parts = [
            n * expected(BINS, b, R, sigma)
            for b, R, sigma, n in zip(draws.beta[i], draws.R[i], draws.sigma_R[i], draws.electrons[i], strict=True)
        ]
        assert np.abs(found - sum(parts)).max() < 1e-6 * found.max()


def test_shells_of_a_sphere_carry_all_of_it():
    assert shell_weights(np.array([0.3, 0.9]), np.array([0.004, 0.012])).sum(axis=-1) == pytest.approx(1, abs=1e-7)


def test_observed_weights_have_the_mean_of_the_map_and_a_variance_raised_by_their_spread():
    found = observe(np.full(100_000, 50.0), 0.3, rng=np.random.default_rng(1))
    assert found.mean() == pytest.approx(50, abs=4 * np.sqrt(50 / 1e5))
    assert found.var() == pytest.approx(50 * 1.09, rel=4 * np.sqrt(2 / 1e5))


def test_a_sphere_narrower_than_the_shells_is_refused():
    with pytest.raises(ValueError, match=r"sigma_R >= 0\.003"):
        shell_weights(np.array([0.5]), np.array([0.002]))
