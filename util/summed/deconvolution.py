"""Summed frames without the blur of the spots, as far as that can be undone.

The sum is deconvolved by a Wiener filter (Wiener 1949, Extrapolation, Interpolation, and Smoothing of Stationary Time
Series), which leaves a map of electrons blurred to about a third of a spot. What is expected is blurred alike.
"""

import numpy as np
from numpy.typing import NDArray

from util.camera.phosphor import Geometry, pixel_to_detector
from util.summed.restore import cell_of

_WIENER = 4e-4  # of the squared spot transform at its top: the deconvolution ends at 2.8 inverse spot sizes
DIMMEST = 0.1  # of the mean variance, the least anywhere: a place next to a bright one tells little of its own


class Deconvolution:
    """Deconvolves binned sums of frames, and shows what a density of electrons looks like in such a sum, deconvolved.

    Parameters
    ----------
    image : array (2 m + 1, 2 m + 1)
        One electron's light per pixel, as in `util.summed.spot.Spot`.
    camera : Geometry
    shape : (int, int)
        Bins of a sum along x and z.

    Attributes
    ----------
    shape : (int, int)
    x, z : arrays (2 rows, 1), (1, 2 columns)
        Middles of the cells, two per bin along each axis, on which densities are sampled [detector units].
    """

    def __init__(self, image: NDArray[np.float64], camera: Geometry, shape: tuple[int, int]) -> None:
        self._camera, self.shape = camera, shape
        cell = cell_of(camera)
        self._bin = 2 * cell
        fine = (2 * shape[0], 2 * shape[1])
        x, z = self._positions(fine, cell, (cell - 1) / 2)
        self.x, self.z = x[:, None], z[None, :]
        self._area = (camera.pitch * cell) ** 2
        self._fine = _spot_transform(image, fine, cell)
        coarse = _spot_transform(image, shape, self._bin)
        unit = coarse / coarse[0, 0].real
        # The even part of the spot has a real transform.
        self._filter = unit.real / (unit.real**2 + _WIENER) / coarse[0, 0].real
        # Of the square of one electron's image, deconvolved.
        self._squared = np.fft.fft2(np.fft.ifft2(coarse * self._filter).real ** 2)

    def _positions(
        self, shape: tuple[int, ...], step: float, first: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and z [detector units] of samples from pixel index `first` on, `step` pixels apart."""
        x, z = (np.arange(samples) * step + first for samples in shape)
        return pixel_to_detector(self._camera, x, axis=0), pixel_to_detector(self._camera, z, axis=1)

    def deconvolve(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return electrons per bin (rows, columns) from counts per bin."""
        return np.fft.ifft2(np.fft.fft2(image) * self._filter).real

    def see(self, density: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a density of electrons on the cells looks like, deconvolved: (rows, columns)."""
        return self.deconvolve(self._bins(np.fft.ifft2(np.fft.fft2(density * self._area) * self._fine).real))

    def variance(self, density: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance (rows, columns) of what `see` expects, electrons being independent."""
        variance = np.fft.ifft2(np.fft.fft2(self._bins(density * self._area)) * self._squared).real
        return np.maximum(variance, DIMMEST * variance.mean())

    def _bins(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        height, width = self.shape
        return cells.reshape(height, 2, width, 2).sum(axis=(1, 3))

    def interpolated(
        self, data: NDArray[np.float64], times: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return x, z and values (n,) of a deconvolved sum at `times` as many points along each axis."""
        spectrum = np.fft.fftshift(np.fft.fft2(data))
        padded = np.zeros((times * data.shape[0], times * data.shape[1]), complex)
        # The shifted spectrum has frequency 0 at index n // 2, for even and odd n.
        row, column = (n * times // 2 - n // 2 for n in data.shape)
        padded[row : row + data.shape[0], column : column + data.shape[1]] = spectrum
        values = np.fft.ifft2(np.fft.ifftshift(padded)).real
        x, z = np.meshgrid(*self._positions(values.shape, self._bin / times, (self._bin - 1) / 2), indexing="ij")
        return x.ravel(), z.ravel(), values.ravel()


def _spot_transform(image: NDArray[np.float64], shape: tuple[int, int], size: int) -> NDArray[np.complex128]:
    """Return the transform of the spot, summed over size x size pixels, at the frequencies of a map of `shape` sums."""
    reach = image.shape[0] // 2
    offsets = np.arange(-reach, reach + 1)
    middle = (np.arange(size) - (size - 1) / 2)[:, None]
    waves, boxes = [], []
    for samples in shape:
        frequency = np.fft.fftfreq(samples) * 2 * np.pi / size  # per pixel
        waves.append(np.exp(-1j * np.outer(frequency, offsets)))
        boxes.append(np.cos(middle * frequency).sum(axis=0))
    # A transform of samples that lie `size` apart is 1 / size^2 of the transform of what was sampled.
    return (waves[0] @ image @ waves[1].T) * np.outer(*boxes) / size**2
