"""Simulate the experiment: camera frames of known spheres, with the tables that say what is in them.

usage: python -m src.simulate_finaltest --output FILE [--frames N] [--electrons N1 N2] [--seed S] [--workers N] ...
       python -m src.simulate_finaltest --output FILE --kind 2 [--distributions N] [--electrons LOW HIGH] ...

reads   param/experiment.toml (spheres, frames), param/phosphor.toml (spots, camera); options override both
        param/detectors/*.toml: what sets a real detector apart (--detector)
        kind 2: param/pretraining.toml (prior)
writes  FILE, HDF5, in the course's format; the root's attributes `settings`, `seed` and `versions` say how it was made
        kind 1: FinalImage, Truth, GeneratedElectrons, DetectedElectrons
        kind 2, many spheres and no frames: DistributionParameters, GeneratedElectrons, DetectedElectrons

The file does not depend on the number of workers: every block of electrons has random numbers of its own. A file that
was made with the same settings is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from util.camera.phosphor import PhosphorRecipe
from util.frames.source import SMALLEST_FRAME
from util.physics.sphere import Experiment
from util.runtime import console, settings
from util.runtime.errors import InputError, run_program
from util.runtime.executor import available_cores
from util.runtime.options import Parser, add_scheduler, add_workers, as_options, number, option_name
from util.runtime.output_names import file_name
from util.simulation import frames_file, sphere_file
from util.simulation.provenance import is_made_with
from util.simulation.simulated_detector import RECIPES_OWN, SimulatedDetector
from util.simulation.truth_tables import truth_rows
from util.training.priors import Prior

Number = TypeVar("Number", int, float)
ELECTRONS = (10_000,)  # per sphere, in files of kind 2
# What each kind of file has no use for, and why.
_NOT_OF_KIND = {
    1: (("distributions",), "a file of kind 1 holds the spheres of --experiment; add --kind 2, or name another one"),
    2: (
        ("detector", "frames", "radii", "sigma_R", "camera_noise", "frame_shape"),
        "files of kind 2 have no frames; leave it out, or make a file of --kind 1",
    ),
}


@dataclass(frozen=True)
class Options:
    """What files of both kinds are made with."""

    output: Path
    electrons: tuple[int, ...] | None
    seed: int
    workers: int
    scheduler: str
    overwrite: bool


@dataclass(frozen=True)
class FrameOptions(Options):
    """Options of kind 1; None: as the files of settings say."""

    experiment: Path
    phosphor: Path
    detector: Path | None
    frames: int | None
    radii: tuple[float, ...] | None
    sigma_R: tuple[float, ...] | None
    camera_noise: float | None
    frame_shape: tuple[int, int] | None


@dataclass(frozen=True)
class DistributionOptions(Options):
    """Options of kind 2; `electrons` per sphere: one number for all, or a range."""

    prior: Path
    distributions: int

    def __post_init__(self) -> None:
        electrons = self.electrons
        if electrons and (len(electrons) > 2 or electrons[0] > electrons[-1]):
            raise ValueError(
                "--electrons: expected N, or LOW HIGH with LOW <= HIGH, for a file of kind 2, "
                f"found {' '.join(map(str, electrons))}; give the electrons per sphere"
            )


def resolve(options: FrameOptions) -> tuple[Experiment, PhosphorRecipe, SimulatedDetector]:
    """Read the settings files, and let the options override them.

    Raises
    ------
    InputError
        A settings file or an option is at fault, or the two contradict each other.
    """
    experiment = settings.load(Experiment, options.experiment)
    detector = settings.load(SimulatedDetector, options.detector) if options.detector else RECIPES_OWN
    recipe = settings.load(PhosphorRecipe, options.phosphor)
    noise, shape = options.camera_noise, options.frame_shape
    electrons = _of_each(options.electrons, "electrons", [s.electrons_per_frame for s in experiment.spheres])
    radii = _of_each(options.radii, "radii", [s.R for s in experiment.spheres])
    widths = _of_each(options.sigma_R, "sigma_R", [s.sigma_R for s in experiment.spheres])
    try:
        spheres = tuple(
            replace(sphere, R=R, sigma_R=width, electrons_per_frame=n)
            for sphere, R, width, n in zip(experiment.spheres, radii, widths, electrons, strict=True)
        )
        truth_rows(spheres)  # refuses what the table cannot hold
        experiment = Experiment(options.frames or experiment.frames, spheres)
        recipe = replace(
            recipe,
            camera_noise=recipe.camera_noise if noise is None else noise,
            frame_shape=shape or recipe.frame_shape,
        )
        detector = detector if noise is None else replace(detector, noise=None)
    except ValueError as error:
        raise InputError(f"{options.experiment} and {options.phosphor} with the options given: {error}") from None
    if min(recipe.frame_shape) < SMALLEST_FRAME:
        raise InputError(f"frame shape: expected at least {SMALLEST_FRAME} pixels per side, found {recipe.frame_shape}")
    if experiment.frames * experiment.electrons_per_frame > np.iinfo(np.int32).max:
        raise InputError("frames x electrons: more electrons than ElectronId can count (2^31); ask for fewer frames")
    return experiment, recipe, detector


def _of_each(given: Sequence[Number] | None, name: str, known: Sequence[Number]) -> Sequence[Number]:
    """Return one number per sphere: those given, or else those known."""
    if given is None:
        return known
    if len(given) != len(known):
        raise InputError(
            f"{option_name(name)}: expected {len(known)} values, one for each sphere of --experiment, "
            f"found {len(given)}; give as many"
        )
    return given


def prior_of(path: Path, electrons: tuple[int, ...]) -> Prior:
    """Read a prior; each sphere holds a number of electrons between the first and the last of `electrons`.

    Raises
    ------
    InputError
        The prior is at fault.
    """
    prior = settings.load(Prior, path)
    limits = (float(electrons[0]), float(electrons[-1]))
    return replace(prior, spheres=tuple(replace(sphere, electrons=limits) for sphere in prior.spheres))


def parse_args(argv: Sequence[str] | None = None) -> FrameOptions | DistributionOptions:
    """Read the command line."""
    parser = Parser("simulate_finaltest.sh", __doc__)
    parser.add_argument("--output", type=file_name, required=True, metavar="FILE", help="the HDF5 file to make")
    parser.add_argument("--kind", type=int, choices=(1, 2), default=1, help="of file (default %(default)s: frames)")
    parser.add_argument(
        "--electrons",
        type=number(int, 1),
        nargs="+",
        metavar="N",
        help="electrons per frame, for each sphere; kind 2: per sphere, N or LOW HIGH",
    )
    parser.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=0, metavar="S", help="default: 0")
    add_workers(parser, available_cores())
    add_scheduler(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a file made with other settings")
    add = parser.add_argument_group("kind 1: camera frames").add_argument
    add("--experiment", type=Path, default=Path("param/experiment.toml"), metavar="FILE")
    add("--phosphor", type=Path, default=Path("param/phosphor.toml"), metavar="FILE")
    add("--detector", type=Path, metavar="FILE", help="what sets it apart from the recipe's, as param/detectors/*.toml")
    add("--frames", type=number(int, 1), metavar="N", help="frames (default: of the experiment)")
    add("--radii", type=number(float, 0), nargs="+", metavar="R", help="R of each sphere")
    add("--sigma-R", type=number(float, 0), nargs="+", metavar="S", help="sigma_R of each sphere")
    add("--camera-noise", type=number(float, 0), metavar="S", help="std of a pixel's noise [counts]")
    shape = number(int, SMALLEST_FRAME)
    add("--frame-shape", type=shape, nargs=2, metavar=("H", "W"), help="pixels along x and z")
    add = parser.add_argument_group("kind 2: many spheres of random parameters, no frames").add_argument
    add("--distributions", type=number(int, 1), default=100, metavar="N", help="spheres (default %(default)s)")
    add("--prior", type=Path, default=Path("param/pretraining.toml"), metavar="FILE", help="of their parameters")
    parsed = vars(parser.parse_args(argv))
    names, why = _NOT_OF_KIND[parsed["kind"]]
    for name in names:
        if parsed[name] != parser.get_default(name):
            parser.error(f"{option_name(name)}: {why}")
    if parsed["kind"] == 1:
        return as_options(FrameOptions, parser, parsed)
    return as_options(DistributionOptions, parser, parsed)


def is_there(options: Options, how: str) -> bool:
    """Whether the file is there already, made with the same settings, and is to be kept.

    Raises
    ------
    InputError
        It was made with others, and is not to be replaced.
    """
    if options.overwrite or not is_made_with(options.output, how, options.seed):
        return False
    console.conclude(f"{options.output}: already there, made with the same settings")
    return True


def simulate_frames(options: FrameOptions) -> None:
    """Make a file of kind 1."""
    what = experiment, *_ = resolve(options)
    if is_there(options, frames_file.settings_text(*what)):
        return
    frames_file.simulate(options.output, *what, seed=options.seed, workers=options.workers, scheduler=options.scheduler)
    size = options.output.stat().st_size / 1e6
    console.conclude(f"{options.output}: {experiment.frames} frames, {size:.1f} MB, seed {options.seed}")


def simulate_distributions(options: DistributionOptions) -> None:
    """Make a file of kind 2."""
    prior, spheres = prior_of(options.prior, options.electrons or ELECTRONS), options.distributions
    if is_there(options, sphere_file.settings_text(prior, spheres)):
        return
    electrons = sphere_file.simulate_spheres(
        options.output, prior, spheres, seed=options.seed, workers=options.workers, scheduler=options.scheduler
    )
    size = options.output.stat().st_size / 1e6
    console.conclude(f"{options.output}: {spheres} spheres, {electrons} electrons, {size:.1f} MB, seed {options.seed}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    options = parse_args(argv)
    if isinstance(options, FrameOptions):
        simulate_frames(options)
    else:
        simulate_distributions(options)


if __name__ == "__main__":
    run_program(main)
