"""What the camera sees: one Gaussian spot of light on the phosphor screen for each electron.

The published recipe of the course: an electron at (x0, z0) lights the screen with

    I(x, z) = A exp(-((x - x0)^2 + (z - z0)^2 + 2 rho (x - x0) (z - z0)) / (2 sigma^2)),

drawn in every pixel that the square of half-width ``sigma sqrt(2 ln A)`` around it touches; a pixel is the mean of
``subsamples`` x ``subsamples`` samples; the spots of a frame add; the sum is rounded and clipped to what the camera
can hold.

Geometry: axis 0 of a frame is x, axis 1 is z; pixels are square with side ``pitch = 2 / max(frame_shape)`` and the
frame is centred on the laser focus (0, 0). Sample k of pixel i along x lies at ``x = pitch (i - H/2 + k / subsamples)``
with k = 0 .. subsamples - 1, the same along z with W. The samples of a pixel are thus not centred in it: their mean
for five is ``i + 0.4``, not ``i + 0.5``, and a spot at detector position x peaks at the fractional index
``x / pitch + H/2 - 0.4``. `pixel_to_detector` and `detector_to_pixel` hold that shift, so that nobody else needs it.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from util.camera.frame_size import check_pixels
from util.camera.spot_rendering import add_spots, blurred, digitise

MOST_SUBSAMPLES = 100
CAMERA_MAXIMUM = 255  # counts; an eight-bit camera
SMALLEST_SIGMA_PX = 0.1  # narrower spots fall between the samples, so their light would be a matter of luck
_LARGEST_SIGMA, MOST_COUNTS = 0.25, 2**16 - 1  # half screens; counts of any camera


@dataclass(frozen=True)
class Normal:
    """A normal distribution."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise ValueError(f"mean must be a finite number, found {self.mean}")
        if not (math.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"std must be a finite number not below 0, found {self.std}")


@dataclass(frozen=True)
class PhosphorRecipe:
    """How one electron lights the screen, and the camera that looks at it (param/phosphor.toml).

    Parameters
    ----------
    frame_shape : (int, int)
        Pixels along x (axis 0) and along z (axis 1).
    subsamples : int
        A pixel is the mean of ``subsamples**2`` samples.
    camera_noise : float
        Standard deviation of the normal noise added to each pixel before rounding [counts].
    A : Normal
        Peak brightness [counts]; draws below 0 count as 0.
    sigma : Normal
        Spot size [detector units].
    rho : Normal
        Obliqueness; draws outside [-1, 1] are clipped.
    """

    frame_shape: tuple[int, int]
    subsamples: int
    camera_noise: float
    A: Normal
    sigma: Normal
    rho: Normal

    def __post_init__(self) -> None:
        check_pixels(self.frame_shape)
        if not 1 <= self.subsamples <= MOST_SUBSAMPLES:
            raise ValueError(f"subsamples must be 1 to {MOST_SUBSAMPLES}, found {self.subsamples}")
        if not (math.isfinite(self.camera_noise) and self.camera_noise >= 0):
            raise ValueError(f"camera_noise must be a finite number not below 0, found {self.camera_noise}")
        if not 0 < self.A.mean <= MOST_COUNTS:
            raise ValueError(f"A.mean must be above 0 and at most {MOST_COUNTS} counts, found {self.A.mean}")
        smallest, mean, std = SMALLEST_SIGMA_PX * self.pitch, self.sigma.mean, self.sigma.std
        if not max(smallest, std) <= mean <= _LARGEST_SIGMA:
            raise ValueError(
                f"sigma.mean must be at least {SMALLEST_SIGMA_PX} pixel = {smallest:.3g} and sigma.std, and at most "
                f"{_LARGEST_SIGMA} half screens, found {mean} with std {std}"
            )
        if abs(self.rho.mean) >= 1:
            raise ValueError(f"rho.mean must lie between -1 and 1, found {self.rho.mean}")

    @property
    def pitch(self) -> float:
        """Side of a pixel [detector units]."""
        return 2.0 / max(self.frame_shape)

    @property
    def sample_centre(self) -> float:
        """Mean position of a pixel's samples behind its lower edge [pixels]: 0.4 for five samples."""
        return (self.subsamples - 1) / (2 * self.subsamples)


class Geometry(Protocol):
    """How pixels lie on the screen: what `PhosphorRecipe` and `util.camera.detector.Detector` have in common."""

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Pixels along x (axis 0) and z (axis 1)."""

    @property
    def pitch(self) -> float:
        """Side of a pixel [detector units]."""

    @property
    def sample_centre(self) -> float:
        """Mean position of a pixel's samples behind its lower edge [pixels]."""


class SpotLaw(Protocol):
    """The laws of one electron's spot, of `PhosphorRecipe` and of `util.camera.detector.Detector`."""

    @property
    def A(self) -> Normal:
        """Peak brightness [counts]."""

    @property
    def sigma(self) -> Normal:
        """Size [detector units]."""

    @property
    def rho(self) -> Normal:
        """Obliqueness."""


class Camera(Geometry, SpotLaw, Protocol):
    """Both."""


def pixel_to_detector(camera: Geometry, index: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """Detector position of the (fractional) pixel index at which a spot peaks.

    Parameters
    ----------
    camera : Geometry
        A recipe or a detector.
    index : array_like
        Fractional pixel index; the integer i means the mean of the samples of pixel i.
    axis : {0, 1}
        0: x; 1: z.

    Returns
    -------
    ndarray of float64, the shape of `index`
        ``pitch (index + 0.4 - H/2)`` for five samples per pixel [detector units].
    """
    return camera.pitch * (np.asarray(index, np.float64) + (camera.sample_centre - camera.frame_shape[axis] / 2))


def detector_to_pixel(camera: Geometry, position: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """Fractional pixel index at which a spot at a detector position peaks; the inverse of `pixel_to_detector`.

    Parameters
    ----------
    camera : Geometry
        A recipe or a detector.
    position : array_like
        Position along the axis [detector units].
    axis : {0, 1}
        0: x; 1: z.

    Returns
    -------
    ndarray of float64, the shape of `position`
        ``position / pitch + H/2 - 0.4`` for five samples per pixel.
    """
    return np.asarray(position, np.float64) / camera.pitch + (camera.frame_shape[axis] / 2 - camera.sample_centre)


def as_rendered(camera: Geometry, recipe: PhosphorRecipe, x: ArrayLike, z: ArrayLike) -> list[NDArray[np.float64]]:
    """Return where `recipe` renders what `camera` sees at x, z: each samples per pixel about a point of its own."""
    shift = recipe.pitch * (recipe.sample_centre - camera.sample_centre)
    return [np.asarray(position, np.float64) + shift for position in (x, z)]


def draw_spots(
    camera: Camera, n: int, *, pulse_heights: str = "normal", rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw brightness, size and obliqueness of `n` spots.

    Parameters
    ----------
    camera : Camera
        A recipe or a detector.
    n : int
    pulse_heights : {"normal", "gamma"}
        Law of the brightness, of the mean and spread that the camera says.
    rng : numpy.random.Generator

    Returns
    -------
    A, sigma, rho : ndarray of float64, shape (n,)
        Peak brightness [counts], not below 0; spot size [detector units], not below a tenth of a pixel;
        obliqueness within [-1, 1].
    """
    mean, std = camera.A.mean, camera.A.std
    if pulse_heights == "gamma" and std > 0:
        A = rng.gamma((mean / std) ** 2, std**2 / mean, n)
    else:
        A = np.maximum(rng.normal(mean, std, n), 0.0)
    sigma = np.maximum(rng.normal(camera.sigma.mean, camera.sigma.std, n), SMALLEST_SIGMA_PX * camera.pitch)
    rho = np.clip(rng.normal(camera.rho.mean, camera.rho.std, n), -1.0, 1.0)
    return A, sigma, rho


def flux_of(A: ArrayLike, sigma: ArrayLike, rho: ArrayLike) -> NDArray[np.float64]:
    """Flux of whole spots, ``2 pi A sigma^2 / sqrt(1 - rho^2)`` [counts x detector units^2]; |rho| must be below 1."""
    A, sigma, rho = (np.asarray(values, np.float64) for values in (A, sigma, rho))
    return 2 * np.pi * A * sigma**2 / np.sqrt(1 - rho**2)


def mean_flux(spot: SpotLaw, *, pulse_heights: str = "normal") -> float:
    """Mean flux of one electron, ``2 pi E[A sigma^2 / sqrt(1 - rho^2)]`` [counts x detector units^2].

    The law of A is as in `draw_spots`. The flux is that of the whole Gaussian, as a fit of it gives; inside the square
    in which the recipe draws the spot lies about 0.4 % less. Draws of rho clipped to exactly +-1 have no finite flux
    and are left out.
    """
    A, sigma, rho = spot.A, spot.sigma, spot.rho
    if A.std == 0 or pulse_heights == "gamma":
        mean_A = A.mean
    else:  # E[max(A, 0)]
        t = A.mean / A.std
        mean_A = A.mean * 0.5 * math.erfc(-t / math.sqrt(2)) + A.std * math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    if rho.std == 0:
        mean_oblique = 1 / math.sqrt(1 - rho.mean**2)
    else:
        # With rho = sin u the root cancels against d rho = cos u du, which leaves a smooth integrand.
        centre = math.asin(rho.mean)
        reach = 12 * rho.std / math.sqrt(1 - rho.mean**2)
        low, high = max(centre - reach, -math.pi / 2), min(centre + reach, math.pi / 2)
        node, weight = np.polynomial.legendre.leggauss(200)
        u = low + (high - low) * (node + 1) / 2
        density = np.exp(-0.5 * ((np.sin(u) - rho.mean) / rho.std) ** 2) / (rho.std * math.sqrt(2 * math.pi))
        mean_oblique = float(np.sum(weight * density) * (high - low) / 2)
    return 2 * math.pi * mean_A * (sigma.mean**2 + sigma.std**2) * mean_oblique


def light(
    recipe: PhosphorRecipe,
    x: ArrayLike,
    z: ArrayLike,
    A: ArrayLike,
    sigma: ArrayLike,
    rho: ArrayLike,
    *,
    aspect: float = 1.0,
    faintest: float = 1.0,
    smooth_px: float = math.inf,
) -> NDArray[np.float64]:
    """Light that falls on each pixel, before camera noise, rounding and clipping.

    Parameters
    ----------
    recipe : PhosphorRecipe
        Gives frame shape and samples.
    x, z : array_like, shape (n,)
        Positions of the electrons [detector units]; those off the screen light the pixels that they reach.
    A, sigma, rho : array_like, shape (n,)
        Peak brightness [counts], size [detector units], obliqueness.
    aspect : float
        Width along x over that along z; their product stays.
    faintest : float
        Light at which a spot's square ends [counts]: 1 in the published recipe. Spots with less draw nothing.
    smooth_px : float
        A spot of this size or more [pixels] is drawn by one sample a pixel, which differs from the mean of many by
        about 0.002 / smooth_px^4 of its height.

    Returns
    -------
    ndarray of float64, shape `recipe.frame_shape`
        Brightness [counts].

    Raises
    ------
    ValueError
        Arrays of different lengths, numbers that are not finite, sigma below a tenth of a pixel, |rho| > 1.
    """
    spots = [np.ascontiguousarray(values, np.float64) for values in (x, z, A, sigma, rho)]
    if any(values.shape != (spots[0].size,) for values in spots):
        raise ValueError(f"x, z, A, sigma, rho must be of one length, found {[values.shape for values in spots]}")
    if not all(np.isfinite(values).all() for values in spots):
        raise ValueError("x, z, A, sigma, rho must be finite numbers")
    sigma_px = spots[3] / recipe.pitch
    # A hair of tolerance: sigma at exactly the limit may come out one rounding error below it.
    if sigma_px.size and sigma_px.min() < SMALLEST_SIGMA_PX * (1 - 1e-9):
        raise ValueError(f"sigma must be at least {SMALLEST_SIGMA_PX} pixel, found {sigma_px.min():.3g}")
    if np.any(np.abs(spots[4]) > 1):
        raise ValueError("rho must lie within [-1, 1]")
    height, width = recipe.frame_shape
    image = np.zeros((height, width))
    x_px, z_px = spots[0] / recipe.pitch + height / 2, spots[1] / recipe.pitch + width / 2
    lit = spots[2] > faintest
    smooth = (sigma_px >= smooth_px) & (np.abs(spots[4]) < 1)
    for drawn, once in ((lit & ~smooth, False), (lit & smooth, True)):
        A, sigma, rho, ratio = spots[2][drawn], sigma_px[drawn], spots[4][drawn], np.full(drawn.sum(), aspect)
        reach = sigma * np.sqrt(2 * np.log(A / faintest)) * np.stack((np.sqrt(ratio), 1 / np.sqrt(ratio)))
        samples, first = (1, recipe.sample_centre) if once else (recipe.subsamples, 0.0)
        if once:
            A, sigma, rho, ratio = blurred(A, sigma, rho, ratio, (1 - recipe.subsamples**-2) / 12)
        add_spots(image, samples, first, x_px[drawn], z_px[drawn], A, sigma, rho, reach, ratio)
    return image


def render(
    recipe: PhosphorRecipe,
    x: ArrayLike,
    z: ArrayLike,
    A: ArrayLike,
    sigma: ArrayLike,
    rho: ArrayLike,
    *,
    rng: np.random.Generator | None = None,
) -> NDArray[np.uint8]:
    """Take one camera frame of the given spots.

    Parameters
    ----------
    recipe, x, z, A, sigma, rho
        As in `light`.
    rng : numpy.random.Generator, optional
        Source of the camera noise; needed only where the recipe has any.

    Returns
    -------
    ndarray of uint8, shape `recipe.frame_shape`
        The light plus camera noise, rounded half to even and clipped to 0 .. 255 counts.

    Raises
    ------
    ValueError
        As in `light`; also a recipe with camera noise without `rng`.
    """
    image = light(recipe, x, z, A, sigma, rho)
    if recipe.camera_noise > 0:
        if rng is None:
            raise ValueError("a recipe with camera noise needs rng")
        image += recipe.camera_noise * rng.standard_normal(image.shape)
    frame = np.empty(image.shape, np.uint8)
    digitise(image.ravel(), frame.ravel(), float(CAMERA_MAXIMUM))
    return frame
