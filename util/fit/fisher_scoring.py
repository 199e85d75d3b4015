"""Fisher scoring of a folded map of hits: the climb to the best fit (McCullagh & Nelder 1989, section 2.5).

Where a bin expects next to nothing, or during an iteration less than nothing, the variance V = max(mu, floor) keeps
the score

    sum_bins dmu/dq (n - mu) / V

harmless. It stays unbiased, and remains the gradient of an objective: the Poisson log likelihood, continued below the
floor as a parabola. The sums run over the bins of all four quadrants (`util.fit.slopes`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.known_spheres import NormalPrior
from util.fit.map_data import MapData
from util.fit.map_model import MapModel, variance_floor
from util.physics.polar_map import PolarBins

# Converged: another step would move no combination of parameters by more than 0.01 of its error.
CONVERGED = 1e-4
_MAX_ITERATIONS = 40
# A good fit takes five steps. One that takes more has hits where next to nothing is expected: the curvature there is
# far above the expected one, and scoring oscillates about the best fit. Newton's steps do not.
_FISHER_STEPS = 8
# A worse condition leaves some parameter without a significant digit.
_WORST_CONDITION = 1e12
# Where R is below so many sigma_R, an image no longer tells it from 0, where its derivative vanishes: it is set to 0.
_NO_RADIUS = 0.05
_HALVINGS = 12  # of a step that does not rise
_AT_THE_END = 0.1  # of a step: where no more than that is left of the range of the geometry, it stays there


class Scored(NamedTuple):
    """Internal parameters (P,) at the end of a climb, their objective, the steps taken, and whether it is the top.

    Not converged: singular information, a sphere that leaves the range, or too many steps.
    """

    q: NDArray[np.float64]
    objective: float
    steps: int
    converged: bool


def objective_of(data: NDArray[np.float64], mu: NDArray[np.float64], floor: NDArray[np.float64] | float) -> float:
    """Return the log likelihood, continued as a parabola below the floor."""
    safe = np.maximum(mu, floor)
    below = np.minimum(mu - floor, 0)
    value = data * np.log(safe) - safe + below * (data - floor) / floor - below**2 / (2 * floor)
    return float(value.sum())


def _curvature(
    data: NDArray[np.float64], mu: NDArray[np.float64], floor: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return minus the second derivative of `objective_of` in each bin's expected count."""
    return np.where(mu > floor, np.maximum(data, 0) / np.maximum(mu, floor) ** 2, 1 / floor)


def floor_of(data: MapData) -> NDArray[np.float64] | float:
    """Return the least variance of each bin: `variance_floor` where the detector shows all, and what the camera adds.

    Where nothing is shown, and nothing expected, it is 1.
    """
    floor = np.asarray(data.exposure * variance_floor(data.folded.quadrants) + data.pedestal)
    return np.where(floor > 0, floor, 1.0)


def inverse_information(information: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the inverse, taken in correlation form, and the condition number of that form (inf: singular)."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    value, vector = np.linalg.eigh(information / np.outer(scale, scale))
    if not value[0] > value[-1] / _WORST_CONDITION:
        return np.full_like(information, np.nan), np.inf
    return (vector / value) @ vector.T / np.outer(scale, scale), float(value[-1] / value[0])


def inverse_of_free(information: NDArray[np.float64], free: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Return `inverse_information` of the parameters (P,) that are `free`, zero for the others, and its condition."""
    inverse, condition = inverse_information(information[np.ix_(free, free)])
    out = np.zeros_like(information)
    out[np.ix_(free, free)] = inverse
    return out, condition


def is_free(model: MapModel, q: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which parameters (P,) the image can tell: all but radii that are 0."""
    free = np.ones(q.size, dtype=bool)
    R, _ = model.widths
    free[R[q[R] <= 0]] = False
    return free


def narrowest_in(bins: PolarBins) -> float:
    """Return the least sigma_R that bins can tell: a narrower sphere describes the noise of single bins."""
    return bins.rho_max / bins.n_rho / 4


def prior_of(model: MapModel, data: MapData) -> NormalPrior:
    """Return the prior of the parameters, its precision in units of the likelihood of unit weights."""
    mean, precision = model.layout.prior
    prior = NormalPrior(mean, np.diag(precision))
    if model.known:
        of_spheres = model.known.prior(model.layout)
        prior = NormalPrior(mean + of_spheres.mean, prior.precision + of_spheres.precision)
    return NormalPrior(prior.mean, prior.precision * data.variance_per_electron)


def solve_linear(model: MapModel, data: MapData, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve for the linear parameters at the R and sigma_R of `q`, by least squares with a small ridge."""
    linear = model.linear()
    counts = data.counts
    weight = data.exposure / (np.maximum(counts, 0) + max(counts.mean(), 0.25) * 0.1)
    slopes = model.slopes(q).of(linear)
    prior = prior_of(model, data)
    system = slopes.gram(np.broadcast_to(data.exposure * weight, counts.shape))
    system[np.diag_indices_from(system)] *= 1 + 1e-6
    system += prior.precision[np.ix_(linear, linear)]
    wanted = slopes.score(weight * data.folded.quadrants) + (prior.precision @ prior.mean)[linear]
    out = q.copy()
    out[linear] = np.linalg.lstsq(system, wanted, rcond=1e-12)[0]
    return out


def score_map(
    model: MapModel,
    data: MapData,
    q: NDArray[np.float64],
    *,
    known_geometry: bool = False,
    decrement: float = CONVERGED,
    widest: float = np.inf,
) -> Scored:
    """Climb to the best fit by Fisher scoring.

    Where the geometry would leave the range in which it may be taken to first order, it stays at its end, and the rest
    is fitted there: the hits are to be folded anew.

    Parameters
    ----------
    model : MapModel
    data : MapData
    q : array (P,)
        Internal parameters to start from.
    known_geometry : bool
        Whether the geometry stays as it is.
    decrement : float
        Squared errors that another step may still move any combination of parameters.
    widest : float
        Largest sigma_R.
    """
    hill = _Hill(model, data)
    low, high = narrowest_in(model.bins), min(widest, model.bins.rho_max / 2)
    in_R, in_sigma_R = model.widths
    mu, objective = hill.at(q)
    for iteration in range(1, _MAX_ITERATIONS + 1):
        score, information = hill.slope(q, mu, newton=iteration > _FISHER_STEPS)
        free = is_free(model, q)
        if known_geometry:
            free[model.layout.geometry] = False
        # A width at the end of its range stays there while the score drives it farther.
        width, pull = q[in_sigma_R], score[in_sigma_R]
        free[in_sigma_R[((width <= low) & (pull < 0)) | ((width >= high) & (pull > 0))]] = False
        inverse, condition = inverse_of_free(information, free)
        if condition == np.inf:
            return Scored(q, objective, iteration, False)
        step = inverse @ score
        if score @ step < decrement:
            return Scored(q, objective, iteration, True)
        # R and sigma_R enter through a narrow Gaussian: beyond a good part of its width the step means nothing.
        far, wide = (np.maximum(np.abs(step[index]), 1e-300) for index in (in_R, in_sigma_R))
        length = min(1.0, (width / far).min(), (0.5 * width / wide).min())
        room = np.inf if known_geometry else model.room_of_geometry(q, step)
        if room < _AT_THE_END * length:
            # The geometry goes as far as it may, and waits there for the rest.
            known_geometry, q = True, q + room * np.where(model.layout.is_geometry, step, 0)
            mu, objective = hill.at(q)
            continue
        length = min(length, room)
        for _ in range(_HALVINGS):
            trial = q + length * step
            trial[in_sigma_R] = np.clip(trial[in_sigma_R], low, high)
            trial[in_R] = np.where(trial[in_R] < _NO_RADIUS * trial[in_sigma_R], 0, trial[in_R])
            trial_mu, trial_objective = hill.at(trial)
            if trial_objective >= objective:
                break
            length /= 2
        else:
            # No rise along the step: rounding, if the expected rise is no larger than that.
            return Scored(q, objective, iteration, bool(score @ step < 1e-9 * abs(objective)))
        q, mu, objective = trial, trial_mu, trial_objective
        if not (1.5 * model.bins.rho_max > q[in_R]).all():
            return Scored(q, objective, iteration, False)
    return Scored(q, objective, _MAX_ITERATIONS, False)


class _Hill:
    """What is climbed: the log likelihood of a map, with the priors of its parameters."""

    def __init__(self, model: MapModel, data: MapData) -> None:
        self._model, self._data = model, data
        self._counts, self._floor = data.counts, floor_of(data)
        self._prior = prior_of(model, data)

    def at(self, q: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return the expected counts (4, n_rho, n_angle) and the height at internal parameters (P,)."""
        mu = self._data.expected(self._model.counts(q))
        off = q - self._prior.mean
        return mu, objective_of(self._counts, mu, self._floor) - float(off @ self._prior.precision @ off) / 2

    def slope(
        self, q: NDArray[np.float64], mu: NDArray[np.float64], *, newton: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the score (P,) and the information (P, P), expected or, for `newton`, observed."""
        slopes, exposure = self._model.slopes(q), self._data.exposure
        per_count = exposure / np.maximum(mu, self._floor)
        score = slopes.score(per_count * (self._counts - mu)) - self._prior.precision @ (q - self._prior.mean)
        weight = exposure**2 * _curvature(self._counts, mu, self._floor) if newton else exposure * per_count
        return score, slopes.gram(weight) + self._prior.precision
