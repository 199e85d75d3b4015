"""Options of the answer stage that simulate the measurement at the answer: the finder's bias, and a bootstrap."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from util.answer.finder_bias import FinderBias, bootstrap, measure_bias, seen_in, subtract
from util.answer.notes import Notes, named_rows
from util.camera.detector import Detector
from util.electrons.hits import Hits
from util.finder.finder import FinderSettings
from util.fit.result import FitResult
from util.runtime.errors import InputError
from util.runtime.executor import open_executor
from util.runtime.options import number
from util.simulation.virtual_experiment import Chain

_FEWEST_FRAMES = 400
_SHARE = 10  # of the frames searched; the bias is then known to about a third of the statistical error, or better


def _bias_frames(text: str) -> int:
    frames = number(int, 0)(text)
    if 0 < frames < _FEWEST_FRAMES:
        raise argparse.ArgumentTypeError(f"expected 0 or at least {_FEWEST_FRAMES}, found {frames}")
    return frames


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--bias",
        type=_bias_frames,
        metavar="FRAMES",
        help=f"simulated frames that measure the finder's bias, at least {_FEWEST_FRAMES} (default: a tenth of those "
        "searched; 0: none)",
    )
    parser.add_argument(
        "--subtract-bias",
        choices=("clear", "always", "never"),
        nargs="?",
        const="always",
        default="clear",
        help="clear: where it stands out of its own error (default %(default)s)",
    )
    parser.add_argument("--bootstrap", type=number(int, 2), metavar="N", help="measure again N times in simulation")
    parser.add_argument("--workers", type=number(int, 1), default=1, help="processes (default %(default)s)")
    parser.add_argument("--seed", type=number(int, 0), default=0, help="of what is simulated (default %(default)s)")


def finder_of(hits: Hits) -> tuple[Detector, FinderSettings]:
    """Give what the hits were found with.

    Raises
    ------
    InputError
        The shards do not tell.
    """
    try:
        detector = Detector.from_facts(hits.search["detector"])
        return detector, FinderSettings(
            **hits.search["finder"] | {"annealing": tuple(hits.search["finder"]["annealing"])}
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(
            "the shards do not say what detector and finder they were made with; make them again with "
            "script/gen_finaltest_npy.sh --overwrite"
        ) from None


@contextmanager
def _chain(hits: Hits, workers: int) -> Iterator[Chain]:
    if hits.events is None or not hits.events.size:
        raise InputError("the shards hold no events, which tell how many electrons a frame has; make them with events")
    detector, finder = finder_of(hits)
    with open_executor(workers) as executor:
        yield Chain(detector, finder, executor)


def without_bias(
    result: FitResult, hits: Hits, args: argparse.Namespace, notes: Notes
) -> tuple[FitResult, FinderBias | None]:
    """Measure the finder's bias and, where it is to be, subtract it.

    Raises
    ------
    InputError
        A bias was asked for that cannot be measured; one that was not asked for is noted as unknown.
    """
    if args.bias == 0:
        return result, None
    frames = args.bias or max(hits.frames // _SHARE, _FEWEST_FRAMES)
    try:
        with _chain(hits, args.workers) as chain:
            seen = seen_in(hits.events, hits.frames)
            bias = measure_bias(result, seen, frames, chain, seed=1 + args.seed, weights=args.weights)
    except InputError as error:
        if args.bias is not None:
            raise
        notes.lines.append(f"finder's bias not measured: {error}")
        return result, None
    subtracted = args.subtract_bias == "always" or (args.subtract_bias == "clear" and bias.clear)
    what = "subtracted" if subtracted else "not subtracted"
    notes.lines.append(f"finder's bias, from {frames} simulated frames: p = {bias.p:.2g}, {what}")
    notes.warnings += bias.unlike
    rows = named_rows(bias.names, Bias=bias.bias, Error=bias.error)
    notes.keep("FinderBias", rows, frames=frames, p=bias.p, subtracted=subtracted)
    return (subtract(result, bias) if subtracted else result), bias


def check_errors(result: FitResult, hits: Hits, args: argparse.Namespace, notes: Notes) -> None:
    """Compare the errors with the scatter of a parametric bootstrap through the whole chain."""
    with _chain(hits, args.workers) as chain:
        seen = seen_in(hits.events, hits.frames)
        drawn = bootstrap(
            result,
            seen,
            hits.frames,
            args.bootstrap,
            chain,
            seed=1 + args.seed,
            weights=args.weights,
            progress=lambda runs: tqdm(runs, total=args.bootstrap, unit="measurement"),
        )
    shape = result.layout.shape
    ratio = drawn.std(axis=0, ddof=1)[shape] / result.errors[shape]
    # Parameters are correlated: the scatter of N numbers alone would know each to 1 / sqrt(2 N - 2).
    notes.lines.append(
        f"bootstrap of {args.bootstrap} measurements of {hits.frames} frames: scatter over reported error "
        f"{np.sqrt(np.mean(ratio**2)):.3f} (R, sigma_R and beta together; each alone is known to "
        f"{1 / np.sqrt(2 * args.bootstrap - 2):.2f})"
    )
    notes.keep("Bootstrap", drawn, columns=list(result.names), frames=hits.frames)
