"""How the image lies on the detector: where its centre is, how far it is turned, and how far from round it is.

An undistorted image is centred, has the polarisation along z, and is round. A detector position is found from it in
three steps, in polar coordinates (rho, alpha), alpha from +z towards +x:

    rho -> rho (1 + e1 cos 2 alpha + e2 sin 2 alpha),    alpha -> alpha + k2 e2 cos 2 alpha - k1 e1 sin 2 alpha,
    alpha -> alpha + rotation,    then the centre is added.

With both shears k = 1 the image is stretched along one direction, as by a tilted camera or pixels that are not square;
with k = 0 it is so along the radius only, as by an electrostatic lens that is not round. Both numbers e are small:
terms of second order are left out.
"""

import math
from dataclasses import astuple, dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageGeometry:
    """Where and how the image lies on the detector.

    Attributes
    ----------
    centre_x, centre_z : float
        Detector units.
    rotation_rad : float
        By how much the polarisation is turned from +z towards +x.
    ellipse_1, ellipse_2 : float
        e1 and e2: how much farther out than the mean the image lies along the polarisation, and 45 degrees from it.
    shear_1, shear_2 : float
        k1 and k2: from 0 (stretched along the radius only) to 1 (along one direction).
    """

    centre_x: float = 0.0
    centre_z: float = 0.0
    rotation_rad: float = 0.0
    ellipse_1: float = 0.0
    ellipse_2: float = 0.0
    shear_1: float = 0.5
    shear_2: float = 0.5

    @property
    def is_shift(self) -> bool:
        """Whether the image is only off centre."""
        return not (self.rotation_rad or self.ellipse_1 or self.ellipse_2)

    def as_array(self) -> NDArray[np.float64]:
        """Return all numbers (7,), in their order."""
        return np.array(astuple(self), dtype=float)

    def onto_detector(
        self, rho: NDArray[np.float64], angle_rad: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and z on the detector of places (rho, alpha) of the undistorted image, arrays of one shape (...)."""
        twice_c, twice_s = np.cos(2 * angle_rad), np.sin(2 * angle_rad)
        along_1, along_2 = self.shear_1 * self.ellipse_1, self.shear_2 * self.ellipse_2
        turned = angle_rad + self.rotation_rad + along_2 * twice_c - along_1 * twice_s
        rho = rho * (1 + self.ellipse_1 * twice_c + self.ellipse_2 * twice_s)
        return self.centre_x + rho * np.sin(turned), self.centre_z + rho * np.cos(turned)

    def magnification(self, angle_rad: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how many times larger an area is on the detector, at angles (...) of the undistorted image."""
        twice_c, twice_s = np.cos(2 * angle_rad), np.sin(2 * angle_rad)
        farther = 1 + self.ellipse_1 * twice_c + self.ellipse_2 * twice_s
        wider = 1 - 2 * (self.shear_1 * self.ellipse_1 * twice_c + self.shear_2 * self.ellipse_2 * twice_s)
        return farther**2 * wider


@njit(cache=True)
def undistorted(dx: float, dz: float, geometry: NDArray[np.float64]) -> tuple[float, float]:
    """Return x and z in the undistorted image of a place (dx, dz) from the centre; `ImageGeometry.as_array` (7,).

    The inverse of `ImageGeometry.onto_detector`, by iteration.
    """
    rho = math.sqrt(dx * dx + dz * dz)
    seen = math.atan2(dx, dz) - geometry[2]
    angle = seen
    for _ in range(3):
        turn = geometry[6] * geometry[4] * math.cos(2 * angle) - geometry[5] * geometry[3] * math.sin(2 * angle)
        angle = seen - turn
    rho /= 1 + geometry[3] * math.cos(2 * angle) + geometry[4] * math.sin(2 * angle)
    return rho * math.sin(angle), rho * math.cos(angle)
