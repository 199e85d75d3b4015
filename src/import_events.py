"""Import lists of events from another program's centroiding, so that the answer stage can read them.

usage: python -m src.import_events FILE .. --output FOLDER --pixels W H [--columns x,z,frame,weight]
           [--units pixels|detector] [--axis 0|1] ...

reads   FILE ..: CSV, TSV or other text (with a header or without; # begins a comment; also .gz, .bz2), NPY (structured,
        or one row per event), NPZ (one array per column), HDF5 (a table, or one dataset per column), Parquet; several
        are put one after the other
writes  FOLDER/final_START_STOP.npz: `distribution` and `counts` (1024, 1024), `events`

The first position runs along the W pixels of a camera's row (axis 1 of its array, mostly called x), the second along
the H pixels of its column (axis 0; y or z). In pixels, the centre of the first pixel is 0. Pixels are square; the
longer side of the camera is the screen. Where there is no column of frames, the events of each shard count as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from util.camera.frame_size import LARGEST_FRAME
from util.electrons.import_folder import lacking, remove_others
from util.electrons.imported_events import Camera, Part, Survey, event_shards, survey
from util.electrons.shard_facts import ImportSettings
from util.electrons.shards import shard_path, write_shard
from util.entries.event_columns import choose_columns
from util.entries.event_file import open_events
from util.entries.file_kind import fingerprint
from util.runtime import console
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name
from util.runtime.progress import over


@dataclass(frozen=True)
class Options:
    """Which events go where, and how they are to be read; None: found out, as the help text says."""

    files: tuple[Path, ...]
    output: Path
    pixels: tuple[int, int] | None
    columns: str | None
    units: Literal["pixels", "detector"]
    axis: Literal[0, 1]
    dataset: str | None
    rows_per_shard: int
    no_events: bool
    overwrite: bool

    def __post_init__(self) -> None:
        if self.units == "pixels" and self.pixels is None:
            raise ValueError("--pixels W H: expected the size of the camera, found none; only detector units need none")
        if self.columns is not None and not 2 <= len(self.columns.split(",")) <= 4:
            raise ValueError(f"--columns: expected x,z or x,z,frame or x,z,frame,weight, found {self.columns}")


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("import_events.sh", __doc__)
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="the events")
    add("--output", type=folder_name, required=True, metavar="FOLDER", help="folder of the shards")
    add(
        "--pixels",
        type=number(int, 1, LARGEST_FRAME),
        nargs=2,
        metavar=("W", "H"),
        help="pixels of the camera: along the first position, and along the second",
    )
    add(
        "--columns",
        metavar="x,z,frame,weight",
        help="names or numbers (from 0) of the columns; frame and weight may be left out or empty "
        "(default: by their usual names)",
    )
    add(
        "--units",
        choices=("pixels", "detector"),
        default="pixels",
        help="of the positions; detector: half screens from the middle (default %(default)s)",
    )
    add(
        "--axis",
        type=int,
        choices=(0, 1),
        default=0,
        help="where the polarisation lies: 0, along the second position, or 1, along the first (default %(default)s)",
    )
    add("--dataset", metavar="NAME", help="HDF5 table, or group of columns (default: the only one)")
    add(
        "--rows-per-shard",
        type=number(int, 1),
        default=4_000_000,
        metavar="N",
        help="events in a shard, at most about (default %(default)s)",
    )
    add("--no-events", action="store_true", help="keep the distribution alone, not each event")
    add("--overwrite", action="store_true", help="replace all shards that are in the folder")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def report(parts: Sequence[Part], found: Survey, camera: Camera) -> None:
    """Print what was found in the files."""
    file, columns = parts[0].file, parts[0].columns
    names = [f"column {file.names[column]}" for column in columns.read]
    (low_w, high_w), (low_h, high_h) = found.seen.tolist()
    console.say(
        f"events: {found.rows} rows; positions in {names[0]}, {low_w:.6g} .. {high_w:.6g}, and {names[1]}, "
        f"{low_h:.6g} .. {high_h:.6g}; the polarisation lies along {names[1 - camera.axis]}"
    )
    frame = "none, each shard counts as one" if columns.frame is None else f"column {file.names[columns.frame]}"
    weight = "1 each" if columns.weight is None else f"column {file.names[columns.weight]}"
    console.say(f"frames: {frame}; weights: {weight}")
    if found.unknown or found.stray:
        console.say(f"left out: {found.unknown} rows with a value that is not known, {found.stray} beyond the camera")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    options = parse_args(argv)
    asked = None if options.columns is None else [name.strip() for name in options.columns.split(",")]
    files = [open_events(path, options.dataset) for path in options.files]
    source = fingerprint(options.files)
    parts = [Part(file, choose_columns(file, asked)) for file in files]
    camera = Camera(options.pixels, options.axis, options.units == "detector")
    found = survey(parts, camera, options.rows_per_shard)
    report(parts, found, camera)
    pixels = options.pixels
    if pixels is not None and options.axis == 1:
        pixels = pixels[1], pixels[0]  # of the shard: along x, and along z, the polarisation
    names = tuple(parts[0].file.names[column] for column in parts[0].columns.read)
    settings = ImportSettings("events", pixels, options.axis, None, options.dataset, names, options.units)
    output = options.output
    wanted = lacking(output, found.ranges, source, settings, overwrite=options.overwrite)
    if len(wanted) < len(found.ranges):
        console.say(f"{output}: {len(found.ranges) - len(wanted)} of {len(found.ranges)} shards are already there")
    if not wanted:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be made ({error.strerror}); name another --output") from None
    shards = event_shards(
        parts,
        camera,
        found,
        settings,
        source=source,
        wanted=wanted,
        rows_per_shard=options.rows_per_shard,
        keep_events=not options.no_events,
        scratch=output,
    )
    events, electrons = 0, 0.0
    for span, shard in over(shards, "importing", len(wanted), "shard"):
        write_shard(shard_path(output, *span), shard)
        events += found.events[found.ranges.index(span)]
        electrons += float(shard.distribution.sum(dtype=float))
    remove_others(output, found.ranges)
    console.conclude(f"{output}: {events} events, {electrons:.0f} electrons on the screen, in {len(wanted)} shards")


if __name__ == "__main__":
    run_program(main)
