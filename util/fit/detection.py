"""What the detector shows of the image: the camera's edges, blind spots, efficiency, and the camera's own noise."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins

_SAMPLES = 3  # per bin and direction, of the efficiency


class Plate(NamedTuple):
    """A round plate, beyond which the camera sees nothing: centre and radius [detector units]."""

    x: float
    z: float
    radius: float


@dataclass(frozen=True, eq=False)
class Detection:
    """Where the camera looks, and how well it sees.

    Attributes
    ----------
    reach : (x, z)
        The camera shows [-x, x] x [-z, z], in detector units.
    efficiency : array (H, W) or None
        Share of electrons that is detected in each pixel of that rectangle, axis 0 along x; 0 where the detector is
        blind. None: 1 everywhere.
    noise : float
        Variance of what the camera adds, as so many electrons per unit of area.
    plate : Plate or None
        None: the camera sees all of its rectangle.
    """

    reach: tuple[float, float] = (1.0, 1.0)
    efficiency: NDArray[np.float64] | None = None
    noise: float = 0.0
    plate: Plate | None = None

    def at(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the efficiency at positions x and z, arrays of one shape (...); 0 beyond camera and plate."""
        inside = (np.abs(x) <= self.reach[0]) & (np.abs(z) <= self.reach[1])
        if self.plate is not None:
            inside &= np.hypot(x - self.plate.x, z - self.plate.z) <= self.plate.radius
        if self.efficiency is None:
            return inside.astype(float)
        pixel = []
        for place, reach, size in zip((x, z), self.reach, self.efficiency.shape, strict=True):
            index = np.where(inside, (place / reach + 1) * (size / 2), 0).astype(np.int64)
            pixel.append(np.minimum(index, size - 1))
        return np.where(inside, self.efficiency[pixel[0], pixel[1]], 0.0)

    def exposure(self, bins: PolarBins, geometry: ImageGeometry) -> NDArray[np.float64] | float:
        """Return the mean efficiency in each bin of each quadrant (4, n_rho, n_angle) of the undistorted image.

        1.0 where all of it is 1.
        """
        return self._mean(self.at, bins, geometry)

    def _mean(
        self, what: Callable[..., NDArray[np.float64]], bins: PolarBins, geometry: ImageGeometry
    ) -> NDArray[np.float64] | float:
        """Return the mean over each bin of a function of x and z that is 1 where all is seen; 1.0 where it is so."""
        first = 0 if self.efficiency is not None else self._first_cut(bins, geometry)
        if first == bins.n_rho:
            return 1.0
        out = np.ones((4, bins.n_rho, bins.n_angle))
        part = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        width, turn = bins.rho_max / bins.n_rho, np.pi / 2 / bins.n_angle
        for quadrant in range(4):
            total = np.zeros((bins.n_rho - first, bins.n_angle))
            for u, v in itertools.product(part, part):
                rho, angle = np.meshgrid(bins.rho[first:-1] + u * width, bins.angle_rad[:-1] + v * turn, indexing="ij")
                angle = np.pi - angle if quadrant & 2 else angle
                total += what(*geometry.onto_detector(rho, -angle if quadrant & 1 else angle))
            out[quadrant, first:] = total / _SAMPLES**2
        return out

    def _first_cut(self, bins: PolarBins, geometry: ImageGeometry) -> int:
        """Return the first row of bins that the edge of the camera, or of the plate, may cut."""
        nearest = min(
            reach - abs(centre)
            for reach, centre in zip(self.reach, (geometry.centre_x, geometry.centre_z), strict=True)
        )
        if self.plate is not None:
            off = np.hypot(geometry.centre_x - self.plate.x, geometry.centre_z - self.plate.z)
            nearest = min(nearest, self.plate.radius - off)
        stretch = 1 + np.hypot(geometry.ellipse_1, geometry.ellipse_2)
        return int(np.clip(np.floor(nearest / stretch * bins.n_rho / bins.rho_max), 0, bins.n_rho))

    def pedestal(self, bins: PolarBins, geometry: ImageGeometry) -> NDArray[np.float64] | float:
        """Return what the camera adds to the variance of each bin (4, n_rho, n_angle); 0.0 if nothing.

        Where a part of a bin is not seen, the rest of it adds its part, however well it sees.
        """
        if not self.noise:
            return 0.0
        seen = self._mean(lambda x, z: (self.at(x, z) > 0).astype(float), bins, geometry)
        area = np.diff(bins.rho**2) / 2 * (np.pi / 2 / bins.n_angle)
        return np.broadcast_to(seen * self.noise * area[:, None], (4, bins.n_rho, bins.n_angle))
