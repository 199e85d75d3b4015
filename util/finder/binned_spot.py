"""A detector's spots on a map of bins: what the search is to expect there, and the way back to the detector.

The search works on bins of several pixels, as large as the spots allow: a Gaussian sampled at half its width loses
nothing, and a bin of 4 x 4 pixels costs a sixteenth of the work at the information of all sixteen pixels.
"""

import math

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.phosphor import pixel_to_detector
from util.finder.one_electron import Electron

# Sigma of a spot in bins, at least. At 1.8 the same is found in 1.35 times the time; at 1.05 F1 falls from 0.989 to
# 0.986 for radii 0.58 and 0.66.
FINEST_SIZE = 1.5
# Of `tail`, where spots have wings: cut at one count, F1 of Moffat's exponent 2.5 is 0.9945, at 0.3 it is 0.9985.
WINGED_TAIL = 0.3
SMALLEST_STD = 0.02  # of the mean: a recipe without spread still leaves the fit some freedom


class BinnedSpot:
    """One electron's spot on the bins of a detector's frames.

    Averaging over a pixel (or its samples) and over the bin's pixels adds its variance to both axes of a spot, and
    takes what it adds from the brightness; wings make it add more to the core and grow fainter themselves. This is
    exact for a Gaussian, and to first order in the variance over the spot's for any other profile.

    Attributes
    ----------
    bin : int
        Pixels along each side of a bin.
    rows, columns : arrays (n, 1) and (m,)
        Pixel indices of the bins' middles.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        shape = detector.imperfections
        self._sigma_px = detector.sigma.mean / detector.pitch
        wide = math.sqrt(shape.aspect)
        self.bin = max(1, int(self._sigma_px * min(wide, 1 / wide) / FINEST_SIZE))
        self._middle = (self.bin - 1) / 2  # of a bin [pixels from its first]
        averaged = ((self.bin**2 - 1) + 4 * detector.sample_centre * (1 - detector.sample_centre)) / 12
        self._added = averaged * (shape.aspect + 1 / shape.aspect) / 2
        self._widening = self._added * (1 + 2 * shape.wings)
        widths = [
            math.hypot(self._sigma_px * stretch, math.sqrt(averaged * (1 + 2 * shape.wings)))
            for stretch in (wide, 1 / wide)
        ]
        self._size = math.sqrt(widths[0] * widths[1]) / self.bin
        self._sides = math.sqrt(widths[1] / widths[0]), math.sqrt(widths[0] / widths[1])
        rows, columns = (np.arange(pixels // self.bin) for pixels in detector.frame_shape)
        self.rows, self.columns = rows[:, None] * self.bin + self._middle, columns * self.bin + self._middle

    def expected(self, tail: float) -> Electron:
        """Return what the search is to expect; a spot's light ends where it falls below `tail` [counts]."""
        detector, shape = self.detector, self.detector.imperfections
        variance = self._sigma_px**2
        A = detector.A.mean * variance / (variance + self._added)
        spread = max(detector.sigma.std / detector.sigma.mean, SMALLEST_STD)
        return Electron(
            A=A,
            A_std=max(detector.A.std, SMALLEST_STD * A),
            s=self._size,
            s_std=spread * variance / (self._size * self.bin**2),
            rho=detector.rho.mean,
            rho_std=max(detector.rho.std, SMALLEST_STD),
            heights=max((detector.A.mean / detector.A.std) ** 2, 1.0) if shape.pulse_heights == "gamma" else 0.0,
            wings=shape.wings / (1 + 2 * self._added / variance * (1 + shape.wings)),
            cut=tail * (WINGED_TAIL if shape.wings else 1.0),
            side_x=self._sides[0],
            side_z=self._sides[1],
        )

    def over_screen(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return brightness and size of one electron's spot in each bin (rows, columns), over that in the middle."""
        x, z = (pixel_to_detector(self.detector, at, axis) for axis, at in enumerate((self.rows, self.columns)))
        growth = 1 + self.detector.imperfections.growth * (x**2 + z**2)
        return 1 / growth**2, growth

    def on_detector(self, spots: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return x, z [detector units], A, sigma and rho of spots (n, 5) of a map."""
        A, x, z, s, rho = spots.T
        size_px2 = (s * self.bin) ** 2
        sigma_px2 = np.maximum(size_px2 - self._widening, 0.01)
        return (
            pixel_to_detector(self.detector, x / self._sides[0] * self.bin + self._middle, axis=0),
            pixel_to_detector(self.detector, z / self._sides[1] * self.bin + self._middle, axis=1),
            A * (sigma_px2 + self._added) / sigma_px2,
            np.sqrt(sigma_px2) * self.detector.pitch,
            rho,
        )
