"""Hits binned over the full circle, so that what folding hides shows too."""

import numpy as np
from numpy.typing import NDArray

N_RHO, QUARTER = 125, 24  # bins in rho, out to 1, and in angle per quadrant
N_PHI = 4 * QUARTER


def circle_map(
    x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum weights in bins (125, 96) of rho and of the angle from +z towards +x about `centre`."""
    dx, dz = x - centre[0], z - centre[1]
    row = (np.hypot(dx, dz) * N_RHO).astype(np.int64)
    column = np.minimum(((np.arctan2(dx, dz) / np.pi + 1) * (N_PHI / 2)).astype(np.int64), N_PHI - 1)
    inside = row < N_RHO
    index = row[inside] * N_PHI + column[inside]
    sums = np.asarray(np.bincount(index, weight[inside], N_RHO * N_PHI), np.float64)
    return sums.reshape(N_RHO, N_PHI)


def unfold(quadrant: NDArray[np.float64], sign: tuple[int, int]) -> NDArray[np.float64]:
    """Return the full circle of a folded map (.., n_rho, 24), angle from the z axis, of parity `sign` in x and in z."""
    half = np.concatenate((quadrant, sign[1] * quadrant[..., ::-1]), axis=-1)  # phi 0 .. pi
    return np.concatenate((sign[0] * half[..., ::-1], half), axis=-1) / 4
