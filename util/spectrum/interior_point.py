"""The likeliest spectrum: Poisson likelihood of a linear model that may not be negative, by an interior-point method.

Mehrotra's predictor and corrector (Nocedal & Wright 2006, Numerical Optimization, algorithm 14.3, here with the
likelihood's exact curvature): each step solves one linear system of all parameters and follows the central path, on
which every constraint times its multiplier is one number, the barrier. The duality gap, their sum, bounds how far the
log likelihood is from its maximum.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from util.spectrum.polar_counts import PolarCounts
from util.spectrum.shell_model import ShellModel

GAP = 0.01  # of the log likelihood, at which the climb ends
_MOST_STEPS = 100
_TO_THE_WALL = 0.99  # of the way to the next constraint
_CENTRED = 1.1  # times the gap of that point of the central path is near enough


class _Hill:
    """Counts, and what a model expects of them."""

    def __init__(self, model: ShellModel, data: PolarCounts, cost: float) -> None:
        self.model, self.data = model, data
        rows, self._K, self._P = model.design.shape
        self._flat = model.design.reshape(rows * self._K, self._P)
        self._angular = data.angular(model.degrees)
        self._cost = np.zeros(self._P)
        model.terms(self._cost)[:, 0] = 2 * cost

    def expected(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected counts (n_rho, n_angle)."""
        return self.data.seen((self._flat @ q).reshape(-1, self._K) @ self._angular)

    def gradient(self, mu: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative (P,) of minus the log likelihood."""
        along = (self.data.slope(mu) * self.data.exposure) @ self._angular.T
        return self._flat.T @ along.ravel() + self._cost

    def without_overshoot(
        self, mu: NDArray[np.float64], step: NDArray[np.float64], part: float, allowed: float
    ) -> float:
        """Return which part of a step to go, at most `part`, for the likelihood is no parabola.

        Beyond its top along the step it may fall by as much as the step seemed to gain, or by `allowed`.
        """
        along = self.data.exposure * ((self._flat @ step).reshape(-1, self._K) @ self._angular)
        cost = float(self._cost @ step)
        gain = abs(float((self.data.slope(mu) * along).sum()) + cost)
        while part * ((self.data.slope(mu + part * along) * along).sum() + cost) > max(part * gain, allowed):
            part /= 2
        return part

    def curvature(self, mu: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the second derivative (P, P) of minus the log likelihood, its lower triangle."""
        weight = self.data.curvature(mu) * self.data.exposure**2
        angular = np.einsum("ma,ra,ka->rmk", self._angular, weight, self._angular, optimize=True)
        # Where a row of bins holds next to nothing, rounding alone could make it indefinite.
        trace = np.trace(angular, axis1=1, axis2=2)
        angular += (1e-13 * trace + 1e-300)[:, None, None] * np.eye(self._K)
        root = np.linalg.cholesky(angular).transpose(0, 2, 1)
        out = np.zeros((self._P, self._P), order="F")
        for rows, first in self.model.bands:
            part = np.matmul(root[rows], self.model.design[rows, :, first:]).reshape(-1, self._P - first)
            out[first:, first:] += linalg.blas.dsyrk(1.0, part.T, trans=0, lower=1)
        return out


def _barrier_curvature(model: ShellModel, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the blocks (J, K, K) that constraints with weights (J M + 1,) add to the curvature of the lines."""
    by_line = weight[:-1].reshape(model.lines, -1)
    return np.einsum("jc,ca,cb->jab", by_line, model.positivity, model.positivity, optimize=True)


class System:
    """Curvature of likelihood and constraints together (P, P), factorised."""

    def __init__(self, curvature: NDArray[np.float64], model: ShellModel, weight: NDArray[np.float64]) -> None:
        K, own = len(model.degrees), np.arange(model.lines) * len(model.degrees)
        blocks = _barrier_curvature(model, weight)
        matrix = curvature.copy()
        for a in range(K):
            for b in range(a + 1):
                matrix[own + a, own + b] += blocks[:, a, b]
        matrix[-1, -1] += weight[-1]
        self._scale = 1 / np.sqrt(np.diag(matrix))
        scaled = matrix * self._scale[:, None] * self._scale
        # In the scaled form all are of order 1: rounding is bounded, and so is what keeps the matrix regular.
        scaled[np.diag_indices_from(scaled)] += 1e-12
        self._factor = linalg.cholesky(scaled, lower=True, overwrite_a=True, check_finite=False)

    def solve(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inverse times `right` (P,) or (P, n)."""
        scaled = self._scale * right.T
        return (self._scale * linalg.cho_solve((self._factor, True), scaled.T, check_finite=False).T).T

    def inverse(self) -> NDArray[np.float64]:
        """Return the inverse (P, P)."""
        inverse, _ = linalg.lapack.dpotri(self._factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        return inverse * self._scale[:, None] * self._scale


def _farthest(value: NDArray[np.float64], step: NDArray[np.float64]) -> float:
    """Return which part of a step, at most 1, leaves all values above 0."""
    falls = step < 0
    return float(min(1.0, _TO_THE_WALL * (value[falls] / -step[falls]).min(initial=np.inf)))


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a climb ended; the parameters are in counts of the data.

    Attributes
    ----------
    model : ShellModel
    data : PolarCounts
    q : (P,)
        Parameters of the model.
    terms : (n_rho, K)
        Coefficients of P_m(cos(alpha)) in the bins of rho, with the light of the data.
    expected : (n_rho, n_angle)
        Counts.
    curvature : (P, P)
        Of minus the log likelihood.
    system : System
        That of likelihood and barrier together. Its inverse is the covariance of the parameters.
    gap : float
        Duality gap, in log likelihood.
    steps : int
    converged : bool
    """

    model: ShellModel
    data: PolarCounts
    q: NDArray[np.float64]
    terms: NDArray[np.float64]
    expected: NDArray[np.float64]
    curvature: NDArray[np.float64]
    system: System
    gap: float
    steps: int
    converged: bool


def climb(
    model: ShellModel, data: PolarCounts, *, barrier: float = 0.0, cost: float = 0.0, gap: float = GAP
) -> Solution:
    """Climb to the likeliest parameters.

    Parameters
    ----------
    model : ShellModel
    data : PolarCounts
    barrier : float
        Above 0: climb to that point of the central path instead.
    cost : float
        Taken off the log likelihood for each electron that is not the background's.
    gap : float
        At which the climb ends where `barrier` is 0.
    """
    hill = _Hill(model, data, cost)
    total = max(float(data.counts.sum() / data.exposure.mean()), 1.0)
    q = np.zeros(model.design.shape[2])
    model.terms(q)[:, 0] = total / 2 / model.lines
    q[-1] = total / model.lines
    slack = model.constrained(q)
    multiplier = 1 / slack
    mu = hill.expected(q)
    converged, steps = False, 0
    for steps in range(1, _MOST_STEPS + 1):  # noqa: B007 - counted
        gradient = hill.gradient(mu)
        curvature = hill.curvature(mu)
        system = System(curvature, model, multiplier / slack)
        now = float(multiplier @ slack)
        # How much higher the top is, of the likelihood or of likelihood and barrier.
        left = gradient - model.pulled_back(barrier / slack if barrier else multiplier)
        if left @ system.solve(left) < gap and now < max(gap, _CENTRED * barrier * slack.size):
            converged = True
            break
        # Predictor: straight to the maximum. How far one could go tells how far along the path to aim.
        step = system.solve(-gradient)
        by_slack = model.constrained(step)
        by_multiplier = -multiplier - multiplier / slack * by_slack
        ahead = (slack + _farthest(slack, by_slack) * by_slack) @ (
            multiplier + _farthest(multiplier, by_multiplier) * by_multiplier
        )
        aim = max((float(ahead) / now) ** 3, 1e-3) * now / slack.size
        # Corrector: to that point of the path, with what the predictor says of the product's second order.
        wanted = (aim - by_slack * by_multiplier) / slack if aim > barrier else barrier / slack
        step = system.solve(model.pulled_back(wanted) - gradient)
        by_slack = model.constrained(step)
        by_multiplier = wanted - multiplier - multiplier / slack * by_slack
        q = q + hill.without_overshoot(mu, step, _farthest(slack, by_slack), now) * step
        multiplier = multiplier + _farthest(multiplier, by_multiplier) * by_multiplier
        slack, mu = model.constrained(q), hill.expected(q)
    return Solution(
        model, data, q, model.design @ q, mu, curvature, system, float(multiplier @ slack), steps, converged
    )
