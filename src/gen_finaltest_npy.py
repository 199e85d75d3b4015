"""Find the electrons of camera frames.

usage: python -m src.gen_finaltest_npy --finaltest FILE --output FOLDER [--range START STOP] [--workers N] ...

reads   FILE (HDF5: FinalImage, or a plain dataset (N, H, W); TIFF, or a folder of it),
        param/finder.toml (how to search); param/phosphor.toml (one electron's spot, where the frames do not tell it)
writes  FOLDER/final_START_STOP.npz: `distribution` and `counts` (1024, 1024), `events`; ten ranges over the file unless
        told otherwise

A shard that is already there, from the same file and with the same settings, is kept. The result does not depend on
the number of workers. A range with a frame that cannot be read gets no shard; the others do, and it is told at the
end. Frames without an electron, and frames too bright to tell electrons apart, are counted and reported.
"""

import argparse
import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.electrons.search import add_counts, find_shards, ranges_over, wanted_shards
from util.electrons.shard_facts import SearchSettings
from util.electrons.shards import read_facts, shard_path, write_shard
from util.finder.calibration import learn_detector
from util.finder.finder import FinderSettings
from util.frames.open import open_frames
from util.frames.source import FrameSource
from util.runtime import settings
from util.runtime.errors import FrameError, InputError, run_program
from util.runtime.executor import available_cores
from util.runtime.options import add_scheduler, number

SHARDS = 10  # over a whole file
RANGES_NAMED = 8  # at most, in a message


def describe_lacking(output: Path, lacking: Sequence[tuple[tuple[int, int], FrameError]]) -> str:
    """Say in one line which frames have no shard, and why."""
    ranges = [f"{start}..{stop}" for (start, stop), _ in lacking]
    if len(ranges) > RANGES_NAMED:
        ranges[RANGES_NAMED:] = [f"and {len(ranges) - RANGES_NAMED} further ranges"]
    return f"{lacking[0][1]}; no shard was made of frames {', '.join(ranges)}; those of all others are in {output}"


def detector_of_shards(folder: Path, source: str, asked: SearchSettings) -> Detector | None:
    """Return the detector of shards of the same file that were made in the same way; None where there are none.

    Learnt anew it would differ by a hair once a frame has been mended, and the shards would not go together.
    """
    for path in sorted(folder.glob("final_*_*.npz")):
        facts = read_facts(path)
        detector = facts.settings.detector
        if facts.source == source and detector and facts.settings == dataclasses.replace(asked, detector=detector):
            return detector
    return None


def choose_detector(
    frames: FrameSource, recipe: PhosphorRecipe, finder: FinderSettings, *, spots: str, known: Detector | None
) -> Detector:
    """Learn the detector from its frames unless it is known, or take the recipe's, and say which."""
    if spots == "learn" and known is not None:
        print("detector: as learnt for the shards that are there")
        return known
    if spots == "learn":
        learned = learn_detector(frames, recipe, finder)
        print(learned.report())
        return learned.detector
    # The camera of the file counts, whatever frame the recipe was written for.
    detector = Detector.of_recipe(dataclasses.replace(recipe, frame_shape=frames.frame_shape))
    print("detector: as the recipe says; nothing was learnt from the frames")
    return dataclasses.replace(detector, saturation=2**frames.bits - 1)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="gen_finaltest_npy.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--finaltest", type=Path, required=True, help="camera frames: HDF5, TIFF, folder of TIFF")
    parser.add_argument("--dataset", metavar="NAME", help="HDF5 dataset (default: FinalImage, or the only one)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--range", type=int, nargs=2, metavar=("START", "STOP"), help="search these frames alone")
    parser.add_argument(
        "--shards", type=int, help=f"cut into as many (default: the whole file into {SHARDS}, a --range not)"
    )
    parser.add_argument("--block", type=number(int, 1), default=50, help="frames a worker takes at a time (default 50)")
    parser.add_argument(
        "--spots",
        choices=("learn", "recipe"),
        default="learn",
        help="learn camera and spot from the frames, or take them from --phosphor (default %(default)s)",
    )
    parser.add_argument("--phosphor", type=Path, default=Path("param/phosphor.toml"), help="an electron's spot")
    parser.add_argument("--finder", type=Path, default=Path("param/finder.toml"), help="how to search")
    parser.add_argument("--no-events", action="store_true", help="keep the distribution alone, not each electron")
    parser.add_argument("--overwrite", action="store_true", help="search again what is already there")
    parser.add_argument("--workers", type=int, default=available_cores(), help="processes (default: all cores)")
    add_scheduler(parser)
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error(f"--workers must be at least 1, found {args.workers}")
    if args.shards is not None and args.shards < 1:
        parser.error(f"--shards must be at least 1, found {args.shards}")
    if args.range and args.range[0] >= args.range[1]:
        parser.error(f"--range START STOP: STOP must be above START, found {args.range[0]} {args.range[1]}")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = parse_args(argv)
    recipe = settings.load(PhosphorRecipe, args.phosphor)
    finder = settings.load(FinderSettings, args.finder)
    with open_frames(args.finaltest, args.dataset) as frames:
        if args.range:
            frames.check_range(*args.range)
        source = frames.fingerprint()
        asked = SearchSettings(recipe, finder, frames.dataset, args.spots)
        known = None if args.overwrite else detector_of_shards(args.output, source, asked)
        detector = choose_detector(frames, recipe, finder, spots=args.spots, known=known)
        ranges = ranges_over(*(args.range or (0, frames.count)), args.shards or (1 if args.range else SHARDS))
        search = dataclasses.replace(asked, detector=detector)
        wanted = wanted_shards(args.output, ranges, source, search, overwrite=args.overwrite)
        if len(wanted) < len(ranges):
            print(f"{args.output}: {len(ranges) - len(wanted)} of {len(ranges)} shards are already there")
        shards = find_shards(
            frames,
            wanted,
            search,
            source=source,
            keep_events=not args.no_events,
            workers=args.workers,
            scheduler=args.scheduler,
            block=args.block,
        )
        seen, lacking = [], []
        electrons = hits = 0.0
        with contextlib.closing(shards):  # so that bar and workers are gone before a failure is told
            for frames_range, shard in shards:
                if isinstance(shard, FrameError):
                    lacking.append((frames_range, shard))
                    continue
                write_shard(shard_path(args.output, *frames_range), shard)
                seen.append(shard.facts.counts_of_frames)
                electrons += float(shard.distribution.sum(dtype=float))
                hits += int(shard.counts.sum())
    if seen:
        done = add_counts(seen)
        print(
            f"{args.output}: {done.frames} frames searched: {hits:.0f} hits, {electrons:.0f} electrons by flux, "
            f"{electrons / done.frames:.2f} a frame; {done.empty} frames without electrons ({done.dark} all dark), "
            f"{done.saturated} too bright to search"
        )
    if lacking:
        raise InputError(describe_lacking(args.output, lacking))


if __name__ == "__main__":
    run_program(main)
