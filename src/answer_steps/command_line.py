"""The command line of the answer stage."""

import argparse
from pathlib import Path
from typing import get_args

from src.answer_steps.hit_options import add_detector, add_hits
from src.answer_steps.options import FEWEST_FRAMES, Knowledge, Model, Options, Simulation
from util.answer.made_by import Method, Orders, SubtractBias
from util.fit.parameters import PIECES
from util.fit.selection import MOST_SPHERES
from util.report.answer_figures import FIGURE_SUFFIXES
from util.runtime.options import add_workers, number
from util.runtime.output_names import file_name, folder_name, hdf5_file


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the answer stage."""
    add = parser.add_argument
    add_hits(parser)
    add("--follow-drift", action="store_true", help="take out a centre that wanders while the frames are taken")
    add(
        "--with",
        dest="further",
        type=Path,
        nargs="+",
        default=(),
        metavar="FOLDER",
        help="shards of further runs of the same experiment, answered together: each with its own centre and gain",
    )
    add(
        "--turned",
        type=int,
        choices=(0, 90),
        default=Options.turned,
        help="degrees by which the polarisation of those runs is turned on the detector (default %(default)s); with 90 "
        "the detector's quadrupole efficiency is measured and taken out",
    )
    add("--output", type=hdf5_file("an answer", "Answer"), required=True, metavar="FILE", help="final.h5")
    add("--finaltest", type=Path, metavar="FILE", help="file of the frames")
    add("--method", choices=get_args(Method), default=Options.method, help="(default %(default)s)")
    add("--network", type=Path, metavar="PATH", help="the network's weights: a file, or a folder to choose from")
    add("--raw", action="store_true", help="with --method resnet: the network's own reading, without errors")
    add("--force", action="store_true", help="with --method resnet: answer although the hits speak against the prior")
    add("--figure", type=file_name, metavar="FILE", help=f"draw the answer ({', '.join(FIGURE_SUFFIXES)})")
    add("--details", type=folder_name, metavar="FOLDER", help="figures of every aspect, CSV and JSON")
    add_workers(parser, Options.workers)
    add_model(parser)
    _add_simulation(parser)
    _add_knowledge(parser)
    _add_summed_frames(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that `Model` holds."""
    add = parser.add_argument_group("what is fitted").add_argument
    add(
        "--spheres",
        type=_spheres,
        default=Model.spheres,
        metavar="N",
        help=f"how many, 1 to {MOST_SPHERES}, or auto: as many as the hits call for (default %(default)s)",
    )
    add(
        "--start",
        type=number(float, 0, 1),
        nargs="+",
        default=Model.start,
        metavar="R",
        help="radii of spheres that are known, in half screens; with --spheres auto these and no others",
    )
    add(
        "--order",
        type=int,
        choices=range(2, 25, 2),
        nargs="+",
        default=Model.order,
        metavar="L",
        help="highest Legendre degree, even, 2 to 24: one for all spheres or one each, as --start has them, else from "
        "the innermost out (default 24)",
    )
    add(
        "--fit",
        choices=("auto", "none", *PIECES),
        nargs="+",
        default=Model.fit,
        metavar="PIECE",
        help=f"what else to fit: any of {', '.join(PIECES)}; auto (default): what is called for, but for shape; none",
    )
    add_detector(parser)


def _spheres(text: str) -> int | str:
    return text if text == "auto" else int(number(int, 1, MOST_SPHERES)(text))


def _add_simulation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("simulation at the answer").add_argument
    add(
        "--bias",
        type=_bias_frames,
        metavar="FRAMES",
        help=f"simulated frames that measure the finder's bias, at least {FEWEST_FRAMES} (default: a twentieth of "
        "those searched; 0: none)",
    )
    add(
        "--subtract-bias",
        choices=get_args(SubtractBias),
        nargs="?",
        const="always",
        default=Simulation.subtract_bias,
        help="clear: where it stands out from its own error (default %(default)s)",
    )
    add("--bootstrap", type=number(int, 2), metavar="N", help="repeat the measurement N times in simulation")
    add(
        "--seed",
        type=number(int, 0),
        default=Simulation.seed,
        help="of all that is simulated (default %(default)s)",
    )


def _add_knowledge(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("knowledge besides the hits").add_argument
    add(
        "--orders",
        choices=get_args(Orders),
        default=Knowledge.orders,
        help="auto: only the betas that the data support, by Akaike's criterion (default %(default)s)",
    )
    add("--prior", type=Path, metavar="FILE", help="normal prior of the betas, as param/fine_tuning.toml")
    add("--nonnegative", action="store_true", help="the likeliest answer with I(c) >= 0")


def _add_summed_frames(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("summed frames, without hits").add_argument
    add("--check-integrated", action="store_true", help="compare with the answer of the summed frames")
    add(
        "--dataset", metavar="NAME", help="HDF5 dataset, for --method integrated (default: FinalImage, or the only one)"
    )
    add("--frame-axis", type=int, choices=(0, 1, 2), help="axis of a plain dataset along which frames lie (default: 0)")
    add("--phosphor", type=Path, default=Options.phosphor, metavar="FILE", help="a spot, for --method integrated")
    add("--finder", type=Path, default=Options.finder, metavar="FILE", help="how to search, for --method integrated")


def _bias_frames(text: str) -> int:
    frames = number(int, 0)(text)
    if 0 < frames < FEWEST_FRAMES:
        raise argparse.ArgumentTypeError(f"expected 0 or at least {FEWEST_FRAMES}, found {frames}")
    return int(frames)
