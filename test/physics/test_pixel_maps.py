"""The expected distribution in pixels, against an integral of the density over each."""

import numpy as np
import pytest

from util.physics.pixel_maps import pixel_sums, power_to_legendre, shell_functions
from util.physics.projection import density
from util.physics.shell_maps import power_coefficients, shell_weights

BETA = np.array([0.5651, 1.0044, 0.9117, 0.7059, 0.4335, 0.2702, 0.1128, 0.0683, 0.0353, 0.0208, 0.0024, 0.0032])
R, SIGMA_R, ELECTRONS = 0.5, 0.005, 2.15e6


def quadrant(pixels):
    """Electrons in the pixels of the quadrant x, z > 0 (pixels / 2, pixels / 2)."""
    shells = np.einsum("c,kcr->kr", shell_weights(R, SIGMA_R), shell_functions(24))
    functions = power_to_legendre(12) @ (power_coefficients(BETA)[:, None] * shells)
    sums = pixel_sums(pixels, 24)
    found = np.einsum("pqj,jpq->p", sums.weight, functions[:, sums.node], optimize=True)
    return ELECTRONS * found.reshape(pixels // 2, pixels // 2)


def integral(pixels, i, j):
    """Electrons in one pixel, by 24 x 24 points."""
    places, shares = np.polynomial.legendre.leggauss(24)
    side = 2 / pixels
    x, z = ((which + (1 + places) / 2) * side for which in (i, j))
    return ELECTRONS * shares @ density(x[:, None], z, BETA, R, SIGMA_R) @ shares * (side / 2) ** 2


@pytest.mark.parametrize("pixels", [64, 256])
def test_every_pixel_holds_the_integral_of_the_density_to_a_fraction_of_its_poisson_error(pixels):
    found, rng, side = quadrant(pixels), np.random.default_rng(0), 2 / pixels
    rho = np.concatenate((rng.uniform(R - 0.03, R + 0.03, 40), rng.uniform(0, 0.6, 20), [0.0]))
    angle = rng.uniform(0, np.pi / 2, rho.size)
    at = np.stack((rho * np.sin(angle), rho * np.cos(angle)), axis=1) / side
    for i, j in at.astype(int):
        assert found[i, j] == pytest.approx(integral(pixels, i, j), abs=0.004 * max(found[i, j], 1) ** 0.5)


@pytest.mark.parametrize("pixels", [64, 256])
def test_the_pixels_hold_all_electrons(pixels):
    assert 4 * quadrant(pixels).sum() == pytest.approx(ELECTRONS, rel=1e-6)


def test_powers_of_the_cosine_are_those_sums_of_legendre_polynomials():
    c = np.linspace(0, 1, 7)
    polynomials = np.polynomial.legendre.legval(c, np.eye(25)[:, ::2])
    powers = c ** (2 * np.arange(13)[:, None])
    np.testing.assert_allclose(power_to_legendre(12).T @ polynomials, powers, atol=1e-12)
