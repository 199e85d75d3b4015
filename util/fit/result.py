"""An answer: parameters, their covariance, and what the fit says about itself."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.parameters import Layout
from util.physics import pad


class Evidence(NamedTuple):
    """Slope (P,) and minus the curvature (P, P) of the log likelihood at a fit that weighed more than that."""

    slope: NDArray[np.float64]
    curvature: NDArray[np.float64]


@dataclass(frozen=True)
class FitResult:
    """Spheres found, ascending in R, with their uncertainties.

    Attributes
    ----------
    layout : Layout
        Names and order of the P parameters.
    values : array (P,)
    covariance : array (P, P)
        Sandwich estimate, which includes the spread of the weights.
    floor_covariance : array (P, P)
        Inverse Fisher information: what unit weights at these parameters would give.
    deviance : float
        Poisson deviance of merged bins (about 8 x 8, each expecting at least 25; sparser blocks are pooled into one).
        Weighted counts are scaled by <w>/<w^2>, so that deviance / dof is about 1 for a good fit.
    dof : int
    condition : float
        Condition number of the information, parameters scaled by their own; large: nearly degenerate.
    iterations : int
        Scoring steps on the full map, over all rounds of centring.
    converged : bool
    hits : int
        How many were fitted.
    evidence : Evidence or None
        What the hits alone say, where what was known of the spheres was weighed with them.
    """

    layout: Layout
    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    floor_covariance: NDArray[np.float64]
    deviance: float
    dof: int
    condition: float
    iterations: int
    converged: bool
    hits: int
    evidence: Evidence | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names (P,) of the parameters."""
        return self.layout.names

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors (P,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def electrons(self) -> NDArray[np.float64]:
        """Electrons of each sphere (S,)."""
        return self.values[self.layout.N]

    @property
    def R(self) -> NDArray[np.float64]:
        """Radii (S,)."""
        return self.values[self.layout.R]

    @property
    def sigma_R(self) -> NDArray[np.float64]:
        """Widths (S,)."""
        return self.values[self.layout.sigma_R]

    @property
    def beta(self) -> NDArray[np.float64]:
        """Anisotropy parameters (S, n)."""
        return self.values[self.layout.beta]

    @property
    def centre(self) -> NDArray[np.float64]:
        """Centre (2,) of the image, x and z."""
        return self.values[self.layout.centre]

    def of_spheres(self) -> "FitResult":
        """Return the same spheres and centre without the pieces that were fitted besides."""
        layout = Layout(self.layout.spheres, self.layout.order)
        index = np.array([self.layout.index(name) for name in layout.names])
        block = np.ix_(index, index)
        return replace(
            self,
            layout=layout,
            values=self.values[index],
            covariance=self.covariance[block],
            floor_covariance=self.floor_covariance[block],
            evidence=None,
        )

    def beta_covariance(self, *, floor: bool = False) -> NDArray[np.float64]:
        """Return the covariance (S n, S n) of all betas, sphere by sphere, of `floor_covariance` if `floor`."""
        index = self.layout.beta.ravel()
        return (self.floor_covariance if floor else self.covariance)[np.ix_(index, index)]


def with_gain_error(result: FitResult, gain_error: float) -> FitResult:
    """Return an answer whose covariance holds a relative error that all numbers of electrons share.

    It makes them wrong by one factor: nothing else depends on it, and how they compare does not either.
    """
    numbers = np.zeros(result.layout.size)
    numbers[result.layout.numbers] = gain_error * result.values[result.layout.numbers]
    return replace(result, covariance=result.covariance + np.outer(numbers, numbers))


def floor_distance(
    covariance: NDArray[np.float64], n_draws: int, rng: np.random.Generator, *, spheres: int = 2
) -> float:
    """Return the mean distance (`pad.distance`) of betas with Gaussian noise of this covariance: the statistical floor.

    Parameters
    ----------
    covariance : array (spheres n, spheres n)
        As `FitResult.beta_covariance` returns it.
    n_draws : int
    rng : numpy.random.Generator
    spheres : int
    """
    noise = rng.multivariate_normal(np.zeros(len(covariance)), covariance, size=n_draws, method="eigh")
    noise = noise.reshape(n_draws, spheres, -1)
    return float(pad.distance(noise, np.zeros_like(noise[:1])).mean())
