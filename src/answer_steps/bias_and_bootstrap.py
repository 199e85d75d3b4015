"""The measurement simulated at the answer: the finder's bias, and a bootstrap of the errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.answer_steps.options import FEWEST_FRAMES, Simulation
from src.answer_steps.step import Step
from util.answer.bootstrap import bootstrap
from util.answer.finder_bias import FinderBias, measure_bias, seen_in, subtract
from util.answer.tables import Axis, Table, parameter_table
from util.camera.detector import Detector
from util.electrons.hits import Hits, HitWeights
from util.finder.finder import FinderSettings
from util.fit.result import FitResult
from util.runtime.errors import InputError
from util.runtime.executor import WorkerPool
from util.runtime.progress import over
from util.simulation.virtual_experiment import VirtualExperiment

NO_FRAMES = "imported data have no frames, which could be simulated and searched"
# Frames searched per frame simulated; the bias is then known to a sixth of the statistical error, or better.
_SHARE = 20
_MOST_SHARE = 4  # in the last of several simulations of a large bias


@dataclass(frozen=True, kw_only=True)
class Unbiased(Step):
    """The answer without the finder's bias, where that is known and subtracted.

    Attributes
    ----------
    bias : FinderBias or None
        None: not measured.
    further : array (P, P) or None
        Covariance that subtracting the bias added.
    """

    bias: FinderBias | None = None
    further: NDArray[np.float64] | None = None


def finder_of(hits: Hits) -> tuple[Detector, FinderSettings]:
    """Return what the hits were found with.

    Raises
    ------
    InputError
        The shards do not say, or were imported.
    """
    if hits.search is None:
        raise InputError(NO_FRAMES)
    if hits.search.detector is None:
        raise InputError(
            "the shards do not say with what detector they were made; make them again with "
            "script/gen_finaltest_npy.sh --overwrite"
        )
    return hits.search.detector, hits.search.finder


def events_of(hits: Hits) -> NDArray[np.void]:
    """Return the events of the hits, at least one.

    Raises
    ------
    InputError
        The shards hold none.
    """
    if hits.events is None or not hits.events.size:
        raise InputError("the shards hold no events, which tell how many electrons a frame has; make them with events")
    return hits.events


def without_bias(
    result: FitResult, hits: Hits, options: Simulation, *, hit_weights: HitWeights, executor: WorkerPool
) -> Unbiased:
    """Measure the finder's bias and, where it is to be, subtract it.

    Raises
    ------
    InputError
        A bias that was asked for cannot be measured. If it was not asked for, the step says that it is unknown.
    """
    if options.bias == 0:
        return Unbiased(result)
    frames = options.bias or max(hits.frames // _SHARE, FEWEST_FRAMES)
    most_frames = options.bias or max(hits.frames // _MOST_SHARE, frames)
    try:
        experiment = VirtualExperiment(*finder_of(hits), executor)
        seen = seen_in(events_of(hits), hits.weight, hits.frames)
        bias = measure_bias(
            result, seen, frames, experiment, most_frames=most_frames, seed=1 + options.seed, hit_weights=hit_weights
        )
    except InputError as error:
        if options.bias is not None:
            raise
        return Unbiased(result, (f"finder's bias not measured: {error}",))
    subtracted = options.subtract_bias == "always" or (options.subtract_bias == "clear" and bias.clear)
    what = "subtracted" if subtracted else "not subtracted"
    table = parameter_table(
        result.layout,
        {"Bias": bias.bias, "Error": bias.error},
        "what finding the electrons adds to each parameter, from simulated frames; p: how often a finder without bias "
        "would show as much",
        {"frames": bias.frames, "p": bias.p, "subtracted": subtracted},
    )
    return Unbiased(
        subtract(result, bias) if subtracted else result,
        lines=(f"finder's bias, from {bias.frames} simulated frames: p = {bias.p:.2g}, {what}",),
        warnings=bias.unlike,
        tables={"FinderBias": table},
        bias=bias,
        further=bias.covariance if subtracted else None,
    )


def check_errors(
    result: FitResult, hits: Hits, options: Simulation, *, hit_weights: HitWeights, executor: WorkerPool
) -> Step:
    """Compare the errors with the scatter of a parametric bootstrap through frames and finder.

    Raises
    ------
    InputError
        Shards without events, or without what their hits were found with.
    """
    experiment = VirtualExperiment(*finder_of(hits), executor)
    repetitions, spheres = options.bootstrap or 0, result.of_spheres()
    seen = seen_in(events_of(hits), hits.weight, hits.frames)
    drawn = bootstrap(
        spheres,
        seen,
        hits.frames,
        repetitions,
        experiment,
        seed=1 + options.seed,
        hit_weights=hit_weights,
        progress=lambda runs: over(runs, "bootstrap", repetitions, "measurement"),
    )
    shape = spheres.layout.shape
    ratio = drawn.std(axis=0, ddof=1)[shape] / spheres.errors[shape]
    # Parameters are correlated: the scatter of N numbers alone would know each to 1 / sqrt(2 N - 2).
    line = (
        f"bootstrap of {repetitions} measurements of {hits.frames} frames: scatter over reported error "
        f"{np.sqrt(np.mean(ratio**2)):.3f} (R, sigma_R and beta together; each alone is known to "
        f"{1 / np.sqrt(2 * repetitions - 2):.2f})"
    )
    table = Table(
        drawn,
        "values of the fit to each of the repeated measurements, a row each",
        spheres.layout.units,
        (
            Axis("repetition", np.arange(1, repetitions + 1, dtype=np.int32)),
            Axis("parameter", spheres.names),
        ),
        {"frames": hits.frames, "columns": spheres.names},
    )
    return Step(result, (line,), tables={"Bootstrap": table})
