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
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from src import simulate_training
from util import settings
from util.errors import InputError, run_program
from util.executor import available_cores, map_in_order, open_executor
from util.finaltest_writer import writing_frames
from util.frame_simulation import Block, simulate_block
from util.frame_source import SMALLEST_FRAME
from util.options import add_scheduler, number
from util.phosphor import PhosphorRecipe
from util.simulated_file import attributes_of, check_room, is_made_with
from util.sphere import Experiment
from util.truth_tables import DETECTED, DETECTED_DTYPE, GENERATED, GENERATED_DTYPE, TRUTH, truth_rows

BLOCK = 100  # frames that share a random generator; another number gives other frames for the same seed


def simulate(
    output: Path, experiment: Experiment, recipe: PhosphorRecipe, *, seed: int, workers: int, scheduler: str = ""
) -> None:
    """Simulate all frames of an experiment into `output`, in as many processes as `workers`, or on a Dask `scheduler`.

    Raises
    ------
    InputError
        Not enough room on the disk, before or during the work; nothing is left behind.
    """
    blocks = [
        Block(number, start, min(start + BLOCK, experiment.frames), experiment, recipe, seed)
        for number, start in enumerate(range(0, experiment.frames, BLOCK))
    ]
    _check_room(output, blocks[0])
    attributes = attributes_of(_settings_text(experiment, recipe), seed)
    with (
        writing_frames(output, recipe.frame_shape, experiment.frames, attributes) as writer,
        open_executor(workers, scheduler) as executor,
        tqdm(total=experiment.frames, unit="frame", desc="simulating", smoothing=0.1) as progress,
    ):
        truth = truth_rows(experiment.spheres)
        writer.put(writer.create_table(TRUTH, truth.dtype, len(truth)), 0, truth)
        electrons = experiment.frames * experiment.electrons_a_frame
        generated_table = writer.create_table(GENERATED, GENERATED_DTYPE, electrons)
        detected_table = writer.create_table(DETECTED, DETECTED_DTYPE)
        for done in map_in_order(executor, simulate_block, blocks, in_flight=lambda: 2 * executor.concurrency):
            for index, packed in enumerate(done.packed, start=done.block.start):
                writer.write(index, packed)
            for rows in done.generated:
                writer.put(generated_table, int(rows["ElectronId"][0]), rows)
            writer.append(detected_table, done.detected)
            progress.update(len(done.packed))


def _check_room(output: Path, block: Block) -> None:
    """Refuse to begin what the disk cannot hold, judging by one frame."""
    one = simulate_block(block._replace(stop=block.start + 1))
    tables = block.experiment.electrons_a_frame * (GENERATED_DTYPE.itemsize + DETECTED_DTYPE.itemsize)
    needed = math.ceil(1.05 * block.experiment.frames * (len(one.packed[0]) + tables))
    check_room(output, needed, "fewer frames")


def _settings_text(experiment: Experiment, recipe: PhosphorRecipe) -> str:
    return json.dumps({"experiment": dataclasses.asdict(experiment), "phosphor": dataclasses.asdict(recipe)})


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
    simulate_training.add_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    if args.kind == 2:
        prior, spheres = simulate_training.resolve(args)
        if not args.overwrite and is_made_with(args.output, simulate_training.settings_text(prior, spheres), args.seed):
            print(f"{args.output}: already there, made with the same settings", file=sys.stderr)
            return
        where = {"workers": args.workers, "scheduler": args.scheduler}
        n = simulate_training.simulate_spheres(args.output, prior, spheres, seed=args.seed, **where)
        size = args.output.stat().st_size / 1e6
        print(f"{args.output}: {spheres} spheres, {n} electrons, {size:.1f} MB, seed {args.seed}")
        return
    experiment, recipe = resolve(args)
    if not args.overwrite and is_made_with(args.output, _settings_text(experiment, recipe), args.seed):
        print(f"{args.output}: already there, made with the same settings", file=sys.stderr)
        return
    simulate(args.output, experiment, recipe, seed=args.seed, workers=args.workers, scheduler=args.scheduler)
    size = args.output.stat().st_size
    print(f"{args.output}: {experiment.frames} frames, {size / 1e6:.1f} MB, seed {args.seed}")


if __name__ == "__main__":
    run_program(main)
