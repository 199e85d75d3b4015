"""Joint least-squares fit of a few overlapping spots on a map of binned pixels.

Levenberg-Marquardt (Marquardt 1963, J. Soc. Ind. Appl. Math. 11, 431), with damping relative to the diagonal.

A spot is a row ``(A, x, z, s, rho, gain, growth)``, of which the first five are fitted; its light, its units and what
is expected of it are those of `util.finder.one_electron`. x lies along axis 0 of the map, z along axis 1.
All functions are compiled; they take preallocated work arrays because they run a few hundred times per frame.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from util.finder.one_electron import height_slope, prior_penalty, reach
from util.finder.unsigned_range import indices

PARAMETERS, COLUMNS = 5, 7  # of a spot: fitted; in all
MAX_CLUSTER = 12  # spots fitted jointly; 60 parameters
MAX_BINS = 8192  # of a window
# What the solver may do to a spot, relative to the expected size: keeps a bad step from running away.
S_LOW, S_HIGH, RHO_LIMIT, A_LOW = 0.6, 1.9, 0.8, 1.0


@njit(cache=True)
def add_light(model, spot, sign, electron):
    """Add (`sign` = 1) or remove (-1) one spot's light to `model` (rows, columns), within its square."""
    A, x, z, s, rho = spot[0], spot[1], spot[2], spot[3], spot[4]
    side_x, side_z, wings = electron.side_x, electron.side_z, electron.wings
    h = reach(A, s, electron)
    per_x, per_z = 1.0 / side_x, 1.0 / side_z
    r0, r1 = max(0, math.ceil((x - h) * per_x)), min(model.shape[0] - 1, math.floor((x + h) * per_x))
    c0, c1 = max(0, math.ceil((z - h) * per_z)), min(model.shape[1] - 1, math.floor((z + h) * per_z))
    if r1 < r0 or c1 < c0:
        return
    i2 = 0.5 / (s * s)
    step_ratio = math.exp(-2.0 * side_z * side_z * i2)
    d = c0 * side_z - z
    for r in range(r0, r1 + 1):
        dx = r * side_x - x
        if wings > 0.0:
            for c in range(c0, c1 + 1):
                dz = c * side_z - z
                u = (dx * dx + dz * dz + 2.0 * rho * dx * dz) * i2
                model[r, c] += sign * A * math.exp(-math.log1p(wings * u) / wings)
            continue
        # exp of a quadratic along the row: two multiplications a bin instead of one exponential
        value = sign * A * math.exp(-(dx * dx + d * d + 2.0 * rho * dx * d) * i2)
        ratio = math.exp(-side_z * (2.0 * d + side_z + 2.0 * rho * dx) * i2)
        for c in range(c0, c1 + 1):
            model[r, c] += value
            value *= ratio
            ratio *= step_ratio


@njit(cache=True)
def set_window(spots, k, radius, shape, electron, window):
    """Rows and row spans of bins that lie within `radius` of any of the first `k` spots.

    `window` (3 + rows, 3) int: ``window[0] = (first row, last row + 1, bins)``; then a line a row: first column,
    last column + 1, index of its first bin in the list of bins.
    """
    side_x, per_x, per_z = electron.side_x, 1.0 / electron.side_x, 1.0 / electron.side_z
    top, bottom = shape[0], 0
    for i in range(k):
        top = min(top, math.ceil((spots[i, 1] - radius) * per_x))
        bottom = max(bottom, math.floor((spots[i, 1] + radius) * per_x) + 1)
    top, bottom = max(top, 0), min(bottom, shape[0])
    count = 0
    for r in range(top, bottom):
        c0, c1 = shape[1], 0
        for i in range(k):
            w = radius * radius - (r * side_x - spots[i, 1]) ** 2
            if w >= 0.0:
                w = math.sqrt(w)
                c0 = min(c0, math.ceil((spots[i, 2] - w) * per_z))
                c1 = max(c1, math.floor((spots[i, 2] + w) * per_z) + 1)
        c0, c1 = max(c0, 0), min(c1, shape[1])
        c1 = max(c0, c1)
        window[1 + r - top, 0] = c0
        window[1 + r - top, 1] = c1
        window[1 + r - top, 2] = count
        count += c1 - c0
    window[1 + max(bottom - top, 0), 2] = count
    window[0, 0], window[0, 1], window[0, 2] = top, max(bottom, top), count


@njit(cache=True, fastmath=True)
def _fill_with_wings(jac, first, last, dx, dz, side_z, rho, i2, wings, slope):
    """Fill bins of a row of the map, ``jac[0]``, with a profile with wings or, if `slope`, with its fall with u."""
    power = 1.0 / wings + slope
    for q in indices(first, last):
        u = (dx * dx + dz * dz + 2.0 * rho * dx * dz) * i2
        jac[0, q] = math.exp(-power * math.log(1.0 + wings * u))
        dz += side_z


@njit(cache=True, fastmath=True)
def _light_and_derivatives(spot, window, electron, jac):
    """Fill ``jac[0:5]`` with the derivatives of one spot and return its range of bins [first, last)."""
    A, x, z, s, rho = spot[0], spot[1], spot[2], spot[3], spot[4]
    side_x, side_z, wings = electron.side_x, electron.side_z, electron.wings
    h = reach(A, s, electron)
    top, bottom = window[0, 0], window[0, 1]
    per_x, per_z = 1.0 / side_x, 1.0 / side_z
    r0, r1 = max(top, math.ceil((x - h) * per_x)), min(bottom, math.floor((x + h) * per_x) + 1)
    if r1 <= r0:
        return 0, 0
    i2 = 0.5 / (s * s)
    step_ratio = math.exp(-2.0 * side_z * side_z * i2)
    lo, hi = math.ceil((z - h) * per_z), math.floor((z + h) * per_z) + 1
    is2 = 1.0 / (s * s)
    is1 = 1.0 / s
    for r in range(r0, r1):
        c0, c1, p = window[1 + r - top, 0], window[1 + r - top, 1], window[1 + r - top, 2]
        a, b = max(c0, lo), min(c1, hi)
        if b <= a:
            for q in indices(p, p + c1 - c0):
                for j in range(PARAMETERS):
                    jac[j, q] = 0.0
            continue
        for q in indices(p, p + a - c0):
            for j in range(PARAMETERS):
                jac[j, q] = 0.0
        for q in indices(p + b - c0, p + c1 - c0):
            for j in range(PARAMETERS):
                jac[j, q] = 0.0
        dx = r * side_x - x
        d = a * side_z - z
        if wings > 0.0:
            _fill_with_wings(jac, p + a - c0, p + b - c0, dx, d, side_z, rho, i2, wings, True)
        else:
            value = math.exp(-(dx * dx + d * d + 2.0 * rho * dx * d) * i2)
            ratio = math.exp(-side_z * (2.0 * d + side_z + 2.0 * rho * dx) * i2)
            for q in indices(p + a - c0, p + b - c0):
                jac[0, q] = value
                value *= ratio
                ratio *= step_ratio
        dz = d
        for q in indices(p + a - c0, p + b - c0):
            g = A * jac[0, q] * is2
            u, v = dx + rho * dz, dz + rho * dx
            jac[1, q] = g * u
            jac[2, q] = g * v
            jac[3, q] = g * (dx * u + dz * v) * is1
            jac[4, q] = -g * dx * dz
            dz += side_z
        if wings > 0.0:
            _fill_with_wings(jac, p + a - c0, p + b - c0, dx, d, side_z, rho, i2, wings, False)
    return window[1 + r0 - top, 2], window[1 + r1 - top, 2]


@njit(cache=True, fastmath=True)
def _dot(matrix, row, vector, first, last):
    total = 0.0
    for q in indices(first, last):
        total += matrix[row, q] * vector[q]
    return total


@njit(cache=True, fastmath=True)
def _dots_with_spot(jac, row, column, first, last):
    """Return the products of one row of `jac` with the five rows of a spot, in one pass over the bins."""
    t0 = t1 = t2 = t3 = t4 = 0.0
    for q in indices(first, last):
        v = jac[row, q]
        t0 += v * jac[column, q]
        t1 += v * jac[column + 1, q]
        t2 += v * jac[column + 2, q]
        t3 += v * jac[column + 3, q]
        t4 += v * jac[column + 4, q]
    return t0, t1, t2, t3, t4


@njit(cache=True, fastmath=True)
def _objective(spots, k, window, target, clipped, weight, electron, jac, ranges, residual):
    """Half chi-square plus half prior of the first `k` spots; fills `jac`, `ranges` and `residual`."""
    n = window[0, 2]
    for q in indices(0, n):
        residual[q] = target[q]
    for i in range(k):
        part = jac[PARAMETERS * i : PARAMETERS * (i + 1)]
        first, last = _light_and_derivatives(spots[i], window, electron, part)
        ranges[i, 0], ranges[i, 1] = first, last
        A = spots[i, 0]
        for q in indices(first, last):
            residual[q] -= A * part[0, q]
    total = 0.0
    for q in indices(0, n):
        # A clipped bin only says "at least this bright": brighter light is no contradiction.
        if clipped[q] and residual[q] < 0.0:
            residual[q] = 0.0
        total += residual[q] * residual[q]
    total *= 0.5 * weight
    for i in range(k):
        total += 0.5 * prior_penalty(spots[i], electron)
    return total


@njit(cache=True)
def _solve(matrix, vector, n, damping, factor, step):
    """Solve (matrix + damping diag(matrix)) step = vector by Cholesky; False where not positive definite.

    Only the upper triangle is read. Its rows are worked on one after another, so that the inner loops are vectorised.
    """
    for i in range(n):
        for m in indices(i, n):
            factor[i, m] = matrix[i, m]
        factor[i, i] += damping * matrix[i, i]
        step[i] = vector[i]
    for j in range(n):
        if not factor[j, j] > 0.0:
            return False
        scale = 1.0 / math.sqrt(factor[j, j])
        for m in indices(j, n):
            factor[j, m] *= scale
        step[j] *= scale
        for i in range(j + 1, n):
            f = factor[j, i]
            step[i] -= f * step[j]
            for m in indices(i, n):
                factor[i, m] -= f * factor[j, m]
    for i in range(n - 1, -1, -1):
        step[i] = (step[i] - _dot(factor, i, step, i + 1, n)) / factor[i, i]
    return True


@njit(cache=True)
def gather(data, model, clipped, window, target, target_clipped):
    """List the bins of `window`: `data` minus the light of other spots in `model`, and whether a bin was clipped."""
    top = window[0, 0]
    for r in range(top, window[0, 1]):
        c0, c1, p = window[1 + r - top, 0], window[1 + r - top, 1], window[1 + r - top, 2]
        for c in range(c0, c1):
            target[p + c - c0] = data[r, c] - model[r, c]
            target_clipped[p + c - c0] = clipped[r, c]


@njit(cache=True)
def _draw_to(gradient, normal, row, deviation, std):
    """Add the prior of one parameter to the equations."""
    precision = 1.0 / (std * std)
    gradient[row] -= deviation * precision
    normal[row, row] += precision


@njit(cache=True)
def _normal_equations(spots, k, weight, electron, jac, ranges, residual, normal, gradient):
    """Fill the upper triangle of `normal` and `gradient` of the objective of the first `k` spots."""
    for i in range(k):
        f0, l0 = ranges[i, 0], ranges[i, 1]
        for a in range(PARAMETERS):
            row = PARAMETERS * i + a
            gradient[row] = weight * _dot(jac, row, residual, f0, l0)
            for j in range(i, k):
                first, last = max(f0, ranges[j, 0]), min(l0, ranges[j, 1])
                o = PARAMETERS * j
                t0, t1, t2, t3, t4 = _dots_with_spot(jac, row, o, first, last)
                normal[row, o], normal[row, o + 1], normal[row, o + 2] = weight * t0, weight * t1, weight * t2
                normal[row, o + 3], normal[row, o + 4] = weight * t3, weight * t4
        slope, curvature = height_slope(spots[i], electron)
        gradient[PARAMETERS * i] += slope
        normal[PARAMETERS * i, PARAMETERS * i] += curvature
        row, growth = PARAMETERS * i + 3, spots[i, 6]
        _draw_to(gradient, normal, row, spots[i, 3] - electron.s * growth, electron.s_std * growth)
        _draw_to(gradient, normal, row + 1, spots[i, 4] - electron.rho, electron.rho_std)
        for a in range(1, 3):  # a spot whose light is all elsewhere must not make the matrix singular
            normal[PARAMETERS * i + a, PARAMETERS * i + a] += 1e-6


@njit(cache=True)
def _step_to(trial, spots, k, step, electron):
    """Set the first `k` rows of `trial` to `spots` after a step, as far as one goes."""
    for i in range(k):
        s0 = electron.s * spots[i, 6]
        o = PARAMETERS * i
        trial[i, 0] = max(A_LOW, spots[i, 0] + step[o])
        trial[i, 1] = spots[i, 1] + min(s0, max(-s0, step[o + 1]))
        trial[i, 2] = spots[i, 2] + min(s0, max(-s0, step[o + 2]))
        trial[i, 3] = min(S_HIGH * s0, max(S_LOW * s0, spots[i, 3] + step[o + 3]))
        trial[i, 4] = min(RHO_LIMIT, max(-RHO_LIMIT, spots[i, 4] + step[o + 4]))
        trial[i, 5], trial[i, 6] = spots[i, 5], spots[i, 6]


@njit(cache=True)
def fit_spots(spots, k, window, target, clipped, weight, electron, iterations, tolerance, work):
    """Fit the first `k` rows of `spots` in place; return the objective (half chi-square plus half prior).

    Parameters
    ----------
    spots : (>= k, 7) float64
        Start and result.
    window, target, clipped
        From `set_window` and `gather`.
    weight : float
        1 / variance of a bin.
    electron : Electron
    iterations, tolerance : int, float
        Stop after so many steps or when the objective falls by less than `tolerance`.
    work : tuple of arrays
        From `workspace`.
    """
    jac, jac_trial, ranges, residual, normal, gradient, factor, step, trial = work
    m = PARAMETERS * k
    value = _objective(spots, k, window, target, clipped, weight, electron, jac, ranges, residual)
    damping = 1e-3
    for _ in range(iterations):
        _normal_equations(spots, k, weight, electron, jac, ranges, residual, normal, gradient)
        improved = False
        gain = 0.0
        for _attempt in range(6):
            if _solve(normal, gradient, m, damping, factor, step):
                _step_to(trial, spots, k, step, electron)
                new = _objective(trial, k, window, target, clipped, weight, electron, jac_trial, ranges, residual)
                if new < value:
                    gain = value - new
                    value = new
                    for i in range(k):
                        for a in range(PARAMETERS):
                            spots[i, a] = trial[i, a]
                    jac, jac_trial = jac_trial, jac
                    improved = True
                    break
            damping *= 8.0
        if not improved:
            break
        damping *= 0.2
        if gain < tolerance:
            break
    return value


def workspace(map_shape: tuple[int, int]) -> tuple[Any, ...]:
    """Work arrays of `fit_spots` for maps of (rows, columns), and those of `set_window` and `gather`."""
    bins = MAX_BINS
    m = PARAMETERS * MAX_CLUSTER
    fit = (
        np.empty((m, bins + 8)),  # + 8: rows a power of two apart would share cache lines
        np.empty((m, bins + 8)),
        np.empty((MAX_CLUSTER, 2), np.int64),
        np.empty(bins),
        np.empty((m, m)),
        np.empty(m),
        np.empty((m, m)),
        np.empty(m),
        np.empty((MAX_CLUSTER, COLUMNS)),
    )
    return fit, np.empty((map_shape[0] + 2, 3), np.int64), np.empty(bins), np.empty(bins, np.bool_)
