"""One frame's map of bins to its spots: seeds, joint fits of clusters, spots split and removed (compiled).

The search is an annealing. Each round fits every cluster of overlapping spots jointly, the other clusters' light
taken as known, and from the second round on tries to split or remove the spots that look least like one electron. The
first rounds allow for a large unexplained brightness, so that nothing is split because a neighbour is not yet right;
the last for little, so that pairs far closer than their width come apart. A change stays if it lowers

    half chi-square + half squared distance of (A, s, rho) from one electron's [standard deviations] + penalty x spots.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from util.finder.spot_fit import (
    MAX_BINS,
    MAX_CLUSTER,
    PARAMETERS,
    add_light,
    fit_spots,
    gather,
    prior_penalty,
    set_window,
)

CAPACITY = 4096  # spots a frame
TOLERANCE = 0.05  # of the objective, at which a fit ends
SETTLED_PX, SETTLED_A = 0.02, 0.01  # a spot that moved less (bins; fraction of A) leaves its neighbours alone


class Search(NamedTuple):
    """What `find_spots` needs to know, in bins and counts.

    prior (3, 2): mean and standard deviation of A, s, rho of one electron. weights: 1 / variance of a bin, one a round.
    seed: brightness that starts a spot; residual_seed: the same in what the spots leave unexplained.
    cut: counts below which a spot's light ends. link: distance of spots fitted jointly. radius: bins nearer than this
    to a spot count in its fit. penalty: cost of one more spot. suspicion: squared distance from one electron's
    (A, s, rho), in standard deviations, from which a spot is tried as two, or as none.
    """

    prior: np.ndarray
    weights: np.ndarray
    seed: float
    residual_seed: float
    cut: float
    link: float
    radius: float
    penalty: float
    suspicion: float
    rounds: int


@njit(cache=True)
def _lit_bins(data, threshold):
    """Rows and columns (n, 2) of the bins that are at least as bright as `threshold`."""
    rows, columns = data.shape
    n = 0
    for r in range(rows):
        for c in range(columns):
            n += data[r, c] >= threshold
    lit = np.empty((n, 2), np.int32)
    n = 0
    for r in range(rows):
        for c in range(columns):
            if data[r, c] >= threshold:
                lit[n, 0], lit[n, 1] = r, c
                n += 1
    return lit


@njit(cache=True)
def _add_maxima(data, model, lit, threshold, spots, n, prior):
    """Append a spot at every local maximum (8 neighbours) of what `model` leaves of `data` above `threshold`.

    Only `lit` bins are looked at: no other can be above the threshold. Return the new number of spots.
    """
    rows, columns = data.shape
    for b in range(lit.shape[0]):
        r, c = lit[b, 0], lit[b, 1]
        v = data[r, c] - model[r, c]
        if v < threshold or n == spots.shape[0]:
            continue
        highest = True
        for i in range(max(0, r - 1), min(rows, r + 2)):
            for j in range(max(0, c - 1), min(columns, c + 2)):
                # of equal neighbours the first in reading order is the maximum
                w = data[i, j] - model[i, j]
                if w > v or (w == v and (i < r or (i == r and j < c))):
                    highest = False
        if not highest:
            continue
        _set(spots[n], v, float(r), float(c), prior)
        if 0 < r < rows - 1:
            spots[n, 1] += _vertex(data[r - 1, c] - model[r - 1, c], v, data[r + 1, c] - model[r + 1, c])
        if 0 < c < columns - 1:
            spots[n, 2] += _vertex(data[r, c - 1] - model[r, c - 1], v, data[r, c + 1] - model[r, c + 1])
        n += 1
    return n


@njit(cache=True)
def _set(spot, A, x, z, prior):
    """Make `spot` one electron's, of the expected size."""
    spot[0], spot[1], spot[2], spot[3], spot[4] = A, x, z, prior[1, 0], prior[2, 0]


@njit(cache=True)
def _vertex(before, at, after):
    """Offset of the vertex of the parabola through three neighbouring values."""
    curvature = 2.0 * at - before - after
    return 0.5 * (after - before) / curvature if curvature > 0.0 else 0.0


@njit(cache=True)
def _link(spots, n, distance, label):
    """Label clusters of spots nearer than `distance`, closest pairs first, leaving room to grow in each."""
    size = np.ones(n, np.int64)
    for i in range(n):
        label[i] = i
    room = 16 * n
    pairs = np.empty(room, np.int64)
    gaps = np.empty(room)
    m = 0
    for i in range(n):
        for j in range(i):
            gap = (spots[i, 1] - spots[j, 1]) ** 2 + (spots[i, 2] - spots[j, 2]) ** 2
            if gap < distance * distance and m < room:
                gaps[m] = gap
                pairs[m] = i * n + j
                m += 1
    for o in np.argsort(gaps[:m]):
        a, b = label[pairs[o] // n], label[pairs[o] % n]
        if a != b and size[a] + size[b] <= MAX_CLUSTER - 3:
            size[a] += size[b]
            for i in range(n):
                if label[i] == b:
                    label[i] = a


@njit(cache=True)
def _split(data, clipped, model, spots, k, search, first, second):
    """Two spots in place of the first: apart along the direction in which data and light disagree.

    The excess of the fitted spot's second moments over those of one electron gives distance and direction: its size
    and obliqueness, and the moment xx - zz that the spot's shape cannot follow, read off by projecting what is
    left unexplained on the derivative of the Gaussian in that moment.
    """
    prior = search.prior
    A, x, z, s, rho = spots[0, 0], spots[0, 1], spots[0, 2], spots[0, 3], spots[0, 4]
    s0 = prior[1, 0]
    h = 2.0 * s
    r0, r1 = max(0, math.ceil(x - h)), min(data.shape[0] - 1, math.floor(x + h))
    c0, c1 = max(0, math.ceil(z - h)), min(data.shape[1] - 1, math.floor(z + h))
    for i in range(k):
        add_light(model, spots[i], 1.0, search.cut)
    xx_num = xz_num = 0.0
    xx_den = xz_den = 1e-30
    i2 = 0.5 / (s * s)
    for r in range(r0, r1 + 1):
        for c in range(c0, c1 + 1):
            left = data[r, c] - model[r, c]
            if clipped[r, c] and left < 0.0:
                left = 0.0
            dx, dz = r - x, c - z
            g = A * math.exp(-(dx * dx + dz * dz + 2.0 * rho * dx * dz) * i2) * i2 / (s * s)
            g_xx, g_xz = g * (dx * dx - dz * dz), g * 2.0 * dx * dz
            xx_num += left * g_xx
            xx_den += g_xx * g_xx
            xz_num += left * g_xz
            xz_den += g_xz * g_xz
    for i in range(k):
        add_light(model, spots[i], -1.0, search.cut)
    round_excess = s * s / (1.0 - rho * rho) - s0 * s0
    xx = xx_num / xx_den
    xz = xz_num / xz_den - rho * s * s / (1.0 - rho * rho)
    d = math.sqrt(max(round_excess + math.sqrt(xx * xx + xz * xz), 0.1 * s0 * s0))
    d = min(d, 1.5 * s0)
    angle = 0.5 * math.atan2(xz, xx)
    brightness = max(0.5 * A * s * s / (s0 * s0), 0.3 * prior[0, 0])
    _set(first, brightness, x + d * math.cos(angle), z + d * math.sin(angle), prior)
    _set(second, brightness, x - d * math.cos(angle), z - d * math.sin(angle), prior)


@njit(cache=True)
def _without_first(spots, k, search, rest):
    """Copy all spots but the first; its nearest neighbour takes half of its light and moves towards it."""
    nearest, gap = -1, (2.0 * search.prior[1, 0]) ** 2
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
def _fit(data, clipped, model, spots, k, weight, iterations, search, work):
    """Fit the first `k` spots, whose light is not in `model`; return the objective, or infinity without a window."""
    fit_work, window, target, target_clipped = work
    set_window(spots, k, search.radius, data.shape, window)
    if window[0, 2] == 0 or window[0, 2] > MAX_BINS:
        return np.inf
    gather(data, model, clipped, window, target, target_clipped)
    return fit_spots(
        spots, k, window, target, target_clipped, weight, search.prior, search.cut, iterations, TOLERANCE, fit_work
    )


@njit(cache=True)
def _change_spot(data, clipped, model, spots, k, who, weight, search, work):
    """Split or remove spot `who` if that lowers the objective; return the new number of spots.

    Only the spots near it are fitted anew, the others' light is taken as known.
    """
    fit_work, window, target, target_clipped = work
    near = np.empty((MAX_CLUSTER, PARAMETERS))
    trial = np.empty((MAX_CLUSTER, PARAMETERS))
    far = np.empty((MAX_CLUSTER, PARAMETERS))
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
            add_light(model, far[rest], 1.0, search.cut)
            rest += 1
    value = _fit(data, clipped, model, near, m, weight, 0, search, work)
    size = m
    if k < MAX_CLUSTER:
        trial[:m] = near[:m]
        _split(data, clipped, model, near, m, search, trial[0], trial[m])
        new = fit_spots(
            trial, m + 1, window, target, target_clipped, weight, search.prior, search.cut, 20, TOLERANCE, fit_work
        )
        if new + search.penalty < value:
            size = m + 1
    if size == m and m > 1 and near[0, 0] < search.prior[0, 0]:
        _without_first(near, m, search, trial)
        new = fit_spots(
            trial, m - 1, window, target, target_clipped, weight, search.prior, search.cut, 20, TOLERANCE, fit_work
        )
        if new - search.penalty < value:
            size = m - 1
    for i in range(rest):
        add_light(model, far[i], -1.0, search.cut)
    if size != m:
        spots[:size] = trial[:size]
        spots[size : size + rest] = far[:rest]
    return size + rest


@njit(cache=True)
def _search_cluster(data, clipped, model, spots, k, weight, change, search, work):
    """Fit the first `k` spots, whose light is not in `model`; if `change`, split and remove. Return their number."""
    if _fit(data, clipped, model, spots, k, weight, 12, search, work) == np.inf or not change:
        return k
    tried = np.zeros(MAX_CLUSTER, np.bool_)
    changes = 0
    # Each change is judged on bins of its own, so that two could undo each other for ever.
    while changes < MAX_CLUSTER:
        worst, who = search.suspicion, -1
        for i in range(k):
            if not tried[i]:
                strangeness = prior_penalty(spots[i], search.prior)
                if strangeness > worst:
                    worst, who = strangeness, i
        if who < 0:
            break
        tried[who] = True
        before = k
        k = _change_spot(data, clipped, model, spots, k, who, weight, search, work)
        if k != before:
            changes += 1
            tried[:] = False
    if changes:
        _fit(data, clipped, model, spots, k, weight, 12, search, work)
    return k


@njit(cache=True)
def find_spots(data, clipped, search, work):
    """Find the spots of one frame.

    Parameters
    ----------
    data, clipped : (rows, columns) float64, bool
        From `util.finder.binning.bin_pixels`.
    search : Search
    work : tuple
        From `util.finder.spot_fit.workspace`.

    Returns
    -------
    spots : (n, 5) float64
        A, x, z, s, rho of each spot, in bins.
    """
    prior = search.prior
    spots = np.empty((CAPACITY, PARAMETERS))
    found = np.empty((CAPACITY, PARAMETERS))
    label = np.empty(CAPACITY, np.int64)
    dirty = np.ones(CAPACITY, np.bool_)
    moved = np.empty(CAPACITY, np.bool_)
    group = np.empty((MAX_CLUSTER, PARAMETERS))
    model = np.zeros(data.shape)
    lit = _lit_bins(data, min(search.seed, search.residual_seed))
    n = _add_maxima(data, model, lit, search.seed, spots, 0, prior)
    for i in range(n):
        add_light(model, spots[i], 1.0, search.cut)
    for turn in range(search.rounds):
        change = turn >= 2
        _link(spots, n, search.link, label)
        m = 0
        for root in range(n):
            k = 0
            stale = False
            for i in range(n):
                if label[i] == root:
                    group[k] = spots[i]
                    stale = stale or dirty[i]
                    k += 1
            if k == 0:
                continue
            k_before = k
            if stale:
                before = group[:k].copy()
                for i in range(k):
                    add_light(model, group[i], -1.0, search.cut)
                weight = search.weights[min(turn, search.weights.size - 1)]
                k = _search_cluster(data, clipped, model, group, k, weight, change, search, work)
                for i in range(k):
                    add_light(model, group[i], 1.0, search.cut)
            for i in range(k):
                if m == CAPACITY:
                    break
                found[m] = group[i]
                moved[m] = k != k_before or (
                    stale
                    and (
                        abs(group[i, 1] - before[i, 1]) + abs(group[i, 2] - before[i, 2]) > SETTLED_PX
                        or abs(group[i, 0] - before[i, 0]) > SETTLED_A * prior[0, 0]
                    )
                )
                m += 1
        spots, found = found, spots
        n = m
        if turn < search.rounds - 1:
            n = _add_maxima(data, model, lit, search.residual_seed, spots, n, prior)
            for i in range(m, n):
                add_light(model, spots[i], 1.0, search.cut)
                moved[i] = True
        # Every spot is fitted in the first two rounds and at the final weight, else where something near has changed.
        everywhere = turn < 1 or turn == search.weights.size - 2
        any_dirty = turn < search.weights.size - 1
        for i in range(n):
            strange = turn < search.weights.size - 1 and prior_penalty(spots[i], prior) > search.suspicion
            dirty[i] = everywhere or moved[i] or strange
            for j in range(n):
                if dirty[i]:
                    break
                near = abs(spots[i, 1] - spots[j, 1]) + abs(spots[i, 2] - spots[j, 2]) < 5.0 * prior[1, 0]
                dirty[i] = moved[j] and near
            any_dirty = any_dirty or dirty[i]
        if not any_dirty:
            break
    return spots[:n].copy()
