"""The answer of the summed frames, which needs no hits: alone, or as a check of that of the hits."""

import argparse
from pathlib import Path

import numpy as np

from src.answer_steps.bias_and_bootstrap import finder_of
from util.answer.notes import Notes
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.electrons.hits import Hits
from util.finder.calibration import learn_detector
from util.finder.finder import Finder, FinderSettings
from util.fit.agreement import DISAGREE, compare
from util.fit.influence_functions import Influence
from util.fit.result import FitResult
from util.frames.open import open_frames
from util.runtime import settings
from util.runtime.errors import InputError
from util.runtime.executor import open_executor
from util.summed.blocks import FrameSums, spot_of, sum_frames
from util.summed.deconvolved_fit import SumFit, fit_sum


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--check-integrated", action="store_true", help="compare with the answer of the summed frames, without hits"
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="HDF5 dataset, for --method integrated (default: FinalImage, or the only one)"
    )
    parser.add_argument(
        "--phosphor", type=Path, default=Path("param/phosphor.toml"), help="an electron's spot, for --method integrated"
    )
    parser.add_argument(
        "--finder", type=Path, default=Path("param/finder.toml"), help="how to search, for --method integrated"
    )


def _fit(
    path: Path,
    dataset: str | None,
    detector: Detector,
    finder: FinderSettings,
    args: argparse.Namespace,
    start: list | None,
    notes: Notes,
) -> tuple[SumFit, FrameSums]:
    with open_executor(args.workers) as executor:
        summed = sum_frames(path, dataset, detector, finder, executor)
    spot = spot_of(path, dataset, Finder(detector, finder))
    return fit_sum(summed.sums, spot, detector, spheres=args.spheres, order=args.order, start=start), summed


def answer_of_sum(args: argparse.Namespace, notes: Notes) -> tuple[FitResult, str, str | None]:
    """Answer from the frames alone; also gives the fingerprint of their file, and the dataset that they stand in.

    Raises
    ------
    InputError
        No frames, no spheres.
    """
    if args.finaltest is None:
        raise InputError("--method integrated: expected the file of the frames, found none; give it with --finaltest")
    finder = settings.load(FinderSettings, args.finder)
    with open_frames(args.finaltest, args.dataset) as frames:
        source, dataset = frames.fingerprint(), frames.dataset
        learned = learn_detector(frames, settings.load(PhosphorRecipe, args.phosphor), finder)
    print(learned.report())
    return _fit(args.finaltest, dataset, learned.detector, finder, args, None, notes)[0].result, source, dataset


def check(result: FitResult, hits: Hits, args: argparse.Namespace, further: np.ndarray | None, notes: Notes) -> None:
    """Compare the answer of the hits with that of the summed frames; that there is none of these is warned of.

    Parameters
    ----------
    result : FitResult
        Before any knowledge but the hits' went into it.
    further : array (P, P) or None
        Covariance that a subtracted bias of the finder added.

    Raises
    ------
    InputError
        No frames, or shards without events.
    """
    if args.finaltest is None or not args.finaltest.exists():
        raise InputError(f"--check-integrated: expected the file of the frames, found none at {args.finaltest}")
    if hits.events is None:
        raise InputError("--check-integrated: expected shards with events, found some without; make them with events")
    start = list(zip(result.R.tolist(), result.sigma_R.tolist(), strict=True))
    detector, finder = finder_of(hits)
    try:
        found, summed = _fit(args.finaltest, hits.dataset, detector, finder, args, start, notes)
    except InputError as error:
        notes.warnings.append(f"the summed frames could not check the answer: {error}")
        return
    block = np.array([summed.block_of[image_id] for image_id in hits.events["ImageId"].tolist()])
    blocks = len(summed.sums)
    moved = Influence(result).by_group(hits.x, hits.z, hits.weight, block, blocks) - found.moved
    agreement = compare(result, found.result, moved, found.of_spot + (0 if further is None else further))
    notes.lines.append(f"summed frames, without hits: {agreement.text()}")
    if agreement.p < DISAGREE:
        notes.warnings.append(f"the summed frames give another answer (p = {agreement.p:.1g}); one of the two is wrong")
    notes.keep_values("Integrated", found.result, chi2=agreement.chi2, p=agreement.p)
