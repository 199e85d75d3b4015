"""The expected distribution on the detector against quadrature, differences and electrons."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from support import truth
from util.physics.polar_map import PolarBins, expected, fold
from util.physics.projection import density, density_gradient, radial_functions

ELECTRONS = 10_000_000


@pytest.fixture(scope="module")
def sample():
    """Ten million electrons of the first sphere in coarse bins, and those bins."""
    x, z = truth.hits(truth.DESIGN[:1], (ELECTRONS,), rng=np.random.default_rng(20))
    bins = PolarBins(60, 48, 0.6)
    return fold(x, z, None, (0, 0), bins).weight, bins


def in_bins(bins: PolarBins, beta) -> NDArray[np.float64]:
    return ELECTRONS * expected(bins, beta, truth.DESIGN[0].R, truth.DESIGN[0].sigma_R)


def chi_square_probability(counts: NDArray[np.float64], mu: NDArray[np.float64]) -> float:
    full = mu > 20
    return stats.chi2.sf(((counts - mu)[full] ** 2 / mu[full]).sum(), full.sum())


@pytest.mark.parametrize("rho", [0.0, 0.01, 0.3, 0.46, 0.4999, 0.53])
def test_radial_functions_agree_with_adaptive_quadrature(rho):
    R, sigma = 0.5, 0.01
    N = radial_functions(np.array([rho]), R, sigma)[0, :, 0]
    for k in (0, 1, 5, 12):

        def integrand(u, k=k):
            r = rho + u * u
            return 2 * stats.norm.pdf(r, R, sigma) * (rho / r) ** (2 * k) / (np.pi * r * np.sqrt(r + rho))

        low, high = np.sqrt(max(R - 8 * sigma - rho, 0)), np.sqrt(R + 8 * sigma - rho)
        wanted = integrate.quad(integrand, low, high, epsabs=1e-13, epsrel=1e-11, limit=200)[0]
        assert N[k] == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_radial_functions_stay_finite_at_the_centre_and_vanish_far_out():
    far = radial_functions(np.array([0.0, 1e-300, 1e-12, 0.9]), 0.1, 0.02, 48)
    assert np.isfinite(far).all()
    assert (far[..., -1] == 0).all()


@pytest.mark.parametrize("name", truth.PADS)
def test_density_integrates_to_one_over_the_plane(name):
    for R, sigma in ((0.5, 0.01), (0.9, 0.004), (0.2, 0.02)):
        bins = PolarBins(600, 24, R + 8 * sigma)
        # A sphere that reaches 5 sigma to its middle misses what lies beyond: 3e-7.
        assert expected(bins, truth.PADS[name], R, sigma).sum() == pytest.approx(1, abs=1e-6)


def test_density_on_a_grid_of_pixels_integrates_to_one():
    axis = (np.arange(250) + 0.5) / 250 - 0.5
    x, z = np.meshgrid(axis, axis, indexing="ij")
    p = density(x, z, truth.DESIGN[0].beta, 0.3, 0.015, (0.013, -0.02))
    assert p.sum() / 250**2 == pytest.approx(1, abs=1e-4)
    assert p.min() >= 0


def test_density_gradient_agrees_with_central_differences():
    rng = np.random.default_rng(21)
    x, z = rng.uniform(-0.56, 0.56, (2, 300))
    x[:4], z[:4] = [0, 0.3, 0, 0.01], [0, 0, 0.3, 0.012]
    theta = np.array([*truth.DESIGN[0].beta, 0.5, 0.01, 0.01, 0.012])

    def at(theta):
        return density_gradient(x, z, theta[:-4], theta[-4], theta[-3], theta[-2:])

    p, gradient = at(theta)
    assert np.array_equal(p, density(x, z, theta[:-4], theta[-4], theta[-3], theta[-2:]))
    for i in range(theta.size):
        h = 1e-5
        step = h * (np.arange(theta.size) == i)
        difference = (at(theta + step)[0] - at(theta - step)[0]) / (2 * h)
        assert np.allclose(gradient[i], difference, rtol=1e-5, atol=1e-5 * np.abs(difference).max())


def test_ten_million_electrons_fit_the_density(sample):
    counts, bins = sample
    assert chi_square_probability(counts, in_bins(bins, truth.DESIGN[0].beta)) > 1e-3


@pytest.mark.parametrize("index", [0, 5, 11])
def test_ten_million_electrons_reject_one_beta_eight_errors_off(sample, index):
    # One parameter's score has the power that thousands of bins share in chi-square.
    counts, bins = sample
    right = truth.DESIGN[0].beta
    slope = in_bins(bins, truth.with_beta(right, index, 0.5)) - in_bins(bins, truth.with_beta(right, index, -0.5))

    def significance(beta):
        mu = in_bins(bins, beta)
        full = mu > 1
        information = (slope[full] ** 2 / mu[full]).sum()
        return (slope[full] * (counts - mu)[full] / mu[full]).sum() / np.sqrt(information), information

    value, information = significance(right)
    assert abs(value) < 3.3
    eight_errors = 8 / np.sqrt(information)
    assert eight_errors < 0.02
    assert abs(significance(truth.with_beta(right, index, eight_errors))[0]) > 4.5


@pytest.mark.parametrize(("index", "offset"), [(0, 0.01), (11, 0.04)])
def test_chi_square_rejects_a_beta_that_is_plainly_off(sample, index, offset):
    counts, bins = sample
    wrong = in_bins(bins, truth.with_beta(truth.DESIGN[0].beta, index, offset))
    assert chi_square_probability(counts, wrong) < 1e-4


def test_a_sphere_without_width_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        radial_functions(np.array([0.1]), 0.5, 0.0)
