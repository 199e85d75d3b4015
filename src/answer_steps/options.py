"""Options of the answer stage: what each step is told."""

import argparse
import platform
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

import h5py
import numpy as np

from util.answer.made_by import AnswerSettings, MadeBy, Method, Orders, SubtractBias
from util.electrons.hits import HitWeights
from util.report.answer_figures import FIGURE_SUFFIXES
from util.runtime.options import number, option_name

FEWEST_FRAMES = 400  # that measure a bias
_OF_HITS = ("figure", "bias", "subtract_bias", "bootstrap", "check_integrated")
# Options that a method has no use for.
_NOT_OF: dict[Method, tuple[str, ...]] = {
    "likelihood": (),
    "integrated": (*_OF_HITS, "hit_weights"),
    "resnet": (*_OF_HITS, "orders", "prior", "nonnegative"),
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
    spheres: int = 2
    order: int = 24
    hit_weights: HitWeights = "flux"
    partial: bool = False
    figure: Path | None = None
    details: Path | None = None
    check_integrated: bool = False
    phosphor: Path = Path("param/phosphor.toml")
    finder: Path = Path("param/finder.toml")
    workers: int = 1
    simulation: Simulation = Simulation()
    knowledge: Knowledge = Knowledge()

    def __post_init__(self) -> None:
        if self.figure and self.figure.suffix not in FIGURE_SUFFIXES:
            raise ValueError(
                f"--figure: expected a name that ends in {', '.join(FIGURE_SUFFIXES)}, found {self.figure}"
            )
        for part in (self, self.simulation, self.knowledge):
            for field in fields(part):
                if field.name in _NOT_OF[self.method] and getattr(part, field.name) != field.default:
                    raise ValueError(
                        f"{option_name(field.name)} does not apply to --method {self.method}; leave it out, or answer "
                        "with --method likelihood"
                    )

    def made_by(self, source: str, shards: dict[str, str] | None = None) -> MadeBy:
        """Return what an answer with these options is made by; `source` and `shards` as in `MadeBy`."""
        simulation, known = self.simulation, self.knowledge
        settings = AnswerSettings(
            method=self.method,
            spheres=self.spheres,
            order=self.order,
            hit_weights=self.hit_weights,
            orders=known.orders,
            nonnegative=known.nonnegative,
            bias=simulation.bias,
            subtract_bias=simulation.subtract_bias,
            bootstrap=simulation.bootstrap,
            check_integrated=self.check_integrated,
            seed=simulation.seed,
            prior=None if known.prior is None else known.prior.name,
        )
        versions = {"python": platform.python_version(), "numpy": np.__version__, "h5py": h5py.__version__}
        return MadeBy(settings, versions, source, shards)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the answer stage."""
    add = parser.add_argument
    add("--shards", type=Path, required=True, metavar="FOLDER", help="folder of final_START_STOP.npz")
    add("--output", type=Path, required=True, metavar="FILE", help="final.h5")
    add("--finaltest", type=Path, metavar="FILE", help="file of the frames")
    add("--method", choices=get_args(Method), default=Options.method, help="(default %(default)s)")
    add("--network", type=Path, metavar="DIR", help="folder of the network's weights")
    add("--spheres", type=int, choices=(1, 2, 3), default=Options.spheres, help="how many (default %(default)s)")
    add("--order", type=int, choices=range(2, 25, 2), default=Options.order, help="highest Legendre degree, even")
    add(
        "--hit-weights",
        choices=get_args(HitWeights),
        default=Options.hit_weights,
        help="count a hit as the electrons that its flux stands for, or as one (default %(default)s)",
    )
    add("--partial", action="store_true", help="answer although shards are missing")
    add("--figure", type=Path, metavar="FILE", help=f"draw the answer ({', '.join(FIGURE_SUFFIXES)})")
    add("--details", type=Path, metavar="FOLDER", help="figures of every aspect, CSV and JSON")
    add("--workers", type=number(int, 1), default=Options.workers, metavar="N", help="processes (default %(default)s)")
    _add_simulation(parser)
    _add_knowledge(parser)
    _add_summed_frames(parser)


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
