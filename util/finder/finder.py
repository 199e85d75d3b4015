"""Camera frame to electrons: positions and weights, in detector units."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.imperfections import SmoothMap, smooth_map
from util.camera.phosphor import CAMERA_MAXIMUM, flux_of
from util.finder.binned_spot import BinnedSpot
from util.finder.binning import bin_pixels
from util.finder.one_electron import Electron
from util.finder.pulse_heights import faintest
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
# Beyond these no spot is sought, fitted or drawn as it is: fractions of a peak or a frame, spot sizes, counts.
_HIGHEST = {"seed": 1.0, "residual_seed": 1.0, "crowded": 1.0, "link": 10.0, "radius": 10.0, "tail": CAMERA_MAXIMUM}
_MOST_ROUNDS = 1000  # of a search; param/finder.toml asks for a dozen


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
        for name, highest in _HIGHEST.items():
            if getattr(self, name) > highest:
                raise ValueError(f"{name} must be at most {highest:g}, found {getattr(self, name)}")
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
        self._spot = BinnedSpot(detector)
        electron = self._spot.expected(settings.tail)
        gain, growth = self._spot.over_screen()
        # Rounding to whole counts adds noise of variance 1/12.
        noise = (detector.noise**2 + 1 / 12) / self._spot.bin**2
        faint = faintest(detector) * electron.A
        variances = noise + (np.array(settings.annealing) * electron.A) ** 2
        self._search = Search(
            electron=electron,
            gain=gain,
            growth=growth,
            weights=1 / variances,
            noise=noise,
            seed=max(settings.seed * faint, 6 * math.sqrt(noise)),
            residual_seed=max(settings.residual_seed * faint, 6 * math.sqrt(noise)),
            link=settings.link * electron.s,
            radius=settings.radius * electron.s,
            penalty=settings.penalty,
            suspicion=settings.suspicion,
            rounds=len(variances) + settings.last_rounds,
        )
        self._work = workspace(gain.shape)
        at = self._spot.rows, self._spot.columns
        self._background = detector.background_at(*at) if any(detector.background) else None
        # Of even gain, all spots are of one kind again.
        self._gain = detector.gain_at(*at) if detector.imperfections.gain else None

    @property
    def electron(self) -> Electron:
        """What one electron is expected to look like on the map of bins."""
        return self._search.electron

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
        data, clipped = bin_pixels(detector.without_hot_pixels(frame), self._spot.bin, detector.saturation)
        if clipped.mean() > self._crowded:
            return None
        if self._background is not None:
            data -= self._background
        if self._gain is not None:
            data /= self._gain
        spots = find_spots(data, clipped, self._search, self._work)
        events = np.zeros(len(spots), EVENT)
        columns = self._spot.on_detector(spots)
        for name, column in zip(("x", "z", "A", "sigma", "rho"), columns, strict=True):
            events[name] = column
        events["flux"] = flux_of(*columns[2:]) / detector.flux.mean
        if self._gain is not None:
            _bring_back(events, detector.imperfections.gain)
        events["weight"] = weight_hits(events, detector.sigma.mean, detector.flux_spread)
        return events


def _bring_back(events: NDArray[np.void], gain: SmoothMap) -> None:
    """Give hits of a frame that was divided by the gain the brightness and the place that they have in it.

    All of a spot is as bright as its electron made it. Divided by the gain, it leans to where that is low: a Gaussian
    with a slope is one that is displaced.
    """
    x, z, sigma = (events[name].astype(float) for name in ("x", "z", "sigma"))
    events["A"] *= smooth_map(gain, x, z)
    events["x"] += sigma / 2 * np.log(smooth_map(gain, x + sigma, z) / smooth_map(gain, x - sigma, z))
    events["z"] += sigma / 2 * np.log(smooth_map(gain, x, z + sigma) / smooth_map(gain, x, z - sigma))
