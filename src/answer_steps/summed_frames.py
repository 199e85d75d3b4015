"""The answer of the summed frames, which needs no hits: alone, or as a check of that of the hits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.answer_steps.bias_and_bootstrap import NO_FRAMES, finder_of
from src.answer_steps.likelihood import Fitted, tested
from src.answer_steps.step import Step
from util.answer.tables import value_table
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.electrons.hits import Hits
from util.finder.calibration import Learned
from util.finder.finder import Finder, FinderSettings
from util.finder.real_detector import learn_real_detector
from util.fit.agreement import DISAGREE, compare
from util.fit.influence_functions import Influence
from util.fit.result import FitResult
from util.frames.open import log_cautions, open_frames
from util.runtime.errors import InputError
from util.runtime.executor import WorkerPool
from util.runtime.progress import working
from util.summed.blocks import FrameSums, spot_of, sum_frames
from util.summed.deconvolved_fit import SumFit, fit_sum
from util.summed.goodness import assess_sum


@dataclass(frozen=True)
class Frames:
    """Frames to sum.

    Attributes
    ----------
    path : Path
    dataset : str or None
        As `util.frames.open.open_frames` takes it.
    detector, finder
        How spots are found in the frames; the spots show what the camera cut off.
    """

    path: Path
    dataset: str | None
    detector: Detector
    finder: FinderSettings


def learn_frames(
    path: Path | None, dataset: str | None, frame_axis: int | None, recipe: PhosphorRecipe, finder: FinderSettings
) -> tuple[Frames, str, Learned]:
    """Learn the detector from frames; return them, the fingerprint of their file, and what was learnt.

    `dataset` and `frame_axis` are as `util.frames.open.open_frames` takes them.

    Raises
    ------
    InputError
        No frames.
    """
    if path is None:
        raise InputError("--method integrated: expected the file of the frames, found none; give it with --finaltest")
    with open_frames(path, dataset, frame_axis) as frames:
        log_cautions(frames)
        frames.check_written()
        with working("learning the detector"):
            learned = learn_real_detector(frames, recipe, finder)
        return Frames(path, frames.dataset, learned.detector, finder), frames.fingerprint(), learned


def fit(frames: Frames, *, spheres: int, order: int, executor: WorkerPool) -> Fitted:
    """Answer from the frames alone, and test whether the answer describes them.

    Raises
    ------
    InputError
        Too few frames, no spheres.
    """
    found, _ = _fit(frames, spheres, order, executor, None)
    return tested(found.result, assess_sum(found, rng=np.random.default_rng(1)))


def _fit(
    frames: Frames, spheres: int, order: int, executor: WorkerPool, start: list[tuple[float, float]] | None
) -> tuple[SumFit, FrameSums]:
    summed = sum_frames(frames.path, frames.dataset, frames.detector, frames.finder, executor)
    spot = spot_of(frames.path, frames.dataset, Finder(frames.detector, frames.finder))
    return fit_sum(summed.sums, spot, frames.detector, spheres=spheres, order=order, start=start), summed


def frames_of(hits: Hits, path: Path | None) -> Frames:
    """Return the frames that hits were found in, to check their answer by.

    Raises
    ------
    InputError
        No frames, or shards without events or without what their hits were found with.
    """
    if hits.search is None:
        raise InputError(f"--check-integrated: {NO_FRAMES}; leave the option out")
    if path is None or not path.exists():
        raise InputError(f"--check-integrated: expected the file of the frames, found none at {path}")
    if hits.events is None:
        raise InputError("--check-integrated: expected shards with events, found some without; make them with events")
    return Frames(path, hits.dataset, *finder_of(hits))


def check(
    result: FitResult, hits: Hits, frames: Frames, further: NDArray[np.float64] | None, executor: WorkerPool
) -> Step:
    """Compare the answer of the hits with that of the summed frames; where there is none, a warning says so.

    Parameters
    ----------
    result : FitResult
        Before any knowledge besides the hits went into it.
    hits : Hits
        With events.
    frames : Frames
        In which the hits were found.
    further : array (P, P) or None
        Covariance that subtracting the finder's bias added.
    executor : WorkerPool
        Sums the frames.
    """
    assert hits.events is not None  # as `frames_of` made sure
    start = list(zip(result.R.tolist(), result.sigma_R.tolist(), strict=True))
    spheres, n = result.beta.shape
    try:
        found, summed = _fit(frames, spheres, 2 * n, executor, start)
    except InputError as error:
        return Step(result, warnings=(f"the summed frames could not check the answer: {error}",))
    block = np.array([summed.block_of[image_id] for image_id in hits.events["ImageId"].tolist()])
    # The sum knows spheres and centre alone.
    spheres_alone = result.of_spheres()
    index = np.array([result.layout.index(name) for name in spheres_alone.names])
    moved = Influence(result).by_group(hits.x, hits.z, hits.weight, block, len(summed.sums))[:, index] - found.moved
    of_both = found.of_spot + (0 if further is None else further[np.ix_(index, index)])
    agreement = compare(spheres_alone, found.result, moved, of_both)
    against = f"the summed frames give another answer (p = {agreement.p:.1g}); one of the two is wrong"
    table = value_table(
        found.result,
        "the answer of the summed frames, without hits; chi2 and p: of its difference from the answer of the hits",
        {"chi2": agreement.chi2, "p": agreement.p},
    )
    return Step(
        result,
        (f"summed frames, without hits: {agreement.text()}",),
        (against,) if agreement.p < DISAGREE else (),
        {"Integrated": table},
    )
