"""The climb to the best fit: its slopes, its objective, and its ends."""

import numpy as np
import pytest
from numpy.typing import NDArray

from support import truth
from util.fit.fisher_scoring import inverse_information, objective_of, score_map, solve_linear
from util.fit.map_model import MapModel
from util.fit.parameters import Layout
from util.physics.polar_map import PolarBins

BINS = PolarBins(250, 24)


@pytest.fixture
def model() -> MapModel:
    return MapModel(BINS, Layout(2, 24, ("background",)))


@pytest.fixture
def right() -> NDArray[np.float64]:
    parts = [np.array([1e6, s.R, s.sigma_R, *(1e6 * np.array(s.beta))]) for s in truth.DESIGN]
    return np.concatenate((*parts, [1e4], [0.0, 0.0]))


def test_jacobian_agrees_with_central_differences(model, right):
    jacobian = model.jacobian(right)
    for i in model.layout.folded:
        # Linear parameters take any step; R and sigma_R a small part of the width.
        h = 1e3 if i in model.linear() else 1e-5
        step = h * (np.arange(right.size) == i)
        difference = (model.counts(right + step) - model.counts(right - step)) / (2 * h)
        assert np.allclose(jacobian[i], difference, rtol=1e-4, atol=1e-5 * np.abs(difference).max())


def test_expected_counts_sum_to_the_electrons(model, right):
    assert model.counts(right).sum() == pytest.approx(2.01e6, rel=1e-7)


def test_objective_has_the_floored_score_as_slope_above_and_below_the_floor():
    floor = 0.3
    for count in (0.0, 0.2, 4.0):
        for mu in (-2.0, 0.1, 0.29, 0.31, 5.0):
            h = 1e-6
            above, below = (objective_of(np.array([count]), np.array([mu + d]), floor) for d in (h, -h))
            assert (above - below) / (2 * h) == pytest.approx((count - mu) / max(mu, floor), abs=1e-6)


def test_scoring_of_exact_counts_returns_to_the_truth(model, right):
    begin = model.at(np.array([0.506, 0.794]), np.array([0.007, 0.016]))
    counts = model.counts(right)
    q, _, steps, converged = score_map(model, counts, solve_linear(model, counts, begin))
    assert converged and steps < 15
    # What is left is below a hundredth of a standard error.
    found, wanted = (model.layout.to_public(vector)[0] for vector in (q, right))
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_scoring_of_counts_without_a_sphere_ends_and_says_so(model):
    counts = np.random.default_rng(70).poisson(3.0, (BINS.n_rho, BINS.n_angle)).astype(float)
    begin = solve_linear(model, counts, model.at(np.array([0.3, 0.6]), np.array([0.01, 0.01])))
    q, objective, _, _ = score_map(model, counts, begin)
    assert np.isfinite(q).all() and np.isfinite(objective)


def test_a_sphere_that_shrinks_to_a_single_bin_is_given_up():
    # Unchecked, its width halves for ever and the quadrature within a bin grows without bound.
    model = MapModel(BINS, Layout(1, 24))
    counts = np.zeros((BINS.n_rho, BINS.n_angle))
    counts[125] = 1000.0
    begin = solve_linear(model, counts, model.at(np.array([0.5]), np.array([0.008])))
    assert not score_map(model, counts, begin)[3]


def test_singular_information_is_reported_as_infinitely_ill_conditioned():
    inverse, condition = inverse_information(np.array([[1.0, 1.0], [1.0, 1.0]]))
    assert condition == np.inf and np.isnan(inverse).all()
    inverse, condition = inverse_information(np.diag([1e12, 1e-6]))
    assert condition == 1 and np.allclose(inverse, np.diag([1e-12, 1e6]))
