"""From electrons to counts: the one way to take a frame, of an ideal detector and of any other.

A frame is taken in three steps, of which `take_frame` is the sum: `register` says which electrons light the screen, and
how; a `Screen` shows their light and what is left of that of the last frames; `counts` is what the camera makes of it::

    screen = Screen(detector)
    for x, z in electrons_of_frames:
        registered, spots = register(detector, x, z, rng=rng)
        frame = counts(detector, screen.show(spots), camera_noise(detector, rng=rng))
"""

import math
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.imperfections import Imperfections, smooth_map
from util.camera.phosphor import (
    CAMERA_MAXIMUM,
    SMALLEST_SIGMA_PX,
    PhosphorRecipe,
    as_rendered,
    draw_spots,
    light,
)
from util.camera.spot_rendering import digitise

SUBSAMPLES = 5
_FAINTEST = 0.02  # counts; where one of the Gaussians ends that make a spot with wings
SMOOTH_PX = 4.0  # size of a spot for which one sample a pixel does
_LEAST_PART = 1e-4  # of a profile with wings, over the largest part


class Spots(NamedTuple):
    """Spots on the screen, arrays (n,)."""

    x: NDArray[np.float64]  # where [detector units]
    z: NDArray[np.float64]
    A: NDArray[np.float64]  # peak brightness [counts]
    sigma: NDArray[np.float64]  # size [detector units]
    rho: NDArray[np.float64]  # obliqueness


def register(
    detector: Detector,
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    *,
    gain: float = 1.0,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], Spots]:
    """Let electrons meet the microchannel plate.

    Parameters
    ----------
    detector : Detector
    x, z : arrays (n,)
        Where they do [detector units].
    gain : float
        Of the whole plate, over the usual one.
    rng : numpy.random.Generator

    Returns
    -------
    registered : array of bool (n,)
    spots : Spots of those m registered
    """
    plate = detector.imperfections
    registered = np.ones(x.size, bool)
    if plate.efficiency:
        registered = rng.random(x.size) < smooth_map(plate.efficiency, x, z) / _highest_efficiency(plate)
    x, z = x[registered], z[registered]
    A, sigma, rho = draw_spots(detector, x.size, pulse_heights=plate.pulse_heights, rng=rng)
    A *= gain * smooth_map(plate.gain, x, z)
    if plate.threshold:
        high = plate.threshold * detector.A.mean <= A
        registered[registered] = high
        x, z, A, sigma, rho = (values[high] for values in (x, z, A, sigma, rho))
    if plate.growth:  # spreads the same light
        wider = 1 + plate.growth * (x**2 + z**2)
        sigma = np.maximum(sigma * wider, SMALLEST_SIGMA_PX * detector.pitch)
        A /= wider**2
    return registered, Spots(x, z, A, sigma, rho)


def _highest_efficiency(plate: Imperfections) -> float:
    side = np.linspace(-1, 1, 41)
    return float(smooth_map(plate.efficiency, side[:, None], side).max())


class Screen:
    """A phosphor screen, which still shows some light of the last frames.

    Parameters
    ----------
    detector : Detector
    subsamples : int
        A pixel is the mean of this many samples, squared.
    smooth_px : float
        Size of a spot [pixels] from which on one sample a pixel stands for them.
    """

    def __init__(self, detector: Detector, *, subsamples: int = SUBSAMPLES, smooth_px: float = math.inf) -> None:
        self._detector, self._smooth_px = detector, smooth_px
        self._recipe = PhosphorRecipe(
            detector.frame_shape, subsamples, detector.noise, detector.A, detector.sigma, detector.rho
        )
        self._last: deque[NDArray[np.float64]] = deque(maxlen=len(detector.imperfections.afterglow))

    def show(self, spots: Spots) -> NDArray[np.float64]:
        """Return the light (H, W) [counts] of the next frame, which has these spots."""
        seen = own = self._light_of(spots)
        for part, last in zip(self._detector.imperfections.afterglow, self._last, strict=False):
            seen = seen + part * last
        self._last.appendleft(own)
        return seen

    def _light_of(self, spots: Spots) -> NDArray[np.float64]:
        wings = self._detector.imperfections.wings
        if not wings:
            return self._drawn(spots, 1.0, self._smooth_px)
        parts, widths = moffat_parts(wings)
        x, z, rho = (np.tile(values, parts.size) for values in (spots.x, spots.z, spots.rho))
        A, sigma = np.outer(parts, spots.A).ravel(), np.outer(widths, spots.sigma).ravel()
        return self._drawn(Spots(x, z, A, sigma, rho), _FAINTEST, min(self._smooth_px, SMOOTH_PX))

    def _drawn(self, spots: Spots, faintest: float, smooth_px: float) -> NDArray[np.float64]:
        x, z = as_rendered(self._detector, self._recipe, spots.x, spots.z)
        aspect = self._detector.imperfections.aspect
        A, sigma, rho = spots[2:]
        return light(self._recipe, x, z, A, sigma, rho, aspect=aspect, faintest=faintest, smooth_px=smooth_px)


def moffat_parts(wings: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return heights and widths of Gaussians, over those of the profile, that sum to ``(1 + wings u)^(-1/wings)``.

    The profile is a mixture of Gaussians ``exp(-s wings u)`` whose s follows a gamma law of shape 1 / wings. The
    trapezoidal rule in ln s, whose integrand falls off exponentially on both sides, needs about ten; they are within
    0.05 % of the peak.

    Parameters
    ----------
    wings : float
        Above 0, not above 0.8.
    """
    shape = 1 / wings
    s = shape * np.exp(np.arange(-40, 41) / math.sqrt(shape))
    log_part = shape * np.log(s / shape) - (s - shape)
    kept = log_part > math.log(_LEAST_PART)
    parts = np.exp(log_part[kept])
    return parts / parts.sum(), 1 / np.sqrt(s[kept] * wings)


def camera_noise(detector: Detector, *, rng: np.random.Generator) -> NDArray[np.float64] | float:
    """Return the noise (H, W) of one frame [counts], 0 of a camera without."""
    return detector.noise * rng.standard_normal(detector.frame_shape) if detector.noise else 0.0


def counts_kind(saturation: int) -> type[np.unsignedinteger]:
    """Return the numbers that hold the counts of a camera that clips there: uint8 if they can, else uint16."""
    return np.uint8 if saturation <= CAMERA_MAXIMUM else np.uint16


def counts(
    detector: Detector, screen: NDArray[np.float64], noise: NDArray[np.float64] | float
) -> NDArray[np.unsignedinteger]:
    """Return the frame (H, W) that a camera takes of the screen, of `counts_kind`."""
    full, gamma = detector.saturation, detector.imperfections.gamma
    image = screen
    if any(detector.background):
        rows, columns = (np.arange(pixels) for pixels in detector.frame_shape)
        image = image + detector.background_at(rows[:, None], columns)
    if detector.noise:
        image = image + noise
    if gamma != 1:
        image = full * (image.clip(0) / full) ** gamma
    frame = np.empty(image.shape, counts_kind(full))
    digitise(image.ravel(), frame.ravel(), float(full))
    return frame


def take_frame(
    detector: Detector, x: NDArray[np.float64], z: NDArray[np.float64], *, rng: np.random.Generator
) -> NDArray[np.unsignedinteger]:
    """Take one frame (H, W) of electrons at x, z, arrays (n,) [detector units], none before it."""
    _, spots = register(detector, x, z, rng=rng)
    return counts(detector, Screen(detector).show(spots), camera_noise(detector, rng=rng))
