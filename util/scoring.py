"""Fisher scoring of a folded map of hits: the expected counts, their derivatives, and the climb to the best fit.

Where a bin expects next to nothing, or during an iteration less than nothing, the variance V = max(mu, floor) keeps
the score

    sum_bins dmu/dq (n - mu) / V

harmless. It stays unbiased, and remains the gradient of an objective: the Poisson log likelihood, continued below the
floor as a parabola.
"""

import numpy as np

from util import pad
from util.polar_map import PolarBins, angular_factors, radial_factors

# A bin's variance is at least this times the mean count of a bin.
_FLOOR = 1e-3
# Converged: another step would move no combination of parameters by more than 0.01 of its error.
_DECREMENT = 1e-4
_MAX_ITERATIONS = 40
# A good fit takes five steps. One that takes more has hits where next to nothing is expected: the curvature there is
# far above the expected one, and scoring goes to and fro across the best fit. Newton's steps do not.
_FISHER_STEPS = 8
# Correlations beyond this leave no digit of some parameter.
_WORST_CONDITION = 1e12


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


def objective_of(data: np.ndarray, mu: np.ndarray, floor: float) -> float:
    """Log likelihood, continued as a parabola below the floor."""
    safe = np.maximum(mu, floor)
    below = np.minimum(mu - floor, 0)
    value = data * np.log(safe) - safe + below * (data - floor) / floor - below**2 / (2 * floor)
    return float(value.sum())


def _curvature(data: np.ndarray, mu: np.ndarray, floor: float) -> np.ndarray:
    """Return minus the second derivative of `objective_of` in each bin's expected count."""
    return np.where(mu > floor, np.maximum(data, 0) / np.maximum(mu, floor) ** 2, 1 / floor)


def inverse_information(information: np.ndarray) -> tuple[np.ndarray, float]:
    """Inverse by way of the correlation form, and the condition number of that form (inf: singular)."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    value, vector = np.linalg.eigh(information / np.outer(scale, scale))
    if not value[0] > value[-1] / _WORST_CONDITION:
        return np.full_like(information, np.nan), np.inf
    return (vector / value) @ vector.T / np.outer(scale, scale), float(value[-1] / value[0])


def solve_linear(model: MapModel, data: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Least squares for the linear parameters at the R and sigma_R of `q`, with a touch of ridge."""
    mask = model.linear()
    spread = np.sqrt(np.maximum(data, 0) + max(data.mean(), 1.0) * 0.1).ravel()
    jacobian = model.jacobian(q)[mask].reshape(mask.sum(), -1) / spread
    gram = jacobian @ jacobian.T
    gram[np.diag_indices_from(gram)] *= 1 + 1e-6
    out = q.copy()
    out[mask] = np.linalg.lstsq(gram, jacobian @ (data.ravel() / spread), rcond=1e-12)[0]
    return out


def score_map(model: MapModel, data: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, float, int, bool]:
    """Climb to the best fit by Fisher scoring from `q`.

    Parameters
    ----------
    model : MapModel
    data : array (n_rho, n_angle)
        Folded weights.
    q : array (model.size,)
        Internal parameters to start from.

    Returns
    -------
    q, objective, steps, converged
        Not converged: singular information, a sphere that runs out of range, or too many steps.
    """
    floor = variance_floor(data)
    mu = model.counts(q)
    objective = objective_of(data, mu, floor)
    centres = [s * model.block + 1 for s in range(model.spheres)]
    # A sphere on its way to zero width describes the noise of single bins; none that the bins resolve gets there.
    narrowest = model.bins.rho_max / model.bins.n_rho / 4
    for iteration in range(1, _MAX_ITERATIONS + 1):
        variance = np.maximum(mu, floor)
        jacobian = model.jacobian(q).reshape(model.size, -1)
        weighted = jacobian / variance.ravel()
        score = weighted @ (data - mu).ravel()
        if iteration > _FISHER_STEPS:
            weighted = jacobian * _curvature(data, mu, floor).ravel()
        inverse, condition = inverse_information(weighted @ jacobian.T)
        if condition == np.inf:
            return q, objective, iteration, False
        step = inverse @ score
        if score @ step < _DECREMENT:
            return q, objective, iteration, True
        # R and sigma_R enter through a narrow Gaussian: beyond a good part of its width the step means nothing.
        length = 1.0
        for i in centres:
            length = min(length, q[i + 1] / max(abs(step[i]), 1e-300), 0.5 * q[i + 1] / max(abs(step[i + 1]), 1e-300))
        for _ in range(12):
            trial = q + length * step
            trial_mu = model.counts(trial)
            trial_objective = objective_of(data, trial_mu, floor)
            if trial_objective >= objective:
                break
            length /= 2
        else:
            # Nothing rises along the step: rounding, if the promised rise is below it.
            return q, objective, iteration, bool(score @ step < 1e-9 * abs(objective))
        q, mu, objective = trial, trial_mu, trial_objective
        if any(q[i + 1] < narrowest or not 2 * q[i + 1] < q[i] < 1.5 * model.bins.rho_max for i in centres):
            return q, objective, iteration, False
    return q, objective, _MAX_ITERATIONS, False
