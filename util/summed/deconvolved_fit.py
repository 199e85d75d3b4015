"""An answer from the summed frames, without finding a single electron.

Apart from rounding, the sum of all frames, with what the camera cut off put back, is the density of electrons
convolved with the mean spot. The sum is deconvolved (`util.summed.deconvolution`); the model, blurred alike, is fitted
to it with each place weighted by one over the variance expected there: electrons are independent, so that each adds the
square of its blurred image. Any such weighting is unbiased; the errors come from the scatter of blocks of frames, so
that gain and shape of the spots, rounding and the number of electrons per frame enter as they are.

An even level is fitted beside the spheres: dark counts are known to some hundredths of a count, for flanks of spots
raise what looks dark, and 0.014 counts would move a beta of 50,000 frames by four errors.

Images are binned by 4 x 4 pixels: a spot is two of these bins wide, so that nothing is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.phosphor import Geometry
from util.fit.fisher_scoring import inverse_information
from util.fit.likelihood import fit
from util.fit.map_model import MapModel, expected_variance
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins
from util.runtime.errors import InputError
from util.summed.deconvolution import Deconvolution
from util.summed.spot import Spot
from util.summed.sum_model import expected_sum

FEWEST_BLOCKS = 40  # the scatter of blocks tells the errors of some thirty parameters
_STEPS = 30
_SETTLED = 0.01  # errors that a step may still move the answer


@dataclass(frozen=True)
class Residual:
    """What a fit leaves of a deconvolved sum, and what it would leave of others; maps are of electrons (rows, columns).

    Attributes
    ----------
    view : Deconvolution
    q : array (P,)
        Internal parameters, spheres in ascending order of R.
    inverse : array (P + 1, P + 1)
        Inverse of the information, as the fit weighs places; the level comes last.
    expected, found, variance : arrays (rows, columns)
        The variance is that of independent electrons, by which the fit weighs places.
    slopes : array (P + 1, rows, columns)
        Derivatives of what is expected.
    of_blocks : array (B, rows, columns)
        What each block of frames holds beyond the mean one.
    of_spots : array (K, rows, columns)
        What is left where the spot is that of all but one of its parts.
    """

    view: Deconvolution
    q: NDArray[np.float64]
    inverse: NDArray[np.floating]
    expected: NDArray[np.float64]
    found: NDArray[np.float64]
    variance: NDArray[np.float64]
    slopes: NDArray[np.float64]
    of_blocks: NDArray[np.float64]
    of_spots: NDArray[np.float64]


@dataclass(frozen=True)
class SumFit:
    """Answer from summed frames.

    Attributes
    ----------
    result : FitResult
    moved : array (B, P)
        How far each block of frames moves it; the scatter of these moves is its covariance, but for `of_spot`.
    of_spot : array (P, P)
        Covariance that comes from the spot's.
    residual : Residual
        What it leaves of the sum.
    """

    result: FitResult
    moved: NDArray[np.float64]
    of_spot: NDArray[np.float64]
    residual: Residual


def fit_sum(
    blocks: NDArray[np.floating],
    spot: Spot,
    camera: Geometry,
    *,
    spheres: int = 2,
    order: int = 24,
    start: Sequence[tuple[float, float]] | None = None,
) -> SumFit:
    """Fit spheres to summed frames.

    Parameters
    ----------
    blocks : array (B, rows, columns)
        Sums of B equally large blocks of frames, binned twice as wide as `cell_of` says; B at least 40, for the errors.
    spot : Spot
    camera : Geometry
        A recipe or a detector.
    spheres, order, start
        As in `util.fit.likelihood.fit`; without `start` radii are sought in the deconvolved sum.

    Returns
    -------
    SumFit
        ``deviance`` of its result is nan: neighbouring bins are correlated, so that it would mean nothing. ``hits`` is
        the number of electrons by flux.

    Raises
    ------
    InputError
        No spheres found, or no convergence.
    """
    if len(blocks) < FEWEST_BLOCKS:
        raise InputError(f"found {len(blocks)} blocks of frames, expected at least {FEWEST_BLOCKS}; use more frames")
    layout = Layout(spheres, order)
    light = blocks.sum(axis=0, dtype=float)
    view = Deconvolution(spot.image, camera, light.shape)
    data = view.deconvolve(light)
    best = _climb(view, layout, data, _start(view, layout, data, start))
    seen = np.array([view.deconvolve(block) for block in blocks])
    seen -= seen.mean(axis=0)
    moved = np.tensordot(seen, best.score, ((1, 2), (1, 2))) @ best.inverse[: layout.size].T
    # Jackknife (Tukey 1958, Ann. Math. Statist. 29, 614): each spot moves the answer by one step from the same place.
    others = [Deconvolution(image, camera, light.shape) for image in spot.without]
    residuals = np.array([other.deconvolve(light) - other.see(best.density) for other in others])
    by_spot = np.tensordot(residuals, best.score, ((1, 2), (1, 2))) @ best.inverse[: layout.size].T
    of_spot = np.cov(by_spot, rowvar=False, bias=True) * (len(others) - 1)
    covariance = np.cov(moved, rowvar=False) * len(blocks) + of_spot
    result, turn = _result(layout, best.q, covariance, len(blocks))
    order_of_R = layout.ascending(best.q)
    with_level = np.append(order_of_R, layout.size)
    residual = Residual(
        view=view,
        q=best.q[order_of_R],
        inverse=best.inverse[np.ix_(with_level, with_level)],
        expected=best.mean,
        found=data,
        variance=view.variance(best.density),
        slopes=best.slopes[with_level],
        of_blocks=seen,
        of_spots=residuals,
    )
    return SumFit(result, moved @ turn.T, turn @ of_spot @ turn.T, residual)


class _Best(NamedTuple):
    """The best fit: internal parameters, what is expected and its slopes, the level's last, and the density."""

    q: NDArray[np.float64]  # (P,)
    score: NDArray[np.float64]  # (P + 1, rows, columns)
    inverse: NDArray[np.floating]  # (P + 1, P + 1)
    mean: NDArray[np.float64]  # (rows, columns)
    slopes: NDArray[np.float64]  # (P + 1, rows, columns)
    density: NDArray[np.float64]  # on the cells


def _climb(view: Deconvolution, layout: Layout, data: NDArray[np.float64], q: NDArray[np.float64]) -> _Best:
    """Take scoring steps (McCullagh & Nelder 1989, section 2.5) until none would move the answer."""
    level = 0.0
    for _ in range(_STEPS):
        mean, of_spheres, density = expected_sum(view, layout, q)
        mean += level
        slopes = np.concatenate((of_spheres, np.ones((1, *view.shape))))
        score = slopes / view.variance(density)
        information = score.reshape(len(score), -1) @ slopes.reshape(len(score), -1).T
        step = np.linalg.solve(information, (score * (data - mean)).sum(axis=(1, 2)))
        inverse = np.linalg.inv(information)
        if np.abs(step / np.sqrt(np.diag(inverse))).max() < _SETTLED:
            return _Best(q, score, inverse, mean, slopes, density)
        moved = np.maximum(np.abs(step[[layout.R, layout.sigma_R]]), 1e-300)
        step *= min(1.0, (0.3 * q[layout.sigma_R] / moved).min())
        q, level = q + step[:-1], level + step[-1]
    raise InputError("the fit of the summed frames did not converge; fit electrons with METHOD=likelihood")


def _start(
    view: Deconvolution,
    layout: Layout,
    data: NDArray[np.float64],
    start: Sequence[tuple[float, float]] | None,
) -> NDArray[np.float64]:
    """Fit the deconvolved sum as if it were hits; return internal parameters (P,)."""
    x, z, density = view.interpolated(data, 4)
    # Ripples of the deconvolution below zero are cut off, for a start only.
    dark = 0.02 * density.mean()
    weight = np.maximum(density, dark) - dark
    order = min(layout.order, 12)
    try:
        rough = fit(x, z, weight, spheres=layout.spheres, order=order, start=start, bins=PolarBins(200, 48))
    except InputError:
        raise InputError(
            f"{layout.spheres} sphere(s) cannot be told apart in the summed frames; "
            "fit electrons with METHOD=likelihood, or ask for another number of spheres"
        ) from None
    values = np.zeros(layout.size)
    values[layout.N], values[layout.R] = rough.electrons, rough.R
    values[layout.sigma_R] = np.maximum(0.8 * rough.sigma_R, 0.004)
    values[layout.beta[:, : rough.beta.shape[1]]] = rough.beta
    values[layout.centre] = rough.centre
    return layout.to_internal(values)


def _result(
    layout: Layout, q: NDArray[np.float64], covariance: NDArray[np.float64], blocks: int
) -> tuple[FitResult, NDArray[np.float64]]:
    """Return the answer at internal parameters (P,) of this covariance, and the matrix (P, P) from these to its own."""
    model = MapModel(PolarBins(), layout, layout.geometry_of(q))
    variance = expected_variance(model.counts(q))
    floor, condition = inverse_information(model.slopes(q).gram(1 / variance))
    values, by_q = layout.to_public(q)
    order = layout.ascending(q)
    values, turn = values[order], by_q[order]
    result = FitResult(
        layout=layout,
        values=values,
        covariance=turn @ covariance @ turn.T,
        floor_covariance=turn @ floor @ turn.T,
        deviance=float("nan"),
        dof=0,
        condition=condition,
        iterations=blocks,
        converged=True,
        hits=round(float(values[layout.N].sum())),
    )
    return result, turn
