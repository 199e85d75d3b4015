"""Camera frame to electrons: positions and weights, in detector units.

The search works on bins of several pixels, as large as the spots allow: a Gaussian sampled at half its width loses
nothing, and a bin of 4 x 4 pixels costs a sixteenth of the work at the information of all sixteen pixels.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.phosphor import CAMERA_MAXIMUM, PhosphorRecipe, mean_flux, pixel_to_detector
from util.spot_fit import workspace
from util.spot_search import Search, bin_pixels, find_spots

EVENT = np.dtype(
    [
        ("ImageId", "<i4"),
        ("x", "<f4"),  # detector units
        ("z", "<f4"),
        ("weight", "<f4"),  # electrons: the spot's flux over one electron's mean flux
        ("A", "<f4"),  # counts
        ("sigma", "<f4"),  # detector units
        ("rho", "<f4"),
    ]
)
# Bins: spots are sampled at least as finely as this. At 1.8 the same is found in 1.35 times the time, at 1.05 F1 falls
# from 0.989 to 0.986 for radii 0.58 and 0.66.
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
        if self.last_rounds < 0:
            raise ValueError(f"last_rounds must not be below 0, found {self.last_rounds}")


class Finder:
    """Finds the electrons of frames taken by one detector.

    Parameters
    ----------
    recipe : PhosphorRecipe
        How one electron lights the screen: mean and spread of A, sigma, rho; camera noise; frame shape.
    settings : FinderSettings
    """

    def __init__(self, recipe: PhosphorRecipe, settings: FinderSettings) -> None:
        self.recipe = recipe
        self._crowded = settings.crowded
        pitch = recipe.pitch
        sigma_px = recipe.sigma.mean / pitch
        self._bin = max(1, int(sigma_px / FINEST_SIZE))
        # Averaging over subsamples and over the bin's pixels widens the spot; its flux stays.
        widening = ((self._bin**2 - 1) + (1 - 1 / recipe.subsamples**2)) / 12
        self._widening = widening
        s = math.hypot(sigma_px, math.sqrt(widening)) / self._bin
        s_std = max(recipe.sigma.std / recipe.sigma.mean, SMALLEST_STD) * sigma_px**2 / (s * self._bin**2)
        A = recipe.A.mean * sigma_px**2 / (sigma_px**2 + widening)
        prior = np.array(
            [
                [A, max(recipe.A.std, SMALLEST_STD * A)],
                [s, s_std],
                [recipe.rho.mean, max(recipe.rho.std, SMALLEST_STD)],
            ]
        )
        # Rounding to whole counts is a noise of variance 1/12.
        noise = (recipe.camera_noise**2 + 1 / 12) / self._bin**2
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
        self._work = workspace((recipe.frame_shape[0] // self._bin, recipe.frame_shape[1] // self._bin))
        self._mean_flux = mean_flux(recipe)

    def find(self, frame: NDArray[np.uint8]) -> NDArray | None:
        """Electrons of one frame.

        Parameters
        ----------
        frame : (H, W) uint8
            Axis 0 is x, axis 1 is z.

        Returns
        -------
        (n,) structured array of dtype EVENT, or None
            Empty where there are no electrons; None where so much of the frame is clipped that there is no telling.
            ``ImageId`` is left 0.
        """
        data, clipped = bin_pixels(frame, self._bin, CAMERA_MAXIMUM)
        if clipped.mean() > self._crowded:
            return None
        A, x, z, s, rho = find_spots(data, clipped, self._search, self._work).T
        middle = (self._bin - 1) / 2  # of a bin, counted in pixels
        pitch = self.recipe.pitch
        events = np.zeros(A.size, EVENT)
        events["x"] = pixel_to_detector(self.recipe, x * self._bin + middle, axis=0)
        events["z"] = pixel_to_detector(self.recipe, z * self._bin + middle, axis=1)
        size_px2 = (s * self._bin) ** 2
        flux = 2 * np.pi * A * size_px2 * pitch**2 / np.sqrt(1 - rho**2)
        events["weight"] = flux / self._mean_flux
        sigma_px2 = np.maximum(size_px2 - self._widening, 0.01)
        events["A"] = A * size_px2 / sigma_px2
        events["sigma"] = np.sqrt(sigma_px2) * pitch
        events["rho"] = rho
        return events
