"""The shards of a source that still grows, in a folder of their own, and their way to those of the finished file.

A shard names the file of frames that it is of by a fingerprint of that file, size included, and all shards of an
answer must name the same one. A file that grows has another fingerprint with every frame. So the shards that are made
meanwhile, called parts here, are kept apart; each has for its source a fingerprint of its own frames
(`util.frames.source.FrameSource.fingerprint_of`), which growing leaves as it is. A watch that goes on compares these,
and so does its end: parts whose frames are in the file as they were searched are put together into shards of that file,
the same that script/gen_finaltest_npy.sh would make of these ranges, and that script searches what is lacking. Nothing
is taken on trust, such as that frames were only added at the end.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.electrons.search import add_counts, wanted_shards
from util.electrons.shard_facts import FrameCounts, SearchSettings, ShardFacts
from util.electrons.shards import Shard, distribution_of, list_shards, read_facts, read_shard, shard_path, write_shard
from util.frames.source import FrameSource
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError

_RECORD = "handed_over.txt"  # in the folder of the parts: the source of the shards that were made of them the last time

Range = tuple[int, int]  # of frames, the first and the one after the last


@dataclass(frozen=True, eq=False)
class Part:
    """What was found in frames `start` .. `stop` - 1 of a source that grows; events of dtype EVENT."""

    start: int
    stop: int
    events: NDArray[np.void]
    counts: FrameCounts


def _shard(part: Part, source: str, frames: int, settings: SearchSettings) -> Shard:
    squares = float(np.sum(part.events["weight"].astype(float) ** 2))
    facts = ShardFacts(part.start, part.stop, source, frames, settings, part.counts, squares)
    return Shard(facts, part.events, *distribution_of(part.events))


def keep_part(folder: Path, part: Part, frames: FrameSource, settings: SearchSettings) -> None:
    """Write a part of the frames that are there by now."""
    shard = _shard(part, frames.fingerprint_of(part.start, part.stop), part.stop, settings)
    write_shard(shard_path(folder, part.start, part.stop), shard)


def kept_parts(folder: Path, frames: FrameSource, asked: SearchSettings) -> tuple[list[Part], Detector | None]:
    """Return the parts of a folder whose frames are still the same, and their detector; remove those of others.

    Parameters
    ----------
    folder : Path
    frames : FrameSource
    asked : SearchSettings
        How frames are to be searched; its detector does not count.

    Raises
    ------
    InputError
        The first part is of other frames, or was made with other settings.
    """
    if not folder.is_dir() or not any(folder.glob("final_*.npz")):
        return [], None
    paths = list_shards(folder)
    settings = read_facts(paths[0]).search
    detector = settings.detector if settings else None
    parts: list[Part] = []
    for path in paths:
        facts = read_facts(path)
        of_same = facts.stop <= frames.count and frames.fingerprint_of(facts.start, facts.stop) == facts.source
        for same, what in (
            (facts.search == dataclasses.replace(asked, detector=detector), "settings"),
            (of_same or parts, "frames"),
        ):
            if not same:
                raise InputError(
                    f"{path}: expected a part of the same {what}, found another; remove the folder, or watch into "
                    "another DATA_DIR"
                )
        if of_same and facts.start >= (parts[-1].stop if parts else 0):
            parts.append(_part_of(path))
        else:
            path.unlink()
    return parts, detector


def _part_of(path: Path) -> Part:
    shard = read_shard(path)
    if shard.events is None:
        raise InputError(f"{path}: expected events, found none; remove it")
    return Part(shard.facts.start, shard.facts.stop, shard.events, shard.facts.counts_of_frames)


def check_output(folder: Path, output: Path) -> None:
    """Refuse a folder for shards that holds others than those which the parts of `folder` were put together to.

    Raises
    ------
    InputError
    """
    known = _recorded(folder)
    for path in sorted(output.glob("final_*_*.npz")):
        if read_facts(path).source != known:
            raise InputError(
                f"{path}: expected no shard but those of an earlier watch, found that of a search; remove it, or watch "
                "into another DATA_DIR"
            )


def hand_over(folder: Path, frames: FrameSource, output: Path, settings: SearchSettings, *, shards: int) -> list[Range]:
    """Put parts together into shards of a finished file, and return the ranges of frames that then have none.

    Parameters
    ----------
    folder : Path
        Of the parts.
    frames : FrameSource
        The file as it is now.
    output : Path
        Folder of the shards. Those of an earlier hand-over, of a file that has since grown, are removed.
    settings : SearchSettings
        Of the parts.
    shards : int
        How many of them a whole file should have, about.

    Raises
    ------
    InputError
        There are shards that are not this watch's.
    """
    check_output(folder, output)
    source = frames.fingerprint()
    if _recorded(folder) != source:
        for path in output.glob("final_*_*.npz"):
            path.unlink()
        with replacing(folder / _RECORD) as temporary:
            temporary.write_text(f"{source}\n", encoding="utf-8")
    sound = [path for path in list_shards(folder) if _is_of(path, frames)]
    for group in _groups(sound, -(-frames.count // shards)):
        parts = [_part_of(path) for path in group]
        span = parts[0].start, parts[-1].stop
        if wanted_shards(output, [span], source, settings, overwrite=False) == [span]:
            events, counts = (
                np.concatenate([part.events for part in parts]),
                add_counts([part.counts for part in parts]),
            )
            write_shard(shard_path(output, *span), _shard(Part(*span, events, counts), source, frames.count, settings))
    return wanted_shards(output, [(0, frames.count)], source, settings, overwrite=False)


def _is_of(path: Path, frames: FrameSource) -> bool:
    facts = read_facts(path)
    return facts.stop <= frames.count and frames.fingerprint_of(facts.start, facts.stop) == facts.source


def _groups(paths: Sequence[Path], size: int) -> Iterator[list[Path]]:
    """Yield parts that follow one another without a gap, so many that they hold at least `size` frames if they can."""
    group: list[Path] = []
    first = last = 0
    for path in paths:
        facts = read_facts(path)
        if group and (facts.start != last or last - first >= size):
            yield group
            group = []
        if not group:
            first = facts.start
        group.append(path)
        last = facts.stop
    if group:
        yield group


def _recorded(folder: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return (folder / _RECORD).read_text(encoding="utf-8").strip()
    return None
