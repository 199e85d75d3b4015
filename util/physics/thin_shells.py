"""Projection of infinitely thin shells in Legendre terms: what a spectrum is built from.

Electrons of one speed r whose PAD is P_i(c) lie on the detector, at distance rho = s r, as

    P_i(s cos(alpha)) / (pi r sqrt(r^2 - rho^2)),      P_i(s cos(alpha)) = sum_{m <= i} C_im(s) P_m(cos(alpha)).

Every C_im stays within [-1, 1], unlike powers of the cosine, whose coefficients cancel at high degrees. With
s = sin(theta) the integral over a bin of rho is the difference of F_im(theta) = integral of sin C_im(sin) / pi, one
smooth function for all shells and bins.
"""

import functools

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray
from scipy import sparse
from scipy.interpolate import CubicSpline

_NODES = 96  # of the quadratures, and of the series in theta: exact to rounding up to degree 24
_KNOTS = 1024  # of the spline: relative error 1e-11


def polynomials(degrees: tuple[int, ...], cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P_m of these degrees, array (degrees, ...), at cosines (...)."""
    return np.asarray(legendre.legval(cosine, np.eye(max(degrees) + 1)[:, list(degrees)]), dtype=np.float64)


@functools.lru_cache(maxsize=4)
def _integrals(degrees: tuple[int, ...]) -> CubicSpline:
    """Return F_im as a function of theta in [0, pi/2], values (degrees i, degrees m)."""
    place = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    sine = np.sin((place + 1) * np.pi / 4)
    cosine, weight = legendre.leggauss(_NODES)
    scaled = polynomials(degrees, sine[:, None] * cosine)
    norm = (2 * np.array(degrees) + 1) / 2
    integrand = np.einsum("isc,c,mc,m,s->sim", scaled, weight, polynomials(degrees, cosine), norm, sine / np.pi)
    series = np.linalg.solve(chebyshev.chebvander(place, _NODES - 1), integrand.reshape(_NODES, -1))
    integral = chebyshev.chebint(series, lbnd=-1) * np.pi / 4
    knots = np.linspace(-1, 1, _KNOTS)
    values = chebyshev.chebval(knots, integral).T.reshape(_KNOTS, len(degrees), len(degrees))
    return CubicSpline((knots + 1) * np.pi / 4, values)


def nodes_between(edges: NDArray[np.float64], highest: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return radii and weights (n,) of a quadrature over r, up to a Legendre degree: what any line is summed from.

    What a shell puts within an edge at rho has a root at r = rho, which r = edge + v^2 takes out: of a Gaussian line as
    wide as 1.5 bins, the sum is exact to 2e-4 of its highest bin, and to 2e-5 at three bins. Near the centre
    high degrees vary within a bin, and take more nodes.
    """
    v, weight = legendre.leggauss(2 + max(1, -(-highest // 4)))
    v, width = (v + 1) / 2, np.diff(edges)[:, None]
    return (edges[:-1, None] + width * v**2).ravel(), (width * v * weight).ravel()


def project(
    edges: NDArray[np.float64], r: NDArray[np.float64], lines: sparse.csr_array, degrees: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the integrals over bins of rho of lines that consist of thin shells, with the PADs P_i.

    Parameters
    ----------
    edges : (n_rho + 1,)
        Of the bins, ascending.
    r : (n,)
        Radii above 0, in the same units.
    lines : sparse (n, J)
        Electrons of each radius in each line.
    degrees : tuple of int
        Legendre degrees i, ascending.

    Returns
    -------
    array (n_rho, degrees m, J, degrees i)
        Of rho drho, the coefficient of P_m(cos(alpha)). That of P_0 for i = 0, summed over all rho, is 1 / pi.
    """
    inside = edges[:, None] < r[None, :]
    theta = np.arcsin(edges[:, None] / r[None, :], where=inside, out=np.full(inside.shape, np.pi / 2))
    spline = _integrals(degrees)
    out = np.zeros((edges.size - 1, len(degrees), lines.shape[1], len(degrees)))
    for i, degree in enumerate(degrees):
        for m, lower in enumerate(degrees[: i + 1]):
            if (degree - lower) % 2 == 0:
                term = CubicSpline.construct_fast(spline.c[:, :, i, m], spline.x)
                out[:, m, :, i] = np.diff(term(theta) @ lines, axis=0)
    return out


def angular_integrals(edges_rad: NDArray[np.float64], degrees: tuple[int, ...]) -> NDArray[np.float64]:
    """Integrate P_m(cos(alpha)) over bins of the angle with these edges (n + 1,): array (degrees, n)."""
    node, weight = legendre.leggauss(16)
    half = np.diff(edges_rad)[:, None] / 2
    return (polynomials(degrees, np.cos(edges_rad[:-1, None] + half * (1 + node))) * weight * half).sum(axis=-1)
