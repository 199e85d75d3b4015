"""The prior from which spheres were drawn, estimated from the spheres.

Betas are drawn from normal distributions until they lie within limits and I(c) >= 0 (`util.training.priors`), so that
mean and standard deviation of the sample are not mu and sigma. With u = (beta - low) / (high - low) the density of an
accepted draw is

    exp(sum_i (a_i u_i + b_i u_i^2)) / Z(a, b),   b_i = -1 / (2 (sigma_i / width_i)^2),

inside the limits where I(c) >= 0: an exponential family, whose likelihood is concave, and largest where the means of u
and u^2 expected under (a, b) are those of the sample. Z is the only hard part: an integral over all betas at once, for
I(c) >= 0 ties them together. It is taken over draws from the prior found so far (at first, as if every draw were a
density), then over new draws from the better prior (C. J. Geyer and E. A. Thompson, J. R. Stat. Soc. B 54, 657 (1992)).

A normal distribution wider than its limits is nearly flat inside them, and many mu and sigma describe the same draws.
Their standard errors say so; the distribution itself is well known all the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from util.training.priors import Prior, SpherePrior, draw_betas

FEWEST = 10  # spheres; fewer leave the ranges to chance
WIDEST = 5.0  # sigma in widths of the limits; wider ones cannot be told from flat
_DRAWS = 20_000
_ROUNDS = 3
# An exponential of a steeper slope would lie within a few hundredths of the width.
_STEEPEST = 2000.0
_GRID = 2001


class Spheres(NamedTuple):
    """Spheres of one kind: R, sigma_R, electrons (n,), beta (n, m)."""

    R: NDArray[np.float64]
    sigma_R: NDArray[np.float64]
    electrons: NDArray[np.float64]
    beta: NDArray[np.float64]


class Ranges(NamedTuple):
    """An estimated prior, and standard errors of its mu and sigma, each (m,)."""

    prior: SpherePrior
    mu_error: NDArray[np.float64]
    sigma_error: NDArray[np.float64]


def reach(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the least and the largest value, each moved outwards by the mean gap between neighbours.

    The end of a range lies beyond the outermost of n values, for a uniform distribution by the mean gap on average.
    """
    low, high = float(values.min()), float(values.max())
    gap = (high - low) / max(len(values) - 1, 1)
    return low - gap, high + gap


def estimate(spheres: Spheres, *, seed: int) -> Ranges:
    """Estimate the prior of one sphere.

    Parameters
    ----------
    spheres : Spheres
    seed : int
        Of the draws that Z is integrated over.

    Raises
    ------
    ValueError
        Too few spheres, a beta that is the same in all, or ranges that are no prior (a sphere that leaves the screen).
    """
    n, betas = spheres.beta.shape
    if n < FEWEST:
        raise ValueError(f"expected at least {FEWEST} spheres to read ranges from, found {n}")
    limits = np.array([reach(column) for column in spheres.beta.T])
    width = limits[:, 1] - limits[:, 0]
    if not (width > 0).all():
        which = 2 * int(np.flatnonzero(~(width > 0))[0]) + 2
        raise ValueError(f"beta_{which} is the same in all {n} spheres, so there is no range to read")
    sigma_R = reach(spheres.sigma_R)
    sigma_R = (max(sigma_R[0], spheres.sigma_R.min() / 2), sigma_R[1])
    R = reach(spheres.R)
    R = (max(R[0], spheres.R.min() / 2, 5.001 * sigma_R[1]), min(R[1], 1 - 5 * sigma_R[1]))
    electrons = reach(spheres.electrons)
    u = (spheres.beta - limits[:, 0]) / width
    wanted = np.stack((u.mean(axis=0), (u**2).mean(axis=0)))
    grid = np.linspace(0, 1, _GRID)
    alone = [_maximise(np.stack((grid, grid**2), axis=1), pair, np.zeros(2))[0] for pair in wanted.T]
    eta = np.array(alone).T.ravel()
    rng = np.random.default_rng(seed)
    for _ in range(_ROUNDS):
        mu, sigma = _normal(eta, limits)
        prior = SpherePrior(
            R=R,
            sigma_R=sigma_R,
            electrons=(max(electrons[0], spheres.electrons.min() / 2), electrons[1]),
            mu=mu,
            sigma=sigma,
            limits=tuple((float(low), float(high)) for low, high in limits),
        )
        draws = (draw_betas(prior, _DRAWS, rng=rng) - limits[:, 0]) / width
        eta, covariance = _maximise(np.concatenate((draws, draws**2), axis=1), wanted.ravel(), eta)
    slope, curve = eta.reshape(2, betas)
    mu, sigma = _normal(eta, limits)
    # d(mu, sigma) / d(a, b) with mu = -a / 2b and sigma = (-2b)^(-1/2), in widths
    error = np.linalg.pinv(covariance * n, hermitian=True)
    own = np.stack((np.arange(betas), np.arange(betas) + betas))
    block = error[own[:, None], own[None, :]]  # (2, 2, m)
    by_mu = np.stack((-0.5 / curve, 0.5 * slope / curve**2))
    by_sigma = np.stack((np.zeros(betas), (-2 * curve) ** -1.5))
    mu_error, sigma_error = (width * np.sqrt(np.einsum("im,ijm,jm->m", by, block, by)) for by in (by_mu, by_sigma))
    return Ranges(replace(prior, mu=mu, sigma=sigma), mu_error, sigma_error)


def _normal(eta: NDArray[np.float64], limits: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mu and sigma, each (m,), of the normal distributions that the parameters (2m,) stand for."""
    slope, curve = eta.reshape(2, -1)
    width, variance = limits[:, 1] - limits[:, 0], -0.5 / curve
    mu, sigma = limits[:, 0] + width * slope * variance, width * np.sqrt(variance)
    return tuple(mu.tolist()), tuple(sigma.tolist())


def _maximise(
    statistics: NDArray[np.float64], wanted: NDArray[np.float64], drawn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maximise the family's likelihood; return its parameters (2m,) and the covariance of the statistics under them.

    Parameters
    ----------
    statistics : array (k, 2m)
        u and u^2 of draws under the parameters `drawn`.
    wanted : array (2m,)
        Their means in the sample.
    drawn : array (2m,)
    """

    def weights(eta: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        exponent = statistics @ (eta - drawn)
        log_z = logsumexp(exponent)
        return np.exp(exponent - log_z), float(log_z)

    def cost(eta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight, log_z = weights(eta)
        return log_z - float(wanted @ eta), weight @ statistics - wanted

    betas = len(wanted) // 2
    bounds = [(-_STEEPEST, _STEEPEST)] * betas + [(-_STEEPEST, -0.5 / WIDEST**2)] * betas
    start = np.clip(drawn, *np.array(bounds).T)
    eta = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
    weight, _ = weights(eta)
    centred = statistics - weight @ statistics
    return eta, (weight[:, None] * centred).T @ centred


def prior_of(ranges: Sequence[Ranges], training: int, validation: int) -> Prior:
    """Join the spheres' priors, ascending in R, into one that the training-set stages accept.

    Raises
    ------
    ValueError
        Ranges of R that cannot ascend.
    """
    return Prior(training, validation, 0.0, tuple(part.prior for part in ranges))
