"""What is known of spheres before, and the fit of a folded map that weighs it."""

import dataclasses

import numpy as np
import pytest

from util.fit.folded_map import fit_folded
from util.fit.known_spheres import KnownSpheres
from util.fit.parameters import Layout
from util.physics import pad
from util.physics.polar_map import PolarBins
from util.physics.shell_maps import expected_maps
from util.runtime.errors import InputError

BINS = PolarBins(128, 32)
BETA = np.array([[0.2, 0.5, 0.1], [0.6, 0.3, -0.05]])
KNOWN = KnownSpheres(
    N=np.array([2e5, 2e5]),
    N_spread=np.array([2e4, 2e4]),
    sigma_R=np.array([0.008, 0.008]),
    sigma_R_spread=np.array([0.001, 0.001]),
    beta=np.array([[0.25, 0.45, 0.12], [0.5, 0.35, 0.0]]),
    beta_covariance=np.array([np.diag([0.1, 0.1, 0.1]) ** 2] * 2),
)


def observed(R, seed=0, N=(1.9e5, 2.1e5)):
    expected = expected_maps(BINS, BETA[None], np.array([R]), np.array([[0.0075, 0.0085]]), np.array([N]))[0]
    return np.random.default_rng(seed).poisson(expected).astype(float)


def fitted(R, tries=None, **options):
    return fit_folded(observed(R), BINS, tries or [R], order=6, **options)


def test_the_prior_is_the_normal_one_of_betas_at_the_expected_number():
    layout = Layout(2, 6)
    prior = KNOWN.prior(layout)
    values = np.zeros(layout.size)
    values[layout.N], values[layout.sigma_R] = KNOWN.N * 1.0, [0.009, 0.008]
    values[layout.beta] = KNOWN.beta
    values[layout.beta[0, 1]] += 0.2
    away = layout.to_internal(values) - prior.mean
    assert away @ prior.precision @ away == pytest.approx(1**2 + 2**2)


def test_only_the_ratio_of_the_numbers_is_known():
    layout = Layout(2, 6)
    prior = KNOWN.prior(layout)

    def chi2(first, second):
        values = np.zeros(layout.size)
        values[layout.N], values[layout.sigma_R], values[layout.beta] = KNOWN.N * [first, second], 0.008, KNOWN.beta
        away = layout.to_internal(values) - prior.mean
        return away @ prior.precision @ away

    assert chi2(1.7, 1.7) == pytest.approx(0, abs=1e-9)
    assert chi2(1.3, 1.0) == pytest.approx((0.3 * 2e5) ** 2 / (2 * 2e4**2))
    one = KnownSpheres(*(part[:1] for part in vars(KNOWN).values()))
    assert one.of_ratios() == pytest.approx(0)


def test_clear_hits_outweigh_what_was_known():
    alone, both = fitted((0.5, 0.8)), fitted((0.5, 0.8), known=KNOWN)
    index = np.concatenate((alone.layout.R, alone.layout.sigma_R))
    assert np.abs(both.values - alone.values)[index] == pytest.approx(0, abs=0.1 * alone.errors[index].max())
    assert np.all(both.errors[index] <= 1.001 * alone.errors[index])


def test_the_weighed_fit_of_separate_spheres_is_the_mean_of_both_by_their_precision():
    alone, both = fitted((0.5, 0.8)), fitted((0.5, 0.8), known=KNOWN)
    layout = alone.layout
    index = np.concatenate((layout.N, layout.sigma_R, layout.beta.ravel()))
    free = ~layout.is_geometry
    known = np.zeros(layout.size)
    known[index] = np.concatenate((KNOWN.N_spread**-2, KNOWN.sigma_R_spread**-2, np.full(6, 0.1**-2)))
    mean = alone.values.copy()
    mean[index] = np.concatenate((KNOWN.N, KNOWN.sigma_R, KNOWN.beta.ravel()))
    hits = np.linalg.inv(alone.covariance[np.ix_(free, free)])
    total = hits + np.diag(known[free])
    wanted = np.linalg.solve(total, hits @ alone.values[free] + known[free] * mean[free])
    errors = np.sqrt(np.diag(np.linalg.inv(total)))
    assert (both.values[free] - wanted) / errors == pytest.approx(0, abs=0.05)
    assert both.errors[free] == pytest.approx(errors, rel=0.02)


def test_spheres_that_lie_on_each_other_are_fitted_with_what_is_known_and_refused_without():
    R = (0.6, 0.604)
    found = fitted(R, tries=[(0.596, 0.602), (0.6, 0.606)], known=KNOWN)
    assert found.converged
    pulls = (found.beta - BETA) / found.errors[found.layout.beta]
    assert np.abs(pulls).max() < 4
    with pytest.raises(InputError, match=r"cannot be told apart|did not converge"):
        fitted(R)


def test_weights_of_electrons_widen_the_errors():
    one, two = (
        fit_folded(observed((0.5, 0.8)), BINS, [(0.5, 0.8)], order=6, variance_per_electron=s) for s in (1.0, 1.44)
    )
    free = ~one.layout.is_geometry
    assert two.errors[free] == pytest.approx(1.2 * one.errors[free], rel=0.02)


def test_of_several_starts_the_best_is_taken():
    found = fitted((0.5, 0.8), tries=[(0.3, 0.6), (0.5, 0.8)], known=dataclasses.replace(KNOWN))
    assert pytest.approx([0.5, 0.8], abs=0.001) == found.R
    assert pad.distance(found.beta, BETA) < 0.02
