"""What is known of spheres before a measurement: normal priors, which a fit weighs with the hits.

Where hits tell a parameter well a prior hardly moves it. Where they do not, as of two spheres that overlap, it keeps
the fit from numbers that no sphere has.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from util.fit.parameters import Layout


class NormalPrior(NamedTuple):
    """Mean (P,) and precision (P, P) of internal parameters; the precision is 0 where nothing is known."""

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KnownSpheres:
    """Means and spreads of what spheres, ascending in R, are like; the spheres are independent of each other.

    Attributes
    ----------
    N, N_spread : arrays (S,)
        Electrons. Only their ratios are known; their sum is what betas are weighed by.
    sigma_R, sigma_R_spread : arrays (S,)
        Detector units.
    beta, beta_covariance : arrays (S, n), (S, n, n)
    """

    N: NDArray[np.float64]
    N_spread: NDArray[np.float64]
    sigma_R: NDArray[np.float64]
    sigma_R_spread: NDArray[np.float64]
    beta: NDArray[np.float64]
    beta_covariance: NDArray[np.float64]

    def at(self, electrons: float) -> Self:
        """Return the same for so many electrons of all spheres."""
        scale = electrons / self.N.sum()
        return replace(self, N=self.N * scale, N_spread=self.N_spread * scale)

    def of_ratios(self) -> NDArray[np.float64]:
        """Return the precision (S, S) of the numbers of electrons, of which all in proportion are as likely."""
        beside = np.eye(self.N.size) - np.outer(self.N / self.N.sum(), np.ones(self.N.size))
        spread = beside @ np.diag(self.N_spread**2) @ beside.T
        return np.asarray(beside.T @ np.linalg.pinv(spread, rcond=1e-9, hermitian=True) @ beside)

    def prior(self, layout: Layout) -> NormalPrior:
        """Return the prior of the parameters of a layout of as many spheres.

        What stands there internally for a beta is N beta. It is tied to N as the mean of beta has it, with the spread
        of beta at the mean N. Betas beyond the n that are known have no prior.
        """
        mean, precision = np.zeros(layout.size), np.zeros((layout.size, layout.size))
        known = min(self.beta.shape[1], layout.beta.shape[1])
        for s, (number, width) in enumerate(zip(layout.N, layout.sigma_R, strict=True)):
            beta, index = self.beta[s, :known], layout.beta[s, :known]
            tied = np.zeros((known, layout.size))
            tied[np.arange(known), index] = 1
            tied[:, number] = -beta
            precision += tied.T @ np.linalg.inv(self.beta_covariance[s, :known, :known] * self.N[s] ** 2) @ tied
            precision[width, width] += self.sigma_R_spread[s] ** -2
            mean[number], mean[width], mean[index] = self.N[s], self.sigma_R[s], beta * self.N[s]
        precision[np.ix_(layout.N, layout.N)] += self.of_ratios()
        return NormalPrior(mean, precision)
