"""The climb to the best fit: its slopes, its objective, and its ends."""

import numpy as np
import pytest
from numpy.typing import NDArray

from support import truth
from util.fit.fisher_scoring import inverse_information, narrowest_in, objective_of, score_map, solve_linear
from util.fit.map_data import MapData
from util.fit.map_model import MapModel
from util.fit.parameters import PIECES, Layout
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins, PolarMap

BINS = PolarBins(250, 24)


@pytest.fixture
def model() -> MapModel:
    return MapModel(BINS, Layout(2, 24, ("background",)))


@pytest.fixture
def right() -> NDArray[np.float64]:
    parts = [np.array([1e6, s.R, s.sigma_R, *(1e6 * np.array(s.beta))]) for s in truth.DESIGN]
    return np.concatenate((*parts, [1e4], [0.0, 0.0]))


def data_of(counts: NDArray[np.float64], bins: PolarBins = BINS) -> MapData:
    """Return counts (4, n_rho, n_angle) as if they were those of hits of unit weight."""
    return MapData(bins, ImageGeometry(), PolarMap(counts, counts.sum(axis=0)))


def with_everything() -> tuple[MapModel, NDArray[np.float64]]:
    """Return a model with every piece, and parameters at the geometry that it is folded about."""
    layout = Layout(2, 6, PIECES)
    origin = ImageGeometry(0.002, -0.001, 0.03, 0.01, -0.006, 0.7, 0.2)
    model = MapModel(BINS, layout, origin)
    q = model.at(np.array([0.5, 0.8]), np.array([0.01, 0.02]))
    for name, value in zip(layout.names, q, strict=True):
        if name.startswith("beta"):
            q[layout.index(name)] = 1e5 / int(name.split("_")[1])
        elif name.startswith(("N_", "background")):
            q[layout.index(name)] = 1e6 + value
    q[layout.blob] = 1e5, 0.06, 0.04, 3e4
    q[layout.line] = (0.3, -0.2), (-0.1, 0.4)
    return model, q


def test_slopes_agree_with_central_differences():
    model, right = with_everything()
    slopes, layout = model.slopes(right).quadrants(), model.layout
    for i in range(layout.size):
        # Linear parameters take any step; R and sigma_R a small part of the width.
        h = 1e3 if i in model.linear() else 1e-5
        step = h * (np.arange(right.size) == i)
        difference = (model.counts(right + step) - model.counts(right - step)) / (2 * h)
        assert np.allclose(slopes[i], difference, rtol=1e-4, atol=1e-5 * np.abs(difference).max()), layout.names[i]


def test_products_of_derivatives_are_summed_over_all_quadrants():
    model, right = with_everything()
    slopes = model.slopes(right)
    weight = np.random.default_rng(71).random((4, BINS.n_rho, BINS.n_angle))
    full = slopes.quadrants().reshape(slopes.size, -1)
    wanted = (full * weight.ravel()) @ full.T
    assert np.allclose(slopes.gram(weight), wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


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
    data = data_of(counts)
    q, _, steps, converged = score_map(model, data, solve_linear(model, data, begin))
    assert converged and steps < 15
    # What is left is below a hundredth of a standard error.
    found, wanted = (model.layout.to_public(vector)[0] for vector in (q, right))
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_scoring_of_counts_without_a_sphere_ends_and_says_so(model):
    data = data_of(np.random.default_rng(70).poisson(3.0, (4, BINS.n_rho, BINS.n_angle)).astype(float))
    begin = solve_linear(model, data, model.at(np.array([0.3, 0.6]), np.array([0.01, 0.01])))
    q, objective, _, _ = score_map(model, data, begin)
    assert np.isfinite(q).all() and np.isfinite(objective)


def test_a_sphere_that_shrinks_to_a_single_bin_stops_at_the_least_width():
    # Unchecked, its width halves for ever and the quadrature within a bin grows without bound.
    model = MapModel(BINS, Layout(1, 24))
    counts = np.zeros((4, BINS.n_rho, BINS.n_angle))
    counts[:, 125] = 250.0
    begin = solve_linear(model, data_of(counts), model.at(np.array([0.5]), np.array([0.008])))
    q = score_map(model, data_of(counts), begin).q
    assert q[model.layout.sigma_R] == narrowest_in(BINS)


def test_singular_information_is_reported_as_infinitely_ill_conditioned():
    inverse, condition = inverse_information(np.array([[1.0, 1.0], [1.0, 1.0]]))
    assert condition == np.inf and np.isnan(inverse).all()
    inverse, condition = inverse_information(np.diag([1e12, 1e-6]))
    assert condition == 1 and np.allclose(inverse, np.diag([1e-12, 1e6]))
