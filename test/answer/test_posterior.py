"""The posterior: hits and prior together."""

import dataclasses

import numpy as np
import pytest

from support.param import prior_named
from util.answer.posterior import contradiction, hits_alone, known_spheres, posterior
from util.fit.folded_map import fit_folded
from util.fit.known_spheres import KnownSpheres
from util.fit.likelihood import fit
from util.physics import pad
from util.physics.polar_map import PolarBins
from util.physics.sampling import project, sample_sphere
from util.physics.shell_maps import expected_maps, observe
from util.training.priors import draw

BINS = PolarBins(128, 32)
PRIOR = prior_named("fine_tuning")


def weighed(draws, i, seed, known=None, spread=0.17):
    """Return the fit of a drawn map that weighs the prior, and what of that it weighed."""
    one = [values[i : i + 1] for values in draws]
    rng = np.random.default_rng(seed)
    counts = observe(expected_maps(BINS, *one), spread, rng=rng)[0]
    known = known or known_spheres(PRIOR, float(counts.sum()))
    options = {"order": 24, "variance_per_electron": 1 + spread**2, "known": known}
    return fit_folded(counts, BINS, [tuple(draws.R[i])], **options), known


@pytest.fixture(scope="module")
def draws():
    return draw(PRIOR, 40, rng=np.random.default_rng(5))


def together(found, known, seed=0, **options):
    return posterior(found, PRIOR, known, rng=np.random.default_rng(seed), chains=20, **options)


@pytest.mark.slow
def test_the_mean_lies_nearer_to_the_truth_than_the_weighed_fit_and_its_errors_are_right(draws):
    fits, means, pulls = [], [], []
    for i in range(40):
        found, known = weighed(draws, i, i)
        after = together(found, known)
        fits.append(pad.distance(found.beta, draws.beta[i]))
        means.append(pad.distance(after.beta, draws.beta[i]))
        pulls.append((after.beta - draws.beta[i]) / after.errors[after.layout.beta])
    assert np.mean(means) < np.mean(fits)
    assert np.mean(means) < 0.0048  # 0.0043 from 1,000; without the prior 0.0053
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.68, abs=0.05)
    assert np.mean(np.abs(pulls) < 1.96) == pytest.approx(0.95, abs=0.02)


def test_betas_stay_within_the_limits_and_pads_are_densities(draws):
    found, known = weighed(draws, 0, 0)
    low = dataclasses.replace(found, values=found.values.copy())
    low.values[low.layout.beta[:, 8:]] = -0.01  # where the prior allows none
    after = together(low, known)
    limits = np.array([sphere.limits for sphere in PRIOR.spheres])
    assert (after.beta >= limits[..., 0]).all() and (after.beta <= limits[..., 1]).all()
    assert pad.minimum(after.beta).min() > -1e-3


def test_radii_are_told_by_the_hits_alone(draws):
    found, known = weighed(draws, 1, 1)
    after = together(found, known)
    assert (after.R - found.R) / found.errors[found.layout.R] == pytest.approx(0, abs=0.3)
    assert after.errors[after.layout.R] == pytest.approx(found.errors[found.layout.R], rel=0.1)


def test_a_bias_is_taken_off_what_the_hits_tell_and_its_error_widens_the_answer(draws):
    found, known = weighed(draws, 2, 2)
    layout = found.layout
    index = layout.beta[0, 1]  # the prior tells little of it
    bias, covariance = np.zeros(layout.size), np.zeros((layout.size, layout.size))
    bias[index] = 3 * found.errors[index]
    plain, unbiased = together(found, known), together(found, known, bias=(bias, covariance))
    assert unbiased.values[index] - plain.values[index] == pytest.approx(-bias[index], rel=0.2)
    covariance[index, index] = (3 * found.errors[index]) ** 2
    uncertain = together(found, known, bias=(bias, covariance))
    assert uncertain.errors[index] > 1.5 * plain.errors[index]


def test_what_the_hits_alone_say_is_a_fit_without_the_prior_however_uneven_their_variance():
    beta = [(0.2, 0.5, 0.1), (0.6, 0.3, -0.05)]
    rng = np.random.default_rng(3)
    parts = [
        project(*sample_sphere(b, R, 0.01, 60_000, rng=rng), rng=rng) for R, b in zip((0.5, 0.8), beta, strict=True)
    ]
    x, z = np.concatenate(parts, axis=1)
    variance = np.where(np.hypot(x, z) > 0.55, 5.0, 1.0)
    known = KnownSpheres(
        N=np.full(2, 6e4),
        N_spread=np.full(2, 3e3),
        sigma_R=np.full(2, 0.0095),
        sigma_R_spread=np.full(2, 1e-3),
        beta=np.array(beta) + 0.01,
        beta_covariance=np.array([np.eye(3) * 0.01**2] * 2),
    )
    start = [(0.5, 0.01), (0.8, 0.01)]
    options = {"variance": variance, "order": 6, "start": start}
    plain, both = fit(x, z, np.ones(x.size), **options), fit(x, z, np.ones(x.size), known=known, **options)
    assert np.abs(both.beta - plain.beta).max() > 0.3 * plain.errors[plain.layout.beta].min()  # the prior does matter
    alone = hits_alone(both)
    assert alone.errors == pytest.approx(plain.errors, rel=0.05)
    assert (alone.values - plain.values) / plain.errors == pytest.approx(0, abs=0.1)


def test_samples_of_the_prior_do_not_contradict_it(draws):
    p = [contradiction(*weighed(draws, i, i)).p for i in range(10)]
    assert min(p) > 1e-3


def test_hits_that_contradict_the_prior_are_told_with_the_parameter_that_does_most(draws):
    wide = draws._replace(sigma_R=np.full_like(draws.sigma_R, 0.03))
    told = contradiction(*weighed(wide, 0, 0))
    assert told.p < 1e-10 and told.name.startswith("sigma_R")
    assert told.hits[0] == pytest.approx(0.03, abs=0.001) and told.known[0] == pytest.approx(0.0105)
    alike = draws._replace(beta=draws.beta[:, [1, 1]])
    told = contradiction(*weighed(alike, 0, 0))
    assert told.p < 1e-6 and told.name in ("beta_2_1", "beta_4_1", "beta_6_1", "beta_8_1")


def test_betas_that_the_prior_does_not_tell_are_left_to_the_hits(draws):
    short = dataclasses.replace(
        PRIOR,
        spheres=tuple(
            dataclasses.replace(s, mu=s.mu[:4], sigma=s.sigma[:4], limits=s.limits[:4]) for s in PRIOR.spheres
        ),
    )
    found, known = weighed(draws, 3, 3, known=known_spheres(short, 4.3e6))
    after = posterior(found, short, known, rng=np.random.default_rng(0), chains=20)
    pulls = (after.beta - draws.beta[3])[:, 4:] / after.errors[after.layout.beta[:, 4:]]
    assert np.abs(pulls).max() < 4.5
