"""A detector to simulate, as param/detectors/*.toml describe it: what it does to a frame, and what to a whole run."""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.imperfections import IDEAL, Imperfections
from util.camera.phosphor import CAMERA_MAXIMUM, MOST_COUNTS, Normal, PhosphorRecipe


@dataclass(frozen=True)
class Drift:
    """What changes from the first frame of a run to the last, steadily; the middle of the run is as it should be.

    Attributes
    ----------
    x, z : float
        Way of the image's centre [pixels].
    gain, rate : float
        Change of the pulse heights, and of the electrons in a frame, over their mean; none is above those that the
        experiment sends.

    Raises
    ------
    ValueError
        A gain or a rate that would fall below 0.
    """

    x: float = 0.0
    z: float = 0.0
    gain: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, found {value}")
        for name in ("gain", "rate"):
            if not -2 < getattr(self, name) < 2:
                raise ValueError(
                    f"{name} must lie between -2 and 2, so that it stays above 0, found {getattr(self, name)}"
                )


@dataclass(frozen=True)
class SimulatedDetector:
    """What sets a simulated detector apart from that of the phosphor recipe; the defaults are the recipe's own.

    Attributes
    ----------
    A : Normal, optional
        Brightness of one electron [counts], in place of the recipe's.
    noise : float, optional
        Standard deviation of a pixel's noise [counts], in place of the recipe's.
    background : (float, float, float)
        Counts under the light at the frame's middle, and their slopes along x and z [counts per half screen].
    saturation : int
        Counts at which the camera clips; above 255, frames are of sixteen bits.
    distortion : float
        Barrel distortion of the imaging: an electron at r is seen at ``r (1 - distortion r^2)``.
    drift : Drift
        Over the run.
    imperfections : Imperfections
        Of every frame.

    Raises
    ------
    ValueError
        A value that no detector has.
    """

    A: Normal | None = None
    noise: float | None = None
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    saturation: int = CAMERA_MAXIMUM
    distortion: float = 0.0
    drift: Drift = Drift()
    imperfections: Imperfections = IDEAL

    def __post_init__(self) -> None:
        if self.A and not self.A.mean > 0:
            raise ValueError(f"A.mean must be above 0, found {self.A.mean}")
        if self.noise is not None and not 0 <= self.noise < math.inf:
            raise ValueError(f"noise must be a finite number not below 0, found {self.noise}")
        if not 1 <= self.saturation <= MOST_COUNTS:
            raise ValueError(f"saturation must lie from 1 to {MOST_COUNTS}, found {self.saturation}")
        if not abs(self.distortion) <= 0.1:
            raise ValueError(f"distortion must lie from -0.1 to 0.1, found {self.distortion}")

    def detector(self, recipe: PhosphorRecipe) -> Detector:
        """Return the detector that takes each frame."""
        noise = recipe.camera_noise if self.noise is None else self.noise
        return replace(
            Detector.of_recipe(replace(recipe, A=self.A or recipe.A, camera_noise=noise)),
            background=self.background,
            saturation=self.saturation,
            imperfections=self.imperfections,
        )

    def seen_at(
        self, x: NDArray[np.float64], z: NDArray[np.float64], when: float | NDArray[np.float64], pitch: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where electrons at x, z are seen, as these and `when` (0: the run begins; 1: it ends) broadcast."""
        smaller = 1 - self.distortion * (x**2 + z**2)
        x, z = (
            position * smaller + (when - 0.5) * way * pitch for position, way in ((x, self.drift.x), (z, self.drift.z))
        )
        return x, z

    def gain_at(self, when: float) -> float:
        """Return the gain at a time of the run, over the mean one."""
        return 1 + self.drift.gain * (when - 0.5)

    def rate_at(self, when: float) -> float:
        """Return the electrons of a frame at a time of the run, over those that the experiment sends."""
        return (1 + self.drift.rate * (when - 0.5)) / (1 + abs(self.drift.rate) / 2)


RECIPES_OWN = SimulatedDetector()
