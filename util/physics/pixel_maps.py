"""Expected distribution of many spheres in the pixels of a square detector: the same sums for every sphere, made once.

With rho and alpha the polar coordinates of a place, p = sum_j P_2j(cos alpha) f_j(rho), as in `util.physics.projection`
but for the powers of the cosine there, which cancel in single precision. f_j is smooth on the scale of sigma_R; it is
known at `NODES` and interpolated between them by cubics, to 1e-4 of a line of sigma_R = 0.005. The mean over a pixel is
then a weighted sum of f_j at the few nodes near it, with weights that no sphere changes.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from util.physics.projection import radial_functions
from util.physics.shell_maps import CENTRES, SHELL

STEP = 1 / 1024
# Two more than the screen's edge needs.
NODES = np.arange(round(1 / STEP) + 3) * STEP
# Longest side of a pixel for each further Gauss-Legendre point along it, and one point more.
_PER_POINT = 0.003


class PixelSums(NamedTuple):
    """How the pixels of the quadrant x, z > 0 sum over nodes.

    Attributes
    ----------
    node : array (pixels^2 / 4, k)
        Indices into `NODES`; pixels in rows of x.
    weight : array (pixels^2 / 4, k, order / 2 + 1)
        What f_j at that node is multiplied by; the sum is the integral over the pixel.
    """

    node: NDArray[np.int32]
    weight: NDArray[np.float32]


@functools.lru_cache(maxsize=2)
def shell_functions(order: int) -> NDArray[np.float64]:
    """Return N_k of each shell of `util.physics.shell_maps` at the nodes, (order/2 + 1, centres, nodes), read-only."""
    table = np.stack([radial_functions(NODES, float(centre), SHELL, order)[0] for centre in CENTRES], axis=1)
    table.flags.writeable = False
    return table


def power_to_legendre(n: int) -> NDArray[np.float64]:
    """Return the matrix C (n + 1, n + 1) with cos^{2k} = sum_j C[j, k] P_2j; none of its entries is negative."""
    matrix = np.zeros((n + 1, n + 1))
    for k in range(n + 1):
        matrix[: k + 1, k] = legendre.poly2leg([0.0] * (2 * k) + [1.0])[::2]
    return matrix


def _cubic(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Lagrange's weights (4, ...) of the nodes at -1, 0, 1, 2 for places 0 .. 1 between the middle two."""
    a, b, c, d = part + 1, part, part - 1, part - 2
    return np.stack((-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6))


def pixel_sums(pixels: int, order: int) -> PixelSums:
    """Return the sums of a detector of `pixels` x `pixels`, an even number, for PADs up to a Legendre degree."""
    half, side = pixels // 2, 2 / pixels
    places, shares = legendre.leggauss(int(np.ceil(side / _PER_POINT)) + 1)
    left = np.arange(half) * side
    x, z = np.repeat(left, half), np.tile(left, half)
    first = np.maximum(np.hypot(x, z) / STEP, 1).astype(np.int32) - 1
    last = np.minimum(np.hypot(x + side, z + side) / STEP, NODES.size - 3).astype(np.int32) + 2
    width = max(int((last - first).max()) + 1, 4)
    first = np.minimum(first, NODES.size - width)
    degrees = np.eye(order + 1)[:, ::2]
    weight = np.zeros((half * half * width, order // 2 + 1))
    for across, share_across in zip(places, shares, strict=True):
        for along, share_along in zip(places, shares, strict=True):
            px, pz = x + side * (1 + across) / 2, z + side * (1 + along) / 2
            rho = np.hypot(px, pz)
            below = np.minimum((rho / STEP).astype(np.int32), NODES.size - 3)
            angular = (
                legendre.legval(pz / rho, degrees).T
                * ((rho < 1) * share_across * share_along * (side / 2) ** 2)[:, None]
            )
            for offset, radial in enumerate(_cubic(rho / STEP - below)):
                # f_j is even in rho.
                row = np.abs(below - 1 + offset) - first
                weight[np.arange(half * half) * width + np.minimum(row, width - 1)] += angular * radial[:, None]
    node = first[:, None] + np.arange(width, dtype=np.int32)
    return PixelSums(node.astype(np.int32), weight.reshape(half * half, width, -1).astype(np.float32))
