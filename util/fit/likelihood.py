"""Poisson maximum likelihood of the spheres on the detector.

Hits are folded into polar bins about the centre of the image and fitted by Fisher scoring
(`util.fit.fisher_scoring`). How the image lies on the detector (its centre; where asked, its rotation and ellipse) is
fitted with the rest, to first order; then the hits are folded again about what was found, until that settles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from util.fit import starting_radii
from util.fit.detection import Detection
from util.fit.fisher_scoring import (
    CONVERGED,
    floor_of,
    score_map,
    solve_linear,
)
from util.fit.fit_errors import FEWEST_PER_BLOCK, AlikeError, clearness, errors_of
from util.fit.known_spheres import KnownSpheres
from util.fit.map_data import Hits, MapData, fold_hits
from util.fit.map_model import MapModel
from util.fit.parameters import Layout, Piece
from util.fit.result import Evidence, FitResult
from util.fit.starting_geometry import find_centre
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins, coarsen
from util.runtime.errors import InputError

_OUTER_ROUNDS = 30
_SAME_NUMBER = 0.01
_SETTLED = 1e-3  # squared errors that folding anew may still move the geometry
# Each start is tried on merged bins first.
_MERGE = (4, 4)
START_SIGMA = 0.008
_FEWEST_HITS = 1000
_CLEAR = 5.0**2  # squared errors of the electrons of a sphere that can be told apart


def find_spheres(data: MapData, layout: Layout) -> list[tuple[float, float]]:
    """Try the candidate radii on merged bins; return R and sigma_R of each sphere of the likeliest.

    Raises
    ------
    InputError
        None were found.
    """
    # An even background, where there is one, would make spheres of any width.
    simple = Layout(layout.spheres, layout.order, ("background",))
    merged = data.coarser(*_MERGE)
    coarse = MapModel(merged.bins, simple, data.geometry)
    best, best_objective = None, -np.inf
    for candidate in starting_radii.candidates(data.folded.weight, data.bins, layout.spheres):
        q = coarse.at(np.array(candidate), np.full(layout.spheres, START_SIGMA))
        q, objective, _, converged = score_map(coarse, merged, solve_linear(coarse, merged, q), known_geometry=True)
        sane = ((q[simple.N] > 0) & (q[simple.R] > 0) & (q[simple.R] < data.bins.rho_max)).all()
        if converged and sane and objective > best_objective:
            best, best_objective = q, objective
    if best is None:
        raise InputError(
            f"no {layout.spheres} spheres were found among the hits; check the hits, or ask for --spheres auto or fewer"
        )
    return list(zip(best[simple.R].tolist(), best[simple.sigma_R].tolist(), strict=True))


def _deviance(data: MapData, mu: NDArray[np.float64], parameters: int) -> tuple[float, int]:
    """Return the Poisson deviance of merged bins and its degrees of freedom.

    Weighted counts are scaled to their effective number, <w> / <w^2> (Kish 1965, Survey Sampling).
    """
    counts, expected = data.counts.sum(axis=0), mu.sum(axis=0)
    scale = counts.sum() / data.folded.variance.sum()
    by_rho, by_angle = (next(d for d in (8, 5, 4, 3, 2, 1) if size % d == 0) for size in counts.shape)
    observed = scale * coarsen(counts, by_rho, by_angle).ravel()
    wanted = scale * coarsen(expected, by_rho, by_angle).ravel()
    full = wanted >= FEWEST_PER_BLOCK
    observed = np.append(observed[full], observed[~full].sum())
    wanted = np.append(wanted[full], wanted[~full].sum())
    if wanted[-1] < FEWEST_PER_BLOCK:
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
    pieces: tuple[Piece, ...] = (),
    start: Sequence[tuple[float, float]] | None = None,
    geometry: ImageGeometry | None = None,
    bins: PolarBins | None = None,
    detection: Detection = Detection(),  # noqa: B008 - frozen
    known: KnownSpheres | None = None,
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
    pieces : tuple of str
        What to fit as well, keys of `util.fit.parameters.PIECES`: "background", hits spread evenly over the screen; ..
    start : sequence of (R, sigma_R), one per sphere, or None
        None: found by `util.fit.starting_radii`.
    geometry : ImageGeometry or None
        To start from; None: the centre that `util.fit.starting_geometry` finds.
    bins : PolarBins or None
        None: those that the order needs.
    detection : Detection
        What the detector shows of the image.
    known : KnownSpheres or None
        What is known of the spheres before; the answer is then the likeliest under both, and its errors hold both.

    Raises
    ------
    InputError
        Too few hits.
    AlikeError
        Spheres that cannot be told apart.
    """
    hits = check_hits(x, z, weight, variance, spheres=spheres).seen_by(detection)
    layout = Layout(spheres, order, pieces)
    bins = PolarBins.for_order(order) if bins is None else bins
    geometry = geometry or ImageGeometry(*find_centre(hits, detection))
    if start is None:
        start = find_spheres(fold_hits(hits, geometry, bins, detection), layout)
    settled = settle(hits, layout, start, geometry, bins, detection, known=known)
    return result_of(settled, hits.x.size)


class Settled(NamedTuple):
    """A fit whose hits were folded about the geometry that it found; internal parameters (P,), ascending in R."""

    model: MapModel
    data: MapData
    q: NDArray[np.float64]
    objective: float
    iterations: int
    converged: bool

    @property
    def shapes(self) -> list[tuple[float, float]]:
        """R and sigma_R of each sphere."""
        layout = self.model.layout
        return list(zip(self.q[layout.R].tolist(), self.q[layout.sigma_R].tolist(), strict=True))


def settle(
    hits: Hits,
    layout: Layout,
    start: Sequence[tuple[float, float]],
    geometry: ImageGeometry,
    bins: PolarBins,
    detection: Detection,
    *,
    known: KnownSpheres | None = None,
    tolerance: float = _SETTLED,
    decrement: float = CONVERGED,
    widest: float = np.inf,
) -> Settled:
    """Fit spheres to hits, and fold these anew about the geometry found until that moves no more.

    Parameters
    ----------
    hits : Hits
    layout : Layout
    start : sequence of (R, sigma_R), one per sphere
    geometry : ImageGeometry
        To start from.
    bins : PolarBins
    detection : Detection
    known : KnownSpheres or None
    tolerance : float
        Squared errors that folding anew may still move the geometry.
    decrement, widest : float
        As in `util.fit.fisher_scoring.score_map`.
    """
    # What is not fitted stays as it is on a perfect detector.
    geometry = layout.geometry_of(MapModel(bins, layout, geometry).at(*np.array(start, dtype=float).T))
    data = fold_hits(hits, geometry, bins, detection)
    model = MapModel(bins, layout, geometry, known)
    q = solve_linear(model, data, model.at(*np.array(start, dtype=float).T))
    iterations = 0
    for _ in range(_OUTER_ROUNDS):
        q, objective, steps, converged = score_map(model, data, q, decrement=decrement, widest=widest)
        iterations += steps
        electrons = float(q[layout.N].sum())
        # Under a mask, or over a background, only the fit tells how many electrons are the spheres'.
        of_so_many = known is None or abs(electrons - known.N.sum()) < _SAME_NUMBER * electrons
        if of_so_many and _moved(model, data, q) < tolerance:
            break
        if known and electrons > 0:
            known = known.at(electrons)
        model = MapModel(bins, layout, layout.geometry_of(q), known)
        data = fold_hits(hits, model.origin, bins, detection)
    else:
        converged = False
    return Settled(model, data, q[layout.ascending(q)], objective, iterations, converged)


def check_hits(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
    variance: NDArray[np.float64] | None = None,
    *,
    spheres: int,
) -> Hits:
    """Return hits as `fit` takes them, if so many spheres can be fitted to them.

    Raises
    ------
    InputError
        Too few, without weight, or not finite.
    """
    x, z = np.asarray(x, dtype=float), np.asarray(z, dtype=float)
    weight = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=float)
    fewest = _FEWEST_HITS * spheres
    if x.size < fewest:
        raise InputError(f"found {x.size} hits, expected at least {fewest} for {spheres} sphere(s); use more frames")
    total, squares = weight.sum(), (weight**2 if variance is None else np.asarray(variance)).sum()
    if not (np.isfinite(total) and total > 0):
        raise InputError(f"the weights of the hits sum to {total}, expected a number above 0; look at what was counted")
    # Of an image the hits are points in its pixels, more than electrons.
    if 2 * total**2 < fewest * squares:
        raise InputError(
            f"found the scatter of {total**2 / squares:.0f} electrons, expected at least {fewest} for {spheres} "
            "sphere(s); measure longer"
        )
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise InputError("some hits have positions that are not finite; leave those out or check the hit finder")
    return Hits(x, z, weight, variance)


def _moved(model: MapModel, data: MapData, q: NDArray[np.float64]) -> float:
    """Return how far the geometry of `q` lies from that of the map, at most, in squared errors of unit weights."""
    layout = model.layout
    mu = data.expected(model.counts(q))
    information = model.slopes(q).of(layout.geometry).gram(data.exposure**2 / np.maximum(mu, floor_of(data)))
    beyond = q[layout.geometry] - model.origin_values
    return float((beyond**2 * np.diag(information)).max())


def result_of(settled: Settled, hits: int) -> FitResult:
    """Return a fit of so many hits with its errors.

    Raises
    ------
    AlikeError
        Spheres that cannot be told apart.
    """
    model, data, q, _, iterations, converged = settled
    layout, mu = model.layout, data.expected(model.counts(q))
    errors = errors_of(model, data, q, mu)
    clear = clearness(model, q, errors.covariance)
    if clear.min() < _CLEAR:
        raise AlikeError(model, q, clear)
    values, turn = layout.to_public(q)
    deviance, dof = _deviance(data, mu, layout.size - 2)
    evidence = errors.evidence
    if evidence:
        by_value = np.linalg.inv(turn)
        evidence = Evidence(by_value.T @ evidence.slope, by_value.T @ evidence.curvature @ by_value)
    return FitResult(
        layout=layout,
        values=values,
        covariance=turn @ errors.covariance @ turn.T,
        floor_covariance=turn @ errors.floor @ turn.T,
        deviance=deviance,
        dof=dof,
        condition=errors.condition,
        iterations=iterations,
        converged=converged,
        hits=hits,
        evidence=evidence,
    )
