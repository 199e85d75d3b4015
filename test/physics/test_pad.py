"""The PAD's curve, its integral, its minimum and the score."""

import numpy as np
import pytest
from scipy.special import eval_legendre

from support import truth
from util.physics import pad

GRID = np.linspace(-1, 1, 2001)
BETAS = np.array(list(truth.PADS.values()))


def test_intensity_is_the_legendre_series_written_out():
    for beta in BETAS:
        plain = 0.5 + sum(b * eval_legendre(2 * (i + 1), GRID) for i, b in enumerate(beta))
        assert np.allclose(pad.intensity(beta, GRID), plain, rtol=0, atol=1e-12)


def test_intensity_of_several_pads_has_one_row_each():
    rows = pad.intensity(BETAS.reshape(2, 3, 12), GRID)
    assert rows.shape == (2, 3, GRID.size)
    assert np.array_equal(rows[1, 2], pad.intensity(BETAS[5], GRID))


def test_peaked_pad_is_the_power_it_was_made_from():
    assert np.allclose(pad.intensity(truth.PEAKED, GRID), 10.5 * GRID**20, rtol=0, atol=1e-12)


def test_power_coefficients_give_the_same_curve():
    a = pad.legendre_to_power(12) @ np.concatenate(([0.5], truth.PEAKED))
    assert np.allclose(a, [0] * 10 + [10.5, 0, 0], atol=1e-7)
    a = pad.legendre_to_power(12) @ np.concatenate(([0.5], truth.DESIGN[0].beta))
    assert np.allclose(GRID[:, None] ** (2 * np.arange(13)) @ a, pad.intensity(truth.DESIGN[0].beta, GRID), atol=1e-8)


def test_cumulative_runs_from_zero_to_one_with_the_intensity_as_slope():
    cumulative = pad.cumulative(BETAS, GRID)
    assert np.allclose(cumulative[:, [0, -1]], [0, 1], rtol=0, atol=1e-12)
    h = 1e-5
    slope = (pad.cumulative(BETAS, GRID[1:-1] + h) - pad.cumulative(BETAS, GRID[1:-1] - h)) / (2 * h)
    assert np.allclose(slope, pad.intensity(BETAS, GRID[1:-1]), rtol=0, atol=1e-6)


def test_minimum_agrees_with_a_dense_scan_for_rough_pads():
    beta = np.random.default_rng(1).normal(0, 0.5, (100, 12))
    scan = pad.intensity(beta, np.cos(np.linspace(0, np.pi / 2, 40001)))
    assert np.all(np.abs(pad.minimum(beta) - scan.min(axis=1)) < 2e-7 * scan.max(axis=1))


def test_pads_that_touch_zero_are_densities_and_those_that_cross_it_are_not():
    assert pad.is_density(BETAS).all()
    assert not pad.is_density(truth.with_beta(truth.COSINE_SQUARED, 0, 1e-4))
    assert not pad.is_density(truth.with_beta(truth.SINE_SQUARED, 0, -1e-4))
    assert not pad.is_density(truth.with_beta(truth.ISOTROPIC, 11, 1.5))


def test_betas_in_the_field_s_convention_are_twice_ours():
    assert np.array_equal(pad.to_field([0.5, -0.25]), [1, -0.5])


def test_distance_is_the_norm_of_the_error_of_the_curve_summed_over_spheres():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 5, 2, 12))
    node, weight = np.polynomial.legendre.leggauss(40)
    error = pad.intensity(a, node) - pad.intensity(b, node)
    by_integral = np.sqrt((error**2) @ weight).sum(axis=-1)
    assert pad.distance(a, b).shape == (5,)
    assert np.allclose(pad.distance(a, b), by_integral, rtol=1e-12)


def test_distance_refuses_different_numbers_of_betas():
    with pytest.raises(ValueError, match="alike"):
        pad.distance(np.zeros((2, 12)), np.zeros((2, 11)))
    with pytest.raises(ValueError, match="alike"):
        pad.distance(np.zeros(12), np.zeros(12))


def test_a_pad_is_one_half_and_its_betas_times_the_polynomials():
    c = np.linspace(-1, 1, 31)
    beta = np.array([0.3, -0.1, 0.05])
    assert pad.intensity(beta, c) == pytest.approx(0.5 + beta @ pad.polynomials(3, c))
    assert pad.polynomials(1, c)[0] == pytest.approx((3 * c**2 - 1) / 2)
