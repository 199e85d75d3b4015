"""The photoelectron angular distribution (PAD): I(c) = 1/2 + sum_{i=1..n} beta_{2i} P_{2i}(c), c = cos(theta).

Linearly polarised light leaves no other form (K. L. Reid, Annu. Rev. Phys. Chem. 54, 397 (2003)).
"""

import functools

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

# I(c) may touch zero; rounding and the search for the minimum must not turn that into a refusal.
TOLERANCE = 1e-6


def _coefficients(beta: ArrayLike) -> NDArray[np.float64]:
    """Return the Legendre coefficients of degrees 0 .. 2n along axis 0, from beta of shape (..., n)."""
    beta = np.asarray(beta, dtype=float)
    n = beta.shape[-1]
    series = np.zeros((2 * n + 1, *beta.shape[:-1]))
    series[0] = 0.5
    series[2::2] = np.moveaxis(beta, -1, 0)
    return series


def intensity(beta: ArrayLike, costheta: ArrayLike) -> NDArray[np.float64]:
    """Return the probability density I(c) of c = cos(theta).

    Parameters
    ----------
    beta : array (..., n)
        beta_2, beta_4 .. beta_2n.
    costheta : array (m...)
        Within [-1, 1].

    Returns
    -------
    array (..., m...)
        One curve per set of betas.
    """
    return legendre.legval(np.asarray(costheta, dtype=float), _coefficients(beta))


def polynomials(n: int, costheta: ArrayLike) -> NDArray[np.float64]:
    """Return P_2, P_4 .. P_2n at c = cos(theta): what each beta adds to I(c), array (n, m...) for `costheta` (m...)."""
    return intensity(np.eye(n), costheta) - 0.5


def cumulative(beta: ArrayLike, costheta: ArrayLike) -> NDArray[np.float64]:
    """Return the integral of I from -1 to `costheta`, analytic; shapes as in `intensity`; 0 at -1, 1 at +1."""
    return legendre.legval(np.asarray(costheta, dtype=float), legendre.legint(_coefficients(beta), lbnd=-1, axis=0))


@functools.cache
def _power_matrix(n: int, first: int) -> NDArray[np.float64]:
    matrix = np.zeros((n, n))
    for i in range(n):
        matrix[: i + 1, i] = legendre.leg2poly([0.0] * (2 * i + first) + [1.0])[first::2]
    matrix.flags.writeable = False
    return matrix


def legendre_to_power(n: int) -> NDArray[np.float64]:
    """Return the matrix T with I(c) = sum_k a_k c^{2k} for a = T @ (1/2, beta_2 .. beta_2n).

    Returns
    -------
    array (n + 1, n + 1), read-only
        T[k, i] is the coefficient of c^{2k} in P_{2i}. Its entries grow as 2.4^{2n}: at n = 12 a sum over k
        keeps nine digits.
    """
    return _power_matrix(n + 1, 0)


def odd_legendre_to_power(n: int) -> NDArray[np.float64]:
    """Return the matrix T (n, n), read-only, with sum beta_2i+1 P_2i+1 = sum_k a_k c^{2k+1} for a = T @ (beta_1 ..)."""
    return _power_matrix(n, 1)


def _lowest(value: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the lowest of the parabolas through each sample (..., m) and its neighbours: index within m - 2, value."""
    left, middle, right = value[..., :-2], value[..., 1:-1], value[..., 2:]
    curvature = left - 2 * middle + right
    is_dip = (middle <= left) & (middle <= right) & (curvature > 0)
    dip = np.where(is_dip, (right - left) ** 2 / (8 * np.where(is_dip, curvature, 1.0)), 0)
    lowest = np.argmin(middle - dip, axis=-1)
    return lowest, np.min(middle - dip, axis=-1)


def minimum(beta: ArrayLike) -> NDArray[np.float64]:
    """Return the least value of I on [-1, 1], to about 1e-8 of its largest value.

    I is a cosine polynomial of degree 2n in theta. It is sampled at 64 points per shortest period, which finds the
    right dip, then more finely about that dip.

    Parameters
    ----------
    beta : array (..., n)

    Returns
    -------
    array (...)
    """
    beta = np.asarray(beta, dtype=float)
    # I(theta) is even about both ends of [0, pi/2], so one more sample beyond each makes the ends ordinary points.
    steps = 32 * beta.shape[-1]
    step = np.pi / 2 / steps
    lowest, _ = _lowest(intensity(beta, np.cos(np.arange(-1, steps + 2) * step)))
    theta = (lowest[..., None] + np.linspace(-1.5, 1.5, 33)) * step
    return _lowest(legendre.legval(np.cos(theta), _coefficients(beta)[..., None], tensor=False))[1]


def is_density(beta: ArrayLike) -> NDArray[np.bool_]:
    """Return whether I(c) >= 0 on [-1, 1] (down to -`TOLERANCE`), for beta of shape (..., n); a bool array (...)."""
    return minimum(beta) >= -TOLERANCE


def to_field(beta: ArrayLike) -> NDArray[np.float64]:
    """Return betas in the field's convention, I = (1 + sum beta_field P) / 2: beta_field = 2 beta."""
    return 2 * np.asarray(beta, dtype=float)


def squared_norms(n: int) -> NDArray[np.float64]:
    """Return the integrals (n,) of P_2^2, P_4^2 .. P_2n^2 over [-1, 1]: 2 / (4 i + 1) for P_2i."""
    return 2 / (4 * np.arange(1, n + 1) + 1)


def distance(beta_hat: ArrayLike, beta: ArrayLike) -> NDArray[np.float64]:
    """Return the score of an answer: the L2 norm of the error of I(c), summed over spheres.

    Parameters
    ----------
    beta_hat, beta : array (..., spheres, n)
        Broadcast against each other; spheres in the same order.

    Returns
    -------
    array (...)
        sum_spheres sqrt(sum_i 2 / (4 i + 1) (beta_hat_{2i} - beta_{2i})^2).

    Raises
    ------
    ValueError
        The numbers of spheres or of betas differ.
    """
    beta_hat, beta = np.asarray(beta_hat, dtype=float), np.asarray(beta, dtype=float)
    if beta_hat.ndim < 2 or beta.ndim < 2 or beta_hat.shape[-2:] != beta.shape[-2:]:
        raise ValueError(f"expected two arrays (..., spheres, n) alike, found shapes {beta_hat.shape} and {beta.shape}")
    return np.sqrt(((beta_hat - beta) ** 2 * squared_norms(beta.shape[-1])).sum(axis=-1)).sum(axis=-1)
