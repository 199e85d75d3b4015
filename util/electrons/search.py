"""Searching a file of frames: one shard per range, in any number of processes."""

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from util.camera.detector import Detector
from util.electrons.search_block import FoundBlock, Task, find_block, release
from util.electrons.shard_facts import FrameCounts, SearchSettings, ShardFacts
from util.electrons.shards import Shard, distribution_of, read_facts
from util.finder.finder import Finder
from util.frames.source import FrameSource
from util.runtime.errors import FrameError, InputError
from util.runtime.executor import map_in_order, open_executor
from util.runtime.hdf5_stored import gaps, merged
from util.runtime.progress import Progress

SHARDS = 10  # over a whole file


def add_counts(parts: Sequence[FrameCounts]) -> FrameCounts:
    """Add up the counts of blocks or shards."""
    return FrameCounts(*(sum(values) for values in zip(*(dataclasses.astuple(part) for part in parts), strict=True)))


def ranges_over(start: int, stop: int, shards: int) -> list[tuple[int, int]]:
    """Cut frames `start` .. `stop` - 1 into at most `shards` ranges of nearly equal length, none empty."""
    edges = np.unique(np.linspace(start, stop, shards + 1).round().astype(int)).tolist()
    return list(itertools.pairwise(edges))


def detector_of_shards(folder: Path, source: str, asked: SearchSettings) -> Detector | None:
    """Return the detector of shards of the same file that were made in the same way; None where there are none.

    Learnt anew, it would differ by a hair once a frame has been mended, and the shards would not belong together.
    """
    for path in sorted(folder.glob("final_*_*.npz")):
        facts = read_facts(path)
        detector = None if facts.search is None else facts.search.detector
        if facts.source == source and detector and facts.search == dataclasses.replace(asked, detector=detector):
            return detector
    return None


def wanted_shards(
    folder: Path, ranges: Sequence[tuple[int, int]], source: str, settings: SearchSettings, *, overwrite: bool
) -> list[tuple[int, int]]:
    """Return what of the ranges is still to be searched: those of which no frame is in a shard there, and pieces.

    Raises
    ------
    InputError
        There is a shard already, made from another file or with other settings.
    """
    if overwrite:
        return list(ranges)
    there = []
    for path in folder.glob("final_*_*.npz"):
        facts = read_facts(path)
        for same, what in ((facts.source == source, "file of frames"), (facts.settings == settings, "settings")):
            if not same:
                raise InputError(
                    f"{path}: expected a shard of the same {what}, found another; remove it, choose another folder "
                    "(DATA_DIR), or replace it with --overwrite"
                )
        there.append((facts.start, facts.stop))
    return [piece for start, stop in ranges for piece in gaps(merged(there), start, stop)]


def find_shards(
    frames: FrameSource,
    ranges: Sequence[tuple[int, int]],
    settings: SearchSettings,
    *,
    source: str,
    keep_events: bool,
    workers: int,
    scheduler: str = "",
    block: int = 50,
) -> Generator[tuple[tuple[int, int], Shard | FrameError], None, None]:
    """Search ranges of frames and yield a shard for each, in order, as soon as it is complete.

    Where a frame cannot be used, yield that error in place of its range's shard, and go on with the next range. The
    `settings` must name the detector.
    """
    detector, finder = settings.detector, settings.finder
    if detector is None:
        raise ValueError("expected settings with a detector, found none")
    path = frames.path.resolve()
    failed: set[tuple[int, int]] = set()

    def tasks() -> Iterator[Task]:
        for start, stop in ranges:
            for first in range(start, stop, block):
                if (start, stop) not in failed:
                    last = min(first + block, stop)
                    yield Task(path, frames.dataset, source, (start, stop), first, last, detector, finder)

    if ranges:
        # Compiles here, once, what every worker would otherwise compile for itself.
        Finder(detector, finder).find(np.zeros(frames.frame_shape, frames.dtype))
    total = sum(stop - start for start, stop in ranges)
    with (
        contextlib.ExitStack() as stack,
        open_executor(workers, scheduler, files=[path]) as executor,
        Progress("searching", total, "frame") as progress,
    ):
        stack.callback(release)  # with one worker, this process itself has opened the file
        results = map_in_order(executor, find_block, tasks(), in_flight=lambda: 4 * executor.concurrency)
        blocks: list[FoundBlock] = []
        for found in results:
            progress.update(found.counts.frames)
            start, stop = found.shard
            if found.damage and found.shard not in failed:
                failed.add(found.shard)
                blocks.clear()
                yield found.shard, found.damage
            if found.shard in failed:
                continue
            blocks.append(found)
            if sum(part.counts.frames for part in blocks) < stop - start:
                continue
            events = np.concatenate([part.events for part in blocks])
            counts = add_counts([part.counts for part in blocks])
            blocks.clear()
            squared_weights = float(np.sum(events["weight"].astype(float) ** 2))
            facts = ShardFacts(start, stop, source, frames.count, settings, counts, squared_weights)
            yield found.shard, Shard(facts, events if keep_events else None, *distribution_of(events))
