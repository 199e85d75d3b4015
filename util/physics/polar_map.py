"""Hits folded into polar bins of the four quadrants about a centre, and what a sphere puts there.

A sphere is symmetric about both axes, so the four quadrants hold the same information about it. The *differences*
between quadrants hold the information about how the image lies on the detector. A quantity is even or odd in x and in
z: its parity is a number of two bits, `ODD_IN_X` and `ODD_IN_Z`, and that of a product is the exclusive or.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from util.physics import pad
from util.physics.image_geometry import ImageGeometry, undistorted
from util.physics.projection import REACH, hermite_functions, radial_functions

EVEN, ODD_IN_X, ODD_IN_Z = 0, 1, 2
ODD_IN_BOTH = ODD_IN_X | ODD_IN_Z
# SIGNS[parity, quadrant]: what a quantity is multiplied by there; quadrants: (+x, +z), (-x, +z), (+x, -z), (-x, -z).
SIGNS = np.array([[(-1.0) ** (parity & quadrant).bit_count() for quadrant in range(4)] for parity in range(4)])

_SMOOTH = 9.0  # widths inside R, from where on a sphere varies slowly
_Float = TypeVar("_Float", bound=np.floating)


@dataclass(frozen=True)
class PolarBins:
    """Uniform bins in rho (0 .. rho_max) and in the angle alpha from the z axis (0 .. pi/2).

    The default adds 0.2 % to the variance of any beta (order 24, sigma_R from 0.004 up), 0.4 % to that of R and 0.8 %
    to that of sigma_R at sigma_R = 0.004 (at 0.010: 0.1 %); measured against 3000 x 384 bins.
    """

    n_rho: int = 1000
    n_angle: int = 192
    rho_max: float = 1.0

    def __post_init__(self) -> None:
        if self.n_rho < 1 or self.n_angle < 1 or not self.rho_max > 0:
            raise ValueError(f"expected at least one bin each way and rho_max above 0, found {self}")

    @classmethod
    def for_order(cls, order: int) -> "PolarBins":
        """Return bins for PADs up to a Legendre degree: the default's, or fewer in the angle."""
        return cls(n_angle=min(cls.n_angle, max(8 * order, 48)))

    @property
    def rho(self) -> NDArray[np.float64]:
        """Edges (n_rho + 1,) in detector units."""
        return np.linspace(0, self.rho_max, self.n_rho + 1)

    @property
    def angle_rad(self) -> NDArray[np.float64]:
        """Edges (n_angle + 1,) in radians."""
        return np.linspace(0, np.pi / 2, self.n_angle + 1)

    def coarser(self, by_rho: int, by_angle: int) -> "PolarBins":
        """Return bins that hold `by_rho` times `by_angle` of these each; ValueError unless they divide evenly."""
        if self.n_rho % by_rho or self.n_angle % by_angle:
            raise ValueError(f"{self.n_rho} x {self.n_angle} bins do not divide by {by_rho} x {by_angle}")
        return PolarBins(self.n_rho // by_rho, self.n_angle // by_angle, self.rho_max)


@dataclass(frozen=True)
class PolarMap:
    """Folded hits.

    Attributes
    ----------
    quadrants : (4, n_rho, n_angle)
        Sums of the weights in the bins of each quadrant, in the order of `SIGNS`.
    variance : (n_rho, n_angle)
        The variance of the weights summed over the quadrants.
    """

    quadrants: NDArray[np.float64]
    variance: NDArray[np.float64]

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weights (n_rho, n_angle) summed over the quadrants."""
        return self.quadrants.sum(axis=0)


@njit(cache=True)
def _polar(
    x: float, z: float, geometry: NDArray[np.float64], distorted: bool, per_rho: float, per_angle: float
) -> tuple[float, float, int]:
    # A hit's rho and angle, in bins, and its quadrant.
    dx = x - geometry[0]
    dz = z - geometry[1]
    if distorted:
        dx, dz = undistorted(dx, dz, geometry)
    angle = math.atan2(abs(dx), abs(dz))
    return math.sqrt(dx * dx + dz * dz) * per_rho, angle * per_angle, (1 if dx < 0 else 0) + (2 if dz < 0 else 0)


@njit(cache=True)
def _places(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    geometry: NDArray[np.float64],
    distorted: bool,
    n_rho: int,
    n_angle: int,
    rho_max: float,
) -> NDArray[np.int64]:
    # Of each hit: bin of its quadrant, in rows of rho; -1 beyond rho_max.
    out = np.empty(x.size, np.int64)
    for i in range(x.size):
        rho, angle, quadrant = _polar(x[i], z[i], geometry, distorted, n_rho / rho_max, n_angle / (math.pi / 2))
        # False for nan too
        out[i] = (quadrant * n_rho + int(rho)) * n_angle + min(int(angle), n_angle - 1) if rho < n_rho else -1
    return out


def places(
    x: NDArray[np.float64], z: NDArray[np.float64], geometry: ImageGeometry, bins: PolarBins
) -> NDArray[np.int64]:
    """Return in which bin of `PolarMap.quadrants`, made flat, each hit (n,) falls: -1 for none."""
    shape = bins.n_rho, bins.n_angle, bins.rho_max
    return _places(x.astype(float), z.astype(float), geometry.as_array(), not geometry.is_shift, *shape)


@njit(cache=True)
def _neighbours(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    geometry: NDArray[np.float64],
    distorted: bool,
    n_rho: int,
    n_angle: int,
    rho_max: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    place, part = np.zeros((x.size, 4), np.int64), np.zeros((x.size, 4))
    for i in range(x.size):
        rho, angle, quadrant = _polar(x[i], z[i], geometry, distorted, n_rho / rho_max, n_angle / (math.pi / 2))
        if not rho < n_rho:
            continue
        # From the middle of one bin to that of the next; at the edges of a quadrant, the bin itself.
        row, column = max(int(rho - 0.5), 0), max(int(angle - 0.5), 0)
        u, v = min(max(rho - 0.5 - row, 0.0), 1.0), min(max(angle - 0.5 - column, 0.0), 1.0)
        for k in range(4):
            at = min(row + (k & 1), n_rho - 1), min(column + (k >> 1), n_angle - 1)
            place[i, k] = (quadrant * n_rho + at[0]) * n_angle + at[1]
            part[i, k] = (u if k & 1 else 1 - u) * (v if k >> 1 else 1 - v)
    return place, part


def neighbours(
    x: NDArray[np.float64], z: NDArray[np.float64], geometry: ImageGeometry, bins: PolarBins
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the four bins (n, 4) between whose middles each hit lies, and the parts that interpolate them linearly.

    As `places`; a hit that falls into no bin has parts of 0.
    """
    shape = bins.n_rho, bins.n_angle, bins.rho_max
    return _neighbours(x.astype(float), z.astype(float), geometry.as_array(), not geometry.is_shift, *shape)


@njit(cache=True)
def _sum(
    place: NDArray[np.int64], weight: NDArray[np.float64], variance: NDArray[np.float64], bins: int
) -> NDArray[np.float64]:
    # Both sums of a bin lie side by side: one cache line per hit.
    out = np.zeros((bins, 2))
    for i in range(place.size):
        if place[i] >= 0:
            out[place[i], 0] += weight[i]
            out[place[i], 1] += variance[i]
    return out


def fold(
    x: ArrayLike,
    z: ArrayLike,
    weight: ArrayLike | None,
    geometry: ImageGeometry | tuple[float, float],
    bins: PolarBins,
    *,
    variance: ArrayLike | None = None,
) -> PolarMap:
    """Fold hits into quadrants of the undistorted image.

    Parameters
    ----------
    x, z : arrays (n,)
        Detector units. Hits beyond rho_max, and those that are not finite, are left out.
    weight : array (n,) or None
        Electrons that a hit stands for; None: one each.
    geometry : ImageGeometry, or its centre (x, z)
    bins : PolarBins
    variance : array (n,) or None
        What a hit adds to the variance of a bin's sum of weights; None: the square of its weight.

    Raises
    ------
    ValueError
        The lengths differ.
    """
    x, z = np.ascontiguousarray(x, dtype=float), np.ascontiguousarray(z, dtype=float)
    weight = np.ones(x.size) if weight is None else np.ascontiguousarray(weight, dtype=float)
    variance = weight**2 if variance is None else np.ascontiguousarray(variance, dtype=float)
    if x.ndim != 1 or not x.shape == z.shape == weight.shape == variance.shape:
        raise ValueError(
            "expected x, z, weight and variance of one length, "
            f"found {x.shape}, {z.shape}, {weight.shape} and {variance.shape}"
        )
    if not isinstance(geometry, ImageGeometry):
        geometry = ImageGeometry(*geometry)
    place = places(x, z, geometry, bins)
    sums = _sum(place, weight, variance, 4 * bins.n_rho * bins.n_angle)
    quadrants, squares = np.ascontiguousarray(sums.T).reshape(2, 4, bins.n_rho, bins.n_angle)
    return PolarMap(quadrants, squares.sum(axis=0))


def coarsen(values: NDArray[_Float], by_rho: int, by_angle: int) -> NDArray[_Float]:
    """Sum blocks of `by_rho` x `by_angle` bins: (.., n_rho, n_angle) to (.., n_rho / by_rho, n_angle / by_angle)."""
    *leading, n_rho, n_angle = values.shape
    return values.reshape(*leading, n_rho // by_rho, by_rho, n_angle // by_angle, by_angle).sum(axis=(-3, -1))


class RadialFactors(NamedTuple):
    """Integrals over each bin of rho, arrays (powers, n_rho), read-only; N is that of `radial_functions`."""

    value: NDArray[np.float64]  # of rho N
    by_R: NDArray[np.float64]  # of rho dN/dR
    by_sigma_R: NDArray[np.float64]  # of rho dN/dsigma_R
    by_rho: NDArray[np.float64]  # of rho dN/drho
    across: NDArray[np.float64]  # of N
    stretched: NDArray[np.float64]  # of d(rho^2 N)/drho


class AngularFactors(NamedTuple):
    """Integrals over each bin of the angle, times 4 for the four quadrants, arrays (powers, n_angle).

    For C = cos^m(alpha), C' its derivative, s and c sine and cosine of alpha, s2 and c2 those of 2 alpha.
    """

    value: NDArray[np.float64]  # of C
    by_x: tuple[NDArray[np.float64], NDArray[np.float64]]  # of s C and c C': gradient along x, radial and across
    by_z: tuple[NDArray[np.float64], NDArray[np.float64]]  # of c C and -s C'
    turned: NDArray[np.float64]  # of C'
    stretched: tuple[NDArray[np.float64], NDArray[np.float64]]  # of c2 C and s2 C
    sheared: tuple[NDArray[np.float64], NDArray[np.float64]]  # of (-s2 C)' and (c2 C)'


@functools.lru_cache(maxsize=64)
def hermite_factors(bins: PolarBins, R: float, sigma_R: float, order: int, *, odd: bool = False) -> NDArray[np.float64]:
    """Integrate rho `util.physics.projection.hermite_functions` over each bin of rho: (7, powers, n_rho), read-only."""
    factors = _integrate(bins, R, sigma_R, lambda rho: rho * hermite_functions(rho, R, sigma_R, order, odd=odd))
    factors.flags.writeable = False
    return factors


def _integrate(
    bins: PolarBins, R: float, sigma_R: float, integrand: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Integrate what a sphere puts at rho, (n,) to (.., n), over each bin of rho: (.., n_rho).

    By Gauss-Legendre quadrature: near R with three points where bins are narrower than sigma_R / 2, else more; well
    inside, where all is smooth, with fewer; beyond the sphere there is nothing.
    """
    width = bins.rho_max / bins.n_rho
    inner, outer = (
        int(np.clip(place / width, 0, bins.n_rho)) for place in (R - _SMOOTH * sigma_R, R + REACH * sigma_R)
    )
    outer = min(outer + 1, bins.n_rho)
    parts = []
    for first, last, points in (
        (0, inner, 2 if width <= sigma_R / 2 else 3),
        (inner, outer, 2 + math.ceil(2 * width / sigma_R)),
    ):
        nodes, weights = _gauss(points)
        rho = bins.rho[first:last, None] + width / 2 * (1 + nodes)
        found = integrand(rho.ravel())
        parts.append(found.reshape(*found.shape[:-1], *rho.shape) @ (weights * width / 2))
    parts.append(np.zeros((*parts[0].shape[:-1], bins.n_rho - outer)))
    return np.concatenate(parts, axis=-1)


_gauss = functools.cache(np.polynomial.legendre.leggauss)


@functools.lru_cache(maxsize=160)
def radial_factors(bins: PolarBins, R: float, sigma_R: float, order: int, *, odd: bool = False) -> RadialFactors:
    """Integrate a sphere's radial functions (`util.physics.projection.radial_functions`) over each bin of rho."""

    def integrand(rho: NDArray[np.float64]) -> NDArray[np.float64]:
        N, by_R, by_sigma_R, by_rho = radial_functions(rho, R, sigma_R, order, odd=odd)
        return np.stack((rho * N, rho * by_R, rho * by_sigma_R, rho * by_rho, N, rho * (2 * N + rho * by_rho)))

    factors = _integrate(bins, R, sigma_R, integrand)
    # A fit asks for the same spheres several times: for the counts, their derivatives, and the geometry.
    factors.flags.writeable = False
    return RadialFactors(*factors)


@functools.lru_cache(maxsize=8)
def angular_factors(bins: PolarBins, order: int, *, odd: bool = False) -> AngularFactors:
    """Integrate the powers of the cosine up to `order`, even or `odd` ones, over each bin of the angle."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    width = np.pi / 2 / bins.n_angle
    angle = bins.angle_rad[:-1, None] + width / 2 * (1 + nodes)
    sine, cosine, twice_s, twice_c = np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)
    m = np.arange(int(odd), order + 1, 2)[:, None, None]
    power: NDArray[np.float64] = cosine**m
    turn: NDArray[np.float64] = -m * cosine ** np.maximum(m - 1, 0) * sine

    def integral(part: NDArray[np.float64]) -> NDArray[np.float64]:
        out = part @ (4 * weights * width / 2)
        out.flags.writeable = False
        return out

    return AngularFactors(
        integral(power),
        (integral(power * sine), integral(turn * cosine)),
        (integral(power * cosine), integral(-turn * sine)),
        integral(turn),
        (integral(power * twice_c), integral(power * twice_s)),
        (integral(-turn * twice_s - 2 * power * twice_c), integral(turn * twice_c - 2 * power * twice_s)),
    )


def expected(bins: PolarBins, beta: ArrayLike, R: float, sigma_R: float) -> NDArray[np.float64]:
    """Return the probability of each bin (n_rho, n_angle) for one electron of a sphere centred on the map."""
    beta = np.asarray(beta, dtype=float)
    a = pad.legendre_to_power(beta.size) @ np.concatenate(([0.5], beta))
    radial = radial_factors(bins, R, sigma_R, 2 * beta.size).value
    return radial.T @ (a[:, None] * angular_factors(bins, 2 * beta.size).value)
