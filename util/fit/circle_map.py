"""Quadrants side by side, as the full circle that they are."""

import numpy as np
from numpy.typing import NDArray

from util.physics.polar_map import PolarBins

N_RHO, QUARTER = 125, 24  # bins in rho, out to 1, and in angle per quadrant
N_PHI = 4 * QUARTER
BINS = PolarBins(N_RHO, QUARTER)


def around(quadrants: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quadrants (.., 4, n_rho, n), in the order of `util.physics.polar_map.SIGNS`, as a circle (.., n_rho, 4 n).

    Its columns are angles from +z towards +x, from -pi to pi.
    """
    plus, minus_x, minus_z, minus_both = (quadrants[..., k, :, :] for k in range(4))
    return np.concatenate((minus_both, minus_x[..., ::-1], plus, minus_z[..., ::-1]), axis=-1)
