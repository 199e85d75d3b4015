"""Start values: where the Newton spheres are, without any guess by hand.

A coarse folded map is fitted with every tuple of radii of a grid at once. Each radius brings a PAD of low order and its
derivatives in R and sigma_R, so that a sphere between grid points is described too; all normal equations are cut from
one Gram matrix.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from util.physics import pad
from util.physics.polar_map import PolarBins, angular_factors, coarsen, radial_factors

COARSE = (100, 16)
_STEP = 0.01
_GRID = np.arange(0.10, 0.975, _STEP)
_SIGMA = 0.010
# Legendre degree of the start's PADs: low, for these need not be right, only tell radii apart.
_ORDER = 12
_RIDGE = 1e-4
# Closer pairs than this are not sought: their descriptions overlap.
_CLOSEST = 0.03
_CHUNK = 500
# Tuples that are grown by one more sphere, beyond two.
_BEAM = 30


@functools.cache
def _basis(bins: PolarBins) -> NDArray[np.float64]:
    """Return maps (grid, functions, n_rho * n_angle): betas, then the same differentiated in R and in sigma_R."""
    to_power = pad.legendre_to_power(_ORDER // 2)
    angular = to_power.T[:, :, None] * angular_factors(bins, _ORDER).value
    maps = []
    for R in _GRID:
        radial = radial_factors(bins, R, _SIGMA, _ORDER)[:3]
        maps.append(np.einsum("dkr,ika->dira", radial, angular, optimize=True).reshape(-1, bins.n_rho * bins.n_angle))
    basis = np.array(maps)
    basis.flags.writeable = False
    return basis


def _gains(
    gram: NDArray[np.float64], rhs: NDArray[np.float64], members: NDArray[np.int64], functions: int
) -> NDArray[np.float64]:
    """Return the weighted sum of squares that each tuple of grid points explains; -inf where a sphere is negative."""
    gains = []
    for part in np.array_split(members, max(1, len(members) // _CHUNK)):
        index = (part[:, :, None] * functions + np.arange(functions)).reshape(len(part), -1)
        right = rhs[index]
        system = gram[index[:, :, None], index[:, None, :]]
        solution = np.linalg.solve(system, right[..., None])[..., 0]
        gain = np.einsum("mi,mi->m", right, solution)
        # The first function of each block is the isotropic sphere: its coefficient is the number of electrons.
        gain[(solution[:, ::functions] <= 0).any(axis=1)] = -np.inf
        gains.append(gain)
    return np.concatenate(gains)


def _distinct(members: NDArray[np.int64], gains: NDArray[np.float64], best: int) -> list[int]:
    """Return the indices of the best tuples that differ by more than two grid steps in some radius."""
    chosen: list[int] = []
    for i in np.argsort(gains, kind="stable")[::-1]:
        if len(chosen) == best or gains[i] == -np.inf:
            break
        if all(np.abs(members[i] - members[j]).max() > 2 for j in chosen):
            chosen.append(int(i))
    return chosen


def _extend(members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return every tuple with one more grid radius, far enough from its others, ascending."""
    apart = round(_CLOSEST / _STEP)
    longer = {tuple(sorted((*m, j))) for m in members for j in range(_GRID.size) if np.abs(m - j).min() >= apart}
    return np.array(sorted(longer), dtype=int).reshape(-1, members.shape[1] + 1)


def candidates(counts: NDArray[np.floating], bins: PolarBins, spheres: int, best: int = 6) -> list[tuple[float, ...]]:
    """Return likely radii of the spheres in a folded map.

    Parameters
    ----------
    counts : array (n_rho, n_angle)
        Folded weights (`polar_map.fold`), in bins that can be merged into `COARSE` ones.
    bins : PolarBins
        Those bins.
    spheres : int
        How many to look for. One and two are searched exhaustively; more are grown from the best pairs.
    best : int
        How many answers to return at most; they differ by more than two grid steps in some radius.

    Returns
    -------
    list of tuples of R, ascending in a tuple, the likeliest tuple first
        R in detector units, good to about the grid step, 0.01. Empty where no tuple makes all spheres positive.
    """
    by_rho, by_angle = bins.n_rho // COARSE[0], bins.n_angle // COARSE[1]
    coarse = bins.coarser(by_rho, by_angle)
    basis = _basis(coarse)
    data = coarsen(counts, by_rho, by_angle).ravel()
    # One more count in the variance: an empty bin is no certain zero.
    spread = np.sqrt(np.maximum(data, 0) + 1)
    functions = basis.shape[1]
    scaled = basis.reshape(-1, data.size) / spread
    scaled /= np.sqrt((scaled**2).sum(axis=1, keepdims=True)) + 1e-300
    gram = scaled @ scaled.T + _RIDGE * np.eye(len(scaled))
    rhs = scaled @ (data / spread)

    # One and two spheres are searched exhaustively.
    members = np.arange(_GRID.size)[:, None]
    if spheres > 1:
        members = _extend(members)
    gains = _gains(gram, rhs, members, functions)
    for _ in range(spheres - 2):
        members = _extend(members[_distinct(members, gains, _BEAM)])
        gains = _gains(gram, rhs, members, functions)
    return [tuple(float(R) for R in _GRID[members[i]]) for i in _distinct(members, gains, best)]
