"""An answer from the summed frames, without finding a single electron.

Rounding apart, the sum of all frames, with what the camera cut off put back, is the density of electrons, convolved
with the mean spot. The sum
is deconvolved as far as the spot lets it (Wiener), which leaves a map of electrons blurred to about a third of a spot;
the model, blurred alike, is fitted to it with each place weighted by one over the variance expected there: electrons
are independent, so that each adds the square of its blurred image. Any such weighting is unbiased; its errors come from
the scatter of blocks of frames, so that gain and shape of the spots, rounding and the number of electrons a frame enter
as they are.

Images are binned by 4 x 4 pixels: a spot is two of these bins wide, so that nothing is lost.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from util.camera.phosphor import (
    Geometry,
    pixel_to_detector,
)
from util.fit.fisher_scoring import inverse_information
from util.fit.likelihood import fit
from util.fit.map_model import MapModel, variance_floor
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins
from util.physics.projection import density, density_gradient
from util.runtime.errors import InputError
from util.summed.restore import cell_of
from util.summed.spot import Spot

_WIENER = 4e-4  # of the squared spot transform at its top: the deconvolution ends at 2.8 inverse spot sizes
_STEPS = 30
_DIMMEST = 0.1  # of the mean variance, and not less anywhere: a place next to a bright one tells little of its own
_SETTLED = 0.01  # errors that a step may still move the answer


@dataclass(frozen=True)
class SumFit:
    """Answer from summed frames.

    Attributes
    ----------
    result : FitResult
    moved : array (B, P)
        How far each block of frames moves it; the scatter of these is its covariance, but for `of_spot`.
    of_spot : array (P, P)
        Covariance that comes of the spot's.
    """

    result: FitResult
    moved: NDArray
    of_spot: NDArray


def fit_sum(
    blocks: NDArray,
    spot: Spot,
    camera: Geometry,
    *,
    spheres: int = 2,
    order: int = 24,
    start: list[tuple[float, float]] | None = None,
) -> SumFit:
    """Fit spheres to summed frames.

    Parameters
    ----------
    blocks : array (B, rows, columns)
        Sums of B equally large blocks of frames, binned twice as wide as `cell_of` says; B at least 40, for the errors.
    spot : Spot
    camera : Geometry
        A recipe or a detector.
    spheres, order
        As in `util.fit.likelihood.fit`.
    start : list of (R, sigma_R) or None
        None: found in the deconvolved sum.

    Returns
    -------
    SumFit
        ``deviance`` of its result is nan: neighbouring bins are correlated, so that it would mean nothing. ``hits`` is
        the number of electrons by flux.

    Raises
    ------
    InputError
        No spheres found, or no convergence.
    """
    if len(blocks) < 40:
        raise InputError(f"found {len(blocks)} blocks of frames, expected at least 40; use more frames")
    model = _SumModel(spot, camera, blocks.shape[1:], spheres, order)
    data = model.deconvolve(blocks.sum(axis=0, dtype=float))
    q = model.start(data, start)
    for _ in range(_STEPS):
        mean, slopes, variance = model.expect(q)
        score = slopes / variance
        information = score.reshape(q.size, -1) @ slopes.reshape(q.size, -1).T
        step = np.linalg.solve(information, (score * (data - mean)).sum(axis=(1, 2)))
        error = np.sqrt(np.diag(np.linalg.inv(information)))
        if np.abs(step / error).max() < _SETTLED:
            break
        widths = [(q[s * model.block + 2], step[s * model.block + 1 + j]) for s in range(spheres) for j in (0, 1)]
        q = q + min(1.0, *(0.3 * width / max(abs(moved), 1e-300) for width, moved in widths)) * step
    else:
        raise InputError("the fit of the summed frames did not converge; fit electrons with METHOD=likelihood")
    inverse = np.linalg.inv(information)
    seen = np.array([model.deconvolve(block).ravel() for block in blocks]) @ score.reshape(len(score), -1).T
    # Each jackknifed spot moves the answer by one step from the same place.
    parts = [_SumModel(replace(spot, image=image), camera, blocks.shape[1:], spheres, order) for image in spot.without]
    light, electrons = blocks.sum(axis=0, dtype=float), model.density(q)
    residuals = np.array([part.deconvolve(light) - part.see(electrons) for part in parts])
    by_spot = np.tensordot(residuals, score, ((1, 2), (1, 2))) @ inverse.T
    of_spot = np.cov(by_spot, rowvar=False, bias=True) * (len(parts) - 1)
    moved = (seen - seen.mean(axis=0)) @ inverse.T
    result, turn = model.result(q, np.cov(moved, rowvar=False) * len(blocks) + of_spot, len(blocks))
    return SumFit(result, moved @ turn.T, turn @ of_spot @ turn.T)


class _SumModel:
    """Expected deconvolved sum, and its derivatives.

    Internal parameters: for each sphere N, R, sigma_R, N beta_2 ..; then centre x and z.
    """

    def __init__(self, spot: Spot, camera: Geometry, shape: tuple[int, int], spheres: int, order: int):
        self.camera, self.shape, self.spheres, self.order = camera, shape, spheres, order
        self.block = order // 2 + 3
        cell = cell_of(camera)
        self.bin = 2 * cell
        self.flux = float(spot.image.sum())
        fine = tuple(2 * bins for bins in shape)
        # A cell's middle, as a fractional pixel index.
        middles = [np.arange(cells) * cell + (cell - 1) / 2 for cells in fine]
        self.x = pixel_to_detector(camera, middles[0], axis=0)[:, None]
        self.z = pixel_to_detector(camera, middles[1], axis=1)[None, :]
        self.area = (camera.pitch * cell) ** 2
        # Transform of the spot, blurred by the bin, at the frequencies of cells and of bins.
        reach = spot.image.shape[0] // 2
        offsets = np.arange(-reach, reach + 1)

        def transform(cells: int, size: int) -> tuple[NDArray, NDArray]:
            frequency = np.fft.fftfreq(cells) * 2 * np.pi / size  # a pixel
            # Sum over a bin's pixels; on the cells, whose sum follows in `see`, over a cell's.
            middle = (np.arange(size) - (size - 1) / 2)[:, None]
            box = np.cos(middle * frequency).sum(axis=0)
            return np.exp(-1j * np.outer(frequency, offsets)), box

        # A transform of samples that lie `size` apart is 1 / size^2 of the transform of what was sampled.
        self._fine = self._spot_transform(spot.image, transform(fine[0], cell), transform(fine[1], cell)) / cell**2
        coarse = (
            self._spot_transform(spot.image, transform(shape[0], self.bin), transform(shape[1], self.bin)) / self.bin**2
        )
        unit = coarse / coarse[0, 0].real
        # The even part of the spot has a real transform.
        self._filter = unit.real / (unit.real**2 + _WIENER) / coarse[0, 0].real
        # Of the square of one electron's image, deconvolved.
        self._squared = np.fft.fft2(np.fft.ifft2(coarse * self._filter).real ** 2)

    @staticmethod
    def _spot_transform(image: NDArray, along_x: tuple, along_z: tuple) -> NDArray:
        (wave_x, box_x), (wave_z, box_z) = along_x, along_z
        return (wave_x @ image @ wave_z.T) * np.outer(box_x, box_z)

    def deconvolve(self, image: NDArray) -> NDArray:
        """Give electrons a bin (rows, columns) from counts a bin."""
        return np.fft.ifft2(np.fft.fft2(image) * self._filter).real

    def see(self, p: NDArray) -> NDArray:
        """Give what a density of electrons on the cells looks like, deconvolved."""
        return self.deconvolve(self._bins(np.fft.ifft2(np.fft.fft2(p * self.area) * self._fine).real))

    def scatter(self, p: NDArray) -> NDArray:
        """Give the variance of what `see` expects."""
        variance = np.fft.ifft2(np.fft.fft2(self._bins(p * self.area)) * self._squared).real
        return np.maximum(variance, _DIMMEST * variance.mean())

    def _bins(self, cells: NDArray) -> NDArray:
        height, width = self.shape
        return cells.reshape(height, 2, width, 2).sum(axis=(1, 3))

    def start(self, data: NDArray, start: list[tuple[float, float]] | None) -> NDArray:
        """Fit the deconvolved sum as if it were hits."""
        fold = 4
        padded = np.zeros(tuple(n * fold for n in data.shape), complex)
        spectrum = np.fft.fftshift(np.fft.fft2(data))
        # The shifted spectrum has frequency 0 at index n // 2, for even and odd n.
        corner = [n * fold // 2 - n // 2 for n in data.shape]
        padded[corner[0] : corner[0] + data.shape[0], corner[1] : corner[1] + data.shape[1]] = spectrum
        fine = np.fft.ifft2(np.fft.ifftshift(padded)).real
        step = self.bin / fold
        places = [np.arange(n) * step + (self.bin - 1) / 2 for n in fine.shape]
        x = pixel_to_detector(self.camera, places[0], axis=0)
        z = pixel_to_detector(self.camera, places[1], axis=1)
        grid_x, grid_z = np.meshgrid(x, z, indexing="ij")
        # Ripples of the deconvolution below zero are cut off, for a start only.
        weight = np.maximum(fine, 0.02 * fine.mean()) - 0.02 * fine.mean()
        try:
            rough = fit(
                grid_x.ravel(),
                grid_z.ravel(),
                weight.ravel(),
                spheres=self.spheres,
                order=min(self.order, 12),
                start=start,
                bins=PolarBins(200, 48),
            )
        except InputError:
            raise InputError(
                f"{self.spheres} sphere(s) cannot be told in the summed frames; fit electrons with METHOD=likelihood, "
                "or ask for another number of spheres"
            ) from None
        q = np.zeros(self.spheres * self.block + 2)
        for s in range(self.spheres):
            part = q[s * self.block : (s + 1) * self.block]
            part[:3] = rough.electrons[s], rough.R[s], max(0.8 * rough.sigma_R[s], 0.004)
            part[3 : 3 + rough.beta.shape[1]] = rough.electrons[s] * rough.beta[s]
        q[-2:] = rough.centre
        return q

    def density(self, q: NDArray) -> NDArray:
        """Give the expected density of electrons on the cells."""
        total = np.zeros((self.x.size, self.z.size))
        for s in range(self.spheres):
            first = s * self.block
            N, R, sigma_R = q[first : first + 3]
            total += N * density(self.x, self.z, q[first + 3 : first + self.block] / N, R, sigma_R, tuple(q[-2:]))
        return total

    def expect(self, q: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Give the expected deconvolved sum (rows, columns), its derivatives (P, rows, columns) and its variance."""
        mean, slopes = np.zeros(self.shape), np.zeros((q.size, *self.shape))
        total = np.zeros((self.x.size, self.z.size))
        for s in range(self.spheres):
            first = s * self.block
            N, R, sigma_R = q[first : first + 3]
            beta = q[first + 3 : first + self.block] / N
            p, gradient = density_gradient(self.x, self.z, beta, R, sigma_R, tuple(q[-2:]))
            shown = self.see(p)
            mean += N * shown
            total += N * p
            by_beta = np.array([self.see(row) for row in gradient[:-4]])
            # p = isotropic part + sum beta_i dp/dbeta_i, so N p = N isotropic + sum (N beta_i) dp/dbeta_i.
            slopes[first] = shown - np.tensordot(beta, by_beta, 1)
            slopes[first + 1], slopes[first + 2] = N * self.see(gradient[-4]), N * self.see(gradient[-3])
            slopes[first + 3 : first + self.block] = by_beta
            slopes[-2] += N * self.see(gradient[-2])
            slopes[-1] += N * self.see(gradient[-1])
        return mean, slopes, self.scatter(total)

    def result(self, q: NDArray, covariance: NDArray, blocks: int) -> tuple[FitResult, NDArray]:
        """Answer with the parameters of `util.fit.likelihood.fit`, and the matrix (P, P) that turns to them."""
        bins = PolarBins()
        model = MapModel(bins, self.order, self.spheres, False)
        order = np.argsort([q[s * self.block + 1] for s in range(self.spheres)])
        index = np.concatenate([*(np.arange(s * self.block, (s + 1) * self.block) for s in order), [-2, -1]])
        index[-2:] += q.size
        q, covariance = q[index], covariance[np.ix_(index, index)]
        inner, by_q = model.public(q[:-2])
        values = np.concatenate((inner, q[-2:]))
        turn = np.eye(q.size)
        turn[:-2, :-2] = by_q
        mu = model.counts(q[:-2])
        variance = np.maximum(mu, variance_floor(mu)).ravel()
        jacobian = model.jacobian(q[:-2]).reshape(model.size, -1)
        even, condition = inverse_information((jacobian / variance) @ jacobian.T)
        floor = np.zeros_like(covariance)
        floor[:-2, :-2] = by_q @ even @ by_q.T
        shift = model.shift(q[:-2]).reshape(2, -1)
        floor[-2:, -2:] = np.diag(1 / (shift**2 / variance).sum(axis=1))
        parts = values[:-2].reshape(self.spheres, self.block)
        names = [
            f"{name}_{s + 1}"
            for s in range(self.spheres)
            for name in ("N", "R", "sigma_R", *(f"beta_{i}" for i in range(2, self.order + 1, 2)))
        ]
        found = FitResult(
            names=(*names, "centre_x", "centre_z"),
            values=values,
            covariance=turn @ covariance @ turn.T,
            floor_covariance=floor,
            electrons=parts[:, 0],
            R=parts[:, 1],
            sigma_R=parts[:, 2],
            beta=parts[:, 3:],
            centre=values[-2:],
            deviance=float("nan"),
            dof=0,
            condition=condition,
            iterations=blocks,
            converged=True,
            hits=round(float(parts[:, 0].sum())),
        )
        return found, turn[:, np.argsort(index)]
