"""Folding against a plain loop, and the expected counts against quadrature."""

import numpy as np
import pytest

from support import truth
from util.physics.image_geometry import ImageGeometry
from util.physics.pad import legendre_to_power
from util.physics.polar_map import (
    ODD_IN_X,
    ODD_IN_Z,
    SIGNS,
    PolarBins,
    angular_factors,
    coarsen,
    expected,
    fold,
    neighbours,
    places,
    radial_factors,
)
from util.physics.projection import density_gradient

BINS = PolarBins(20, 6, 0.8)


def fold_in_a_plain_loop(x, z, weight, centre, bins):
    quadrants, variance = np.zeros((4, bins.n_rho, bins.n_angle)), np.zeros((bins.n_rho, bins.n_angle))
    for i in range(x.size):
        dx, dz = x[i] - centre[0], z[i] - centre[1]
        rho, angle = np.hypot(dx, dz), np.arctan2(abs(dx), abs(dz))
        row = np.searchsorted(bins.rho, rho, side="right") - 1
        column = min(np.searchsorted(bins.angle_rad, angle, side="right") - 1, bins.n_angle - 1)
        if rho < bins.rho_max:
            quadrants[(dx < 0) + 2 * (dz < 0), row, column] += weight[i]
            variance[row, column] += weight[i] ** 2
    return quadrants, variance


def test_fold_agrees_with_a_plain_loop():
    rng = np.random.default_rng(30)
    x, z = rng.uniform(-1, 1, (2, 3000))
    weight = rng.normal(1, 0.4, 3000)
    folded = fold(x, z, weight, (0.02, -0.01), BINS)
    quadrants, variance = fold_in_a_plain_loop(x, z, weight, (0.02, -0.01), BINS)
    assert np.allclose(folded.quadrants, quadrants, rtol=0, atol=1e-11)
    assert np.allclose(folded.variance, variance, rtol=0, atol=1e-11)
    assert np.allclose(folded.weight, quadrants.sum(axis=0), rtol=0, atol=1e-11)


def test_every_hit_has_its_place_in_the_quadrants():
    rng = np.random.default_rng(32)
    x, z = rng.uniform(-1, 1, (2, 500))
    geometry = ImageGeometry(0.01, 0.02, 0.3, 0.02, -0.01)
    place = places(x, z, geometry, BINS)
    counted = np.bincount(place[place >= 0], minlength=4 * 20 * 6).reshape(4, 20, 6)
    assert np.array_equal(counted, fold(x, z, None, geometry, BINS).quadrants)
    assert 0 < (place < 0).sum() < 300


def test_the_signs_of_a_parity_are_those_of_its_product():
    for first in range(4):
        for second in range(4):
            assert np.array_equal(SIGNS[first] * SIGNS[second], SIGNS[first ^ second])
    assert SIGNS[ODD_IN_X].tolist() == [1, -1, 1, -1] and SIGNS[ODD_IN_Z].tolist() == [1, 1, -1, -1]


def test_the_variance_of_a_hit_is_the_square_of_its_weight_unless_told():
    x, z = np.array([[0.1, 0.11], [0.2, 0.21]])
    weight = np.array([2.0, 3.0])
    assert fold(x, z, weight, (0, 0), BINS).variance.sum() == pytest.approx(13)
    told = fold(x, z, weight, (0, 0), BINS, variance=np.array([0.5, 0.25]))
    assert told.variance.sum() == pytest.approx(0.75)
    assert told.weight.sum() == pytest.approx(5)


def test_fold_without_weights_counts_hits_within_the_disc_and_skips_the_rest():
    x = np.array([0.1, -0.1, 0.9, np.nan, 0.0], dtype=np.float32)
    z = np.array([0.2, 0.2, 0.9, 0.1, 0.0], dtype=np.float32)
    folded = fold(x, z, None, (0, 0), BINS)
    assert folded.quadrants.sum(axis=(1, 2)).tolist() == [2, 1, 0, 0]


def test_fold_refuses_lists_of_different_length():
    with pytest.raises(ValueError, match="one length"):
        fold(np.zeros(3), np.zeros(2), None, (0, 0), BINS)


def test_nothing_folded_is_a_map_of_zeros():
    assert fold(np.zeros(0), np.zeros(0), None, (0, 0), BINS).weight.shape == (20, 6)


def test_coarsen_sums_blocks_and_keeps_the_total():
    values = np.random.default_rng(31).random((20, 6))
    coarse = coarsen(values, 5, 3)
    assert coarse.shape == (4, 2) == (BINS.coarser(5, 3).n_rho, BINS.coarser(5, 3).n_angle)
    assert coarse[1, 1] == pytest.approx(values[5:10, 3:6].sum())
    with pytest.raises(ValueError, match="divide"):
        BINS.coarser(3, 3)


def integrate_bin(function, bins, row, column):
    """Four times the integral over a bin of the first quadrant."""
    node, weight = np.polynomial.legendre.leggauss(24)
    rho = bins.rho[row] + (bins.rho[row + 1] - bins.rho[row]) * (1 + node) / 2
    angle = bins.angle_rad[column] + (bins.angle_rad[column + 1] - bins.angle_rad[column]) * (1 + node) / 2
    value = function(rho[:, None] * np.sin(angle), rho[:, None] * np.cos(angle)) * rho[:, None]
    size = (bins.rho[row + 1] - bins.rho[row]) * (bins.angle_rad[column + 1] - bins.angle_rad[column]) / 4
    return 4 * size * (weight @ value @ weight)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (7, 3), (12, 0), (12, 5), (13, 2)])
def test_expected_counts_and_their_slopes_are_integrals_of_the_density(row, column):
    beta, R, sigma = np.array(truth.PEAKED), 0.52, 0.02
    to_power = np.concatenate(([0.5], beta))
    a = legendre_to_power(12) @ to_power
    radial, angular = radial_factors(BINS, R, sigma, 24), angular_factors(BINS, 24)

    def product(*pairs):
        return sum((a * along[:, row] * around[:, column]).sum() for along, around in pairs)

    ours = [
        expected(BINS, beta, R, sigma)[row, column],
        product((radial.by_R, angular.value)),
        product((radial.by_sigma_R, angular.value)),
        -product((radial.by_rho, angular.by_x[0]), (radial.across, angular.by_x[1])),
        -product((radial.by_rho, angular.by_z[0]), (radial.across, angular.by_z[1])),
    ]
    wanted = [
        integrate_bin(lambda x, z: density_gradient(x, z, beta, R, sigma)[0], BINS, row, column),
        *(
            integrate_bin(lambda x, z, i=i: density_gradient(x, z, beta, R, sigma)[1][i], BINS, row, column)
            for i in (-4, -3, -2, -1)
        ),
    ]
    scale = np.array([1, 1 / sigma, 1 / sigma, 1 / sigma, 1 / sigma])
    assert np.allclose(ours, wanted, rtol=1e-5, atol=1e-6 * scale)


def test_a_map_is_interpolated_between_the_middles_of_its_bins():
    rng = np.random.default_rng(33)
    x, z = rng.uniform(-1, 1, (2, 500))
    bins = PolarBins(20, 6, 0.8)
    rho_of, angle_of = ((edges[:-1] + edges[1:]) / 2 for edges in (bins.rho, bins.angle_rad))
    plane = np.arange(4)[:, None, None] + 2 * rho_of[:, None] - 3 * angle_of  # linear in rho and angle
    place, part = neighbours(x, z, ImageGeometry(0.01, -0.02), bins)
    found = (plane.ravel()[place] * part).sum(axis=1)
    dx, dz = x - 0.01, z + 0.02
    rho, angle = np.hypot(dx, dz), np.arctan2(np.abs(dx), np.abs(dz))
    wanted = (dx < 0) + 2 * (dz < 0) + 2 * rho.clip(rho_of[0], rho_of[-1]) - 3 * angle.clip(angle_of[0], angle_of[-1])
    inside = rho < 0.8
    assert found[inside] == pytest.approx(wanted[inside], abs=1e-12)
    assert not part[~inside].any() and (~inside).any()
