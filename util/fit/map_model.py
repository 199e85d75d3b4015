"""Expected counts of a folded polar map and their derivatives in the parameters of the spheres.

As in pBasex (Garcia, Lahon & Powis 2004, Rev. Sci. Instrum. 75, 4989) the image is a sum of Abel-projected Legendre
terms in polar bins. Here the radial part of a sphere is one Gaussian, so that the model is fitted, not inverted.
"""

import numpy as np
from numpy.typing import NDArray

from util.fit.parameters import Layout
from util.physics import pad
from util.physics.polar_map import PolarBins, angular_factors, radial_factors

# A bin's variance is at least this times the mean count of a bin.
_FLOOR = 1e-3


class MapModel:
    """Expected counts of a map folded about the centre, in the internal parameters (P,) of a layout.

    Attributes
    ----------
    bins : PolarBins
    layout : Layout
    templates : dict of nuisance to array (n_rho, n_angle)
        Every nuisance there is: the expected counts of one electron of it.
    """

    def __init__(self, bins: PolarBins, layout: Layout) -> None:
        self.bins, self.layout = bins, layout
        betas = len(layout.degrees)
        self._angular = angular_factors(bins, layout.order)
        self._to_power = pad.legendre_to_power(betas) * ([0.5] + [1.0] * betas)
        # Uniform over the disc that the map covers.
        area = np.diff(bins.rho**2) / bins.rho_max**2
        self.templates = {"background": np.repeat(area[:, None] / bins.n_angle, bins.n_angle, axis=1)}

    def at(self, R: NDArray[np.float64], sigma_R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return parameters that are zero but for these R and sigma_R, arrays (S,)."""
        q = np.zeros(self.layout.size)
        q[self.layout.R], q[self.layout.sigma_R] = R, sigma_R
        return q

    def linear(self) -> NDArray[np.intp]:
        """Return the indices of the parameters in which the counts are linear."""
        layout = self.layout
        return np.setdiff1d(layout.folded, np.concatenate((layout.R, layout.sigma_R)))

    def _terms(self, s: int) -> NDArray[np.intp]:
        """Return the indices of N and N beta of a sphere, in which its map is linear."""
        return np.append(self.layout.N[s], self.layout.beta[s])

    def _power(self, q: NDArray[np.float64], s: int) -> NDArray[np.float64]:
        """Return the coefficients (n + 1, 1) of a sphere's powers of the cosine."""
        return (self._to_power @ q[self._terms(s)])[:, None]

    def _radial(self, q: NDArray[np.float64], s: int) -> NDArray[np.float64]:
        return radial_factors(self.bins, q[self.layout.R[s]], q[self.layout.sigma_R[s]], self.layout.order)

    def counts(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected counts (n_rho, n_angle)."""
        mu = np.zeros((self.bins.n_rho, self.bins.n_angle))
        for name in self.layout.nuisances:
            mu += q[self.layout.index(name)] * self.templates[name]
        for s in range(self.layout.spheres):
            mu += self._radial(q, s)[0].T @ (self._power(q, s) * self._angular[0])
        return mu

    def jacobian(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivatives (P - 2, n_rho, n_angle) of the counts in all but the centre (`Layout.folded`)."""
        layout = self.layout
        out = np.empty((layout.folded.size, self.bins.n_rho, self.bins.n_angle))
        for s in range(layout.spheres):
            radial = self._radial(q, s)
            for term, row in enumerate(self._terms(s)):
                np.matmul(radial[0].T, self._to_power[:, term, None] * self._angular[0], out=out[row])
            shape = self._power(q, s) * self._angular[0]
            np.matmul(radial[1].T, shape, out=out[layout.R[s]])
            np.matmul(radial[2].T, shape, out=out[layout.sigma_R[s]])
        for name in layout.nuisances:
            out[layout.index(name)] = self.templates[name]
        return out

    def shifts(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivatives (S, 2, n_rho, n_angle) of the signed maps in x and z of each sphere's centre."""
        out = np.zeros((self.layout.spheres, 2, self.bins.n_rho, self.bins.n_angle))
        for s in range(self.layout.spheres):
            radial, a = self._radial(q, s), self._power(q, s)
            for axis in range(2):
                along, across = self._angular[1 + 2 * axis], self._angular[2 + 2 * axis]
                out[s, axis] -= radial[3].T @ (a * along) + radial[4].T @ (a * across)
        return out

    def shift(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivatives (2, n_rho, n_angle) of the signed maps in the common centre."""
        return self.shifts(q).sum(axis=0)


def variance_floor(counts: NDArray[np.float64]) -> float:
    """Return the least variance of a bin, given the counts (or expected counts) of all bins."""
    return _FLOOR * max(float(counts.mean()), 1e-300)


def expected_variance(mu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of each bin that expects `mu` counts, not below `variance_floor`."""
    return np.maximum(mu, variance_floor(mu))
