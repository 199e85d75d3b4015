"""Cut patches for the spot classifier out of a training file of the first kind.

usage: python -m src.gen_gauss_data --finaltest FILE --output FOLDER [--task pixel|finder] [--frames N] ...

reads   FILE (FinalImage, DetectedElectrons), param/gauss.toml
writes  FOLDER/TASK_train.h5, FOLDER/TASK_valid.h5: `Patches` {Image, Kind, Offset, ImageId, Cell}

The last frames are for validation, the others for training. An existing file made with the same settings is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from src.spot_classifier.patch_file import TaskName, task_settings, write_patches
from util.frames.course_file import FrameFile
from util.runtime import console
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    finaltest: Path
    output: Path
    settings: Path
    task: TaskName
    frames: int | None
    validation_share: float
    half_width: int | None
    positive: float | None
    near: float | None
    bright: float | None
    seed: int
    overwrite: bool


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_gauss_data.sh", __doc__)
    add = parser.add_argument
    add("--finaltest", type=Path, required=True, metavar="FILE", help="training file of the first kind")
    add("--output", type=folder_name, required=True, metavar="FOLDER")
    add("--settings", type=Path, default=Path("param/gauss.toml"), metavar="FILE")
    add("--task", choices=get_args(TaskName), default="pixel", help="(default %(default)s)")
    add("--frames", type=number(int, 2), metavar="N", help="use the first N frames (default: all)")
    share = "of the frames (default %(default)s)"
    add("--validation-share", type=number(float, 0, 1), default=0.2, metavar="X", help=share)
    add("--half-width", type=number(int, 6, 100), metavar="N", help="cells beside the middle one")
    add("--positive", type=number(float, 0, 1), metavar="X", help="share of positives")
    add("--near", type=number(float, 0, 1), metavar="X", help="share of negatives near an electron")
    add("--bright", type=number(float, 0), metavar="C", help="counts from which a cell is asked about")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add("--overwrite", action="store_true", help="replace files that were made otherwise")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    changes = {name: getattr(options, name) for name in ("half_width", "positive", "near", "bright")}
    settings = task_settings(options.settings, options.task, changes)
    with FrameFile(options.finaltest) as frames:
        count = options.frames or frames.count
        frames.check_range(0, count)
    if count < 2:
        raise InputError(f"{options.finaltest}: expected two frames or more, to train and to validate, found {count}")
    cut = count - min(max(round(options.validation_share * count), 1), count - 1)
    for part, start, stop in (("train", 0, cut), ("valid", cut, count)):
        path = options.output / f"{options.task}_{part}.h5"
        n = write_patches(
            path, options.finaltest, settings, start, stop, seed=options.seed, overwrite=options.overwrite
        )
        console.conclude(f"{path}: {n} patches of {settings.side} x {settings.side} cells, frames {start}..{stop}")


if __name__ == "__main__":
    run_program(main)
