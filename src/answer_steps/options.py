"""Options of the answer stage: what each step is told."""

import argparse
import platform
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import h5py
import numpy as np

from src.answer_steps.hit_options import add_detector, add_hits
from util.answer.made_by import AnswerSettings, MadeBy, Method, Orders, SubtractBias
from util.electrons.hits import HitWeights
from util.fit.parameters import AUTOMATIC, PIECES, Piece
from util.fit.selection import MOST_SPHERES
from util.report.answer_figures import FIGURE_SUFFIXES
from util.runtime.options import number, option_name

FEWEST_FRAMES = 400  # that measure a bias
_OF_IMAGE = ("start", "fit", "mask", "efficiency", "plate")
_OF_HITS = ("follow_drift", "figure", "bias", "subtract_bias", "bootstrap", "check_integrated", *_OF_IMAGE)
_OF_NETWORK = ("raw", "force")
_OF_FRAMES = ("dataset", "frame_axis")
_NOT_RAW = (*_OF_HITS, "order", "seed", "force")
MOST_WITHOUT_HITS = 3  # spheres of a method that does not fit hits
# Options that a method has no use for.
_NOT_OF: dict[Method, tuple[str, ...]] = {
    "likelihood": (*_OF_NETWORK, *_OF_FRAMES),
    "integrated": (*_OF_HITS, *_OF_NETWORK, "hit_weights"),
    # It has a prior of its own, by which betas that the hits do not tell are known and I(c) >= 0.
    # The network reads what a whole, even detector shows.
    "resnet": (
        *("orders", "prior", "nonnegative", "bootstrap", "check_integrated", "start", "mask", "efficiency"),
        *_OF_FRAMES,
    ),
}


@dataclass(frozen=True)
class Simulation:
    """What is simulated at the answer.

    Attributes
    ----------
    bias : int or None
        Simulated frames that measure the finder's bias; 0: none; None: a tenth of those searched.
    subtract_bias : {"clear", "always", "never"}
    bootstrap : int or None
        How often to repeat the measurement.
    seed : int
    """

    bias: int | None = None
    subtract_bias: SubtractBias = "clear"
    bootstrap: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Model:
    """What is fitted.

    Attributes
    ----------
    spheres : int or "auto"
        How many; auto: as many as the hits call for.
    start : tuple of float
        Radii of spheres that are known [detector units].
    order : tuple of int
        Highest Legendre degree, even: one for all spheres, or one each.
    fit : tuple of str
        What else is fitted: pieces of the model (`util.fit.parameters.PIECES`) in any case, and with "auto" any other
        for which the hits call; or "none".
    mask, efficiency : Path or None
        Files that tell where the detector is blind, and how well it sees.
    plate : {"auto", "none"}
        Whether what lies beyond the edge of a round plate is blind where the hits show such an edge.
    """

    spheres: int | Literal["auto"] = 2
    start: tuple[float, ...] = ()
    order: tuple[int, ...] = (24,)
    fit: tuple[Piece | Literal["auto", "none"], ...] = ("auto",)
    mask: Path | None = None
    efficiency: Path | None = None
    plate: Literal["auto", "none"] = "auto"

    def __post_init__(self) -> None:
        if "none" in self.fit and len(self.fit) > 1:
            raise ValueError(f"--fit: expected none alone, found {' '.join(self.fit)}; leave out none, or the rest")
        if self.spheres != "auto" and len(self.start) > self.spheres:
            raise ValueError(
                f"--start: expected no more radii than --spheres {self.spheres}, found {len(self.start)}; "
                f"use --spheres {len(self.start)}"
            )
        if len(self.order) > 1 and len(self.order) != self.spheres:
            raise ValueError(
                f"--order: expected one degree, or one for each of --spheres {self.spheres}, found {len(self.order)}"
            )

    @property
    def highest_order(self) -> int:
        """The highest degree of all spheres."""
        return max(self.order)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What is fitted in any case."""
        return tuple(piece for piece in PIECES if piece in self.fit)

    @property
    def optional(self) -> tuple[Piece, ...]:
        """What is fitted where the hits call for it."""
        return tuple(piece for piece in AUTOMATIC if piece not in self.fit) if "auto" in self.fit else ()


@dataclass(frozen=True)
class Knowledge:
    """What is known besides the hits.

    Attributes
    ----------
    orders : {"all", "auto"}
        Whether all betas are fitted, or those that the data support.
    prior : Path or None
        File of a normal prior of the betas.
    nonnegative : bool
        Whether I(c) >= 0 is enforced.
    """

    orders: Orders = "all"
    prior: Path | None = None
    nonnegative: bool = False


@dataclass(frozen=True, kw_only=True)
class Options:
    """All options of the answer stage; those that a method has no use for must have their defaults."""

    shards: Path
    output: Path
    finaltest: Path | None = None
    dataset: str | None = None
    frame_axis: int | None = None
    method: Method = "likelihood"
    network: Path | None = None
    raw: bool = False
    force: bool = False
    hit_weights: HitWeights = "flux"
    partial: bool = False
    follow_drift: bool = False
    figure: Path | None = None
    details: Path | None = None
    check_integrated: bool = False
    phosphor: Path = Path("param/phosphor.toml")
    finder: Path = Path("param/finder.toml")
    workers: int = 1
    model: Model = Model()
    simulation: Simulation = Simulation()
    knowledge: Knowledge = Knowledge()

    def __post_init__(self) -> None:
        if self.figure and self.figure.suffix not in FIGURE_SUFFIXES:
            raise ValueError(
                f"--figure: expected a name that ends in {', '.join(FIGURE_SUFFIXES)}, found {self.figure}"
            )
        unused = (*_NOT_OF[self.method], *(_NOT_RAW if self.raw else ()))
        for part in (self, self.model, self.simulation, self.knowledge):
            for field in fields(part):
                if field.name in unused and getattr(part, field.name) != field.default:
                    raw = " --raw" if self.raw and field.name not in _NOT_OF[self.method] else ""
                    raise ValueError(
                        f"{option_name(field.name)} does not apply to --method {self.method}{raw}; leave it out, or "
                        "answer otherwise"
                    )

        spheres = self.model.spheres
        if self.method != "likelihood" and (spheres == "auto" or spheres > MOST_WITHOUT_HITS):
            raise ValueError(
                f"--spheres: expected at most {MOST_WITHOUT_HITS} with --method {self.method}, found {spheres}; answer "
                "with --method likelihood"
            )
        if self.method != "likelihood" and len(self.model.order) > 1:
            raise ValueError(f"--order: expected one degree with --method {self.method}, found {len(self.model.order)}")

    @property
    def few_spheres(self) -> int:
        """The number of spheres of a method that does not fit hits."""
        return MOST_WITHOUT_HITS if self.model.spheres == "auto" else self.model.spheres

    def made_by(self, source: str, shards: dict[str, str] | None = None) -> MadeBy:
        """Return what an answer with these options is made by; `source` and `shards` as in `MadeBy`."""
        simulation, known, model = self.simulation, self.knowledge, self.model
        settings = AnswerSettings(
            method=self.method,
            spheres=model.spheres,
            order=model.highest_order,
            hit_weights=self.hit_weights,
            orders=known.orders,
            nonnegative=known.nonnegative,
            bias=simulation.bias,
            subtract_bias=simulation.subtract_bias,
            bootstrap=simulation.bootstrap,
            check_integrated=self.check_integrated,
            seed=simulation.seed,
            prior=None if known.prior is None else known.prior.name,
            orders_of_spheres=model.order,
            start=model.start,
            fit=model.fit,
            mask=None if model.mask is None else model.mask.name,
            efficiency=None if model.efficiency is None else model.efficiency.name,
            plate=model.plate,
            follow_drift=self.follow_drift,
        )
        versions = {"python": platform.python_version(), "numpy": np.__version__, "h5py": h5py.__version__}
        return MadeBy(settings, versions, source, shards)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the answer stage."""
    add = parser.add_argument
    add_hits(parser)
    add("--follow-drift", action="store_true", help="take out a centre that wanders while the frames are taken")
    add("--output", type=Path, required=True, metavar="FILE", help="final.h5")
    add("--finaltest", type=Path, metavar="FILE", help="file of the frames")
    add("--method", choices=get_args(Method), default=Options.method, help="(default %(default)s)")
    add("--network", type=Path, metavar="PATH", help="the network's weights: a file, or a folder to choose from")
    add("--raw", action="store_true", help="with --method resnet: the network's own reading, without errors")
    add("--force", action="store_true", help="with --method resnet: answer although the hits speak against the prior")
    add("--figure", type=Path, metavar="FILE", help=f"draw the answer ({', '.join(FIGURE_SUFFIXES)})")
    add("--details", type=Path, metavar="FOLDER", help="figures of every aspect, CSV and JSON")
    add("--workers", type=number(int, 1), default=Options.workers, metavar="N", help="processes (default %(default)s)")
    _add_model(parser)
    _add_simulation(parser)
    _add_knowledge(parser)
    _add_summed_frames(parser)


def _add_model(parser: argparse.ArgumentParser) -> None:
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
        help="highest Legendre degree, even, 2 to 24: one for all spheres or one each (default 24)",
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
        help=f"simulated frames that measure the finder's bias, at least {FEWEST_FRAMES} (default: a tenth of those "
        "searched; 0: none)",
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
