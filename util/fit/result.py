"""An answer: parameters, their covariance, and what a fit says of itself."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from util.physics import pad


@dataclass(frozen=True)
class FitResult:
    """Spheres found, ascending in R, with their uncertainties.

    Attributes
    ----------
    names : tuple of str
        Of the P parameters: for sphere s = 1, 2 ..: N_s, R_s, sigma_R_s, beta_2_s .. ; then background, if fitted;
        then centre_x, centre_z.
    values : array (P,)
    covariance : array (P, P)
        Sandwich estimate, with the spread of the weights in it.
    floor_covariance : array (P, P)
        Inverse Fisher information: what unit weights at these parameters would give.
    electrons, R, sigma_R : arrays (S,)
    beta : array (S, n)
    centre : array (2,)
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
        Hits given.
    """

    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    floor_covariance: np.ndarray
    electrons: np.ndarray
    R: np.ndarray
    sigma_R: np.ndarray
    beta: np.ndarray
    centre: np.ndarray
    deviance: float
    dof: int
    condition: float
    iterations: int
    converged: bool
    hits: int

    @property
    def errors(self) -> np.ndarray:
        """Standard errors (P,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def beta_index(self) -> np.ndarray:
        """Where the betas stand among the parameters: int array (S, n)."""
        spheres, n = self.beta.shape
        return np.arange(spheres)[:, None] * (n + 3) + 3 + np.arange(n)

    def beta_covariance(self, *, floor: bool = False) -> np.ndarray:
        """Covariance (S n, S n) of all betas, sphere by sphere; of `floor_covariance` where asked."""
        index = self.beta_index.ravel()
        return (self.floor_covariance if floor else self.covariance)[np.ix_(index, index)]


def floor_distance(covariance: np.ndarray, n_draws: int, rng: np.random.Generator, *, spheres: int = 2) -> float:
    """Mean distance (`pad.distance`) of betas that err by Gaussian noise of this covariance: the statistical floor.

    Parameters
    ----------
    covariance : array (spheres n, spheres n)
        As `FitResult.beta_covariance` gives it.
    n_draws : int
    rng : numpy.random.Generator
    spheres : int
    """
    noise = rng.multivariate_normal(np.zeros(len(covariance)), covariance, size=n_draws, method="eigh")
    noise = noise.reshape(n_draws, spheres, -1)
    return float(pad.distance(noise, np.zeros_like(noise[:1])).mean())


def with_values(result: FitResult, values: NDArray, covariance: NDArray) -> FitResult:
    """Copy of an answer with other values (P,) and covariance (P, P)."""
    spheres, n = result.beta.shape
    blocks = values[: spheres * (n + 3)].reshape(spheres, n + 3)
    return replace(
        result,
        values=values,
        covariance=covariance,
        electrons=blocks[:, 0],
        R=blocks[:, 1],
        sigma_R=blocks[:, 2],
        beta=blocks[:, 3:],
        centre=values[-2:],
    )
