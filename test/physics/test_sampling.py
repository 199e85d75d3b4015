"""Drawn electrons follow the distributions they are drawn from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from support import truth
from util.physics import pad
from util.physics.sampling import inverse_table, project, sample_sphere

# Kolmogorov-Smirnov: sqrt(n) D exceeds 1.95 once in a thousand.
CRITICAL = 1.95


def ks(sorted_sample: NDArray[np.float64], cumulative) -> float:
    """sqrt(n) times the largest deviation between empirical and true distribution functions."""
    n = sorted_sample.size
    true = cumulative(sorted_sample)
    empirical = np.arange(n) / n
    return np.sqrt(n) * max((true - empirical).max(), (empirical + 1 / n - true).max())


@pytest.mark.parametrize("name", truth.PADS)
def test_costheta_follows_the_analytic_distribution_function(name):
    beta = truth.PADS[name]
    _, costheta = sample_sphere(beta, 0.5, 0.01, 1_000_000, rng=np.random.default_rng(10))
    costheta.sort()
    assert ks(costheta, lambda c: pad.cumulative(beta, c)) < CRITICAL


def test_a_pad_wrong_in_one_beta_is_rejected():
    beta = truth.DESIGN[0].beta
    _, costheta = sample_sphere(beta, 0.5, 0.01, 1_000_000, rng=np.random.default_rng(11))
    costheta.sort()
    for index, offset in ((0, 0.02), (1, 0.03), (9, 0.2), (11, 0.2)):
        wrong = truth.with_beta(beta, index, offset)
        assert ks(costheta, lambda c, wrong=wrong: pad.cumulative(wrong, c)) > CRITICAL


@pytest.mark.parametrize("name", truth.PADS)
def test_the_inverse_table_is_too_fine_for_ten_million_electrons_to_see(name):
    # D resolved by 1e7 electrons is about 1 / sqrt(1e7) = 3e-4; the table must err by less than a tenth of it.
    beta = truth.PADS[name]
    table = inverse_table(beta)
    middle = (table[1:] + table[:-1]) / 2
    u = (np.arange(middle.size) + 0.5) / middle.size
    assert np.abs(pad.cumulative(beta, middle) - u).max() < 3e-5
    assert (np.diff(table) >= 0).all()
    assert table[0] == -1 and table[-1] == 1


def test_speeds_are_normal_and_the_azimuth_is_uniform():
    rng = np.random.default_rng(12)
    r, costheta = sample_sphere(truth.ISOTROPIC, 0.7, 0.02, 200_000, rng=rng)
    x, z = project(r, costheta, rng=rng)
    cosphi = x / (r * np.sqrt(1 - costheta**2))
    assert ks(np.sort(r), stats.norm(0.7, 0.02).cdf) < CRITICAL
    assert ks(np.sort(r), stats.norm(0.7, 0.0204).cdf) > CRITICAL
    assert ks(np.sort(cosphi), stats.arcsine(-1, 2).cdf) < CRITICAL
    assert ks(np.sort(cosphi), stats.uniform(-1, 2).cdf) > CRITICAL
    assert np.array_equal(z, r * costheta)


def test_the_same_generator_state_gives_the_same_electrons():
    draws = [sample_sphere(truth.PEAKED, 0.5, 0.01, 1000, rng=np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(draws[0], draws[1])
    other = sample_sphere(truth.PEAKED, 0.5, 0.01, 1000, rng=np.random.default_rng(4))
    assert not np.array_equal(draws[0], other)


def test_no_electrons_are_an_empty_answer():
    rng = np.random.default_rng(0)
    r, costheta = sample_sphere(truth.ISOTROPIC, 0.5, 0.01, 0, rng=rng)
    x, z = project(r, costheta, rng=rng)
    assert r.shape == costheta.shape == x.shape == z.shape == (0,)


def test_betas_that_are_no_density_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        sample_sphere((1.2,), 0.5, 0.01, 10, rng=np.random.default_rng(0))
