"""Expected distribution of a Newton sphere on the detector, and its derivatives.

With rho^2 = x^2 + z^2, cos(alpha) = z / rho and I(c) = sum_k a_k c^{2k} the projected density is

    p(rho, alpha) = sum_k a_k cos^{2k}(alpha) N_k(rho),
    N_k(rho) = integral_{r > rho} g(r) (rho / r)^{2k} / (pi r sqrt(r^2 - rho^2)) dr,      g = N(R, sigma_R).

r = rho + u^2 takes the root out of the denominator, and (rho / r)^{2k} <= 1 keeps every power within range. The
expansion is that of pBasex (G. A. Garcia, L. Nahon and I. Powis, Rev. Sci. Instrum. 75, 4989 (2004)).
"""

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from util.physics import pad

# Gauss-Legendre points over the 16 sigma_R that hold g: relative error below 1e-12. Where these reach r = 0 the
# integrand is steep: 96 points leave 1e-9 there.
_RING, _FULL = np.polynomial.legendre.leggauss(48), np.polynomial.legendre.leggauss(96)
REACH = 8.0  # widths within which g lies
_HERMITES = 7


# Sums may be reordered, so that they run on vector units; always in the same order, so results repeat.
@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _integrals(
    rho: NDArray[np.float64],
    R: float,
    sigma: float,
    first: int,
    n_power: int,
    n_hermite: int,
    nodes: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    # N of g He_0, g He_1 .., of t = (r - R) / sigma; last, the derivative of the first in rho.
    out = np.zeros((n_hermite + 1, n_power, rho.size))
    value, ratio2, by_rho, by_power = np.empty((4, nodes.size))
    hermite = np.ones((n_hermite, nodes.size))
    bottom = max(R - REACH * sigma, 0.0)
    top = R + REACH * sigma
    for j in range(rho.size):
        if rho[j] >= top:
            continue
        # Where g reaches r = 0 the density grows as 1 / rho: it is taken to level off where no bin would notice.
        inner = max(rho[j], 1e-4 * sigma) if bottom == 0 else rho[j]
        low = math.sqrt(max(bottom - inner, 0.0))
        half = (math.sqrt(top - inner) - low) / 2
        scale = half * 2 / (math.pi * sigma * math.sqrt(2 * math.pi))
        inverse_rho = 1 / inner if inner > 0 else 0.0
        for q in range(nodes.size):
            r = inner + (low + half * (1 + nodes[q])) ** 2
            t = (r - R) / sigma
            value[q] = weights[q] * scale * math.exp(-t * t / 2) / (r * math.sqrt(r + inner))
            if first:
                value[q] *= inner / r
            ratio2[q] = (inner / r) ** 2
            # Logarithmic derivatives of the integrand at fixed u, where dr/drho = 1.
            by_rho[q] = -t / sigma - 1 / r - 1 / (r + inner)
            by_power[q] = inverse_rho - 1 / r
            hermite[1, q] = t
        for h in range(2, n_hermite):
            for q in range(nodes.size):
                hermite[h, q] = hermite[1, q] * hermite[h - 1, q] - (h - 1) * hermite[h - 2, q]
        for k in range(n_power):
            # Two at a time, as the odd number of polynomials allows: each pass reads all values.
            for h in range(1, n_hermite, 2):
                first_total, second_total = 0.0, 0.0
                for q in range(nodes.size):
                    first_total += value[q] * hermite[h, q]
                    second_total += value[q] * hermite[h + 1, q]
                out[h, k, j], out[h + 1, k, j] = first_total, second_total
            total, in_rho = 0.0, 0.0
            for q in range(nodes.size):
                total += value[q]
                in_rho += value[q] * (by_rho[q] + (2 * k + first) * by_power[q])
                value[q] *= ratio2[q]
            out[0, k, j], out[n_hermite, k, j] = total, in_rho
    return out


def _folded(rho: ArrayLike, R: float, sigma_R: float, order: int, odd: bool, n_hermite: int) -> NDArray[np.float64]:
    """Return `_integrals` of a line whose speeds below zero are speeds in the opposite direction."""
    if not (R >= 0 and sigma_R > 0):
        raise ValueError(f"expected R of at least 0 and sigma_R above 0, found {R} and {sigma_R}")
    rho = np.ascontiguousarray(rho, dtype=float)
    R, sigma_R, form = float(R), float(sigma_R), (int(odd), order // 2 + 1, n_hermite)
    if sigma_R * REACH <= R:
        return _integrals(rho, R, sigma_R, *form, *_RING)
    # Reversed, a direction keeps its even powers and changes the sign of its odd ones; so does He_j.
    sign = (-1.0) ** (np.append(np.arange(n_hermite), 0) + int(odd))
    mirrored = _integrals(rho, -R, sigma_R, *form, *_FULL)
    return _integrals(rho, R, sigma_R, *form, *_FULL) + sign[:, None, None] * mirrored


def radial_functions(
    rho: ArrayLike, R: float, sigma_R: float, order: int = 24, *, odd: bool = False
) -> NDArray[np.float64]:
    """Return N_k(rho), k = 0 .. order/2, and their derivatives.

    A speed below zero is one in the opposite direction: where R is not far above sigma_R, g is the folded normal
    distribution (Leone, Nelson & Nottingham 1961, Technometrics 3, 543), so that electrons with R = 0 are a blob about
    the centre.

    Parameters
    ----------
    rho : array (n,)
        Distance from the centre, detector units, not negative.
    R, sigma_R : float
        The sphere; R not below 0.
    order : int
        Highest Legendre degree: even, or odd for the odd powers.
    odd : bool
        Whether the powers are (rho / r)^{2k + 1}, which belong to cos^{2k + 1}, in place of (rho / r)^{2k}.

    Returns
    -------
    array (4, order//2 + 1, n)
        N, dN/dR, dN/dsigma_R and dN/drho; exactly 0 beyond R + 8 sigma_R.

    Raises
    ------
    ValueError
        sigma_R is not above 0, or R below 0.
    """
    out = _folded(rho, R, sigma_R, order, odd, 3)
    # dg/dR = g He_1 / sigma_R, and dg/dsigma_R = g He_2 / sigma_R.
    out[1:3] /= sigma_R
    return out


def hermite_functions(
    rho: ArrayLike, R: float, sigma_R: float, order: int = 24, *, odd: bool = False
) -> NDArray[np.float64]:
    """Return N_k(rho) of a line g(r) He_j((r - R) / sigma_R), j = 0 .. 6, in place of g(r).

    Of these a line shape is made that is not Gaussian: the Gram-Charlier series (Charlier 1905) of skewness and excess
    kurtosis is g (1 + skewness / 6 He_3 + kurtosis / 24 He_4).

    Parameters
    ----------
    rho, R, sigma_R, order, odd
        As in `radial_functions`.

    Returns
    -------
    array (7, order//2 + 1, n)
    """
    return _folded(rho, R, sigma_R, order, odd, _HERMITES)[:-1]


def density_gradient(
    x: ArrayLike,
    z: ArrayLike,
    beta: ArrayLike,
    R: float,
    sigma_R: float,
    centre: tuple[float, float] = (0.0, 0.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the density on the detector and its derivatives with respect to the parameters.

    Parameters
    ----------
    x, z : arrays of one shape (...)
        Detector units.
    beta : array (n,)
    R, sigma_R : float
    centre : (x, z)
        Where the middle of the sphere falls.

    Returns
    -------
    p : array (...)
        Per unit area, for one electron: the integral over the plane is 1.
    gradient : array (n + 4, ...)
        Derivatives with respect to beta_2 .. beta_2n, R, sigma_R, centre x, centre z.
    """
    beta = np.asarray(beta, dtype=float)
    x, z = np.broadcast_arrays(np.asarray(x, dtype=float) - centre[0], np.asarray(z, dtype=float) - centre[1])
    rho = np.hypot(x, z)
    safe = np.where(rho > 0, rho, 1.0)
    sine, cosine = x / safe, z / safe
    to_power = pad.legendre_to_power(beta.size)
    a = to_power @ np.concatenate(([0.5], beta))
    shape = (beta.size + 1, *x.shape)
    N, by_R, by_sigma, by_rho = radial_functions(rho.ravel(), R, sigma_R, 2 * beta.size).reshape(4, *shape)
    k = np.arange(beta.size + 1).reshape(-1, *(1,) * x.ndim)
    power = np.ones(shape)
    np.cumprod(np.broadcast_to(cosine**2, (beta.size, *x.shape)), axis=0, out=power[1:])
    # d cos^{2k}(alpha) / d alpha over rho; (1/rho) N_k vanishes at the centre for every k >= 1.
    turn = np.zeros(shape)
    turn[1:] = -2 * k[1:] * power[:-1] * (cosine * sine / safe)
    along = np.tensordot(a, power * by_rho, 1)
    across = np.tensordot(a, turn * N, 1)
    gradient = np.empty((beta.size + 4, *x.shape))
    gradient[:-4] = np.tensordot(to_power[:, 1:].T, power * N, 1)
    gradient[-4] = np.tensordot(a, power * by_R, 1)
    gradient[-3] = np.tensordot(a, power * by_sigma, 1)
    gradient[-2] = -(sine * along + cosine * across)
    gradient[-1] = -(cosine * along - sine * across)
    return np.tensordot(a, power * N, 1), gradient


def density(
    x: ArrayLike,
    z: ArrayLike,
    beta: ArrayLike,
    R: float,
    sigma_R: float,
    centre: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Return the density on the detector, whose integral over the plane is 1; parameters as in `density_gradient`."""
    return density_gradient(x, z, beta, R, sigma_R, centre)[0]
