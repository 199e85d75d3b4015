"""Files of patches for the spot classifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from src.spot_classifier.patches import GaussSettings, GaussTasks, cut_patches, patch_dtype, to_cells
from util.frames.course_file import FrameFile
from util.runtime.errors import InputError
from util.runtime.facts import to_json
from util.runtime.hdf5 import reading_hdf5
from util.runtime.hdf5_stored import content_of
from util.runtime.hdf5_tables import writing_tables
from util.runtime.progress import over
from util.runtime.settings import changed, load
from util.simulation.provenance import attributes_of, check_room, is_made_with
from util.simulation.truth_tables import DETECTED, read_detected_electrons

PATCHES = "Patches"
TaskName = Literal["pixel", "finder"]


@dataclass(frozen=True)
class PatchFacts:
    """How a file of patches was made: the settings, the fingerprint of the frames' file, the range of frames."""

    settings: GaussSettings
    source: str
    frames: tuple[int, int]


def write_patches(
    path: Path, finaltest: Path, settings: GaussSettings, start: int, stop: int, *, seed: int, overwrite: bool
) -> int:
    """Write the patches of frames `start` .. `stop` - 1, frame by frame, unless they exist; return their number.

    Raises
    ------
    InputError
        The file exists, made otherwise; frames without a patch; no room.
    """
    with FrameFile(finaltest) as frames:
        text = to_json(PatchFacts(settings, frames.fingerprint(), (start, stop)), sort_keys=True)
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
            for index in over(range(start, stop), f"cutting {path.stem}", stop - start, "frame"):
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


def read_patches(path: Path, settings: GaussSettings) -> NDArray[np.void]:
    """Read `Patches` (n,), dtype `patch_dtype`.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, or patches of another task or size.
    """
    remedy = "make it with script/gen_gauss_data.sh"
    with reading_hdf5(path, f"no such file; {remedy}", remedy) as file:
        table = file.get(PATCHES)
        expected = patch_dtype(settings)
        if not isinstance(table, h5py.Dataset) or table.dtype != expected:
            found = table.dtype if isinstance(table, h5py.Dataset) else ", ".join(file) or "nothing"
            raise InputError(f"{path}: expected {PATCHES} of type {expected}, found {found}; {remedy}")
        rows: NDArray[np.void] = content_of(table)
    return rows


def task_settings(path: Path, task: TaskName, changes: Mapping[str, object]) -> GaussSettings:
    """Read one task of param/gauss.toml, with what the command line changes of it.

    Raises
    ------
    InputError
        The file or an option is at fault.
    """
    tasks = load(GaussTasks, path)
    settings = tasks.finder if task == "finder" else tasks.pixel
    return changed(settings, changes, f"{path}: {task}, with the options given")
