"""Camera frame to electrons: positions and weights, in detector units.

The search works on bins of several pixels, as large as the spots allow: a Gaussian sampled at half its width loses
nothing, and a bin of 4 x 4 pixels costs a sixteenth of the work at the information of all sixteen pixels.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.imperfections import smooth_map
from util.camera.phosphor import flux_of, pixel_to_detector
from util.finder.binning import bin_pixels
from util.finder.spot_fit import workspace
from util.finder.spot_search import Search, find_spots
from util.finder.weighting import weight_hits

EVENT = np.dtype(
    [
        ("ImageId", "<i4"),
        ("x", "<f4"),  # detector units
        ("z", "<f4"),
        ("weight", "<f4"),  # electrons that the hit stands for (`util.finder.weighting`)
        ("flux", "<f4"),  # the spot's, over one electron's mean flux there
        ("A", "<f4"),  # counts
        ("sigma", "<f4"),  # detector units
        ("rho", "<f4"),
    ]
)
_MOST_ROUNDS = 1000  # of a search; param/finder.toml asks for a dozen
# Sigma of a spot in bins, at least. At 1.8 the same is found in 1.35 times the time; at 1.05 F1 falls from 0.989 to
# 0.986 for radii 0.58 and 0.66.
FINEST_SIZE = 1.5
SMALLEST_STD = 0.02  # of the mean: a recipe without spread still leaves the fit some freedom


@dataclass(frozen=True)
class FinderSettings:
    """Settings of the search (param/finder.toml explains each)."""

    seed: float
    residual_seed: float
    link: float
    radius: float
    penalty: float
    suspicion: float
    annealing: tuple[float, ...]
    last_rounds: int
    tail: float
    crowded: float

    def __post_init__(self) -> None:
        positive = ("seed", "residual_seed", "link", "radius", "penalty", "suspicion", "tail", "crowded")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")
        if not self.annealing or min(self.annealing) <= 0:
            raise ValueError("annealing needs at least one value, all above 0")
        if not 0 <= self.last_rounds <= _MOST_ROUNDS or len(self.annealing) > _MOST_ROUNDS:
            raise ValueError(
                f"last_rounds must be 0 to {_MOST_ROUNDS} and annealing no longer, found {self.last_rounds} and "
                f"{len(self.annealing)} values"
            )


class Finder:
    """Finds the electrons of frames taken by one detector.

    Parameters
    ----------
    detector : Detector
        What one electron looks like, and the camera.
    settings : FinderSettings
    """

    def __init__(self, detector: Detector, settings: FinderSettings) -> None:
        self.detector = detector
        self._crowded = settings.crowded
        sigma_px = detector.sigma.mean / detector.pitch
        self._bin = max(1, int(sigma_px / FINEST_SIZE))
        # Averaging over a pixel (or its samples) and over the bin's pixels widens the spot; its flux stays.
        self._widening = ((self._bin**2 - 1) + 4 * detector.sample_centre * (1 - detector.sample_centre)) / 12
        s = math.hypot(sigma_px, math.sqrt(self._widening)) / self._bin
        s_std = max(detector.sigma.std / detector.sigma.mean, SMALLEST_STD) * sigma_px**2 / (s * self._bin**2)
        A = detector.A.mean * sigma_px**2 / (sigma_px**2 + self._widening)
        prior = np.array(
            [
                [A, max(detector.A.std, SMALLEST_STD * A)],
                [s, s_std],
                [detector.rho.mean, max(detector.rho.std, SMALLEST_STD)],
            ]
        )
        # Rounding to whole counts adds noise of variance 1/12.
        noise = (detector.noise**2 + 1 / 12) / self._bin**2
        variances = noise + (np.array(settings.annealing) * A) ** 2
        self._search = Search(
            prior=prior,
            weights=1 / variances,
            seed=max(settings.seed * A, 6 * math.sqrt(noise)),
            residual_seed=max(settings.residual_seed * A, 6 * math.sqrt(noise)),
            cut=settings.tail,
            link=settings.link * s,
            radius=settings.radius * s,
            penalty=settings.penalty,
            suspicion=settings.suspicion,
            rounds=len(variances) + settings.last_rounds,
        )
        rows, columns = (pixels // self._bin for pixels in detector.frame_shape)
        self._work = workspace((rows, columns))
        at = np.arange(max(rows, columns)) * self._bin + self._middle
        self._background = detector.background_at(at[:rows, None], at[:columns]) if any(detector.background) else None
        # Of even gain, all spots are of one kind again.
        self._gain = detector.gain_at(at[:rows, None], at[:columns]) if detector.imperfections.gain else None

    @property
    def _middle(self) -> float:
        """Middle of a bin [pixels from its first]."""
        return (self._bin - 1) / 2

    def find(self, frame: NDArray[np.unsignedinteger]) -> NDArray[np.void] | None:
        """Find the electrons of one frame.

        Parameters
        ----------
        frame : (H, W) uint8 or uint16
            Axis 0 is x, axis 1 is z.

        Returns
        -------
        (n,) structured array of dtype EVENT, or None
            Empty where there are no electrons; None where too much of the frame is clipped to tell them apart.
            ``ImageId`` is left 0.
        """
        detector = self.detector
        data, clipped = bin_pixels(detector.without_hot_pixels(frame), self._bin, detector.saturation)
        if clipped.mean() > self._crowded:
            return None
        if self._background is not None:
            data -= self._background
        if self._gain is not None:
            data /= self._gain
        A, x, z, s, rho = find_spots(data, clipped, self._search, self._work).T
        events = np.zeros(A.size, EVENT)
        events["x"] = pixel_to_detector(detector, x * self._bin + self._middle, axis=0)
        events["z"] = pixel_to_detector(detector, z * self._bin + self._middle, axis=1)
        size_px2 = (s * self._bin) ** 2
        events["flux"] = flux_of(A, np.sqrt(size_px2) * detector.pitch, rho) / detector.flux.mean
        sigma_px2 = np.maximum(size_px2 - self._widening, 0.01)
        events["A"] = A * size_px2 / sigma_px2
        if self._gain is not None:
            events["A"] *= smooth_map(detector.imperfections.gain, events["x"], events["z"])
        events["sigma"] = np.sqrt(sigma_px2) * detector.pitch
        events["rho"] = rho
        events["weight"] = weight_hits(events, detector.sigma.mean, detector.flux_spread)
        return events
