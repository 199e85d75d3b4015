"""What one knows besides the hits, put into an answer: PADs are not negative, high orders may be absent, a prior.

At the best fit the likelihood is a Gaussian in the parameters, of the fit's own covariance, to well within its errors.
So each piece of knowledge enters in closed form, without fitting again.
"""

import itertools
from dataclasses import replace

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import nnls

from util import pad
from util.likelihood import FitResult

_DEGENERATE = 0.99
_ANGLES = 361  # between pole and equator, where I(c) >= 0 is enforced; a period of P_24 is 30 of these


def with_values(result: FitResult, values: NDArray, covariance: NDArray) -> FitResult:
    """Copy of an answer with other values (P,) and covariance (P, P)."""
    spheres, n = result.beta.shape
    blocks = values[: spheres * (n + 3)].reshape(spheres, n + 3)
    return replace(
        result,
        values=values,
        covariance=covariance,
        electrons=blocks[:, 0],
        R=blocks[:, 1],
        sigma_R=blocks[:, 2],
        beta=blocks[:, 3:],
        centre=values[-2:],
    )


def fix_at_zero(result: FitResult, index: NDArray) -> FitResult:
    """Give the answer under the condition that some parameters are zero; their errors become 0.

    Parameters
    ----------
    result : FitResult
    index : int array (k,)
    """
    index = np.asarray(index, dtype=int)
    if not index.size:
        return result
    block = result.covariance[np.ix_(index, index)]
    gain = np.linalg.solve(block, result.covariance[index]).T
    values = result.values - gain @ result.values[index]
    covariance = result.covariance - gain @ result.covariance[index]
    values[index] = 0
    covariance[index] = covariance[:, index] = 0
    return with_values(result, values, covariance)


def choose_orders(result: FitResult) -> tuple[int, ...]:
    """Highest Legendre degrees that the data support, one a sphere, by Akaike's information criterion.

    The chi-square by which the betas beyond a degree differ from zero is weighed against their number, for every
    combination of degrees from 2 on.

    Parameters
    ----------
    result : FitResult
        Fitted to the highest order that may be wanted; at most three spheres.
    """
    spheres, n = result.beta.shape
    best, chosen = np.inf, (2 * n,) * spheres
    for kept in np.ndindex(*(n,) * spheres):
        index = _beyond(result, tuple(2 * (k + 1) for k in kept))
        beta = result.values[index]
        chi2 = float(beta @ np.linalg.solve(result.covariance[np.ix_(index, index)], beta)) if index.size else 0.0
        criterion = chi2 - 2 * index.size
        if criterion < best:
            best, chosen = criterion, tuple(2 * (k + 1) for k in kept)
    return chosen


def with_orders(result: FitResult, orders: tuple[int, ...]) -> FitResult:
    """Give the answer under the condition that all betas beyond these degrees, one a sphere, are zero."""
    return fix_at_zero(result, _beyond(result, orders))


def _beyond(result: FitResult, orders: tuple[int, ...]) -> NDArray:
    parts = [index[order // 2 :] for index, order in zip(result.beta_index, orders, strict=True)]
    return np.concatenate(parts)


def with_prior(result: FitResult, mu: NDArray, sigma: NDArray) -> FitResult:
    """Maximum a posteriori under independent normal priors of the betas.

    Parameters
    ----------
    result : FitResult
    mu, sigma : arrays (S, n)
        Of each beta; limits of a prior are not applied.
    """
    index = result.beta_index.ravel()
    prior = np.diag(np.asarray(sigma, dtype=float).ravel() ** 2)
    gain = np.linalg.solve(result.covariance[np.ix_(index, index)] + prior, result.covariance[index]).T
    values = result.values + gain @ (np.asarray(mu, dtype=float).ravel() - result.values[index])
    covariance = result.covariance - gain @ result.covariance[index]
    return with_values(result, values, (covariance + covariance.T) / 2)


def prior_conflict(result: FitResult, mu: NDArray, sigma: NDArray) -> tuple[float, float]:
    """Chi-square of the data's betas against a prior, arrays (S, n), with the errors of both; and its p."""
    covariance = result.beta_covariance() + np.diag(np.ravel(sigma) ** 2)
    apart = (result.beta - mu).ravel()
    chi2 = float(apart @ np.linalg.solve(covariance, apart))
    return chi2, float(stats.chi2.sf(chi2, apart.size))


def nonnegative(result: FitResult) -> FitResult:
    """Likeliest answer with I(c) >= 0 everywhere; the covariance stays that of the free fit.

    Minimises the chi-square distance from the free fit under one inequality an angle, by non-negative least squares
    on the dual (Lawson and Hanson 1974, chapter 23).
    """
    if pad.is_density(result.beta).all():
        return result
    c = np.cos(np.linspace(0, np.pi / 2, _ANGLES))
    slopes = np.stack([pad.intensity(row, c) - 0.5 for row in np.eye(result.beta.shape[1])], axis=1)
    rows, excess = [], []
    for index, beta in zip(result.beta_index, result.beta, strict=True):
        row = np.zeros((c.size, result.values.size))
        row[:, index] = slopes
        rows.append(row)
        # Between the angles I may dip a little below the lowest: ask for a trace more than zero.
        excess.append(pad.intensity(beta, c) - 0.5 * pad.TOLERANCE)
    rows, excess = np.concatenate(rows), np.concatenate(excess)
    value, vector = np.linalg.eigh(result.covariance)
    root = vector * np.sqrt(np.maximum(value, 0))
    # Least |u| with (rows root) u >= -excess.
    system = np.vstack(((rows @ root).T, -excess))
    target = np.zeros(len(system))
    target[-1] = 1
    dual, _ = nnls(system, target, maxiter=50 * len(rows))
    left = system @ dual - target
    step = -left[:-1] / left[-1]
    return with_values(result, result.values + root @ step, result.covariance)


def cautions(result: FitResult) -> list[str]:
    """Sentences about what an answer's numbers cannot tell: degeneracy, strong correlation, spheres nearly empty."""
    out = []
    for first, second in itertools.combinations(range(len(result.R)), 2):
        shared = _shared(result, first, second)
        if shared > _DEGENERATE:
            out.append(
                f"spheres {first + 1} and {second + 1} are nearly degenerate: what they share makes some combination "
                f"of their parameters {1 / np.sqrt(1 - shared**2):.0f} times as uncertain; fit one sphere fewer"
            )
    errors = np.sqrt(np.diag(result.covariance))
    free = errors > 0
    safe = np.where(free, errors, 1)
    correlation = np.abs(np.tril(result.covariance / np.outer(safe, safe), -1))
    first, second = np.unravel_index(correlation.argmax(), correlation.shape)
    if correlation[first, second] > 0.95:
        pair = f"{result.names[second]} and {result.names[first]}"
        out.append(f"{pair} are correlated by {correlation[first, second]:.2f}: quote them with their covariance")
    share = result.electrons / result.electrons.sum()
    for s, part in enumerate(share):
        if part < 0.02:
            out.append(f"sphere {s + 1} holds only {100 * part:.1f} % of the electrons")
    for s, (gap, width) in enumerate(
        zip(np.diff(result.R), np.hypot(result.sigma_R[:-1], result.sigma_R[1:]), strict=True)
    ):
        if gap < 2 * width:
            out.append(f"spheres {s + 1} and {s + 2} overlap: their radii differ by {gap / width:.1f} widths")
    for s, beta in enumerate(result.beta):
        lowest = float(pad.minimum(beta))
        error = _error_of_lowest(result, s)
        if lowest < -pad.TOLERANCE - error:
            out.append(
                f"I(c) of sphere {s + 1} falls to {lowest:.2g} +- {error:.1g}, below zero: --nonnegative forbids that"
            )
    return out


def _shared(result: FitResult, first: int, second: int) -> float:
    """Largest canonical correlation of two spheres' parameters: 1 where one can stand for the other."""
    n = result.beta.shape[1] + 3
    mine, others = (np.arange(s * n, (s + 1) * n) for s in (first, second))
    mine, others = (part[result.errors[part] > 0] for part in (mine, others))
    # A hair on the diagonal: rounding may leave a nearly singular matrix with a root below zero.
    roots = [np.linalg.cholesky(_correlation(result, part, part) + 1e-9 * np.eye(part.size)) for part in (mine, others)]
    across = np.linalg.solve(roots[0], np.linalg.solve(roots[1], _correlation(result, others, mine)).T)
    return min(float(np.linalg.norm(across, 2)), 1 - 1e-12)


def _correlation(result: FitResult, rows: NDArray, columns: NDArray) -> NDArray:
    return result.covariance[np.ix_(rows, columns)] / np.outer(result.errors[rows], result.errors[columns])


def _error_of_lowest(result: FitResult, sphere: int) -> float:
    """Error of I(c) of a sphere where it is lowest."""
    c = np.cos(np.linspace(0, np.pi / 2, _ANGLES))
    lowest = c[pad.intensity(result.beta[sphere], c).argmin()]
    terms = legendre.legval(lowest, np.eye(2 * result.beta.shape[1] + 1)[:, 2::2])
    index = result.beta_index[sphere]
    return float(np.sqrt(max(terms @ result.covariance[np.ix_(index, index)] @ terms, 0)))
