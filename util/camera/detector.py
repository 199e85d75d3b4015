"""A detector as the finder needs to know it: what one electron looks like, and the camera's own light and noise."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from util.camera.frame_size import check_pixels
from util.camera.imperfections import IDEAL, Imperfections, smooth_map
from util.camera.phosphor import (
    CAMERA_MAXIMUM,
    MOST_COUNTS,
    Normal,
    PhosphorRecipe,
    SpotLaw,
    mean_flux,
    pixel_to_detector,
)


@dataclass(frozen=True)
class Detector:
    """One electron's spot, and the camera.

    `util.camera.phosphor.pixel_to_detector` and `detector_to_pixel` take it as they take a recipe.

    Attributes
    ----------
    frame_shape : (int, int)
        Pixels along x (axis 0) and z (axis 1).
    sample_centre : float
        Where in its pixel the light is taken, on average [pixels]: 0.5 for a camera, 0.4 for the published renderer.
        No frame tells it; the fitted centre of the image absorbs it.
    A, sigma, rho : Normal
        Peak brightness [counts], size [detector units] and obliqueness of one electron's spot.
    flux : Normal
        One electron's flux [counts x detector units^2]. It follows from the three where they are independent. Learnt,
        it is a quantity of its own, for what noise adds to the three is not independent.
    noise : float
        Standard deviation of a pixel without light [counts], rounding apart.
    background : (float, float, float)
        Counts under the light at the frame's middle, and their slopes along x and z [counts per half screen].
    saturation : int
        Counts at which the camera clips.
    hot_pixels : tuple of (int, int)
        Pixels that are bright without light.
    imperfections : Imperfections
        What sets it apart from an ideal one, as far as it is known.

    Raises
    ------
    ValueError
        A value that no camera has, a hot pixel outside the frame.
    """

    frame_shape: tuple[int, int]
    sample_centre: float
    A: Normal
    sigma: Normal
    rho: Normal
    flux: Normal
    noise: float = 0.0
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    saturation: int = CAMERA_MAXIMUM
    hot_pixels: tuple[tuple[int, int], ...] = ()
    imperfections: Imperfections = IDEAL

    def __post_init__(self) -> None:
        check_pixels(self.frame_shape)
        if not 0 <= self.sample_centre <= 1:
            raise ValueError(f"sample_centre must lie in the pixel, from 0 to 1, found {self.sample_centre}")
        for name in ("A", "sigma", "flux"):
            if not getattr(self, name).mean > 0:
                raise ValueError(f"{name}.mean must be above 0, found {getattr(self, name).mean}")
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise must be a finite number not below 0, found {self.noise}")
        if not all(map(math.isfinite, self.background)):
            raise ValueError(f"background must be finite, found {self.background}")
        if not 1 <= self.saturation <= MOST_COUNTS:
            raise ValueError(f"saturation must be 1 to {MOST_COUNTS}, found {self.saturation}")
        if self.sigma.mean > 1 or abs(self.rho.mean) >= 1:
            raise ValueError(
                f"expected spots smaller than half the screen and rho within -1 and 1, found sigma {self.sigma.mean} "
                f"and rho {self.rho.mean}"
            )
        for pixel in self.hot_pixels:
            if not all(0 <= index < size for index, size in zip(pixel, self.frame_shape, strict=True)):
                raise ValueError(f"hot_pixels must lie within {self.frame_shape}, found {pixel}")

    @classmethod
    def of_recipe(cls, recipe: PhosphorRecipe) -> "Detector":
        """Return the detector that a phosphor recipe describes: an eight-bit camera without background."""
        A, sigma, rho = recipe.A, recipe.sigma, recipe.rho
        return cls(recipe.frame_shape, recipe.sample_centre, A, sigma, rho, _flux_law(recipe), recipe.camera_noise)

    def with_spot(self, A: Normal, sigma: Normal, rho: Normal) -> "Detector":
        """Return the same camera with another spot, of independent A, sigma and rho."""
        other = replace(self, A=A, sigma=sigma, rho=rho)
        return replace(other, flux=_flux_law(other, self.imperfections.pulse_heights))

    def turned(self) -> "Detector":
        """Return the same detector turned by 90 degrees, so that what lies along +x lies along +z; no hot pixels."""
        constant, along_x, along_z = self.background
        return replace(
            self,
            frame_shape=self.frame_shape[::-1],
            rho=Normal(-self.rho.mean, self.rho.std),
            background=(constant, -along_z, along_x),
            hot_pixels=(),
            imperfections=self.imperfections.turned(),
        )

    @property
    def pitch(self) -> float:
        """Side of a pixel [detector units]."""
        return 2.0 / max(self.frame_shape)

    @property
    def flux_spread(self) -> float:
        """Relative spread of one electron's flux."""
        return self.flux.std / self.flux.mean

    def background_at(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.float64]:
        """Return the counts under the light at (fractional) pixel indices, as `rows` and `columns` broadcast."""
        constant, along_x, along_z = self.background
        x, z = pixel_to_detector(self, rows, axis=0), pixel_to_detector(self, columns, axis=1)
        return constant + along_x * x + along_z * z

    def gain_at(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.float64]:
        """Return how bright a spot is, over one in the middle, at (fractional) pixel indices, as they broadcast."""
        x, z = pixel_to_detector(self, rows, axis=0), pixel_to_detector(self, columns, axis=1)
        return smooth_map(self.imperfections.gain, x, z)

    def dark_at(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.float64]:
        """Return the mean counts of pixels without light: negative ones, of which noise makes some, become 0."""
        return self.mean_of(self.background_at(rows, columns))

    def mean_of(self, level: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean counts of pixels at a level of light and background, saturation apart."""
        if self.noise == 0:
            return np.maximum(level, 0)
        ratio = level / self.noise
        # Not scipy.stats.norm.pdf: its module takes half a second to load, in each worker too.
        density = np.exp(-(ratio**2) / 2.0) / math.sqrt(2 * math.pi)
        return level * ndtr(ratio) + self.noise * density

    def without_hot_pixels(self, frame: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        """Return a copy with each hot pixel set to the median of its neighbours; without any, the frame itself."""
        if not self.hot_pixels:
            return frame
        rows, columns = np.array(self.hot_pixels).T
        step = np.arange(-1, 2)
        around = frame[
            (rows[:, None] + step).clip(0, frame.shape[0] - 1)[:, :, None],
            (columns[:, None] + step).clip(0, frame.shape[1] - 1)[:, None, :],
        ]
        mended = frame.copy()
        mended[rows, columns] = np.median(around.reshape(len(rows), 9), axis=1)
        return mended


def _flux_law(spot: SpotLaw, pulse_heights: str = "normal") -> Normal:
    """Return the law of the flux of spots whose brightness, size and obliqueness are independent."""
    mean = mean_flux(spot, pulse_heights=pulse_heights)
    return Normal(mean, mean * math.hypot(spot.A.std / spot.A.mean, 2 * spot.sigma.std / spot.sigma.mean))
