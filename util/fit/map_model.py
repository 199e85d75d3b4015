"""Expected counts of a folded polar map and their derivatives in the parameters of the spheres."""

import numpy as np

from util.physics import pad
from util.physics.polar_map import PolarBins, angular_factors, radial_factors

# A bin's variance is at least this times the mean count of a bin.
_FLOOR = 1e-3


class MapModel:
    """Expected counts of a folded map in the internal parameters, linear where possible.

    Internal: for each sphere N, R, sigma_R, N beta_2 .. N beta_2n; then the background's electrons.
    """

    def __init__(self, bins: PolarBins, order: int, spheres: int, background: bool):
        self.bins, self.order, self.spheres, self.background = bins, order, spheres, background
        self.block = order // 2 + 3
        self.angular = angular_factors(bins, order)
        self.to_power = pad.legendre_to_power(order // 2) * ([0.5] + [1.0] * (order // 2))
        self.size = spheres * self.block + background
        # Uniform over the disc that the map covers.
        area = np.diff(bins.rho**2) / bins.rho_max**2
        self.flat = np.repeat(area[:, None] / bins.n_angle, bins.n_angle, axis=1)

    def split(self, q: np.ndarray) -> list[np.ndarray]:
        """Return each sphere's part of the parameters, as views."""
        return [q[s * self.block : (s + 1) * self.block] for s in range(self.spheres)]

    def at(self, R: np.ndarray, sigma_R: np.ndarray) -> np.ndarray:
        """Return parameters that are zero but for these R and sigma_R, arrays (spheres,)."""
        q = np.zeros(self.size)
        for part, radius, width in zip(self.split(q), R, sigma_R, strict=True):
            part[1:3] = radius, width
        return q

    def linear(self) -> np.ndarray:
        """Return the mask of the parameters in which the counts are linear."""
        mask = np.ones(self.size, dtype=bool)
        for s in range(self.spheres):
            mask[s * self.block + 1 : s * self.block + 3] = False
        return mask

    def _power(self, part: np.ndarray) -> np.ndarray:
        return self.to_power @ np.concatenate((part[:1], part[3:]))

    def counts(self, q: np.ndarray) -> np.ndarray:
        """Return the expected counts (n_rho, n_angle)."""
        mu = q[-1] * self.flat if self.background else np.zeros((self.bins.n_rho, self.bins.n_angle))
        for part in self.split(q):
            radial = radial_factors(self.bins, part[1], part[2], self.order)[0]
            mu = mu + radial.T @ (self._power(part)[:, None] * self.angular[0])
        return mu

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Return the derivatives (size, n_rho, n_angle) of the counts."""
        out = np.empty((self.size, self.bins.n_rho, self.bins.n_angle))
        for s, part in enumerate(self.split(q)):
            radial = radial_factors(self.bins, part[1], part[2], self.order)
            a = self._power(part)[:, None]
            block = out[s * self.block : (s + 1) * self.block]
            for row, column in enumerate((0, *range(3, self.block))):
                np.matmul(radial[0].T, self.to_power[:, row, None] * self.angular[0], out=block[column])
            np.matmul(radial[1].T, a * self.angular[0], out=block[1])
            np.matmul(radial[2].T, a * self.angular[0], out=block[2])
        if self.background:
            out[-1] = self.flat
        return out

    def shift(self, q: np.ndarray) -> np.ndarray:
        """Return the derivatives (2, n_rho, n_angle) of the signed maps in centre x and centre z."""
        out = np.zeros((2, self.bins.n_rho, self.bins.n_angle))
        for part in self.split(q):
            radial = radial_factors(self.bins, part[1], part[2], self.order)
            a = self._power(part)[:, None]
            for axis in range(2):
                along, across = self.angular[1 + 2 * axis], self.angular[2 + 2 * axis]
                out[axis] -= radial[3].T @ (a * along) + radial[4].T @ (a * across)
        return out

    def public(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return N, R, sigma_R, beta .. and their derivatives in q."""
        values, by_q = q.copy(), np.eye(self.size)
        for s in range(self.spheres):
            first = s * self.block
            betas = slice(first + 3, first + self.block)
            values[betas] = q[betas] / q[first]
            by_q[betas, betas] /= q[first]
            by_q[betas, first] = -values[betas] / q[first]
        return values, by_q


def variance_floor(counts: np.ndarray) -> float:
    """Return the least variance of a bin, given the counts (or expected counts) of all bins."""
    return _FLOOR * max(float(counts.mean()), 1e-300)
