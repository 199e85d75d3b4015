"""The posterior of spheres under the prior that a network was trained on: its mean is the best answer there is.

A fit weighs normal priors with the hits (`util.fit.known_spheres`), which finds spheres even where they overlap. The
prior proper of the betas is another: normal numbers within limits, and only such as give I(c) >= 0. Here the
likelihood, normal about that fit, is put together with this one; widths and the ratio of the electrons keep their
normal priors, and radii have none. No integral of that is known; draws from it (`util.fit.truncated_normal`) give mean
and covariance. The mean square error is least for the mean (Lehmann & Casella, Theory of Point Estimation (1998),
chapter 4).
"""

import functools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.chi_square import tail
from util.fit.known_spheres import KnownSpheres
from util.fit.parameters import Layout
from util.fit.result import Evidence, FitResult
from util.fit.truncated_normal import draw_within
from util.physics import pad
from util.training.priors import Prior, draw_betas

_DRAWS = 2000  # of betas, for their mean and covariance
_ANGLES = 97  # between pole and equator, where I(c) >= 0 is asked for
_CHAINS, _STEPS, _BURN_IN = 40, 75, 15
# A uniform distribution's spread in its width
_UNIFORM = 1 / np.sqrt(12)


@functools.lru_cache(maxsize=4)
def _draws(prior: Prior) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return np.array([draw_betas(sphere, _DRAWS, rng=rng) for sphere in prior.spheres])


def known_spheres(prior: Prior, electrons: float) -> KnownSpheres:
    """Return mean and spread of what a prior draws, for so many electrons of all spheres: it tells only their ratio."""
    betas = _draws(prior)
    low, high = np.array([sphere.electrons for sphere in prior.spheres]).T
    scale = electrons / (low + high).sum()
    narrow, wide = np.array([sphere.sigma_R for sphere in prior.spheres]).T
    return KnownSpheres(
        N=(low + high) * scale,
        N_spread=np.maximum(2 * _UNIFORM * (high - low), 1e-3 * high) * scale,
        sigma_R=(narrow + wide) / 2,
        sigma_R_spread=np.maximum(_UNIFORM * (wide - narrow), 1e-3 * wide),
        beta=betas.mean(axis=1),
        beta_covariance=np.array([np.cov(part, rowvar=False).reshape(part.shape[1], -1) for part in betas]),
    )


def _limits(prior: Prior, layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slopes (m, P) and least values (m,) of what the betas must not fall below."""
    c = np.cos(np.linspace(0, np.pi / 2, _ANGLES))
    slopes, least = [], []
    for index, sphere in zip(layout.beta, prior.spheres, strict=True):
        unit = np.eye(layout.size)[index]
        intensity = pad.polynomials(index.size, c).T
        low, high = np.array(sphere.limits)[: index.size].T
        slopes += [unit[: low.size], -unit[: low.size], intensity @ unit]
        least += [low, -high, np.full(c.size, -0.5 - pad.TOLERANCE)]
    return np.concatenate(slopes), np.concatenate(least)


def _evidence_of(found: FitResult) -> Evidence:
    if found.evidence is None:
        raise ValueError("expected a fit that weighed what is known of the spheres, found one of the hits alone")
    return found.evidence


def hits_alone(found: FitResult) -> FitResult:
    """Return what the hits say without what was known: values and covariance.

    What they do not tell stays as it was found, with the error 0; `found` is a fit that weighed both.
    """
    slope, curvature = _evidence_of(found)
    unit = np.where(found.errors > 0, found.errors, 1.0)
    covariance = np.linalg.pinv(curvature * np.outer(unit, unit), rcond=1e-9, hermitian=True) * np.outer(unit, unit)
    return replace(found, values=found.values + covariance @ slope, covariance=covariance, evidence=None)


class Contradiction(NamedTuple):
    """How far the hits alone lie from what was known.

    Attributes
    ----------
    chi2, p : float
        With the errors of both, and the probability of as much where the prior holds.
    name : str
        Of the parameter that lies farthest.
    hits, known : (value, error)
        Of that one.
    """

    chi2: float
    p: float
    name: str
    hits: tuple[float, float]
    known: tuple[float, float]


def contradiction(found: FitResult, known: KnownSpheres) -> Contradiction:
    """Compare the hits with what was known; `found` is a fit that weighed both."""
    layout, alone, known = found.layout, hits_alone(found), known.at(float(found.electrons.sum()))
    q, weighed = layout.to_internal(found.values), known.prior(layout)
    away = q - weighed.mean
    chi2 = float(away @ weighed.precision @ away + _evidence_of(found).slope @ (alone.values - found.values))
    n = min(layout.beta.shape[1], known.beta.shape[1])
    index = np.concatenate((layout.N, layout.sigma_R, layout.beta[:, :n].ravel()))
    mean = np.concatenate((known.N, known.sigma_R, known.beta[:, :n].ravel()))
    spread = np.concatenate((known.N_spread, known.sigma_R_spread, np.sqrt(_variances(known)[:, :n]).ravel()))
    hits, error = alone.values[index], np.sqrt(np.maximum(np.diag(alone.covariance)[index], 0))
    worst = int((np.abs(hits - mean) / np.hypot(error, spread)).argmax())
    return Contradiction(
        chi2,
        tail(chi2, index.size - 1),  # of the numbers, only their ratios are known
        layout.names[index[worst]],
        (float(hits[worst]), float(error[worst])),
        (float(mean[worst]), float(spread[worst])),
    )


def _variances(known: KnownSpheres) -> NDArray[np.float64]:
    return np.diagonal(known.beta_covariance, axis1=1, axis2=2)


def posterior(
    found: FitResult,
    prior: Prior,
    known: KnownSpheres,
    *,
    rng: np.random.Generator,
    bias: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    chains: int = _CHAINS,
) -> FitResult:
    """Return mean and covariance of the posterior.

    Parameters
    ----------
    found : FitResult
        Of a fit that weighed `known` with the hits.
    prior : Prior
        Of as many spheres; betas beyond those that it tells are left to the hits.
    known : KnownSpheres
    rng : numpy.random.Generator
    bias : arrays (P,), (P, P), or None
        What is to be subtracted from the values that the hits alone gave, and its covariance.
    chains : int
        Draws are 60 times as many.
    """
    layout, known = found.layout, known.at(float(found.electrons.sum()))
    free, (slope, curvature) = found.errors > 0, _evidence_of(found)
    if bias is not None:
        widened = np.linalg.inv(np.eye(layout.size) + curvature @ bias[1])
        slope, curvature = widened @ (slope - curvature @ bias[0]), widened @ curvature

    mean, precision = found.values.copy(), np.zeros((layout.size, layout.size))
    for index, sphere in zip(layout.beta, prior.spheres, strict=True):
        told = index[: prior.betas]
        mean[told], precision[told, told] = sphere.mu[: told.size], np.array(sphere.sigma[: told.size]) ** -2.0
    mean[layout.N], precision[np.ix_(layout.N, layout.N)] = known.N, known.of_ratios()
    mean[layout.sigma_R], precision[layout.sigma_R, layout.sigma_R] = known.sigma_R, known.sigma_R_spread**-2

    # From here on in errors of the fit, from its values.
    unit = np.where(free, found.errors, 1.0)
    total = (curvature + precision) * np.outer(unit, unit)
    slope = (slope + precision @ (mean - found.values)) * unit
    total[~free, ~free] = 1e12
    total = (total + total.T) / 2
    slopes, least = _limits(prior, layout)
    slopes, least = slopes * unit, least - slopes @ found.values
    centre = np.linalg.solve(total, slope)
    draws = draw_within(
        centre,
        total,
        slopes,
        least,
        _inside(centre, slopes, least, _allowed(found, known)),
        chains=chains,
        steps=_STEPS,
        burn_in=_BURN_IN,
        rng=rng,
    )
    covariance = np.cov(draws, rowvar=False) * np.outer(unit, unit)
    covariance[~free] = covariance[:, ~free] = 0
    values = found.values + draws.mean(axis=0) * unit * free
    return replace(found, values=values, covariance=covariance, evidence=None)


def _allowed(found: FitResult, known: KnownSpheres) -> NDArray[np.float64]:
    """Return a point (P,), in errors from the values of a fit, whose betas are well within their limits."""
    layout = found.layout
    wanted = np.zeros_like(found.beta)
    n = min(known.beta.shape[1], wanted.shape[1])
    wanted[:, :n] = known.beta[:, :n]
    allowed = np.zeros(layout.size)
    allowed[layout.beta] = (wanted - found.beta) / found.errors[layout.beta]
    return allowed


def _inside(
    centre: NDArray[np.float64],
    slopes: NDArray[np.float64],
    least: NDArray[np.float64],
    allowed: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the point within the limits that lies nearest to `centre` on the way there from one that is allowed."""
    betas = (slopes != 0).any(axis=0)
    allowed = np.where(betas, allowed, centre)
    there, here = slopes @ centre - least, slopes @ allowed - least
    beyond = there < 0
    part = float((here[beyond] / (here[beyond] - there[beyond])).min()) if beyond.any() else 1.0
    return allowed + (centre - allowed) * part * (1 - 1e-6)
