"""What a user tells of the detector: where it is blind, and how well it sees, in the pixels of its camera."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.entries.image_file import read_image
from util.runtime import settings
from util.runtime.errors import InputError

_BEST = 0.99  # quantile of the pixels' efficiencies: a single pixel may be an outlier


@dataclass(frozen=True)
class Circle:
    """A blind disc [pixels; the centre of the first pixel is 0]."""

    x: float
    z: float
    radius: float

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ValueError(f"radius must be above 0, found {self.radius}")

    def holds(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether pixels lie in it."""
        return np.hypot(x - self.x, z - self.z) <= self.radius


@dataclass(frozen=True)
class Rectangle:
    """A blind rectangle, from and to along each axis [pixels; the centre of the first pixel is 0]."""

    x: tuple[float, float]
    z: tuple[float, float]

    def __post_init__(self) -> None:
        for name in ("x", "z"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"{name} must be [from, to] with from below to, found {[low, high]}")

    def holds(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether pixels lie in it."""
        return (self.x[0] <= x) & (x <= self.x[1]) & (self.z[0] <= z) & (z <= self.z[1])


@dataclass(frozen=True)
class Shapes:
    """Blind shapes: a TOML file of `[[circle]]` and `[[rectangle]]`; x and z as in the shards."""

    circle: tuple[Circle, ...] = ()
    rectangle: tuple[Rectangle, ...] = ()

    def __post_init__(self) -> None:
        if not (self.circle or self.rectangle):
            raise ValueError("expected at least one [[circle]] or [[rectangle]], found none")


def read_mask(path: Path, pixels: tuple[int, int], axis: int) -> NDArray[np.bool_]:
    """Read where the detector sees.

    Parameters
    ----------
    path : Path
        TOML of blind shapes, or an image that is 0 (or NaN) where the detector is blind, and one other value, above 0,
        where it sees.
    pixels : (int, int)
        Of the camera, along x and along z.
    axis : {0, 1}
        Axis of the image along which the polarisation lies.

    Returns
    -------
    bool array `pixels`
        Axis 0 is x; False where it is blind.

    Raises
    ------
    InputError
        Not such a file, another size, or a detector that is blind everywhere or nowhere.
    """
    if path.suffix.lower() == ".toml":
        shapes = settings.load(Shapes, path)
        x, z = np.meshgrid(*(np.arange(size, dtype=np.float64) for size in pixels), indexing="ij")
        seen = np.ones(pixels, dtype=bool)
        blind: tuple[Circle | Rectangle, ...] = (*shapes.circle, *shapes.rectangle)
        for shape in blind:
            seen &= ~shape.holds(x, z)
        if seen.all():
            raise InputError(f"{path}: expected shapes on the camera's {pixels} pixels, found none of them there")
    else:
        image = np.nan_to_num(_image_of(path, pixels, axis), nan=0.0)
        if (values := np.unique(image)).size > 2 or values[0] < 0:
            shown = ", ".join(f"{value:g}" for value in values[:3]) + ", .." * (values.size > 3)
            raise InputError(
                f"{path}: expected 0 where the detector is blind and one other value, above 0, where it sees, found "
                f"values {shown}; write 0 and 1"
            )
        seen = image > 0
    if not seen.any() or seen.all():
        what = "sees" if seen.all() else "is blind"
        raise InputError(
            f"{path}: expected a mask of the places where the detector is blind, found one that {what} everywhere; "
            "a mask is 0 where it is blind and above 0 elsewhere"
        )
    return seen


def read_efficiency(path: Path, pixels: tuple[int, int], axis: int) -> NDArray[np.float64]:
    """Read how well the detector sees: float64 `pixels`; parameters and errors as in `read_mask`.

    Only ratios matter: what all but the best hundredth of the seeing pixels stay below becomes 1. NaN: blind.
    """
    image = np.nan_to_num(_image_of(path, pixels, axis), nan=0.0)
    lowest = float(image.min())
    if lowest < 0:
        raise InputError(f"{path}: expected efficiencies of at least 0, found {lowest:g}; correct the image")
    if not image.any():
        raise InputError(f"{path}: expected efficiencies above 0, found none; correct the image")
    return image / np.quantile(image[image > 0], _BEST)


def _image_of(path: Path, pixels: tuple[int, int], axis: int) -> NDArray[np.float64]:
    image = read_image(path, dark=True)
    image = image.T if axis == 0 else image
    if image.shape != pixels:
        wanted, found = ((shape[::-1] if axis == 0 else shape) for shape in (pixels, image.shape))
        raise InputError(f"{path}: expected an image of {wanted} pixels, as the camera has, found {found}")
    return image
