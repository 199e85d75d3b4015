"""Poisson maximum likelihood of the spheres on the detector.

Hits are folded into polar bins about the centre of the image and fitted by Fisher scoring
(`util.fit.fisher_scoring`). The centre
decouples from all other parameters by symmetry; it is scored on the differences between quadrants, and the hits are
folded again about the new one until it rests.
"""

import numpy as np
from scipy.special import xlogy

from util.fit import starting_radii
from util.fit.fisher_scoring import inverse_information, score_map, solve_linear
from util.fit.map_model import MapModel, variance_floor
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, PolarMap, coarsen, fold
from util.runtime.errors import InputError

_OUTER_ROUNDS = 4
# Each start is tried on merged bins first.
_MERGE = (4, 4)
_START_SIGMA = 0.008
_FEWEST_HITS = 1000
_FEWEST_A_BLOCK = 25.0


def _start(data: np.ndarray, bins: PolarBins, order: int, spheres: int, background: bool) -> np.ndarray:
    """Try the candidate radii on merged bins; the internal parameters of the likeliest."""
    model = MapModel(bins.coarser(*_MERGE), order, spheres, background)
    merged = coarsen(data, *_MERGE)
    best, best_objective = None, -np.inf
    for candidate in starting_radii.candidates(data, bins, spheres):
        q = model.at(np.array(candidate), np.full(spheres, _START_SIGMA))
        q, objective, _, converged = score_map(model, merged, solve_linear(model, merged, q))
        sane = all(part[0] > 0 and 0 < part[1] < bins.rho_max for part in model.split(q))
        if converged and sane and objective > best_objective:
            best, best_objective = q, objective
    if best is None:
        raise InputError(f"no {spheres} spheres were found among the hits; check the hits or ask for fewer spheres")
    return best


def _deviance(data: np.ndarray, mu: np.ndarray, scale: float, parameters: int) -> tuple[float, int]:
    by_rho, by_angle = (next(d for d in (8, 5, 4, 3, 2, 1) if size % d == 0) for size in data.shape)
    observed = scale * coarsen(data, by_rho, by_angle).ravel()
    wanted = scale * coarsen(mu, by_rho, by_angle).ravel()
    full = wanted >= _FEWEST_A_BLOCK
    observed = np.append(observed[full], observed[~full].sum())
    wanted = np.append(wanted[full], wanted[~full].sum())
    if wanted[-1] < _FEWEST_A_BLOCK:
        observed, wanted = observed[:-1], wanted[:-1]
    observed = np.maximum(observed, 0)
    return float(2 * (xlogy(observed, observed / wanted) - observed + wanted).sum()), observed.size - parameters


def fit(
    x: np.ndarray,
    z: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    variance: np.ndarray | None = None,
    spheres: int = 2,
    order: int = 24,
    start: list[tuple[float, float]] | None = None,
    background: bool = False,
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
    start : list of (R, sigma_R), one a sphere, or None
        None: found by `util.fit.starting_radii`.
    background : bool
        Whether to fit hits spread evenly over the screen as well.
    bins : PolarBins

    Raises
    ------
    InputError
        Too few hits; spheres that cannot be told apart.
    """
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
    # A sphere is symmetric: the mean position is its centre.
    centre = np.array([weight @ x, weight @ z]) / total
    model = MapModel(bins, order, spheres, background)
    folded = fold(x, z, weight, centre, bins, variance=variance)
    if start is None:
        q = _start(folded.weight, bins, order, spheres, background)
    else:
        q = solve_linear(model, folded.weight, model.at(*np.array(start, dtype=float).T))
    iterations = 0
    for _ in range(_OUTER_ROUNDS):
        q, _, steps, converged = score_map(model, folded.weight, q)
        iterations += steps
        step, shift_covariance, shift_floor = _centre_step(model, folded, q)
        if not converged or (step**2 < 1e-3 * np.diag(shift_floor)).all():
            break
        centre = centre + step
        folded = fold(x, z, weight, centre, bins, variance=variance)
    q = np.concatenate([*sorted(model.split(q), key=lambda part: part[1]), q[spheres * model.block :]])
    return _result(model, folded, q, centre, (shift_covariance, shift_floor), iterations, converged, x.size)


def _centre_step(model: MapModel, folded: PolarMap, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correction of the centre (2,), its sandwich covariance and the one of unit weights, both (2, 2)."""
    mu = model.counts(q)
    variance = np.maximum(mu, variance_floor(mu))
    slope = model.shift(q)
    information = (slope**2 / variance).sum(axis=(1, 2))
    score = (slope * np.stack((folded.sign_x, folded.sign_z)) / variance).sum(axis=(1, 2))
    meat = (slope**2 / variance**2 * folded.variance).sum(axis=(1, 2))
    return score / information, np.diag(meat / information**2), np.diag(1 / information)


def _variance_an_electron(folded: PolarMap) -> np.ndarray:
    """Variance that weights add, over what they sum to, in the neighbourhood of each bin.

    Of a neighbourhood because a bin without hits tells none of its own.
    """
    by_rho, by_angle = (next(d for d in (25, 20, 16, 10, 5, 1) if size % d == 0) for size in folded.weight.shape)
    variance, electrons = (coarsen(part, by_rho, by_angle) for part in (folded.variance, folded.weight))
    mean = folded.variance.sum() / folded.weight.sum()
    ratio = (variance + _FEWEST_A_BLOCK * mean) / np.maximum(electrons + _FEWEST_A_BLOCK, 1)
    return ratio.repeat(by_rho, axis=0).repeat(by_angle, axis=1)


def _result(
    model: MapModel,
    folded: PolarMap,
    q: np.ndarray,
    centre: np.ndarray,
    shift: tuple[np.ndarray, np.ndarray],
    iterations: int,
    converged: bool,
    hits: int,
) -> FitResult:
    mu = model.counts(q)
    jacobian = model.jacobian(q).reshape(model.size, -1)
    variance = np.maximum(mu, variance_floor(mu)).ravel()
    inverse, singular = inverse_information((jacobian / variance) @ jacobian.T)
    alike = InputError(f"{model.spheres} spheres cannot be told apart in these hits; ask for fewer spheres")
    if singular == np.inf:
        raise alike
    # Where a PAD has a zero nothing is seen; but what is expected there is known to its own error only: at least that.
    expected = np.maximum(mu.ravel(), np.sqrt(((inverse @ jacobian) * jacobian).sum(axis=0)))
    weighted = jacobian / np.maximum(variance, expected)
    floor, condition = inverse_information(weighted @ jacobian.T)
    if condition == np.inf:
        raise alike
    sandwich = floor @ ((weighted * (expected * _variance_an_electron(folded).ravel())) @ weighted.T) @ floor
    values, by_q = model.public(q)
    parts = np.array(model.split(values))
    uncertain = np.sqrt(np.diag(sandwich))[: model.spheres * model.block : model.block]
    gap = np.diff(parts[:, 1])
    if (parts[:, 0] < 5 * uncertain).any() or (gap < parts[:-1, 2] / 2).any():
        raise alike
    covariances = []
    for even, odd in ((sandwich, shift[0]), (floor, shift[1])):
        covariance = np.zeros((model.size + 2, model.size + 2))
        covariance[:-2, :-2] = by_q @ even @ by_q.T
        covariance[-2:, -2:] = odd
        covariances.append(covariance)
    names = [
        f"{name}_{s + 1}"
        for s in range(model.spheres)
        for name in ("N", "R", "sigma_R", *(f"beta_{i}" for i in range(2, model.order + 1, 2)))
    ]
    scale = folded.weight.sum() / folded.variance.sum()
    deviance, dof = _deviance(folded.weight, mu, scale, model.size)
    return FitResult(
        names=(*names, *["background"] * model.background, "centre_x", "centre_z"),
        values=np.concatenate((values, centre)),
        covariance=covariances[0],
        floor_covariance=covariances[1],
        electrons=parts[:, 0],
        R=parts[:, 1],
        sigma_R=parts[:, 2],
        beta=parts[:, 3:],
        centre=centre,
        deviance=deviance,
        dof=dof,
        condition=condition,
        iterations=iterations,
        converged=converged,
        hits=hits,
    )
