"""Which Legendre degrees an image shows that a fit leaves out.

Electrons whose PADs go up to a degree L land, whatever their speeds, with a distribution of the angle alpha on the
detector that holds no cos(m alpha) of m > L: projection adds lower degrees alone. So where a fit up to L leaves a clear
moment of cos(m alpha) in some ring of the image, L is too low; lines that are too wide or too narrow leave none.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.spectrum.interior_point import Solution

LOWEST, HIGHEST = 4, 24
_APART = 0.05  # of the middles of rings [detector units]: wider than what a slight ellipse moves
_CLEAR = 4.5  # errors, which one of the 210 moments passes by chance in 1 of 700 images
_SLIGHT = 0.003  # of the electrons of a ring: a beta of 0.02, as real detectors make by themselves
_HELD = 25.0  # counts of a ring of which anything is said


class Beyond(NamedTuple):
    """The highest degree that is clear though a fit leaves it out: where, and by how many errors."""

    degree: int
    r: float
    pull: float


def beyond(solution: Solution) -> Beyond | None:
    """Return what a fit leaves out; None where nothing is clear."""
    data, odd = solution.data, solution.data.halves == 2
    rho = (data.bins.rho[:-1] + data.bins.rho[1:]) / 2
    middles = np.arange(0, data.bins.rho_max + _APART / 2, _APART)
    rings = np.maximum(1 - np.abs(rho - middles[:, None]) / _APART, 0)
    left, expected = data.counts - solution.expected, solution.expected
    held = (rings @ expected).sum(axis=1)
    degrees = np.arange(solution.model.degrees[-1] + 1, HIGHEST + 1)
    if not odd:
        degrees = degrees[degrees % 2 == 0]
    waves = np.cos(degrees[:, None] * _angles(data.bins.angle_rad, halves=data.halves))
    moments = rings @ left @ waves.T
    errors = np.sqrt(rings**2 @ expected @ (waves**2).T)
    pulls = np.abs(moments) / np.maximum(errors, 1e-300)
    clear = (pulls > _CLEAR) & (np.abs(moments) > _SLIGHT * held[:, None]) & (held > _HELD)[:, None]
    if not clear.any():
        return None
    highest = int(np.flatnonzero(clear.any(axis=0))[-1])
    ring = int(np.where(clear[:, highest], pulls[:, highest], 0).argmax())
    return Beyond(int(degrees[highest]), float(middles[ring]), float(pulls[ring, highest]))


def _angles(edges_rad: NDArray[np.float64], *, halves: int) -> NDArray[np.float64]:
    """Return the angle in the middle of each column of a map of counts."""
    quarter = (edges_rad[:-1] + edges_rad[1:]) / 2
    return quarter if halves == 1 else np.concatenate((quarter, np.pi - quarter))
