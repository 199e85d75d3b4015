"""Where a further sphere would gain most, tried at every radius and of several widths."""

import functools

import numpy as np
from numpy.typing import NDArray

from util.fit.score_test import ScoreTest
from util.physics import pad
from util.physics.polar_map import EVEN, PolarBins, angular_factors, radial_factors

BINS = PolarBins(250, 24)
_RADII = np.arange(0.0, 0.985, 0.005)
WIDTHS = (0.004, 0.008, 0.016, 0.03)  # sigma_R


@functools.cache
def _sphere_maps() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (R, sigma_R), array (n, 2), of spheres to test, and their maps (n, 3, bins): P_0, P_2 and P_4."""
    to_power = pad.legendre_to_power(2) * [0.5, 1.0, 1.0]
    angular = angular_factors(BINS, 4).value
    shapes = [(R, width) for R in _RADII.tolist() for width in WIDTHS if R + 2 * width < 1]
    maps = [
        np.einsum("kr,ki,ka->ira", radial_factors(BINS, *shape, 4).value, to_power, angular, optimize=True)
        for shape in shapes
    ]
    return np.array(shapes), np.array(maps).reshape(len(shapes), 3, -1)


def best_sphere(test: ScoreTest, taken: NDArray[np.float64], *, apart: float) -> tuple[float, tuple[float, float]]:
    """Return what the best further sphere would gain, and its (R, sigma_R); -inf where there is none.

    Parameters
    ----------
    test : ScoreTest
        In `BINS`.
    taken : array (S, 2)
        R and sigma_R of the spheres there are.
    apart : float
        Least distance from each of those, in widths of the narrower of the two.
    """
    shapes, maps = _sphere_maps()
    weight, residual = test.folded_weight(EVEN), test.folded_residual(EVEN)
    flat = maps.reshape(-1, weight.size)
    rows = test.slopes.parity == EVEN
    own = test.slopes.flat[rows] * weight
    across = (flat @ own.T).reshape(*maps.shape[:2], -1)
    told = test.slopes.owner[rows]
    inverse = test.inverse[np.ix_(told, told)]
    alone = np.einsum("nib,b,njb->nij", maps, weight, maps, optimize=True)
    left = alone - across @ inverse @ across.transpose(0, 2, 1)
    score = (flat @ residual).reshape(maps.shape[:2]) - across @ inverse @ test.score[told]
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", alone), 1e-300))
    system = left / (scale[:, :, None] * scale[:, None, :]) + 1e-6 * np.eye(3)
    step = np.linalg.solve(system, (score / scale)[:, :, None])[:, :, 0]
    gain = (step * score / scale).sum(axis=1) * test.scale
    gain[step[:, 0] <= 0] = -np.inf
    for R, sigma_R in taken:
        gain[np.abs(shapes[:, 0] - R) < apart * np.minimum(shapes[:, 1], sigma_R)] = -np.inf
    best = int(gain.argmax())
    return float(gain[best]), (float(shapes[best, 0]), float(shapes[best, 1]))
