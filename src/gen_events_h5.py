"""Hand the electrons on as one HDF5 table that other programs read.

usage: python -m src.gen_events_h5 --shards FOLDER --output FILE [--partial]

reads   FOLDER/final_START_STOP.npz, one after the other
writes  FILE: `Events`, one row per electron in the order of the frames, with the unit of each field as an attribute;
        the root's attributes say of which frames, from which file and with which settings
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.electrons.shards import check_together, list_shards, read_facts, read_shard
from util.finder.finder import EVENT
from util.runtime import console, program
from util.runtime.errors import InputError, run_program
from util.runtime.facts import to_json
from util.runtime.hdf5_tables import writing_tables
from util.runtime.options import Parser, as_options
from util.runtime.output_names import hdf5_file
from util.runtime.progress import over

EVENTS = "Events"
UNITS = {
    "ImageId": "number of the frame",
    "x": "half screens from its middle",
    "z": "half screens from its middle, along the polarisation",
    "weight": "electrons",
    "flux": "mean flux of one electron",
    "A": "camera counts",
    "sigma": "half screens",
    "rho": "1",
}


def write_events(folder: Path, output: Path, *, partial: bool) -> tuple[int, int]:
    """Write the electrons of all shards of a folder; return the numbers of electrons and of frames.

    Parameters
    ----------
    folder : Path
    output : Path
    partial : bool
        Whether frames may be missing.

    Raises
    ------
    InputError
        Shards that are missing, damaged, do not belong together or were made without events, or a full disk. Nothing
        is left behind then.
    """
    paths = list_shards(folder)
    facts = [read_facts(path) for path in paths]
    check_together(paths, facts, partial=partial)
    if facts[0].imported and facts[0].imported.kind == "image":
        raise InputError(
            f"{paths[0]}: expected events, found an image, which has none; gen_finaltest_answer.sh reads it"
        )
    ranges = [(fact.start, fact.stop) for fact in facts]
    attributes: dict[str, str | int] = {
        **program.told_of_file("every electron that was found in the frames, or imported", "gen_events_h5"),
        "source": facts[0].source,
        "settings": to_json(facts[0].settings, sort_keys=True),
        "frames_in_source": facts[0].frames_in_source,
        "ranges_of_frames": to_json(ranges),
    }
    with writing_tables(output, attributes) as writer:
        table = writer.create_table(EVENTS, EVENT, packed=True)
        table.attrs["description"] = "one row an electron, in the order of the frames"
        table.attrs["units"] = "; ".join(f"{name}: {unit}" for name, unit in UNITS.items())
        for name, unit in UNITS.items():
            table.attrs[f"{name}_unit"] = unit
        for path in over(paths, "collecting", len(paths), "shard"):
            writer.append(table, _events_of(path))
        return len(table), sum(stop - start for start, stop in ranges)


def _events_of(path: Path) -> NDArray[np.void]:
    events = read_shard(path).events
    if events is None:
        raise InputError(f"{path}: expected events, found none; search its frames again without --no-events")
    names = EVENT.names or ()
    missing = set(names) - set(events.dtype.names or ())
    if missing:
        raise InputError(f"{path}: its events lack {', '.join(sorted(missing))}; search its frames again")
    rows = np.empty(len(events), EVENT)
    for name in names:
        rows[name] = events[name]
    return rows


@dataclass(frozen=True)
class Options:
    """Which shards go where, and whether some may be missing."""

    shards: Path
    output: Path
    partial: bool


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_events_h5.sh", __doc__)
    parser.add_argument("--shards", type=Path, required=True, metavar="FOLDER", help="folder of final_START_STOP.npz")
    kind = hdf5_file("a table of events", EVENTS)
    parser.add_argument("--output", type=kind, required=True, metavar="FILE", help="the HDF5 file to make")
    parser.add_argument("--partial", action="store_true", help="write although shards are missing")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    electrons, frames = write_events(options.shards, options.output, partial=options.partial)
    size = options.output.stat().st_size
    console.conclude(f"{options.output}: {electrons} electrons of {frames} frames, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_program(main)
