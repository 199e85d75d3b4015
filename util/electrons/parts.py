"""The shards of a source that still grows, in a folder of their own, and their way to those of the finished file.

A shard names the file of frames that it is of by a fingerprint of that file, size included, and all shards of an
answer must name the same one. A file that grows has another fingerprint with every frame. So the shards that are made
meanwhile, called parts here, are kept apart; each has for its source a fingerprint of its own frames, every one of
them as the finder was given it, which growing leaves as it is. A watch that goes on reads them again and compares, and
so does its end: parts whose frames are in the file as they were searched are put together into shards of that file, the
same that script/gen_finaltest_npy.sh would make of these ranges, and that script searches what is lacking. Nothing is
taken on trust, such as that a frame was whole when it was searched, or that frames were only added at the end.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.electrons.search import add_counts, wanted_shards
from util.electrons.shard_facts import FrameCounts, SearchSettings, ShardFacts
from util.electrons.shards import Shard, distribution_of, list_shards, read_facts, read_shard, shard_path, write_shard
from util.finder.corrected_frames import corrected
from util.frames.source import FrameSource, digest_of
from util.runtime.atomic_file import replacing
from util.runtime.errors import FrameError, InputError

_RECORD = "handed_over.txt"  # in the folder of the parts: the source of the shards that were made of them the last time

Range = tuple[int, int]  # of frames, the first and the one after the last


@dataclass(frozen=True, eq=False)
class Part:
    """What was found in frames `start` .. `stop` - 1 of a source that grows; events of dtype EVENT.

    `source` is the `fingerprint` of these frames, as they were when they were searched.
    """

    start: int
    stop: int
    source: str
    events: NDArray[np.void]
    counts: FrameCounts


def fingerprint(digests: Iterable[bytes]) -> str:
    """Return the SHA-256, as hex digits, of the digests (`util.frames.source.digest_of`) of all frames of a part."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def write_part(folder: Path, part: Part, frames: int, settings: SearchSettings) -> None:
    """Write a part as a shard of a source of so many frames."""
    squares = float(np.sum(part.events["weight"].astype(float) ** 2))
    facts = ShardFacts(part.start, part.stop, part.source, frames, settings, part.counts, squares)
    shard = Shard(facts, part.events, *distribution_of(part.events))
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
        No part is of these frames, or one was made with other settings.
    """
    if not folder.is_dir() or not any(folder.glob("final_*.npz")):
        return [], None
    facts_of = {path: read_facts(path) for path in list_shards(folder)}
    first, facts = next(iter(facts_of.items()))
    detector = facts.search.detector if facts.search else None
    as_searched = _as_searched(frames, detector)
    for path, facts in facts_of.items():
        if facts.search != dataclasses.replace(asked, detector=detector):
            raise _of_other(path, "settings")
    sound = {path for path, facts in facts_of.items() if facts.stop <= frames.count and _is_of(facts, as_searched)}
    if not sound:
        raise _of_other(first, "frames")
    parts: list[Part] = []
    for path, facts in facts_of.items():
        if path in sound and facts.start >= (parts[-1].stop if parts else 0):
            parts.append(_part_of(path))
        else:
            path.unlink()
    return parts, detector


def _of_other(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: expected a part of the same {what}, found another; remove the folder, or watch into another DATA_DIR"
    )


def _part_of(path: Path) -> Part:
    shard = read_shard(path)
    if shard.events is None:
        raise InputError(f"{path}: expected events, found none; remove it")
    facts = shard.facts
    return Part(facts.start, facts.stop, facts.source, shard.events, facts.counts_of_frames)


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

    Reads the frames of these parts again.

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
    lacking = wanted_shards(output, [(0, frames.count)], source, settings, overwrite=False)
    as_searched = _as_searched(frames, settings.detector)
    sound = []
    for path in list_shards(folder):
        facts = read_facts(path)
        if any(start <= facts.start and facts.stop <= stop for start, stop in lacking) and _is_of(facts, as_searched):
            sound.append(path)
    for group in _groups(sound, -(-frames.count // shards)):
        parts = [_part_of(path) for path in group]
        events, counts = np.concatenate([part.events for part in parts]), add_counts([part.counts for part in parts])
        whole = Part(parts[0].start, parts[-1].stop, source, events, counts)
        write_part(output, whole, frames.count, settings)
    return wanted_shards(output, [(0, frames.count)], source, settings, overwrite=False)


def _as_searched(frames: FrameSource, detector: Detector | None) -> FrameSource | None:
    """Return the frames as a finder is given them; None where they are not of the detector's camera."""
    if detector is None or detector.frame_shape != frames.frame_shape:
        return None
    return corrected(frames, detector)


def _is_of(facts: ShardFacts, as_searched: FrameSource | None) -> bool:
    """Return whether all frames of a part are, and are the same as when they were searched."""
    if as_searched is None:
        return False
    try:
        found = [digest_of(*as_searched.read_row(row)) for row in range(facts.start, facts.stop)]
    except FrameError:
        return False
    return fingerprint(found) == facts.source


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
