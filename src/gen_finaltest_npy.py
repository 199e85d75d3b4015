"""Find the electrons of camera frames.

usage: python -m src.gen_finaltest_npy --finaltest FILE --output FOLDER [--range START STOP] [--workers N] ...

reads   FILE (HDF5: FinalImage, or a plain dataset (N, H, W); TIFF, or a folder of TIFF or PNG),
        param/finder.toml (how to search); param/phosphor.toml (one electron's spot, where the frames do not tell it)
writes  FOLDER/final_START_STOP.npz: `distribution` and `counts` (1024, 1024), `events`; ten ranges over the file unless
        told otherwise

A shard that is already there, from the same file and with the same settings, is kept, whatever its range, and its
frames are not searched again. The result does not depend on the number of workers. A range with a frame that cannot be
read gets no shard; the others do, and a message at the end says so. Frames without an electron, and frames too bright
to tell electrons apart, are counted and reported.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.electrons.search import SHARDS, add_counts, detector_of_shards, find_shards, ranges_over, wanted_shards
from util.electrons.shard_facts import FrameCounts, SearchSettings
from util.electrons.shards import Shard, shard_path, write_shard
from util.finder.calibration import learn_detector
from util.finder.finder import FinderSettings
from util.finder.run_checks import check_frames
from util.frames.open import log_cautions, open_frames
from util.frames.source import FrameSource
from util.runtime import console, settings
from util.runtime.errors import FrameError, InputError, run_program
from util.runtime.executor import available_cores
from util.runtime.options import Parser, add_scheduler, add_workers, as_options, number
from util.runtime.output_names import folder_name

RANGES_NAMED = 8  # at most, in a message

Range = tuple[int, int]  # of frames, the first and the one after the last


@dataclass(frozen=True)
class Options:
    """Which frames are searched, how, and by whom; None: the default that the help text names."""

    finaltest: Path
    dataset: str | None
    frame_axis: int | None
    output: Path
    range: Range | None
    shard_count: int | None
    block: int
    spots: Literal["learn", "recipe"]
    check: Literal["yes", "no"]
    phosphor: Path
    finder: Path
    no_events: bool
    overwrite: bool
    workers: int
    scheduler: str

    def __post_init__(self) -> None:
        if self.range and self.range[0] >= self.range[1]:
            raise ValueError(f"--range START STOP: STOP must be above START, found {self.range[0]} {self.range[1]}")


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_finaltest_npy.sh", __doc__)
    add = parser.add_argument
    add(
        "--finaltest", type=Path, required=True, metavar="FILE", help="camera frames: HDF5, TIFF, folder of TIFF or PNG"
    )
    add("--dataset", metavar="NAME", help="HDF5 dataset (default: FinalImage, or the only one)")
    add("--frame-axis", type=int, choices=(0, 1, 2), help="axis of a plain dataset along which frames lie (default: 0)")
    add("--output", type=folder_name, required=True, metavar="FOLDER", help="folder of the shards")
    add("--range", type=int, nargs=2, metavar=("START", "STOP"), help="search these frames alone")
    add(
        "--shard-count",
        type=number(int, 1),
        metavar="N",
        help=f"cut into as many (default: the whole file into {SHARDS}, a --range not)",
    )
    add(
        "--block",
        type=number(int, 1),
        default=50,
        metavar="N",
        help="frames per task of a worker (default 50)",
    )
    add(
        "--spots",
        choices=("learn", "recipe"),
        default="learn",
        help="learn camera and spot from the frames, or take them from --phosphor (default %(default)s)",
    )
    add(
        "--check",
        choices=("yes", "no"),
        default="yes",
        help="no: learn camera, size and brightness of round spots alone, and take the detector for an ideal one "
        "otherwise: afterglow, response, gain and shape of the spots are neither looked for nor taken out, and the run "
        "is not checked (default %(default)s)",
    )
    add("--phosphor", type=Path, default=Path("param/phosphor.toml"), metavar="FILE", help="an electron's spot")
    add("--finder", type=Path, default=Path("param/finder.toml"), metavar="FILE", help="how to search")
    add("--no-events", action="store_true", help="keep the distribution alone, not each electron")
    add("--overwrite", action="store_true", help="search even what is already there")
    add_workers(parser, available_cores())
    add_scheduler(parser)
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def choose_detector(
    frames: FrameSource, recipe: PhosphorRecipe, finder: FinderSettings, *, spots: str, known: Detector | None
) -> Detector:
    """Learn the detector from its frames unless it is known, or take the recipe's, and say which."""
    if spots != "recipe" and known is not None:
        console.say("detector: as learnt for the shards that are there")
        return known
    if spots != "recipe":
        learned = (
            check_frames(frames, recipe, finder)[0]
            if spots == "learn"
            else learn_detector(frames, recipe, finder, ideal=True)
        )
        console.say(learned.report())
        return learned.detector
    # The camera of the file counts, whatever frame the recipe was written for.
    detector = Detector.of_recipe(replace(recipe, frame_shape=frames.frame_shape))
    console.say("detector: as the recipe says; nothing was learnt from the frames")
    return replace(detector, saturation=2**frames.bits - 1)


def write_found(output: Path, found: Iterable[tuple[Range, Shard | FrameError]]) -> list[tuple[Range, FrameError]]:
    """Write shards as they are found, and print what is in them; return the ranges that got none, and why."""
    lacking: list[tuple[Range, FrameError]] = []
    seen: list[FrameCounts] = []
    hits, electrons = 0, 0.0
    for frames_range, shard in found:
        if isinstance(shard, FrameError):
            lacking.append((frames_range, shard))
            continue
        write_shard(shard_path(output, *frames_range), shard)
        seen.append(shard.facts.counts_of_frames)
        hits += int(shard.counts.sum())
        electrons += float(shard.distribution.sum(dtype=float))
    if seen:
        done = add_counts(seen)
        unused = [
            f"{done.empty} frames without electrons ({done.dark} all dark)" * (done.empty > 0),
            f"{done.saturated} too bright to search" * (done.saturated > 0),
        ]
        text = (
            f"{output}: {done.frames} frames searched: {hits} hits, {electrons:.0f} electrons by flux, "
            f"{electrons / done.frames:.2f} per frame"
        )
        told = ", ".join(part for part in unused if part)
        console.conclude(f"{text}; {told}" if told else text)
    return lacking


def describe_lacking(output: Path, lacking: Sequence[tuple[Range, FrameError]]) -> str:
    """Say in one line which frames have no shard, and why."""
    ranges = [f"{start}..{stop}" for (start, stop), _ in lacking]
    if len(ranges) > RANGES_NAMED:
        ranges[RANGES_NAMED:] = [f"and {len(ranges) - RANGES_NAMED} further ranges"]
    return f"{lacking[0][1]}; no shard was made of frames {', '.join(ranges)}; those of all others are in {output}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    output = options.output
    recipe = settings.load(PhosphorRecipe, options.phosphor)
    finder = settings.load(FinderSettings, options.finder)
    with open_frames(options.finaltest, options.dataset, options.frame_axis) as frames:
        log_cautions(frames)
        frames.check_written(*(options.range or (0, frames.count)))
        source = frames.fingerprint()
        spots = "ideal" if (options.spots, options.check) == ("learn", "no") else options.spots
        asked = SearchSettings(recipe, finder, frames.dataset, spots)
        known = None if options.overwrite else detector_of_shards(output, source, asked)
        search = replace(asked, detector=choose_detector(frames, recipe, finder, spots=spots, known=known))
        count = options.shard_count or (1 if options.range else SHARDS)
        ranges = ranges_over(*(options.range or (0, frames.count)), count)
        wanted = wanted_shards(output, ranges, source, search, overwrite=options.overwrite)
        lacking = [(start, stop) for start, stop in ranges if any(start <= first < stop for first, _ in wanted)]
        if len(lacking) < len(ranges):
            tell = console.say if lacking else console.conclude
            tell(f"{output}: {len(ranges) - len(lacking)} of {len(ranges)} shards are already there")
        found = find_shards(
            frames,
            wanted,
            search,
            source=source,
            keep_events=not options.no_events,
            workers=options.workers,
            scheduler=options.scheduler,
            block=options.block,
        )
        with contextlib.closing(found):  # so that bar and workers are gone before a failure is told
            failed = write_found(output, found)
    if failed:
        raise InputError(describe_lacking(output, failed))


if __name__ == "__main__":
    run_program(main)
