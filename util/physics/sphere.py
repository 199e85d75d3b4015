"""Newton spheres, and an experiment that records some of them."""

from dataclasses import dataclass

import numpy as np

from util.physics import pad


@dataclass(frozen=True)
class Sphere:
    """Electrons of one energy level.

    Attributes
    ----------
    R, sigma_R : float
        Mean and standard deviation of the speed r, in detector units (half the screen).
    electrons_per_frame : int
        Electrons of this sphere in one camera frame.
    beta : tuple of n floats
        beta_2, beta_4 .. beta_2n of I(c) = 1/2 + sum beta P.

    Raises
    ------
    ValueError
        A value out of range, a sphere that leaves the screen or reaches its own centre, I(c) < 0 somewhere.
    """

    R: float
    sigma_R: float
    electrons_per_frame: int
    beta: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(np.isfinite([self.R, self.sigma_R, *self.beta])):
            raise ValueError(f"R, sigma_R and beta must be finite, found {self.R}, {self.sigma_R}, {self.beta}")
        if self.R <= 0:
            raise ValueError(f"R must be above 0, found {self.R}")
        if self.sigma_R <= 0:
            raise ValueError(f"sigma_R must be above 0, found {self.sigma_R}")
        if self.R - 5 * self.sigma_R <= 0:
            raise ValueError(f"R - 5 sigma_R must be above 0, found R = {self.R} with sigma_R = {self.sigma_R}")
        if self.R + 5 * self.sigma_R > 1:
            raise ValueError(
                f"R + 5 sigma_R must not exceed 1, the edge of the screen, found R = {self.R} with "
                f"sigma_R = {self.sigma_R}"
            )
        if self.electrons_per_frame < 1:
            raise ValueError(f"electrons_per_frame must be at least 1, found {self.electrons_per_frame}")
        if not self.beta:
            raise ValueError("beta is empty; give at least beta_2 (0 for an isotropic sphere)")
        if not pad.is_density(self.beta):
            raise ValueError(
                f"beta gives I(c) = {pad.minimum(self.beta):.3g} below 0 at some angle; "
                "a probability density must not be negative, so reduce the betas"
            )


@dataclass(frozen=True)
class Experiment:
    """Camera frames of one or more spheres; read from param/experiment.toml by `util.runtime.settings.load`.

    Raises
    ------
    ValueError
        No frames or no spheres.
    """

    frames: int
    spheres: tuple[Sphere, ...]

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, found {self.frames}")
        if not self.spheres:
            raise ValueError("no spheres; add a [[spheres]] table for each energy level")

    @property
    def electrons_per_frame(self) -> int:
        """Electrons of all spheres in one frame."""
        return sum(sphere.electrons_per_frame for sphere in self.spheres)
