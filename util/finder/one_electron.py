"""One electron as the search expects it on a map of bins (compiled): the laws that its spot follows.

The light of a spot ``(A, x, z, s, rho, gain, growth)`` is

    A (1 + wings u)^(-1/wings),    u = (dx^2 + dz^2 + 2 rho dx dz) / (2 s^2),

without wings the Gaussian ``A exp(-u)``; with them the profile of A. F. J. Moffat, Astron. Astrophys. 3, 455 (1969), of
exponent 1 / wings. Positions are in units in which the spot is round: bin (r, c) lies at ``(r side_x, c side_z)``, and
a spot wider along x than along z has bins that are less high than wide. `gain` and `growth` are brightness and size
that one electron's spot has there, over the mean.
"""

import math
from typing import NamedTuple

from numba import njit

CLOSE = 1.6  # sizes; two parts of one electron lie nearer
NEARNESS = 1000.0  # squared standard deviations; how strange a spot on top of another is


class Electron(NamedTuple):
    """What one electron looks like; lengths in bins, stretched so that spots are round.

    A, s, rho and their spreads (`_std`): brightness [counts], size and obliqueness. heights: shape of the gamma law of
    A, 0 where it is normal. wings: as above. cut: counts below which a spot's light ends. side_x, side_z: of a bin.
    """

    A: float
    A_std: float
    s: float
    s_std: float
    rho: float
    rho_std: float
    heights: float
    wings: float
    cut: float
    side_x: float
    side_z: float


@njit(cache=True)
def set_spot(spot, A, x, z, gain, growth, electron):
    """Make `spot` one electron's, of the size expected there; `gain` and `growth` scale what is expected of A and s."""
    spot[0], spot[1], spot[2], spot[3], spot[4] = A, x, z, electron.s * growth, electron.rho
    spot[5], spot[6] = gain, growth


@njit(cache=True)
def reach(A, s, electron):
    """Half-width of the square that a spot lights: where its light falls to `cut` counts on the axis."""
    if electron.cut * 1.05 >= A:
        return 0.31 * s
    fall = math.log(A / electron.cut)
    if electron.wings > 0.0:
        fall = math.expm1(electron.wings * fall) / electron.wings
    return s * math.sqrt(2.0 * fall)


@njit(cache=True)
def prior_penalty(spot, electron):
    """Squared distance of (A, s, rho) from the expected spot, in standard deviations.

    Of a gamma law, twice the logarithm by which the density lies below its maximum, which is the same for a narrow one.
    """
    b = (spot[3] - electron.s * spot[6]) / (electron.s_std * spot[6])
    c = (spot[4] - electron.rho) / electron.rho_std
    if electron.heights > 0.0:
        k = electron.heights
        height = spot[0] / (electron.A * spot[5])
        far = 2.0 * (k * height - (k - 1.0))
        if k > 1.0:
            far -= 2.0 * (k - 1.0) * math.log(height * k / (k - 1.0))
        return far + b * b + c * c
    a = (spot[0] - electron.A * spot[5]) / (electron.A_std * spot[5])
    return a * a + b * b + c * c


@njit(cache=True)
def strangeness(spots, k, who, electron):
    """Say how little spot `who` of the first `k` looks like one electron, as `prior_penalty` does.

    Where any brightness is likely, the two parts of one electron do not betray themselves by theirs: there, spots are
    the stranger the nearer another is.
    """
    strange = prior_penalty(spots[who], electron)
    if electron.heights > 0.0:
        for i in range(k):
            gap = (spots[i, 1] - spots[who, 1]) ** 2 + (spots[i, 2] - spots[who, 2]) ** 2
            if i != who and gap < (CLOSE * spots[who, 3]) ** 2:
                strange += NEARNESS * (1.0 - gap / (CLOSE * spots[who, 3]) ** 2)
    return strange


@njit(cache=True)
def height_slope(spot, electron):
    """Return minus the derivative by A of half of `prior_penalty`, and its second derivative."""
    A = electron.A * spot[5]
    if electron.heights > 0.0:
        k = electron.heights
        return (k - 1.0) / spot[0] - k / A, (k - 1.0) / (spot[0] * spot[0])
    std = electron.A_std * spot[5]
    precision = 1.0 / (std * std)
    return -(spot[0] - A) * precision, precision
