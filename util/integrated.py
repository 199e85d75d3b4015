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

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from util.detector import Detector
from util.errors import InputError
from util.finder import Finder
from util.likelihood import FitResult, fit
from util.phosphor import (
    SMALLEST_SIGMA_PX,
    Geometry,
    PhosphorRecipe,
    as_rendered,
    detector_to_pixel,
    light,
    pixel_to_detector,
)
from util.polar_map import PolarBins
from util.projection import density, density_gradient
from util.scoring import MapModel, inverse_information, variance_floor

_CELL = 2 * 2 / 1024  # detector units, about, of the grid on which the density is sampled; sigma_R is 2 cells or more
_WIENER = 4e-4  # of the squared spot transform at its top: the deconvolution ends at 2.8 inverse spot sizes
_REACH = 30  # pixels about a spot that its light may reach, for spots of 7.7 pixels; scaled to others
_SPOT_PX = 7.68
_STEPS = 30
_DIMMEST = 0.1  # of the mean variance, and not less anywhere: a place next to a bright one tells little of its own
_SETTLED = 0.01  # errors that a step may still move the answer
_FEWEST_SPOTS = 100
_RAISED = 0.001  # counts of dark pixels that a camera without negative counts may add
_PARTS = 8  # of the spots, for the jackknife


@dataclass(frozen=True)
class Spot:
    """Mean light of one electron.

    Attributes
    ----------
    image : array (2 m + 1, 2 m + 1)
        Counts a pixel, the electron in the middle of the middle one.
    spots : int
        Isolated ones that were averaged.
    without : array (K, 2 m + 1, 2 m + 1)
        The mean without each of K parts of them: how well it is known (jackknife).
    """

    image: NDArray
    spots: int
    without: NDArray


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


def cell_of(camera: Geometry) -> int:
    """Give the pixels along each side of a cell of the density; a bin of the summed frames is twice as wide."""
    return max(1, round(_CELL / camera.pitch))


def bin_frame(frame: NDArray, size: int) -> NDArray[np.float32]:
    """Sum size x size pixels; rows and columns beyond a multiple of the size are left out."""
    height, width = (pixels // size for pixels in frame.shape)
    cut = frame[: height * size, : width * size]
    # Rows first, as whole rows of small integers: three times as fast as one sum over both axes.
    kind = {"u1": np.uint16, "u2": np.uint32}.get(frame.dtype.str[1:], frame.dtype)
    rows = cut.reshape(height, size, width * size).sum(axis=1, dtype=kind)
    return rows.reshape(height, width, size).sum(axis=2, dtype=np.float32)


def restored(frame: NDArray[np.unsignedinteger], finder: Finder) -> NDArray:
    """Give the frame with what the camera cut off put back, at both ends: light beyond its range, and negative counts.

    Light lost where electrons pile up at the poles of a PAD would pass for electrons lost. A camera that makes 0 of
    negative counts raises its dark pixels, and lit ones by less, so that spots would not add up. How much is missing
    follows from the light of the spots found, wherever those have it from; it is the only thing that the sum of the
    frames takes from the search.

    Parameters
    ----------
    frame : (H, W) uint8 or uint16
        Without hot pixels.
    finder : Finder

    Returns
    -------
    (H, W) array
        Counts whose mean is background plus light; the frame itself where nothing was cut off.
    """
    detector = finder.detector
    full = frame >= detector.saturation
    raises = (detector.dark_at(*_corners(detector)) - detector.background_at(*_corners(detector))).max() > _RAISED
    events = finder.find(frame) if raises or full.any() else None
    if events is None:
        return frame
    camera = PhosphorRecipe(detector.frame_shape, 1, 0, detector.A, detector.sigma, detector.rho)
    x, z = as_rendered(detector, camera, events["x"], events["z"])
    rows, columns = (np.arange(pixels) for pixels in detector.frame_shape)
    # The narrowest spot that is found, rounded to single precision, may lie a hair below what is rendered.
    sigma = np.maximum(events["sigma"].astype(float), SMALLEST_SIGMA_PX * detector.pitch)
    level = light(camera, x, z, events["A"], sigma, events["rho"])
    level += detector.background_at(rows[:, None], columns)
    out = np.where(full, np.maximum(level, frame), frame)
    return out - (detector.mean_of(level) - level) if raises else out


def _corners(detector: Detector) -> tuple[NDArray, NDArray]:
    rows, columns = (np.array([0, pixels - 1]) for pixels in detector.frame_shape)
    return rows[:, None], columns


def learn_spot(frames: Iterable[NDArray[np.unsignedinteger]], finder: Finder) -> Spot:
    """Average the spots that stand alone.

    Parameters
    ----------
    frames : iterable of (H, W) arrays
    finder : Finder
        Says where spots are; only those that no other comes near are used. Its detector tells geometry, dark
        counts and about how large spots are.

    Raises
    ------
    InputError
        Fewer than 100 spots stand alone.
    """
    detector = finder.detector
    reach = int(np.ceil(_REACH * detector.sigma.mean / detector.pitch / _SPOT_PX))
    offsets = np.arange(-reach, reach + 1)
    totals, counts = np.zeros((_PARTS, 2 * reach + 1, 2 * reach + 1)), np.zeros(_PARTS, int)
    q = 2j * np.pi * np.fft.fftfreq(2 * reach + 1)
    for number, taken in enumerate(frames):
        whole = detector.without_hot_pixels(taken)
        events = finder.find(whole)
        if events is None or not events.size:
            continue
        frame = restored(whole, finder)
        x = detector_to_pixel(detector, events["x"], axis=0)
        z = detector_to_pixel(detector, events["z"], axis=1)
        near = np.maximum(np.abs(x[:, None] - x), np.abs(z[:, None] - z)) < 2 * reach
        i, k = np.rint(x).astype(int), np.rint(z).astype(int)
        inside = (np.minimum(i, k) >= reach) & (i < frame.shape[0] - reach) & (k < frame.shape[1] - reach)
        for n in np.flatnonzero((near.sum(axis=1) == 1) & inside):
            window = frame[i[n] - reach : i[n] + reach + 1, k[n] - reach : k[n] + reach + 1]
            window = window - detector.background_at(i[n] + offsets[:, None], k[n] + offsets)
            shift = np.exp(np.add.outer(q * (x[n] - i[n]), q * (z[n] - k[n])))
            totals[number % _PARTS] += np.fft.ifft2(np.fft.fft2(window) * shift).real
            counts[number % _PARTS] += 1
    count = int(counts.sum())
    if count < _FEWEST_SPOTS:
        raise InputError(
            f"expected at least {_FEWEST_SPOTS} spots that stand alone, found {count}; "
            "look at more frames, or fit electrons with METHOD=likelihood"
        )
    # Nothing tells left from right on average: the even part has half the noise.
    totals = (totals + totals[:, ::-1, ::-1]) / 2
    total = totals.sum(axis=0)
    return Spot(total / count, count, (total - totals) / (count - counts)[:, None, None])


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
        As in `util.likelihood.fit`.
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
        """Answer in the order and the parameters of `util.likelihood.fit`, and the matrix (P, P) that turns to them."""
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
