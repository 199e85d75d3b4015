"""How far readings may lie from fits."""

import numpy as np
import pytest
from scipy import stats

from util.training.reference import reference_of


def scatter(n, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    root = np.array([[1.0, 0.0, 0.0, 0.0], [0.8, 0.3, 0.0, 0.0], [0.1, 0.1, 0.5, 0.0], [0.0, 0.2, 0.1, 0.2]])
    return scale * (rng.standard_normal((n, 4)) @ root.T).reshape(n, 2, 2)


def test_readings_like_those_of_the_samples_have_evenly_spread_p():
    reference = reference_of(scatter(2000, 0), 1e6)
    p = [reference.p(away, np.zeros((2, 2)), 1e6) for away in scatter(1000, 1)]
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert min(p) > 1e-6


def test_a_reading_far_off_along_a_direction_in_which_samples_hardly_differ_is_told():
    reference = reference_of(scatter(2000, 0), 1e6)
    odd = np.array([[0.5, -0.9], [0.0, 0.0]])  # the first two go together
    assert reference.p(odd, np.zeros((2, 2)), 1e6) < 1e-6


def test_so_few_samples_that_their_covariance_is_chance_are_refused():
    with pytest.raises(ValueError, match="expected at least 40 samples"):
        reference_of(scatter(39, 0), 1e6)


def test_a_small_reference_is_no_stricter_than_a_large_one():
    p = [
        reference_of(scatter(60, seed), 1e6).p(away, np.zeros((2, 2)), 1e6)
        for seed, away in enumerate(scatter(1000, 7))
    ]
    assert np.mean(np.array(p) < 0.05) < 0.08  # 0.10 where each sample has a part in its own yardstick


def test_fewer_electrons_let_both_scatter_more():
    reference = reference_of(scatter(2000, 0), 1e6)
    p = [reference.p(away, np.zeros((2, 2)), 1e6 / 4) for away in scatter(1000, 2, scale=2.0)]
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    more = [reference.p(away, np.zeros((2, 2)), 4e6) for away in scatter(1000, 3)]
    assert np.mean(more) == pytest.approx(0.5, abs=0.05)
