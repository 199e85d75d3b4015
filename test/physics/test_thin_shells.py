"""Thin shells, projected in Legendre terms, are what the spheres' own projection says."""

import numpy as np
import pytest
from scipy import sparse

from util.physics import polar_map, thin_shells
from util.physics.polar_map import PolarBins

BINS = PolarBins(200, 24)
SPHERES = {"a ring": (0.5, 0.02), "a blob": (0.0, 0.2), "at the edge": (0.97, 0.03)}


def line_of(R, sigma_R, highest):
    """Return radii, and a Gaussian line with speeds below 0 folded back, array (n, 1)."""
    edges = np.linspace(0, 1.5, 301)
    r, weight = thin_shells.nodes_between(edges, highest)
    line = weight * sum(np.exp(-(((r - sign * R) / sigma_R) ** 2) / 2) for sign in (1, -1))
    return r, sparse.csr_array((line / line.sum())[:, None])


@pytest.mark.parametrize("beta", [(0.3, -0.2), tuple(0.02 * np.arange(12))], ids=["order 4", "order 24"])
@pytest.mark.parametrize("sphere", SPHERES.values(), ids=SPHERES)
def test_a_line_of_shells_is_the_sphere_of_that_line(sphere, beta):
    degrees = tuple(range(0, 2 * len(beta) + 1, 2))
    radial = thin_shells.project(BINS.rho, *line_of(*sphere, degrees[-1]), degrees)[:, :, 0]
    terms = radial @ np.array([0.5, *beta])
    found = terms @ (4 * thin_shells.angular_integrals(BINS.angle_rad, degrees))
    expected = polar_map.expected(BINS, beta, *sphere)
    # Near the centre of a blob the projection of a sphere takes the density to level off.
    np.testing.assert_allclose(found[2:], expected[2:], atol=2e-4 * expected[2:].max())


def test_all_electrons_of_a_shell_land_within_its_radius():
    edges = np.linspace(0, 1, 51)
    found = thin_shells.project(edges, np.array([0.3, 0.71]), sparse.csr_array(np.eye(2)), (0, 2))
    np.testing.assert_allclose(np.pi * found[:, 0, :, 0].sum(axis=0), 1, rtol=1e-10)
    assert (found[15:, :, 0] == 0).all()


def test_an_odd_term_is_its_integral():
    # C_11(s) = s: the integral of sin^2 / pi.
    edges, r = np.array([0.1, 0.25, 0.4]), 0.5
    found = thin_shells.project(edges, np.array([r]), sparse.csr_array([[1.0]]), (0, 1))[:, 1, 0, 1]
    theta = np.arcsin(edges / r)
    np.testing.assert_allclose(found, np.diff(theta / 2 - np.sin(2 * theta) / 4) / np.pi, rtol=1e-9)


def test_odd_and_even_degrees_do_not_mix():
    found = thin_shells.project(np.linspace(0, 1, 21), np.array([0.5]), sparse.csr_array([[1.0]]), (0, 1, 2, 3))
    assert (found[:, 0, 0, 1] == 0).all()
    assert (found[:, 1, 0, 2] == 0).all()
    assert np.abs(found[:, 1, 0, 3]).max() > 0


def test_the_angular_integrals_sum_to_those_of_the_whole_angle():
    edges = np.linspace(0, np.pi, 7)
    parts = thin_shells.angular_integrals(edges, (0, 1, 4))
    whole = thin_shells.angular_integrals(edges[[0, -1]], (0, 1, 4))
    np.testing.assert_allclose(parts.sum(axis=1), whole[:, 0], atol=1e-12)
    np.testing.assert_allclose(whole[0, 0], np.pi)
