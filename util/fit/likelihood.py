"""Poisson maximum likelihood of the spheres on the detector.

Hits are folded into polar bins about the centre of the image and fitted by Fisher scoring
(`util.fit.fisher_scoring`). The centre decouples from all other parameters by symmetry; it is scored on the
differences between quadrants, and the hits are folded again about the new one until it settles.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from util.fit import starting_radii
from util.fit.fisher_scoring import inverse_information, score_map, solve_linear
from util.fit.map_model import MapModel, expected_variance
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, PolarMap, coarsen, fold
from util.runtime.errors import InputError

_OUTER_ROUNDS = 4
# Each start is tried on merged bins first.
_MERGE = (4, 4)
_START_SIGMA = 0.008
_FEWEST_HITS = 1000
_FEWEST_PER_BLOCK = 25.0


def _start(model: MapModel, data: NDArray[np.float64]) -> NDArray[np.float64]:
    """Try the candidate radii on merged bins; return the internal parameters of the likeliest."""
    layout, bins = model.layout, model.bins
    coarse = MapModel(bins.coarser(*_MERGE), layout)
    merged = coarsen(data, *_MERGE)
    best, best_objective = None, -np.inf
    for candidate in starting_radii.candidates(data, bins, layout.spheres):
        q = coarse.at(np.array(candidate), np.full(layout.spheres, _START_SIGMA))
        q, objective, _, converged = score_map(coarse, merged, solve_linear(coarse, merged, q))
        sane = ((q[layout.N] > 0) & (q[layout.R] > 0) & (q[layout.R] < bins.rho_max)).all()
        if converged and sane and objective > best_objective:
            best, best_objective = q, objective
    if best is None:
        raise InputError(
            f"no {layout.spheres} spheres were found among the hits; check the hits or ask for fewer spheres"
        )
    return best


def _deviance(folded: PolarMap, mu: NDArray[np.float64], parameters: int) -> tuple[float, int]:
    """Return the Poisson deviance of merged bins and its degrees of freedom.

    Weighted counts are scaled to their effective number, <w> / <w^2> (Kish 1965, Survey Sampling).
    """
    data, scale = folded.weight, folded.weight.sum() / folded.variance.sum()
    by_rho, by_angle = (next(d for d in (8, 5, 4, 3, 2, 1) if size % d == 0) for size in data.shape)
    observed = scale * coarsen(data, by_rho, by_angle).ravel()
    wanted = scale * coarsen(mu, by_rho, by_angle).ravel()
    full = wanted >= _FEWEST_PER_BLOCK
    observed = np.append(observed[full], observed[~full].sum())
    wanted = np.append(wanted[full], wanted[~full].sum())
    if wanted[-1] < _FEWEST_PER_BLOCK:
        observed, wanted = observed[:-1], wanted[:-1]
    observed = np.maximum(observed, 0)
    return float(2 * (xlogy(observed, observed / wanted) - observed + wanted).sum()), observed.size - parameters


def fit(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64] | None = None,
    *,
    variance: NDArray[np.float64] | None = None,
    spheres: int = 2,
    order: int = 24,
    nuisances: tuple[str, ...] = (),
    start: Sequence[tuple[float, float]] | None = None,
    bins: PolarBins = PolarBins(),  # noqa: B008 - frozen
) -> FitResult:
    """Fit spheres to hits.

    Parameters
    ----------
    x, z : arrays (n,)
        Detector units.
    weight : array (n,) or None
        Electrons that a hit stands for; None: one each.
    variance : array (n,) or None
        What a hit adds to the variance of a sum of weights; None: the square of its weight.
    spheres : int
        How many, at least 1.
    order : int
        Highest Legendre degree, even.
    nuisances : tuple of str
        What to fit as well: "background", hits spread evenly over the screen.
    start : sequence of (R, sigma_R), one per sphere, or None
        None: found by `util.fit.starting_radii`.
    bins : PolarBins

    Raises
    ------
    InputError
        Too few hits; spheres that cannot be told apart.
    """
    x, z, weight = _checked(x, z, weight, spheres)
    layout = Layout(spheres, order, nuisances)
    model = MapModel(bins, layout)
    # A sphere is symmetric: the mean position is its centre.
    centre = (float(weight @ x / weight.sum()), float(weight @ z / weight.sum()))
    folded = fold(x, z, weight, centre, bins, variance=variance)
    if start is None:
        q = _start(model, folded.weight)
    else:
        q = solve_linear(model, folded.weight, model.at(*np.array(start, dtype=float).T))
    q[layout.centre] = centre
    iterations = 0
    for _ in range(_OUTER_ROUNDS):
        q, _, steps, converged = score_map(model, folded.weight, q)
        iterations += steps
        step, shift_covariance, shift_floor = _centre_step(model, folded, q)
        if not converged or (step**2 < 1e-3 * np.diag(shift_floor)).all():
            break
        q[layout.centre] += step
        folded = fold(x, z, weight, (q[layout.centre][0], q[layout.centre][1]), bins, variance=variance)
    q = q[layout.ascending(q)]
    return _result(model, folded, q, (shift_covariance, shift_floor), iterations, converged, x.size)


def _checked(
    x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64] | None, spheres: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return positions and weights (n,), if they can be fitted."""
    x, z = np.asarray(x, dtype=float), np.asarray(z, dtype=float)
    weight = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=float)
    fewest = _FEWEST_HITS * spheres
    if x.size < fewest:
        raise InputError(f"found {x.size} hits, expected at least {fewest} for {spheres} sphere(s); use more frames")
    total = weight.sum()
    if not (np.isfinite(total) and total > 0):
        raise InputError(f"the weights of the hits sum to {total}, expected a number above 0; check the hit finder")
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise InputError("some hits have positions that are not finite; leave those out or check the hit finder")
    return x, z, weight


def _centre_step(
    model: MapModel, folded: PolarMap, q: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the correction of the centre (2,), its sandwich covariance and that of unit weights, both (2, 2)."""
    variance = expected_variance(model.counts(q))
    slope = model.shift(q)
    information = (slope**2 / variance).sum(axis=(1, 2))
    score = (slope * np.stack((folded.sign_x, folded.sign_z)) / variance).sum(axis=(1, 2))
    meat = (slope**2 / variance**2 * folded.variance).sum(axis=(1, 2))
    return score / information, np.diag(meat / information**2), np.diag(1 / information)


def _variance_per_electron(folded: PolarMap) -> NDArray[np.float64]:
    """Return the variance that weights add, over their sum, in the neighbourhood of each bin.

    A neighbourhood, because a bin without hits tells nothing of its own.
    """
    by_rho, by_angle = (next(d for d in (25, 20, 16, 10, 5, 1) if size % d == 0) for size in folded.weight.shape)
    variance, electrons = (coarsen(part, by_rho, by_angle) for part in (folded.variance, folded.weight))
    mean = folded.variance.sum() / folded.weight.sum()
    ratio = (variance + _FEWEST_PER_BLOCK * mean) / np.maximum(electrons + _FEWEST_PER_BLOCK, 1)
    return ratio.repeat(by_rho, axis=0).repeat(by_angle, axis=1)


def _covariances(
    model: MapModel, folded: PolarMap, q: NDArray[np.float64], mu: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the covariance of what is folded, that of unit weights, both (P - 2, P - 2), and the condition number.

    The score is unbiased whatever the weights; they widen its variance, which is taken from the data: the sandwich
    (Huber 1967, Proc. Fifth Berkeley Symp. 1, 221; White 1980, Econometrica 48, 817).
    """
    jacobian = model.jacobian(q).reshape(model.layout.folded.size, -1)
    variance = expected_variance(mu).ravel()
    inverse, singular = inverse_information((jacobian / variance) @ jacobian.T)
    if singular == np.inf:
        raise _alike(model.layout)
    # Where a PAD is zero nothing is seen, but what is expected there is known only to its error: take at least that.
    expected = np.maximum(mu.ravel(), np.sqrt(((inverse @ jacobian) * jacobian).sum(axis=0)))
    weighted = jacobian / np.maximum(variance, expected)
    floor, condition = inverse_information(weighted @ jacobian.T)
    if condition == np.inf:
        raise _alike(model.layout)
    sandwich = floor @ ((weighted * (expected * _variance_per_electron(folded).ravel())) @ weighted.T) @ floor
    return sandwich, floor, condition


def _alike(layout: Layout) -> InputError:
    return InputError(f"{layout.spheres} spheres cannot be told apart in these hits; ask for fewer spheres")


def _result(
    model: MapModel,
    folded: PolarMap,
    q: NDArray[np.float64],
    shift: tuple[NDArray[np.float64], NDArray[np.float64]],
    iterations: int,
    converged: bool,
    hits: int,
) -> FitResult:
    layout, mu = model.layout, model.counts(q)
    sandwich, floor, condition = _covariances(model, folded, q, mu)
    uncertain = np.sqrt(np.diag(sandwich))[layout.N]
    gap = np.diff(q[layout.R])
    if (q[layout.N] < 5 * uncertain).any() or (gap < q[layout.sigma_R][:-1] / 2).any():
        raise _alike(layout)
    values, by_q = layout.to_public(q)
    turn = by_q[np.ix_(layout.folded, layout.folded)]
    covariance, floor_covariance = (
        layout.joint(turn @ even @ turn.T, odd) for even, odd in zip((sandwich, floor), shift, strict=True)
    )
    deviance, dof = _deviance(folded, mu, layout.folded.size)
    return FitResult(
        layout=layout,
        values=values,
        covariance=covariance,
        floor_covariance=floor_covariance,
        deviance=deviance,
        dof=dof,
        condition=condition,
        iterations=iterations,
        converged=converged,
        hits=hits,
    )
