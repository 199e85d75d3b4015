"""Fisher scoring of a folded map of hits: the climb to the best fit (McCullagh & Nelder 1989, section 2.5).

Where a bin expects next to nothing, or during an iteration less than nothing, the variance V = max(mu, floor) keeps
the score

    sum_bins dmu/dq (n - mu) / V

harmless. It stays unbiased, and remains the gradient of an objective: the Poisson log likelihood, continued below the
floor as a parabola.
"""

import numpy as np
from numpy.typing import NDArray

from util.fit.map_model import MapModel, variance_floor

# Converged: another step would move no combination of parameters by more than 0.01 of its error.
_DECREMENT = 1e-4
_MAX_ITERATIONS = 40
# A good fit takes five steps. One that takes more has hits where next to nothing is expected: the curvature there is
# far above the expected one, and scoring oscillates about the best fit. Newton's steps do not.
_FISHER_STEPS = 8
# A worse condition leaves some parameter without a significant digit.
_WORST_CONDITION = 1e12


def objective_of(data: NDArray[np.float64], mu: NDArray[np.float64], floor: float) -> float:
    """Return the log likelihood, continued as a parabola below the floor."""
    safe = np.maximum(mu, floor)
    below = np.minimum(mu - floor, 0)
    value = data * np.log(safe) - safe + below * (data - floor) / floor - below**2 / (2 * floor)
    return float(value.sum())


def _curvature(data: NDArray[np.float64], mu: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Return minus the second derivative of `objective_of` in each bin's expected count."""
    return np.where(mu > floor, np.maximum(data, 0) / np.maximum(mu, floor) ** 2, 1 / floor)


def inverse_information(information: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the inverse, taken in correlation form, and the condition number of that form (inf: singular)."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    value, vector = np.linalg.eigh(information / np.outer(scale, scale))
    if not value[0] > value[-1] / _WORST_CONDITION:
        return np.full_like(information, np.nan), np.inf
    return (vector / value) @ vector.T / np.outer(scale, scale), float(value[-1] / value[0])


def solve_linear(model: MapModel, data: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve for the linear parameters at the R and sigma_R of `q`, by least squares with a small ridge."""
    linear = model.linear()
    spread = np.sqrt(np.maximum(data, 0) + max(data.mean(), 1.0) * 0.1).ravel()
    jacobian = model.jacobian(q)[linear].reshape(linear.size, -1) / spread
    gram = jacobian @ jacobian.T
    gram[np.diag_indices_from(gram)] *= 1 + 1e-6
    out = q.copy()
    out[linear] = np.linalg.lstsq(gram, jacobian @ (data.ravel() / spread), rcond=1e-12)[0]
    return out


def score_map(
    model: MapModel, data: NDArray[np.float64], q: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, int, bool]:
    """Climb to the best fit by Fisher scoring from `q`.

    Parameters
    ----------
    model : MapModel
    data : array (n_rho, n_angle)
        Folded weights.
    q : array (P,)
        Internal parameters to start from; the centre stays.

    Returns
    -------
    q, objective, steps, converged
        Not converged: singular information, a sphere that leaves the range, or too many steps.
    """
    floor = variance_floor(data)
    mu = model.counts(q)
    objective = objective_of(data, mu, floor)
    layout = model.layout
    # A sphere on its way to zero width describes the noise of single bins; none that the bins resolve gets there.
    narrowest = model.bins.rho_max / model.bins.n_rho / 4
    for iteration in range(1, _MAX_ITERATIONS + 1):
        variance = np.maximum(mu, floor)
        jacobian = model.jacobian(q).reshape(layout.folded.size, -1)
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
        width = q[layout.sigma_R]
        in_R, in_sigma_R = (np.maximum(np.abs(step[index]), 1e-300) for index in (layout.R, layout.sigma_R))
        length = min(1.0, (width / in_R).min(), (0.5 * width / in_sigma_R).min())
        for _ in range(12):
            trial = q.copy()
            trial[layout.folded] += length * step
            trial_mu = model.counts(trial)
            trial_objective = objective_of(data, trial_mu, floor)
            if trial_objective >= objective:
                break
            length /= 2
        else:
            # No rise along the step: rounding, if the expected rise is no larger than that.
            return q, objective, iteration, bool(score @ step < 1e-9 * abs(objective))
        q, mu, objective = trial, trial_mu, trial_objective
        R, sigma_R = q[layout.R], q[layout.sigma_R]
        if not ((sigma_R >= narrowest) & (2 * sigma_R < R) & (1.5 * model.bins.rho_max > R)).all():
            return q, objective, iteration, False
    return q, objective, _MAX_ITERATIONS, False
