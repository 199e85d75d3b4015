"""What no image tells: how far the answer moves for each percent of it.

One image cannot tell a detector that sees better along one axis from electrons that fly there more often, nor a lens
that distorts along the radius from electrons that are faster. The statistical errors hold neither.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.influence_functions import Influence
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins

PERCENT = 0.01
BINS = PolarBins(500, 48)


@dataclass(frozen=True)
class Systematics:
    """What each percent moves an answer by.

    Attributes
    ----------
    layout : Layout
        Of the P parameters.
    errors : array (P,)
        Statistical ones; 0: fixed.
    efficiency : array (P,) or None
        One percent of quadrupole efficiency: the detector sees ``1 + 0.01 (x^2 - z^2)`` of the electrons, x and z from
        the middle of the screen. None where the efficiency is known.
    distortion : array (P,)
        One percent of distortion: what belongs at a distance r from the centre of the image lies at ``r + 0.01 r^3``.
    """

    layout: Layout
    errors: NDArray[np.float64]
    efficiency: NDArray[np.float64] | None
    distortion: NDArray[np.float64]

    @property
    def per_percent(self) -> dict[str, NDArray[np.float64]]:
        """What is not known, by its name: arrays (P,)."""
        known = {} if self.efficiency is None else {"efficiency": self.efficiency}
        return known | {"distortion": self.distortion}

    @property
    def told(self) -> tuple[str, ...]:
        """A sentence for each."""
        lines = [
            f"not in the errors: 1 % of radial distortion would move {self._worst(self.distortion, self.layout.R)}"
        ]
        if self.efficiency is not None:
            worst = self._worst(self.efficiency, self.layout.beta)
            lines.insert(
                0,
                f"not in the errors: 1 % of quadrupole efficiency would move {worst}; measure it (--efficiency FILE), "
                "or take another run with the polarisation turned by 90 degrees",
            )
        return tuple(lines)

    def _worst(self, moved: NDArray[np.float64], of: NDArray[np.intp]) -> str:
        """Say which of some parameters, given by their indices, moves most of its error, and how far."""
        in_errors = np.zeros(moved.size)
        fitted = of.ravel()[self.errors[of.ravel()] > 0]
        in_errors[fitted] = np.abs(moved[fitted]) / self.errors[fitted]
        most = int(in_errors.argmax())
        return f"{self.layout.names[most]} by {moved[most]:.2g} = {in_errors[most]:.1f} errors"


def systematics(
    result: FitResult,
    detection: Detection = Detection(),  # noqa: B008 - frozen
    *,
    efficiency_known: bool = False,
) -> Systematics:
    """Return how far an answer moves for each percent of what no image tells, by the linearised fit of the hits.

    Parameters
    ----------
    result : FitResult
    detection : Detection
        What the detector shows of the image.
    efficiency_known : bool
        Whether that holds a measured efficiency.
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
    efficiency = None if efficiency_known else PERCENT * influence.of(more)
    return Systematics(result.layout, result.errors, efficiency, PERCENT * influence.of(outward))


def _middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of neighbours along the first axis."""
    return (values[1:] + values[:-1]) / 2
