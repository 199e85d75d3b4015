"""One spot tried as two, or as none (compiled): what lowers the objective of `util.finder.spot_search` stays.

Functions take the `Search` and the work arrays of `find_spots`.
"""

import math

import numpy as np
from numba import njit

from util.finder.one_electron import set_spot
from util.finder.spot_fit import COLUMNS, MAX_BINS, MAX_CLUSTER, add_light, fit_spots, gather, set_window

TOLERANCE = 0.05  # of the objective, at which a fit ends


@njit(cache=True)
def _split(data, clipped, model, spots, k, search, first, second):
    """Two spots in place of the first: apart along the direction in which data and light disagree.

    The excess of the fitted spot's second moments over those of one electron gives distance and direction: its size
    and obliqueness, and the moment xx - zz that the spot's shape cannot follow, read off by projecting what is
    left unexplained on the derivative of the Gaussian in that moment.
    """
    electron = search.electron
    A, x, z, s, rho = spots[0, 0], spots[0, 1], spots[0, 2], spots[0, 3], spots[0, 4]
    gain, growth = spots[0, 5], spots[0, 6]
    A0, s0 = electron.A * gain, electron.s * growth
    side_x, side_z = electron.side_x, electron.side_z
    h = 2.0 * s
    r0, r1 = max(0, math.ceil((x - h) / side_x)), min(data.shape[0] - 1, math.floor((x + h) / side_x))
    c0, c1 = max(0, math.ceil((z - h) / side_z)), min(data.shape[1] - 1, math.floor((z + h) / side_z))
    for i in range(k):
        add_light(model, spots[i], 1.0, electron)
    xx_num = xz_num = 0.0
    xx_den = xz_den = 1e-30
    i2 = 0.5 / (s * s)
    for r in range(r0, r1 + 1):
        for c in range(c0, c1 + 1):
            left = data[r, c] - model[r, c]
            if clipped[r, c] and left < 0.0:
                left = 0.0
            dx, dz = r * side_x - x, c * side_z - z
            g = A * math.exp(-(dx * dx + dz * dz + 2.0 * rho * dx * dz) * i2) * i2 / (s * s)
            g_xx, g_xz = g * (dx * dx - dz * dz), g * 2.0 * dx * dz
            xx_num += left * g_xx
            xx_den += g_xx * g_xx
            xz_num += left * g_xz
            xz_den += g_xz * g_xz
    for i in range(k):
        add_light(model, spots[i], -1.0, electron)
    round_excess = s * s / (1.0 - rho * rho) - s0 * s0
    xx = xx_num / xx_den
    xz = xz_num / xz_den - rho * s * s / (1.0 - rho * rho)
    d = math.sqrt(max(round_excess + math.sqrt(xx * xx + xz * xz), 0.1 * s0 * s0))
    d = min(d, 1.5 * s0)
    angle = 0.5 * math.atan2(xz, xx)
    brightness = max(0.5 * A * s * s / (s0 * s0), 0.3 * A0)
    set_spot(first, brightness, x + d * math.cos(angle), z + d * math.sin(angle), gain, growth, electron)
    set_spot(second, brightness, x - d * math.cos(angle), z - d * math.sin(angle), gain, growth, electron)


@njit(cache=True)
def _without_first(spots, k, search, rest):
    """Copy all spots but the first; its nearest neighbour takes half of its light and moves towards it."""
    nearest, gap = -1, (2.0 * search.electron.s * spots[0, 6]) ** 2
    for i in range(1, k):
        rest[i - 1] = spots[i]
        g = (spots[i, 1] - spots[0, 1]) ** 2 + (spots[i, 2] - spots[0, 2]) ** 2
        if g < gap:
            nearest, gap = i - 1, g
    if nearest >= 0:
        share = spots[0, 0] / (spots[0, 0] + rest[nearest, 0])
        rest[nearest, 1] += share * (spots[0, 1] - rest[nearest, 1])
        rest[nearest, 2] += share * (spots[0, 2] - rest[nearest, 2])
        rest[nearest, 0] += 0.5 * spots[0, 0]


@njit(cache=True)
def fit_cluster(data, clipped, model, spots, k, weight, iterations, search, work):
    """Fit the first `k` spots, whose light is not in `model`; return the objective, or infinity without a window."""
    fit_work, window, target, target_clipped = work
    set_window(spots, k, search.radius, data.shape, search.electron, window)
    if window[0, 2] == 0 or window[0, 2] > MAX_BINS:
        return np.inf
    gather(data, model, clipped, window, target, target_clipped)
    return fit_spots(spots, k, window, target, target_clipped, weight, search.electron, iterations, TOLERANCE, fit_work)


@njit(cache=True)
def change_spot(data, clipped, model, spots, k, who, weight, search, work):
    """Split or remove spot `who` if that lowers the objective; return the new number of spots.

    Only the spots near it are fitted anew, the others' light is taken as known.
    """
    fit_work, window, target, target_clipped = work
    near = np.empty((MAX_CLUSTER, COLUMNS))
    trial = np.empty((MAX_CLUSTER, COLUMNS))
    far = np.empty((MAX_CLUSTER, COLUMNS))
    m, rest = 1, 0
    near[0] = spots[who]
    for i in range(k):
        if i == who:
            continue
        if (spots[i, 1] - spots[who, 1]) ** 2 + (spots[i, 2] - spots[who, 2]) ** 2 < search.link**2:
            near[m] = spots[i]
            m += 1
        else:
            far[rest] = spots[i]
            add_light(model, far[rest], 1.0, search.electron)
            rest += 1
    value = fit_cluster(data, clipped, model, near, m, weight, 0, search, work)
    size = m
    if k < MAX_CLUSTER:
        trial[:m] = near[:m]
        _split(data, clipped, model, near, m, search, trial[0], trial[m])
        new = fit_spots(trial, m + 1, window, target, target_clipped, weight, search.electron, 20, TOLERANCE, fit_work)
        if new + search.penalty < value:
            size = m + 1
    faint = search.electron.heights > 0.0 or near[0, 0] < search.electron.A * near[0, 5]
    if size == m and m > 1 and faint:
        _without_first(near, m, search, trial)
        new = fit_spots(trial, m - 1, window, target, target_clipped, weight, search.electron, 20, TOLERANCE, fit_work)
        if new - search.penalty < value:
            size = m - 1
    for i in range(rest):
        add_light(model, far[i], -1.0, search.electron)
    if size != m:
        spots[:size] = trial[:size]
        spots[size : size + rest] = far[:rest]
    return size + rest
