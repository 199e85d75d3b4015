"""A parametric bootstrap through frames and finder: how answers scatter where the experiment is repeated.

Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 6.5.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from util.answer.finder_bias import Seen, scene_at
from util.electrons.hits import HitWeights
from util.fit.likelihood import fit
from util.fit.result import FitResult
from util.simulation.virtual_experiment import VirtualExperiment


def bootstrap(
    result: FitResult,
    seen: Seen,
    frames: int,
    repetitions: int,
    experiment: VirtualExperiment,
    *,
    seed: int,
    hit_weights: HitWeights = "flux",
    progress: Callable[[Iterable[NDArray[np.void]]], Iterable[NDArray[np.void]]] = iter,
) -> NDArray[np.float64]:
    """Repeat the measurement at the answer, through frames; parameters as in `util.answer.finder_bias.measure_bias`.

    Parameters
    ----------
    progress : callable
        Wraps the iteration over repetitions, as `util.runtime.progress.over` does.

    Returns
    -------
    array (repetitions, P)
        Values of the fit, in the order of `result.names`; their covariance is the bootstrap's.
    """
    scene = scene_at(result, seen.crowd)
    runs = (experiment.play(scene, frames, seed=(seed << 20) + i).found for i in range(repetitions))
    by_flux = hit_weights == "flux"
    return np.array([answer_of(hits, result, hits["weight"] if by_flux else None).values for hits in progress(runs)])


def answer_of(hits: NDArray[np.void], result: FitResult, weight: NDArray[np.float64] | None) -> FitResult:
    """Fit the spheres of `result` to hits, with fields x and z, started from it; see `util.fit.likelihood.fit`."""
    start = [(float(R), float(sigma)) for R, sigma in zip(result.R, result.sigma_R, strict=True)]
    layout = result.layout
    return fit(
        hits["x"],
        hits["z"],
        weight,
        spheres=layout.spheres,
        order=layout.order,
        start=start,
    )
