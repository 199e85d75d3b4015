"""What the detector shows of the image: the camera's edges, blind spots, efficiency, and the camera's own noise."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins

_SAMPLES = 3  # per bin and direction, of the efficiency


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
        Variance of what the camera adds, in electrons per unit of area.
    """

    reach: tuple[float, float] = (1.0, 1.0)
    efficiency: NDArray[np.float64] | None = None
    noise: float = 0.0

    def at(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the efficiency at positions x and z, arrays of one shape (...); 0 beyond the camera."""
        inside = (np.abs(x) <= self.reach[0]) & (np.abs(z) <= self.reach[1])
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
                total += self.at(*geometry.onto_detector(rho, -angle if quadrant & 1 else angle))
            out[quadrant, first:] = total / _SAMPLES**2
        return out

    def _first_cut(self, bins: PolarBins, geometry: ImageGeometry) -> int:
        """Return the first row of bins that the edge of the camera may cut."""
        nearest = min(
            reach - abs(centre)
            for reach, centre in zip(self.reach, (geometry.centre_x, geometry.centre_z), strict=True)
        )
        stretch = 1 + np.hypot(geometry.ellipse_1, geometry.ellipse_2)
        return int(np.clip(np.floor(nearest / stretch * bins.n_rho / bins.rho_max), 0, bins.n_rho))

    def pedestal(self, bins: PolarBins) -> NDArray[np.float64] | float:
        """Return the variance that the camera adds to each bin (4, n_rho, n_angle); 0.0 if it adds none."""
        if not self.noise:
            return 0.0
        area = np.diff(bins.rho**2) / 2 * (np.pi / 2 / bins.n_angle)
        return np.broadcast_to(self.noise * area[:, None], (4, bins.n_rho, bins.n_angle))
