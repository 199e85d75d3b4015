"""Coverage of intervals, counted and judged."""

import numpy as np
import pytest
from numpy.polynomial import legendre

from support import truth
from util.fit.coverage import coverage
from util.fit.likelihood import fit
from util.physics.polar_map import PolarBins

NAMES = ("a", "b")


def test_standard_normal_pulls_cover_and_shrunk_errors_do_not():
    pulls = np.random.default_rng(70).standard_normal((4000, 2))
    found = coverage(NAMES, pulls)
    assert found.within() and found.within(each=False)
    assert np.allclose(found.covered, [[0.68], [0.95]], atol=0.03)
    # The negative controls: errors a tenth too small or too large.
    assert not coverage(NAMES, pulls / 0.9).within(each=False)
    assert not coverage(NAMES, pulls / 1.1).within(each=False)


def test_the_table_names_every_parameter_and_all_together():
    table = coverage(NAMES, np.array([[0.0, 0.5], [1.5, 3.0]])).table().splitlines()
    assert [line.split()[0] for line in table] == ["parameter", "a", "b", "all"]
    assert table[1].split()[1:] == ["0.750", "1.061", "50.0", "100.0"]
    assert table[2].split()[3:] == ["50.0", "50.0"]


def test_pulls_of_the_wrong_shape_or_not_finite_are_refused():
    with pytest.raises(ValueError, match="shape"):
        coverage(NAMES, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="finite"):
        coverage(NAMES, np.array([[0, np.nan], [0, 0]]))


@pytest.mark.slow
def test_errors_of_weighted_hits_cover_near_the_zeros_of_a_pad_too():
    """A fast subset of benchmark/coverage.py, case zero."""
    names = ("R_1", "sigma_R_1", *(f"beta_{i}" for i in range(2, 25, 2)))
    sphere = truth.DESIGN[0]
    known = np.array([sphere.R, sphere.sigma_R, *truth.COSINE_SQUARED])
    pulls = []
    for seed in range(100):
        rng = np.random.default_rng([71, seed])
        scene = type(sphere)(sphere.R, sphere.sigma_R, 1, truth.COSINE_SQUARED)
        x, z = truth.hits((scene,), (rng.poisson(60_000),), rng=rng)
        start = [(sphere.R, sphere.sigma_R)]
        result = fit(x, z, rng.normal(1, 0.17, x.size), spheres=1, start=start, bins=PolarBins(250, 48))
        pulls.append((result.values[1:15] - known) / result.errors[1:15])
    share = coverage(names, np.array(pulls)).pooled
    # 100 experiments of 14 parameters, correlated: about 1.6 and 0.8 % uncertain.
    assert share == pytest.approx([0.6827, 0.95], abs=0.045)
    assert abs(share[1] - 0.95) < 0.025
    # The negative control: errors shrunk by a fifth.
    assert coverage(names, np.array(pulls) / 0.8).pooled != pytest.approx([0.6827, 0.95], abs=0.045)


@pytest.mark.slow
def test_bands_of_a_pad_cover_near_its_zero_though_nothing_is_seen_there():
    sphere = truth.DESIGN[0]
    scene = type(sphere)(sphere.R, sphere.sigma_R, 1, truth.COSINE_SQUARED)
    cosines = np.array([0.0, 0.05, 0.1])
    design = legendre.legval(cosines, np.eye(25)[:, 2::2])
    known = 1.5 * cosines**2
    pulls = []
    for seed in range(60):
        x, z = truth.hits((scene,), (3000,), rng=np.random.default_rng([72, seed]))
        result = fit(x, z, spheres=1, start=[(sphere.R, sphere.sigma_R)], bins=PolarBins(250, 48))
        error = np.sqrt(np.einsum("ic,ij,jc->c", design, result.beta_covariance(), design))
        pulls.append((0.5 + result.beta[0] @ design - known) / error)
    # Errors that take an empty place for exactly empty are several times too small: 1.7, 4.8 and 3.1 here.
    spread = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert np.all(spread < 2)
    assert np.abs(pulls).max() < 7
