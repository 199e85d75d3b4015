"""Cut patches for the spot classifier out of a training file of the first kind.

usage: python -m src.gen_gauss_data --finaltest FILE --output FOLDER [--task pixel|finder] [--frames N] ...

reads   FILE (FinalImage, DetectedElectrons), param/gauss.toml
writes  FOLDER/TASK_train.h5, FOLDER/TASK_valid.h5: `Patches` {Image, Kind, Offset, ImageId, Cell}

The last frames are for validation, the others for training. A file that was made with the same settings is kept.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from util.errors import InputError, run_program
from util.finaltest import FrameFile
from util.hdf5_frames import open_hdf5
from util.options import number
from util.settings import load
from util.simulated_file import attributes_of, check_room, is_made_with
from util.spot_patches import GaussSettings, GaussTasks, cut_patches, patch_dtype, to_cells
from util.table_writer import writing_tables
from util.truth_tables import DETECTED, read_detected_electrons

PATCHES = "Patches"
TASKS = ("pixel", "finder")


def write_patches(
    path: Path, finaltest: Path, settings: GaussSettings, start: int, stop: int, *, seed: int, overwrite: bool
) -> int:
    """Write the patches of frames `start` .. `stop` - 1, frame by frame, unless they are there; return their number.

    Raises
    ------
    InputError
        The file exists, made otherwise; frames without a patch; no room.
    """
    with FrameFile(finaltest) as frames:
        how = {"settings": dataclasses.asdict(settings), "source": frames.fingerprint(), "frames": [start, stop]}
        text = json.dumps(how, sort_keys=True)
        if not overwrite and is_made_with(path, text, seed):
            return len(read_patches(path, settings))
        electrons = read_detected_electrons(finaltest)
        if electrons is None:
            raise InputError(
                f"{finaltest}: expected a table {DETECTED}, found none; give a file of simulated frames, "
                "as simulate_finaltest.sh makes"
            )
        electrons = np.sort(electrons, order="ImageId")
        positives = np.count_nonzero((electrons["ImageId"] >= start) & (electrons["ImageId"] < stop))
        check_room(path, int(positives / settings.positive * patch_dtype(settings).itemsize), "fewer frames")
        written = 0
        with writing_tables(path, attributes_of(text, seed)) as writer:
            table = writer.create_table(PATCHES, patch_dtype(settings))
            for index in tqdm(range(start, stop), unit="frame", desc=path.stem):
                image_id, frame = frames.read_row(index)
                if frame.dtype != np.uint8:
                    raise InputError(f"{finaltest}: expected frames of eight bits, found {frame.dtype}; convert them")
                edges = np.searchsorted(electrons["ImageId"], (image_id, image_id + 1))
                own = electrons[slice(*edges)]
                rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
                rows = cut_patches(image_id, to_cells(frame, own["x"], own["z"], settings.bin), settings, rng=rng)
                writer.append(table, rows)
                written += len(rows)
            if not written:
                raise InputError(
                    f"{finaltest}: expected electrons as bright as {settings.bright:g} counts in frames {start}.."
                    f"{stop}, found none; lower --bright or take other frames"
                )
    return written


def read_patches(path: Path, settings: GaussSettings) -> NDArray:
    """Read `Patches` (n,), dtype `patch_dtype`.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, or patches of another task or size.
    """
    remedy = "make it with script/gen_gauss_data.sh"
    if not path.exists():
        raise InputError(f"{path}: no such file; {remedy}")
    with open_hdf5(path) as file:
        table = file.get(PATCHES)
        expected = patch_dtype(settings)
        if not isinstance(table, h5py.Dataset) or table.dtype != expected:
            found = table.dtype if isinstance(table, h5py.Dataset) else ", ".join(file) or "nothing"
            raise InputError(f"{path}: expected {PATCHES} of type {expected}, found {found}; {remedy}")
        try:
            return table[()]
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path}: damaged ({str(error).splitlines()[0]}); {remedy}") from None


def task_settings(path: Path, task: str, **changes: object) -> GaussSettings:
    """Read one task of param/gauss.toml, with what the command line overrides.

    Raises
    ------
    InputError
        The file or an option is at fault.
    """
    settings = getattr(load(GaussTasks, path), task)
    try:
        return dataclasses.replace(settings, **{name: value for name, value in changes.items() if value is not None})
    except ValueError as error:
        raise InputError(f"{path}: {task}, with the options given: {error}") from None


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="gen_gauss_data.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--finaltest", type=Path, required=True, metavar="FILE", help="training file of the first kind")
    add("--output", type=Path, required=True, metavar="FOLDER")
    add("--settings", type=Path, default=Path("param/gauss.toml"), metavar="FILE")
    add("--task", choices=TASKS, default="pixel", help="(default %(default)s)")
    add("--frames", type=number(int, 2), metavar="N", help="use the first N frames (default: all)")
    add(
        "--validation", type=number(float, 0, 1), default=0.2, metavar="X", help="share of frames (default %(default)s)"
    )
    add("--half-width", type=number(int, 6, 100), metavar="N", help="cells beside the middle one")
    add("--positive", type=number(float, 0, 1), metavar="X", help="share of positives")
    add("--near", type=number(float, 0, 1), metavar="X", help="share of negatives near an electron")
    add("--bright", type=number(float, 0), metavar="C", help="counts from which a cell is asked about")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add("--overwrite", action="store_true", help="replace files that were made otherwise")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = parse_args(argv)
    changes = {name: getattr(args, name) for name in ("half_width", "positive", "near", "bright")}
    settings = task_settings(args.settings, args.task, **changes)
    with FrameFile(args.finaltest) as frames:
        count = args.frames or frames.count
        frames.check_range(0, count)
    cut = count - min(max(round(args.validation * count), 1), count - 1)
    if cut < 1:
        raise InputError(f"{args.finaltest}: expected two frames or more, to train and to validate, found {count}")
    for part, start, stop in (("train", 0, cut), ("valid", cut, count)):
        path = args.output / f"{args.task}_{part}.h5"
        common = {"seed": args.seed, "overwrite": args.overwrite}
        n = write_patches(path, args.finaltest, settings, start, stop, **common)
        print(f"{path}: {n} patches of {settings.side} x {settings.side} cells, frames {start}..{stop}")


if __name__ == "__main__":
    run_program(main)
