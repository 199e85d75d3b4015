"""Knowledge beyond the hits, applied to an answer: PADs are not negative, high orders may be absent, a prior.

Near the best fit the likelihood is Gaussian in the parameters, with the fit's own covariance, to well within the
errors. So each piece of knowledge enters in closed form, without fitting again.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from util.fit.chi_square import tail
from util.fit.result import FitResult
from util.physics import pad

_ALL_COMBINATIONS = 3  # spheres
ANGLES = 361  # between pole and equator, where I(c) >= 0 is enforced; a period of P_24 spans 30 of these


def fix_at_zero(result: FitResult, index: NDArray[np.intp]) -> FitResult:
    """Return the answer under the condition that some parameters are zero; their errors become 0.

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
    return replace(result, values=values, covariance=covariance)


def choose_orders(result: FitResult) -> tuple[int, ...]:
    """Highest Legendre degrees that the data support, one per sphere, by Akaike's information criterion.

    The chi-square by which the betas beyond a degree differ from zero is weighed against their number, for every
    combination of degrees from 2 on (Akaike 1974, IEEE Trans. Autom. Control 19, 716); of more than three spheres, for
    one after the other.

    Parameters
    ----------
    result : FitResult
        Fitted to the highest order that may be wanted.
    """
    layout = result.layout

    def criterion(degrees: Sequence[int]) -> float:
        index = layout.beta[layout.beyond(degrees)]
        beta = result.values[index]
        chi2 = float(beta @ np.linalg.solve(result.covariance[np.ix_(index, index)], beta)) if index.size else 0.0
        return chi2 - 2 * index.size

    if layout.spheres <= _ALL_COMBINATIONS:
        return min(itertools.product(layout.degrees, repeat=layout.spheres), key=criterion)
    chosen = [layout.order] * layout.spheres
    for s in range(layout.spheres):
        chosen[s] = min(layout.degrees, key=lambda degree: criterion([*chosen[:s], degree, *chosen[s + 1 :]]))
    return tuple(chosen)


def with_orders(result: FitResult, orders: tuple[int, ...]) -> FitResult:
    """Return the answer under the condition that all betas beyond these degrees, one per sphere, are zero."""
    layout = result.layout
    odd = [index for own, order in zip(layout.odd_beta, orders, strict=True) for index in own[order // 2 :]]
    return fix_at_zero(result, np.array([*layout.beta[layout.beyond(orders)], *odd], dtype=np.intp))


def with_prior(result: FitResult, mu: NDArray[np.float64], sigma: NDArray[np.float64]) -> FitResult:
    """Return the maximum a posteriori answer under independent normal priors of the betas.

    Parameters
    ----------
    result : FitResult
    mu, sigma : arrays (S, n)
        Mean and standard deviation of each beta; limits of a prior are not applied.
    """
    index = result.layout.beta.ravel()
    prior = np.diag(np.asarray(sigma, dtype=float).ravel() ** 2)
    gain = np.linalg.solve(result.covariance[np.ix_(index, index)] + prior, result.covariance[index]).T
    values = result.values + gain @ (np.asarray(mu, dtype=float).ravel() - result.values[index])
    covariance = result.covariance - gain @ result.covariance[index]
    return replace(result, values=values, covariance=(covariance + covariance.T) / 2)


def prior_conflict(result: FitResult, mu: NDArray[np.float64], sigma: NDArray[np.float64]) -> tuple[float, float]:
    """Return the chi-square of the data's betas against a prior, arrays (S, n), with the errors of both, and its p."""
    covariance = result.beta_covariance() + np.diag(np.ravel(sigma) ** 2)
    apart = (result.beta - mu).ravel()
    chi2 = float(apart @ np.linalg.solve(covariance, apart))
    return chi2, tail(chi2, apart.size)


def nonnegative(result: FitResult) -> FitResult:
    """Return the likeliest answer with I(c) >= 0 everywhere; the covariance stays that of the free fit.

    Minimises the chi-square distance from the free fit under one inequality per angle, by non-negative least squares
    on the dual (Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23).
    """
    if pad.is_density(result.beta).all():
        return result
    c = np.cos(np.linspace(0, np.pi / 2, ANGLES))
    slopes = pad.polynomials(result.beta.shape[1], c).T
    rows, excess = [], []
    for index, beta in zip(result.layout.beta, result.beta, strict=True):
        row = np.zeros((c.size, result.values.size))
        row[:, index] = slopes
        rows.append(row)
        # Between the angles I may dip a little below the lowest: ask for a trace more than zero.
        excess.append(pad.intensity(beta, c) - 0.5 * pad.TOLERANCE)
    constraints, above = np.concatenate(rows), np.concatenate(excess)
    value, vector = np.linalg.eigh(result.covariance)
    root = vector * np.sqrt(np.maximum(value, 0))
    # Least |u| with (constraints root) u >= -above.
    system = np.vstack(((constraints @ root).T, -above))
    target = np.zeros(len(system))
    target[-1] = 1
    dual, _ = nnls(system, target, maxiter=50 * len(constraints))
    left = system @ dual - target
    step = -left[:-1] / left[-1]
    return replace(result, values=result.values + root @ step)
