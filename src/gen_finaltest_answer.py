"""From electrons to the answer: radius, width and anisotropy parameters of each Newton sphere.

usage: python -m src.gen_finaltest_answer --shards FOLDER --output final.h5 [--finaltest FILE] [--figure FILE]
           [--method likelihood|resnet|integrated] [--network DIR] [--details FOLDER] ...

reads   FOLDER/final_START_STOP.npz; FILE to see that the shards are of it, to show a frame, to sum its frames where
        asked, and, where it tells the truth, to score; DIR/*.weights.pt: where there are any, the network's answer is
        printed beside the likelihood's
writes  final.h5: `Answer`, the full parameter vector with its covariance, and what the options add; a figure if asked
        for; with --details FOLDER figures of every aspect, and the answer as CSV and JSON

The hits are tested against the model; what it does not describe is named on standard error. The finder's bias is
measured on frames simulated at the answer, and subtracted where it is clear (src/answer_steps/bias_and_bootstrap.py).
Knowledge beside the hits is put in where asked (src/answer_steps/knowledge.py). The summed frames answer without any
hits (src/answer_steps/summed_frames.py).

Nothing of the truth reaches the fit. The last line names the distance, where it is known, and the statistical floor:
the mean distance of a fit to perfect hits of as many electrons.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from src.answer_steps import bias_and_bootstrap, knowledge, summed_frames
from util.answer.export import write_all
from util.answer.final_h5 import BETAS, answer_rows, table, write_answer
from util.answer.made_by import AnswerSettings, MadeBy
from util.answer.notes import Notes
from util.electrons.hits import Hits, read_hits
from util.fit.goodness import assess
from util.fit.likelihood import fit
from util.fit.result import FitResult, floor_distance
from util.frames.open import is_course_file, open_frames
from util.physics import pad
from util.physics.sphere import Sphere
from util.report.answer_figures import FIGURE_SUFFIXES, draw_answer
from util.report.diagnostic_figures import Measured, draw_all
from util.runtime.errors import InputError, run_program
from util.simulation.truth_tables import read_truth

FLOOR_DRAWS = 4000
# Options that a method other than the likelihood does not know; a default counts as not given.
_SIMULATED = ("figure", "bias", "subtract_bias", "bootstrap", "check_integrated")
NOT_OF = {"likelihood": (), "integrated": (*_SIMULATED, "weights"), "resnet": (*_SIMULATED, *knowledge.OPTIONS)}


def truth_of(finaltest: Path, dataset: str | None, source: str, spheres: int) -> list[Sphere] | None:
    """Read the truth that the file of frames tells, ascending in R; None where there is no such file or no truth.

    `dataset` is as `util.frames.open.open_frames` takes it.

    Raises
    ------
    InputError
        The shards were made from another file, or it tells of another number of spheres.
    """
    if not finaltest.exists():
        return None
    with open_frames(finaltest, dataset) as frames:
        if frames.fingerprint() != source:
            raise InputError(
                f"{finaltest}: expected the file that the shards were made from, found another; "
                "run script/gen_finaltest_npy.sh for it, or name the right file"
            )
    truth = read_truth(finaltest) if is_course_file(finaltest) else None
    if truth is not None and len(truth) != spheres:
        raise InputError(
            f"{finaltest}: Truth: expected {spheres} sphere(s), found {len(truth)}; use --spheres {len(truth)}"
        )
    return truth


def distance_to(result: FitResult, truth: Sequence[Sphere]) -> float:
    """Distance of the answer from the truth (`util.physics.pad.distance`); betas beyond the twelfth do not count."""
    known = answer_rows(np.array([sphere.R for sphere in truth]), _padded([sphere.beta for sphere in truth]))
    return float(pad.distance(answer_rows(result.R, result.beta)["beta"], known["beta"]))


def _padded(betas: Sequence[Sequence[float]]) -> NDArray:
    padded = np.zeros((len(betas), BETAS))
    for row, beta in zip(padded, betas, strict=True):
        row[: len(beta)] = beta[:BETAS]
    return padded


def answer_by_network(args: argparse.Namespace, hits: Hits, truth: Sequence[Sphere] | None, made_by: MadeBy) -> None:
    """Answer with the network alone."""
    from src.answer_steps import network  # PyTorch takes seconds to import, which the likelihood does not need

    if args.network is None:
        raise InputError("--method resnet: expected the folder of the weights, found none; give it with --network")
    paths = network.find_weights(args.network)
    found = network.answer(paths, hits.x, hits.z, hits.weight, spheres=args.spheres)
    network.write_network_answer(args.output, found, made_by)
    known = None if truth is None else _padded([sphere.beta for sphere in truth])
    print(f"{args.output}: {hits.count} hits, {hits.weight.sum():.0f} electrons")
    print(network.describe(found))
    print(network.table(found, truth=known))
    if known is not None:
        print(f"distance {float(pad.distance(found.beta, known)):.4f}")


def compare_network(args: argparse.Namespace, hits: Hits, beta: NDArray) -> dict[str, NDArray]:
    """Print the network's answer beside that of the likelihood, or why there is none; give its betas, if any."""
    from src.answer_steps import network

    try:
        paths = network.find_weights(args.network)
        found = network.answer(paths, hits.x, hits.z, hits.weight, spheres=args.spheres)
    except InputError as error:
        print(f"no answer of the network beside it: {error}")
        return {}
    print(network.describe(found))
    print(network.table(found, likelihood=_padded(beta)))
    return {"network": found.beta}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="gen_finaltest_answer.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=Path, required=True, help="folder of final_START_STOP.npz")
    parser.add_argument("--output", type=Path, required=True, help="final.h5")
    parser.add_argument("--finaltest", type=Path, help="file of the frames")
    parser.add_argument(
        "--method",
        choices=("likelihood", "resnet", "integrated"),
        default="likelihood",
        help="(default %(default)s)",
    )
    parser.add_argument("--network", type=Path, metavar="DIR", help="folder of the network's weights")
    parser.add_argument("--spheres", type=int, choices=(1, 2, 3), default=2, help="how many (default %(default)s)")
    parser.add_argument("--order", type=int, choices=range(2, 25, 2), default=24, help="highest Legendre degree, even")
    parser.add_argument(
        "--weights",
        choices=("flux", "unit"),
        default="flux",
        help="a hit counts as the electrons that its flux tells, or as one (default %(default)s)",
    )
    parser.add_argument("--partial", action="store_true", help="answer although shards are missing")
    parser.add_argument("--figure", type=Path, help=f"draw the answer ({', '.join(FIGURE_SUFFIXES)})")
    parser.add_argument("--details", type=Path, metavar="FOLDER", help="figures of every aspect, CSV and JSON")
    for options in (bias_and_bootstrap, knowledge, summed_frames):
        options.add_options(parser)
    args = parser.parse_args(argv)
    if args.figure and args.figure.suffix not in FIGURE_SUFFIXES:
        parser.error(f"--figure: expected a name that ends in {', '.join(FIGURE_SUFFIXES)}, found {args.figure}")
    for name in NOT_OF[args.method]:
        if getattr(args, name) != parser.get_default(name):
            option = f"--{name.replace('_', '-')}"
            parser.error(f"{option}: expected no such option with --method {args.method}, found it; leave it out")
    return args


def frame_with_hits(args: argparse.Namespace, hits: Hits) -> tuple[NDArray, NDArray] | None:
    """Give the first frame that holds hits, and these; None where frames or events are not at hand."""
    if args.finaltest is None or not args.finaltest.exists() or hits.events is None or not hits.events.size:
        return None
    with open_frames(args.finaltest, hits.dataset) as frames:
        image_ids = set(hits.events["ImageId"][:1].tolist())
        for image_id, frame in frames.rows():
            if image_id in image_ids:
                return frame, hits.events[hits.events["ImageId"] == image_id]
    return None


def settings_of(args: argparse.Namespace) -> AnswerSettings:
    """Return the resolved settings that the answer depends on."""
    return AnswerSettings(
        method=args.method,
        spheres=args.spheres,
        order=args.order,
        hit_weights=args.weights,
        orders=args.orders,
        nonnegative=args.nonnegative,
        bias=args.bias,
        subtract_bias=args.subtract_bias,
        bootstrap=args.bootstrap,
        check_integrated=args.check_integrated,
        seed=args.seed,
        prior=None if args.prior is None else args.prior.name,
    )


def versions() -> dict[str, str]:
    """Return the versions of Python and the libraries that decide the answer, by name."""
    return {"python": platform.python_version(), "numpy": np.__version__, "h5py": h5py.__version__}


def say(notes: Notes) -> None:
    """Print what the steps noted; warnings go to standard error."""
    for line in notes.lines:
        print(line)
    for warning in notes.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def conclude(args: argparse.Namespace, result: FitResult, truth: Sequence[Sphere] | None, notes: Notes) -> None:
    """Hand the answer on as CSV and JSON, and say how good it is."""
    if args.details:
        write_all(args.details, result, notes.warnings)
        print(f"figures, CSV and JSON in {args.details}")
    rng = np.random.default_rng(0)
    floor = floor_distance(result.beta_covariance(floor=True), FLOOR_DRAWS, rng, spheres=len(result.R))
    if truth is None:
        print(f"statistical floor {floor:.4f}")
    else:
        print(f"distance {distance_to(result, truth):.4f} (statistical floor {floor:.4f})")


def answer_by_sum(args: argparse.Namespace) -> None:
    """Answer from the summed frames alone."""
    notes = Notes()
    result, source, dataset = summed_frames.answer_of_sum(args, notes)
    truth = truth_of(args.finaltest, dataset, source, args.spheres)
    result = knowledge.refine(result, args, notes)
    made_by = MadeBy(settings_of(args), versions(), source, **notes.facts)
    write_answer(args.output, result, made_by, notes.datasets, notes.warnings)
    print(f"{args.output}: {result.hits} electrons in the summed frames")
    print(table(result, truth))
    say(notes)
    if args.details:
        draw_all(args.details, result, truth=truth)
    conclude(args, result, truth, notes)


def answer_by_likelihood(args: argparse.Namespace, hits: Hits, truth: Sequence[Sphere] | None, made_by: MadeBy) -> None:
    """Answer by the fit to the hits, with all that the options ask for."""
    try:
        found = fit(hits.x, hits.z, hits.weight, variance=hits.variance, spheres=args.spheres, order=args.order)
    except InputError as error:
        raise InputError(f"{args.shards}: {error}") from None
    if not found.converged:
        raise InputError(f"{args.shards}: the fit of {args.spheres} spheres did not converge; look at the distribution")
    goodness = assess(hits.x, hits.z, hits.weight, found, rng=np.random.default_rng(1), variance=hits.variance)
    notes = Notes(lines=[goodness.table()], warnings=goodness.warnings)
    notes.keep("Tests", goodness.rows())
    unbiased, bias = bias_and_bootstrap.without_bias(found, hits, args, notes)
    if args.check_integrated:
        further = None if unbiased is found else bias.covariance
        summed_frames.check(unbiased, hits, args, further, notes)
    if args.bootstrap:
        bias_and_bootstrap.check_errors(unbiased, hits, args, notes)
    result = knowledge.refine(unbiased, args, notes)
    write_answer(args.output, result, replace(made_by, **notes.facts), notes.datasets, notes.warnings)
    print(f"{args.output}: {hits.count} hits, {hits.weight.sum():.0f} electrons")
    print(table(result, truth, bias=None if bias is None else (bias.bias, bias.error)))
    others = {}
    if args.network and any(args.network.glob("*.weights.pt")):
        others = compare_network(args, hits, result.beta)
    say(notes)
    spread = hits.variance.sum() / hits.weight.sum()
    if args.figure:
        draw_answer(args.figure, hits.distribution, spread, result, truth)
        print(f"figure {args.figure}")
    if args.details:
        measured = Measured(goodness, hits.distribution, spread, frame_with_hits(args, hits))
        draw_all(args.details, result, measured, truth=truth, others=others)
    conclude(args, result, truth, notes)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = parse_args(argv)
    if args.method == "integrated":
        answer_by_sum(args)
        return
    hits = read_hits(args.shards, weights=args.weights, partial=args.partial)
    truth = truth_of(args.finaltest, hits.dataset, hits.source, args.spheres) if args.finaltest else None
    made_by = MadeBy(settings_of(args), versions(), hits.source, hits.checksums)
    how = answer_by_network if args.method == "resnet" else answer_by_likelihood
    how(args, hits, truth, made_by)


if __name__ == "__main__":
    run_program(main)
