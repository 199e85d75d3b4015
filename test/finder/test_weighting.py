"""Weights of lumps: right on average for every number of electrons, and less scattered than flux."""

import numpy as np
import pytest
from scipy import stats

from support import ROOT
from util.camera.phosphor import PhosphorRecipe, draw_spots, flux_of
from util.finder.weighting import BROADEST, lumps, multiplicity, weight_hits
from util.runtime import settings


def fluxes(n, size, rng):
    """Return the fluxes of lumps of n electrons as the published recipe draws them, and the spread for one electron."""
    recipe = settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    A, sigma, rho = draw_spots(recipe, n * size, rng=rng)
    flux = flux_of(A, sigma, rho)
    flux /= flux.mean()
    return flux.reshape(n, size).sum(axis=0), np.hypot(0.1, 2 / 15)


@pytest.mark.parametrize("n", range(1, 7))
def test_any_number_of_electrons_weighs_as_many_on_average(n):
    flux, spread = fluxes(n, 400_000, np.random.default_rng(n))
    weight = multiplicity(flux, spread)
    assert weight.mean() == pytest.approx(n, abs=4 * weight.std() / np.sqrt(weight.size) + 1e-3 * n)


def test_one_electron_weighs_one_and_two_weigh_two_with_little_of_the_scatter_of_their_flux():
    (one, spread), (two, _) = (fluxes(n, 100_000, np.random.default_rng(9)) for n in (1, 2))
    assert multiplicity(one, spread).std() < 0.3 * one.std()
    assert multiplicity(two, spread).std() < 0.75 * two.std()
    assert multiplicity(np.array([0.6, 1.0, 1.3]), spread) == pytest.approx(1, abs=0.01)
    assert multiplicity(np.array([1.8, 2.0, 2.2]), spread) == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.1, 0.17, 0.22, 0.3])
def test_weights_are_unbiased_for_every_gain(spread):
    narrow = max(spread, 0.02)
    at = np.linspace(1e-3, 12, 40_001)
    for n in range(1, 6):
        law = stats.gamma(n / narrow**2, scale=narrow**2)
        mean = np.trapezoid(law.pdf(at) * multiplicity(at, spread), at)
        assert mean == pytest.approx(n, rel=2e-3)


def test_a_ghost_counts_as_the_little_light_that_it_has():
    assert multiplicity(np.array([0.01, 0.2]), 0.17) == pytest.approx([0.01, 0.2])
    assert multiplicity(np.array([0.45]), 0.17) == pytest.approx(1, abs=0.01)


def test_a_broad_gain_and_a_great_heap_are_left_as_their_flux():
    flux = np.array([0.1, 1.0, 7.3, 20.0])
    assert np.array_equal(multiplicity(flux, BROADEST + 0.01), flux)
    assert np.array_equal(multiplicity(flux, 0.17)[-2:], flux[-2:])
    assert multiplicity(np.zeros(0), 0.17).shape == (0,)


def test_lumps_are_linked_by_steps_and_not_by_their_extent():
    x = np.array([0.0, 5.0, 0.9, 1.8, 5.5, 9.0])
    label = lumps(np.zeros(6), x, np.zeros(6), 1.0)
    assert label[0] == label[2] == label[3]
    assert label[1] == label[4]
    assert len(set(label.tolist())) == 3
    assert len(set(lumps(np.array([0, 0, 1, 1, 1, 1]), x, np.zeros(6), 1.0).tolist())) == 5
    assert lumps(np.zeros(0), np.zeros(0), np.zeros(0), 1.0).shape == (0,)


def test_the_mean_flux_is_told_anew_by_many_hits_that_stand_alone():
    rng = np.random.default_rng(3)
    fields = [("ImageId", "<i4"), ("x", "<f4"), ("z", "<f4"), ("flux", "<f4")]
    hits = np.zeros(30_000, fields)
    hits["ImageId"] = np.repeat(np.arange(3000), 10)
    hits["x"] = np.tile(np.linspace(-0.9, 0.9, 10), 3000)
    # The last two of a frame lie together, and each of a tenth of all hits is two electrons.
    hits["x"][9::10] = hits["x"][8::10] + 0.01
    flux, spread = fluxes(1, 30_000, rng)
    double = rng.random(30_000) < 0.1
    flux[double] += fluxes(1, int(double.sum()), rng)[0]
    for unit in (0.97, 1.0, 1.03):
        hits["flux"] = unit * flux
        assert weight_hits(hits, 0.015, spread).sum() == pytest.approx(30_000 + double.sum(), rel=1.5e-3)
    # A single frame tells nothing anew.
    hits["flux"] = 1.2
    alone = multiplicity(np.full(8, np.float32(1.2)), spread)
    assert weight_hits(hits[:10], 0.015, spread)[:8] == pytest.approx(alone)
