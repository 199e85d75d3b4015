"""Options of the answer stage: what each step is told."""

import platform
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from util.answer.made_by import AnswerSettings, MadeBy, Method, Orders, SubtractBias
from util.electrons.hits import HitWeights
from util.fit.parameters import AUTOMATIC, PIECES, Piece
from util.report.answer_figures import FIGURE_SUFFIXES
from util.runtime.options import option_name

FEWEST_FRAMES = 400  # that measure a bias
_OF_RUNS = ("further", "turned")
_OF_IMAGE = ("start", "fit", "mask", "efficiency", "plate")
_OF_HITS = (
    *("follow_drift", "figure", "bias", "subtract_bias", "bootstrap", "check_integrated"),
    *_OF_IMAGE,
    *_OF_RUNS,
)
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
        *_OF_RUNS,
        *_OF_FRAMES,
    ),
}


@dataclass(frozen=True)
class Simulation:
    """What is simulated at the answer.

    Attributes
    ----------
    bias : int or None
        Simulated frames that measure the finder's bias; 0: none; None: a twentieth of those searched.
    subtract_bias : {"clear", "always", "never"}
    bootstrap : int or None
        How often to repeat the measurement.
    seed : int
    """

    bias: int | None = None
    subtract_bias: SubtractBias = "clear"
    bootstrap: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.subtract_bias == "always" and self.bias == 0:
            raise ValueError("--subtract-bias always: expected a bias that is measured, found --bias 0; leave one out")


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
        Highest Legendre degree, even: one for all spheres, or one each, in the order of `start`, else of ascending R.
        Where there is one each, it and `start` are kept by ascending R.
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
        if len(self.order) > 1 and self.start:
            if len(self.start) != len(self.order):
                raise ValueError(
                    f"--order: expected {len(self.order)} radii after --start, or none, to tell whose each degree is, "
                    f"found {len(self.start)}; name all radii, or leave --start out: degrees then go by ascending R"
                )
            start, order = zip(*sorted(zip(self.start, self.order, strict=True)), strict=True)
            object.__setattr__(self, "start", start)
            object.__setattr__(self, "order", order)

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
    further: tuple[Path, ...] = ()
    turned: Literal[0, 90] = 0
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
        if self.figure and self.figure.suffix.lower() not in FIGURE_SUFFIXES:
            raise ValueError(
                f"--figure: expected a name that ends in {', '.join(FIGURE_SUFFIXES)}, found {self.figure}"
            )
        if self.turned and not self.further:
            raise ValueError("--turned: expected further runs, found none; name their shards with --with")
        if self.turned and (self.model.mask or self.model.efficiency):
            raise ValueError(
                "--turned: expected no --mask and no --efficiency, which are of one run's camera; leave these out"
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
            further=tuple(str(folder) for folder in self.further),
            turned=self.turned,
        )
        versions = {"python": platform.python_version(), "numpy": np.__version__, "h5py": h5py.__version__}
        return MadeBy(settings, versions, source, shards)
