"""Play the experiment: camera frames of known spheres, with the tables that tell what is in them.

usage: python -m src.simulate_finaltest --output FILE [--frames N] [--electrons N1 N2] [--seed S] [--workers N] ...
       python -m src.simulate_finaltest --output FILE --kind 2 [--spheres N] [--electrons LOW HIGH] [--prior FILE] ...

reads   param/experiment.toml (spheres, frames), param/phosphor.toml (spots, camera); options override both
        kind 2: param/pretraining.toml (prior)
writes  FILE, HDF5, in the course's format; the root's attributes `settings`, `seed` and `versions` say how it was made
        kind 1: FinalImage, Truth, GeneratedElectrons, DetectedElectrons
        kind 2, many spheres and no frames: DistributionParameters, GeneratedElectrons, DetectedElectrons

The file does not depend on the number of workers: every block of electrons has random numbers of its own. A file that
was made with the same settings is kept.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from util.camera.phosphor import PhosphorRecipe
from util.frames.source import SMALLEST_FRAME
from util.physics.sphere import Experiment
from util.runtime import settings
from util.runtime.errors import InputError, run_program
from util.runtime.executor import available_cores
from util.runtime.options import add_scheduler, number
from util.simulation import sphere_file
from util.simulation.frames_file import settings_text, simulate
from util.simulation.provenance import is_made_with
from util.simulation.truth_tables import truth_rows
from util.training.priors import Prior

SPHERES = 100
ELECTRONS = (10_000, 10_000)
_FRAMES_ONLY = ("frames", "radii", "sigma_R", "camera_noise", "frame_shape")


def resolve(args: argparse.Namespace) -> tuple[Experiment, PhosphorRecipe]:
    """Read the settings files and put the options over them.

    Raises
    ------
    InputError
        A settings file or an option is at fault, or the two contradict each other.
    """
    if args.spheres is not None:
        raise InputError(
            f"--spheres: a file of kind 1 holds the spheres of {args.experiment}; "
            "add --kind 2, or name another --experiment"
        )
    experiment = settings.load(Experiment, args.experiment)
    recipe = settings.load(PhosphorRecipe, args.phosphor)
    changes: list[dict[str, float]] = [{} for _ in experiment.spheres]
    for option, field, values in (
        ("--electrons", "electrons_a_frame", args.electrons),
        ("--radii", "R", args.radii),
        ("--sigma-R", "sigma_R", args.sigma_R),
    ):
        if values is None:
            continue
        if len(values) != len(changes):
            raise InputError(
                f"{option}: expected {len(changes)} values, one for each sphere of {args.experiment}, "
                f"found {len(values)}; give as many"
            )
        for change, value in zip(changes, values, strict=True):
            change[field] = value
    camera = {"camera_noise": args.camera_noise, "frame_shape": args.frame_shape and tuple(args.frame_shape)}
    try:
        pairs = zip(experiment.spheres, changes, strict=True)
        spheres = [dataclasses.replace(sphere, **change) for sphere, change in pairs]
        truth_rows(spheres)  # refuses what the table cannot hold
        experiment = Experiment(args.frames or experiment.frames, tuple(spheres))
        recipe = dataclasses.replace(recipe, **{key: value for key, value in camera.items() if value is not None})
    except ValueError as error:
        raise InputError(f"{args.experiment} and {args.phosphor} with the options given: {error}") from None
    if min(recipe.frame_shape) < SMALLEST_FRAME:
        raise InputError(f"frame shape: expected at least {SMALLEST_FRAME} pixels a side, found {recipe.frame_shape}")
    if experiment.frames * experiment.electrons_a_frame > np.iinfo(np.int32).max:
        raise InputError("frames x electrons: more electrons than ElectronId can count (2^31); ask for fewer frames")
    return experiment, recipe


def resolve_kind_2(args: argparse.Namespace) -> tuple[Prior, int]:
    """Read the prior and put the options over it: prior and number of spheres.

    Raises
    ------
    InputError
        The prior is at fault, or an option speaks of frames, of which this kind has none.
    """
    for name in _FRAMES_ONLY:
        if getattr(args, name) is not None:
            option = "--" + name.replace("_", "-")
            raise InputError(f"{option}: files of kind 2 have no frames; leave it out, or make a file of --kind 1")
    electrons = args.electrons or ELECTRONS
    if len(electrons) > 2 or electrons[0] > electrons[-1]:
        raise InputError(
            f"--electrons: expected N, or LOW HIGH with LOW <= HIGH, for a file of kind 2, found {electrons}; "
            "give the electrons of a sphere"
        )
    prior = settings.load(Prior, args.prior)
    limits = (float(electrons[0]), float(electrons[-1]))
    prior = dataclasses.replace(
        prior, spheres=tuple(dataclasses.replace(sphere, electrons=limits) for sphere in prior.spheres)
    )
    return prior, args.spheres or SPHERES


def add_kind_2_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that files of the second kind have for themselves."""
    group = parser.add_argument_group("kind 2: many spheres of random parameters, no frames")
    group.add_argument("--spheres", type=number(int, 1), metavar="N", help=f"(default {SPHERES})")
    group.add_argument("--prior", type=Path, default=Path("param/pretraining.toml"), metavar="FILE")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="simulate_finaltest.sh", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the HDF5 file to make")
    parser.add_argument("--kind", type=int, choices=(1, 2), default=1, help="of file (default %(default)s: frames)")
    parser.add_argument("--experiment", type=Path, default=Path("param/experiment.toml"), metavar="FILE")
    parser.add_argument("--phosphor", type=Path, default=Path("param/phosphor.toml"), metavar="FILE")
    parser.add_argument("--frames", type=number(int, 1), metavar="N", help="frames (default: of the experiment)")
    parser.add_argument(
        "--electrons",
        type=number(int, 1),
        nargs="+",
        metavar="N",
        help="electrons a frame, for each sphere; kind 2: of a sphere, N or LOW HIGH",
    )
    parser.add_argument("--radii", type=number(float, 0), nargs="+", metavar="R", help="R of each sphere")
    parser.add_argument("--sigma-R", type=number(float, 0), nargs="+", metavar="S", help="sigma_R of each sphere")
    parser.add_argument("--camera-noise", type=number(float, 0), metavar="S", help="std of a pixel's noise [counts]")
    parser.add_argument(
        "--frame-shape", type=number(int, SMALLEST_FRAME), nargs=2, metavar=("H", "W"), help="pixels along x and z"
    )
    parser.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=0, metavar="S", help="default: 0")
    parser.add_argument(
        "--workers", type=number(int, 1, 1024), default=available_cores(), metavar="N", help="default: all cores"
    )
    add_scheduler(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a file made with other settings")
    add_kind_2_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    if args.kind == 2:
        prior, spheres = resolve_kind_2(args)
        if not args.overwrite and is_made_with(args.output, sphere_file.settings_text(prior, spheres), args.seed):
            print(f"{args.output}: already there, made with the same settings", file=sys.stderr)
            return
        where = {"workers": args.workers, "scheduler": args.scheduler}
        n = sphere_file.simulate_spheres(args.output, prior, spheres, seed=args.seed, **where)
        size = args.output.stat().st_size / 1e6
        print(f"{args.output}: {spheres} spheres, {n} electrons, {size:.1f} MB, seed {args.seed}")
        return
    experiment, recipe = resolve(args)
    if not args.overwrite and is_made_with(args.output, settings_text(experiment, recipe), args.seed):
        print(f"{args.output}: already there, made with the same settings", file=sys.stderr)
        return
    simulate(args.output, experiment, recipe, seed=args.seed, workers=args.workers, scheduler=args.scheduler)
    size = args.output.stat().st_size
    print(f"{args.output}: {experiment.frames} frames, {size / 1e6:.1f} MB, seed {args.seed}")


if __name__ == "__main__":
    run_program(main)
