"""One frame's map of bins to its spots: seeds, and joint fits of clusters, some split or removed (compiled).

The search is an annealing. Each round fits every cluster of overlapping spots jointly, the other clusters' light
taken as known, and from the second round on tries to split or remove the spots that look least like one electron. The
first rounds allow for a large unexplained brightness, so that nothing is split because a neighbour is not yet right;
the last for little, so that pairs far closer than their width come apart. A change stays if it lowers

    half chi-square + half squared distance of (A, s, rho) from one electron's [standard deviations] + penalty x spots.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from util.finder.one_electron import Electron, set_spot, strangeness
from util.finder.spot_change import change_spot, fit_cluster
from util.finder.spot_fit import COLUMNS, MAX_CLUSTER, PARAMETERS, add_light

CAPACITY = 4096  # spots per frame
SETTLED_PX, SETTLED_A = 0.02, 0.01  # a spot that moved less (bins; fraction of A) leaves its neighbours alone


class Search(NamedTuple):
    """What `find_spots` needs to know, in bins and counts.

    electron: what one looks like. gain, growth (rows, columns): its A and s in each bin, over the mean. weights:
    1 / variance of a bin, for each round; noise: the part of that variance that is no error of the light. seed:
    brightness that starts a spot; residual_seed: the same in what the spots leave unexplained. link: distance of spots
    fitted jointly. radius: bins nearer than this to a spot count in its fit. penalty: cost of one more spot. suspicion:
    squared distance from one electron's (A, s, rho), in standard deviations, from which a spot is tried as two, or as
    none.
    """

    electron: Electron
    gain: NDArray[np.float64]
    growth: NDArray[np.float64]
    weights: NDArray[np.float64]
    noise: float
    seed: float
    residual_seed: float
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
def _add_maxima(data, model, lit, threshold, spots, n, search):
    """Append a spot at every local maximum (8 neighbours) of what `model` leaves of `data` above `threshold`.

    Only `lit` bins are looked at: no other can be above the threshold. Return the new number of spots.
    """
    rows, columns = data.shape
    electron = search.electron
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
        x, z = float(r), float(c)
        if 0 < r < rows - 1:
            x += _vertex(data[r - 1, c] - model[r - 1, c], v, data[r + 1, c] - model[r + 1, c])
        if 0 < c < columns - 1:
            z += _vertex(data[r, c - 1] - model[r, c - 1], v, data[r, c + 1] - model[r, c + 1])
        set_spot(
            spots[n], v, x * electron.side_x, z * electron.side_z, search.gain[r, c], search.growth[r, c], electron
        )
        n += 1
    return n


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
def _search_cluster(data, clipped, model, spots, k, weight, change, search, work):
    """Fit the first `k` spots, whose light is not in `model`; if `change`, split and remove. Return their number."""
    if fit_cluster(data, clipped, model, spots, k, weight, 12, search, work) == np.inf or not change:
        return k
    tried = np.zeros(MAX_CLUSTER, np.bool_)
    changes = 0
    # Each change is judged on bins of its own, so that two could undo each other for ever.
    while changes < MAX_CLUSTER:
        worst, who = search.suspicion, -1
        for i in range(k):
            if not tried[i]:
                strange = strangeness(spots, k, i, search.electron)
                if strange > worst:
                    worst, who = strange, i
        if who < 0:
            break
        tried[who] = True
        before = k
        k = change_spot(data, clipped, model, spots, k, who, weight, search, work)
        if k != before:
            changes += 1
            tried[:] = False
    if changes:
        fit_cluster(data, clipped, model, spots, k, weight, 12, search, work)
    return k


@njit(cache=True)
def _fit_clusters(data, clipped, model, spots, n, label, dirty, turn, search, work, found, moved):
    """Fit the clusters that hold a `dirty` spot; copy all to `found`, say which `moved`, and return their number."""
    group = np.empty((MAX_CLUSTER, COLUMNS))
    weight = search.weights[min(turn, search.weights.size - 1)]
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
            share = weight
            if search.electron.heights > 0.0:
                # What is left unexplained is a part of a spot's brightness, and here some are bright.
                bright = max(group[:k, 0].max() / search.electron.A, 1.0)
                share = 1.0 / (search.noise + (1.0 / weight - search.noise) * bright * bright)
            before = group[:k].copy()
            for i in range(k):
                add_light(model, group[i], -1.0, search.electron)
            k = _search_cluster(data, clipped, model, group, k, share, turn >= 2, search, work)
            for i in range(k):
                add_light(model, group[i], 1.0, search.electron)
        for i in range(k):
            if m == CAPACITY:
                break
            found[m] = group[i]
            moved[m] = k != k_before or (
                stale
                and (
                    abs(group[i, 1] - before[i, 1]) + abs(group[i, 2] - before[i, 2]) > SETTLED_PX
                    or abs(group[i, 0] - before[i, 0]) > SETTLED_A * search.electron.A
                )
            )
            m += 1
    return m


@njit(cache=True)
def _mark_dirty(spots, n, moved, turn, search, dirty):
    """Say which spots the next round fits; return whether there is anything left to do.

    Every spot is fitted in the first two rounds and at the final weight, else where something near has changed.
    """
    everywhere = turn < 1 or turn == search.weights.size - 2
    any_dirty = turn < search.weights.size - 1
    for i in range(n):
        strange = turn < search.weights.size - 1 and strangeness(spots, n, i, search.electron) > search.suspicion
        dirty[i] = everywhere or moved[i] or strange
        for j in range(n):
            if dirty[i]:
                break
            near = abs(spots[i, 1] - spots[j, 1]) + abs(spots[i, 2] - spots[j, 2]) < 5.0 * search.electron.s
            dirty[i] = moved[j] and near
        any_dirty = any_dirty or dirty[i]
    return any_dirty


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
        A, x, z, s, rho of each spot, in the units of `util.finder.one_electron`.
    """
    spots = np.empty((CAPACITY, COLUMNS))
    found = np.empty((CAPACITY, COLUMNS))
    label = np.empty(CAPACITY, np.int64)
    dirty = np.ones(CAPACITY, np.bool_)
    moved = np.empty(CAPACITY, np.bool_)
    model = np.zeros(data.shape)
    lit = _lit_bins(data, min(search.seed, search.residual_seed))
    n = _add_maxima(data, model, lit, search.seed, spots, 0, search)
    for i in range(n):
        add_light(model, spots[i], 1.0, search.electron)
    for turn in range(search.rounds):
        _link(spots, n, search.link, label)
        m = _fit_clusters(data, clipped, model, spots, n, label, dirty, turn, search, work, found, moved)
        spots, found = found, spots
        n = m
        if turn < search.rounds - 1:
            n = _add_maxima(data, model, lit, search.residual_seed, spots, n, search)
            for i in range(m, n):
                add_light(model, spots[i], 1.0, search.electron)
                moved[i] = True
        if not _mark_dirty(spots, n, moved, turn, search, dirty):
            break
    return spots[:n, :PARAMETERS].copy()
