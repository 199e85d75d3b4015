"""Draws from a normal distribution of many parameters within linear limits.

Exact Hamiltonian Monte Carlo (A. Pakman & L. Paninski, J. Comput. Graph. Stat. 23, 518 (2014)): in coordinates in which
the distribution is the unit normal, a particle with a random velocity oscillates about the mean; where it meets a
limit, it is reflected. A quarter of a period without a limit is an independent draw.
"""

import numpy as np
from numpy.typing import NDArray

_TRAVEL = np.pi / 2
_AT_A_WALL = 1e-9  # of the time within which a limit that was just met would be met again by rounding
_BOUNCES = 10_000


def draw_within(
    mean: NDArray[np.float64],
    precision: NDArray[np.float64],
    slopes: NDArray[np.float64],
    least: NDArray[np.float64],
    start: NDArray[np.float64],
    *,
    chains: int,
    steps: int,
    burn_in: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw x from N(mean, precision^-1) where ``slopes @ x >= least``.

    Parameters
    ----------
    mean, precision : arrays (d,), (d, d)
    slopes, least : arrays (m, d), (m,)
    start : array (d,)
        Within the limits.
    chains, steps, burn_in : int
        Particles, and how often each draws a velocity; the first `burn_in` draws are left out.
    rng : numpy.random.Generator

    Returns
    -------
    array (chains * (steps - burn_in), d)

    Raises
    ------
    ValueError
        `start` lies beyond a limit.
    """
    root = np.linalg.inv(np.linalg.cholesky(precision)).T  # x = mean + root u
    walls, room = slopes @ root, slopes @ mean - least
    length = np.linalg.norm(walls, axis=1)
    walls, room = walls / length[:, None], room / length
    u = np.repeat(np.linalg.solve(root, start - mean)[:, None], chains, axis=1)
    if (walls @ u + room[:, None]).min() < 0:
        raise ValueError("expected a start within the limits, found one beyond")
    kept = []
    for step in range(steps):
        u = _travel(u, np.asarray(rng.standard_normal(u.shape)), walls, room)
        if step >= burn_in:
            kept.append(u)
    return mean + np.concatenate(kept, axis=1).T @ root.T


def _travel(
    u: NDArray[np.float64], v: NDArray[np.float64], walls: NDArray[np.float64], room: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where particles (d, chains) are after `_TRAVEL`; walls (m, d) of unit length, of which u + room >= 0."""
    out, under_way = np.empty_like(u), np.arange(u.shape[1])
    left, last = np.full(under_way.size, _TRAVEL), np.full(under_way.size, -1)
    for _ in range(_BOUNCES):
        along, at = walls @ v, walls @ u
        reach = np.hypot(along, at)
        # On the way out of the room: reach cos(t + phase) = -room, where it falls.
        meets = reach > np.abs(room)[:, None]
        ratio = np.where(meets, -room[:, None] / np.where(meets, reach, 1), 0)
        when = np.where(meets, (np.arccos(ratio) - np.arctan2(-along, at)) % (2 * np.pi), np.inf)
        just_met = last >= 0
        again = when[last[just_met], np.flatnonzero(just_met)]
        when[last[just_met], np.flatnonzero(just_met)] = np.where(again < _AT_A_WALL, np.inf, again)
        first = when.argmin(axis=0)
        t = np.minimum(when[first, np.arange(first.size)], left)
        u, v = v * np.sin(t) + u * np.cos(t), v * np.cos(t) - u * np.sin(t)
        done = t >= left
        out[:, under_way[done]] = u[:, done]
        if done.all():
            return out
        under_way, left, last, u, v = under_way[~done], (left - t)[~done], first[~done], u[:, ~done], v[:, ~done]
        normal = walls[last].T
        v = v - 2 * (normal * v).sum(axis=0) * normal
    raise ValueError(f"a particle met more than {_BOUNCES} limits; there is hardly room between them")
