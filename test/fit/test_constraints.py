"""Knowledge put into an answer: each closed form against fitting again, or against what it promises."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from support import truth
from util.fit.cautions import cautions
from util.fit.constraints import choose_orders, nonnegative, with_orders, with_prior
from util.fit.likelihood import fit
from util.physics import pad
from util.physics.polar_map import PolarBins

BINS = PolarBins(250, 48)
# PADs of which only beta_2 and beta_4 differ from zero; the second is zero at the equator.
LOW = (0.3, 0.25) + (0.0,) * 10
SPHERES = (replace(truth.DESIGN[0], beta=LOW), replace(truth.DESIGN[1], beta=truth.COSINE_SQUARED))


@pytest.fixture(scope="module")
def hits():
    return truth.hits(SPHERES, (60_000, 60_000), rng=np.random.default_rng(142))


@pytest.fixture(scope="module")
def free(hits):
    return fit(*hits, start=[(s.R, s.sigma_R) for s in SPHERES], bins=BINS)


def chi2(result, other):
    step = (other.values - result.values) / result.errors
    correlation = result.covariance / np.outer(result.errors, result.errors)
    return float(step @ np.linalg.solve(correlation, step))


def test_betas_fixed_at_zero_are_those_of_a_fit_of_lower_order(hits, free):
    fixed = with_orders(free, (8, 8))
    again = fit(*hits, order=8, start=[(s.R, s.sigma_R) for s in SPHERES], bins=BINS)
    assert np.all(fixed.beta[:, 4:] == 0)
    assert np.all(np.abs(fixed.beta[:, :4] - again.beta) < 0.15 * again.errors[again.layout.beta])
    assert np.allclose(fixed.errors[fixed.layout.beta[:, :4]], again.errors[again.layout.beta], rtol=0.05)
    gain = again.errors[again.layout.beta] / free.errors[free.layout.beta[:, :4]]
    assert gain.max() < 1.001 and gain.min() < 0.97


def test_the_orders_that_the_data_support_are_few_for_low_pads_and_many_for_peaked_ones(free):
    assert max(choose_orders(free)) <= 10
    assert free.beta.shape[1] == 12
    spheres = (replace(SPHERES[0], beta=truth.PEAKED), SPHERES[1])
    x, z = truth.hits(spheres, (60_000, 60_000), rng=np.random.default_rng(141))
    peaked = fit(x, z, start=[(s.R, s.sigma_R) for s in spheres], bins=BINS)
    assert choose_orders(peaked)[0] >= 12


def test_a_prior_narrows_errors_and_a_wide_one_changes_nothing(free):
    mu = np.array([s.beta for s in SPHERES])
    narrow = with_prior(free, mu, np.full((2, 12), 0.005))
    assert np.all(narrow.errors[narrow.layout.beta] < 0.00501)
    assert pad.distance(narrow.beta, mu) < 0.5 * pad.distance(free.beta, mu)
    wide = with_prior(free, mu, np.full((2, 12), 1e3))
    assert np.allclose(wide.values, free.values, rtol=1e-6, atol=1e-8)
    # The negative control: a wrong prior that is believed draws the answer to it.
    wrong = with_prior(free, mu + 0.1, np.full((2, 12), 0.005))
    assert pad.distance(wrong.beta, mu) > 2 * pad.distance(free.beta, mu)


def test_a_pad_below_zero_becomes_a_density_by_the_least_step(free):
    assert pad.is_density(free.beta).tolist() == [True, False]
    found = nonnegative(free)
    assert pad.is_density(found.beta).all()
    truth_beta = np.array([s.beta for s in SPHERES])
    assert pad.distance(found.beta, truth_beta) < pad.distance(free.beta, truth_beta)
    assert nonnegative(found) is found
    # The least step: another solver, on the second sphere's betas alone, which are all that is in question.
    index = free.layout.beta[1]
    c = np.cos(np.linspace(0, np.pi / 2, 361))
    slopes = np.stack([pad.intensity(row, c) - 0.5 for row in np.eye(12)], axis=1)
    scale = free.errors[index]
    inverse = np.linalg.inv(free.covariance[np.ix_(index, index)] / np.outer(scale, scale))
    least = minimize(
        lambda u: u @ inverse @ u,
        np.zeros(12),
        jac=lambda u: 2 * inverse @ u,
        constraints={
            "type": "ineq",
            "fun": lambda u: pad.intensity(free.beta[1] + scale * u, c),
            "jac": lambda _: slopes * scale,
        },
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-10},
    )
    assert least.fun > 0.001
    assert chi2(free, found) == pytest.approx(least.fun, rel=0.02)


def test_a_sphere_that_reaches_beyond_the_screen_is_named_unless_its_error_allows_for_it(free):
    layout, values = free.layout, free.values.copy()
    values[layout.R[1]], values[layout.sigma_R[1]] = 0.99, 0.01
    beyond = "sphere 2 reaches beyond the screen: R + 5 sigma_R is 1.040, and at most 1 is answered for"
    assert any(beyond in line for line in cautions(replace(free, values=values)))
    reach = values[layout.R[1]] = 1 + 0.5 * free.errors[layout.R[1]] - 5 * values[layout.sigma_R[1]]
    assert reach > 0.9 and not any("beyond the screen" in line for line in cautions(replace(free, values=values)))


def test_cautions_name_what_the_numbers_cannot_tell(free):
    layout, values = free.layout, free.values.copy()
    values[layout.beta[0]] = [1.2] + [0] * (len(layout.degrees) - 1)  # P_2 is -1/2 at the equator
    (line,) = (line for line in cautions(replace(free, values=values)) if "below zero" in line)
    assert re.search(r"sphere 1 falls to -0\.1\d*\(\d+\), below zero", line)
    # A dip within its error says nothing.
    assert not cautions(free)
    assert not cautions(nonnegative(free))
    values = free.values.copy()
    values[layout.R], values[layout.N] = (0.5, 0.515), (1e3, 1e5)
    lines = cautions(replace(free, values=values))
    assert any("overlap" in line for line in lines)
    assert any("1.0 % of the electrons" in line for line in lines)
    assert not any("degenerate" in line for line in lines)
    # The second sphere's parameters all but follow those of the first.
    first, second = layout.blocks
    follow = np.eye(layout.size)
    follow[second, first] = free.errors[second] / free.errors[first]
    follow[second, second] *= 0.1
    alike = replace(free, covariance=follow @ np.diag(free.errors**2) @ follow.T)
    assert any("spheres 1 and 2 are nearly degenerate" in line for line in cautions(alike))
