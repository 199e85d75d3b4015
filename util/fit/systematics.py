"""What no image tells: how far the answer moves for each percent of it.

One image cannot tell a detector that sees better along one axis from electrons that fly there more often, nor a lens
that distorts along the radius from electrons that are faster. The statistical errors hold neither.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.influence_functions import Influence
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins

PERCENT = 0.01
BINS = PolarBins(500, 48)


@dataclass(frozen=True)
class Systematics:
    """What each percent moves the P parameters by, in their order.

    Attributes
    ----------
    names : tuple of P str
    efficiency : array (P,)
        One percent of quadrupole efficiency: the detector sees ``1 + 0.01 (x^2 - z^2)`` of the electrons, x and z from
        the middle of the screen.
    distortion : array (P,)
        One percent of distortion: what belongs at a distance r from the centre of the image lies at ``r + 0.01 r^3``.
    """

    names: tuple[str, ...]
    efficiency: NDArray[np.float64]
    distortion: NDArray[np.float64]


def systematics(
    result: FitResult,
    detection: Detection = Detection(),  # noqa: B008 - frozen
) -> Systematics:
    """Return how far an answer moves for each percent of what no image tells, by the linearised fit.

    Parameters
    ----------
    result : FitResult
    detection : Detection
        What the detector shows of the image.
    """
    influence = Influence(result, BINS, detection)
    rho, angle = BINS.rho, (BINS.angle_rad[:-1] + BINS.angle_rad[1:]) / 2
    quadrants = np.stack((angle, -angle, np.pi - angle, angle - np.pi))  # in the order of their signs
    x, z = influence.geometry.onto_detector(*np.broadcast_arrays(_middle(rho)[:, None], quadrants[:, None]))
    more = influence.expected * (x**2 - z**2)
    # The electrons that cross the edges of the rings.
    width = rho[1] - rho[0]
    crossing = np.pad(_middle(influence.expected.swapaxes(0, 1)).swapaxes(0, 1), ((0, 0), (1, 1), (0, 0)))
    outward = -np.diff(crossing * rho[:, None] ** 3 / width, axis=1)
    return Systematics(result.names, PERCENT * influence.of(more), PERCENT * influence.of(outward))


def _middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of neighbours along the first axis."""
    return (values[1:] + values[:-1]) / 2
