"""Blocks of frames searched for electrons: what the workers of `src.gen_finaltest_npy` do, wherever they run."""

import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.electrons.shard_facts import FrameCounts
from util.electrons.shards import empty_events
from util.finder.corrected_frames import corrected
from util.finder.finder import Finder, FinderSettings
from util.frames.open import open_frames
from util.frames.source import FrameSource
from util.runtime.errors import FrameError, InputError


class Task(NamedTuple):
    """Frames `start` .. `stop` - 1 to search; travels to the workers."""

    path: Path
    dataset: str | None  # in it
    source: str  # fingerprint of that file
    shard: tuple[int, int]  # range of frames that these are part of
    start: int
    stop: int
    detector: Detector
    finder: FinderSettings


class FoundBlock(NamedTuple):
    """Result of a `Task`: electrons, dtype `util.finder.finder.EVENT`, counts of frames, and what stopped it."""

    shard: tuple[int, int]
    events: NDArray[np.void]
    counts: FrameCounts
    damage: FrameError | None = None


# A worker lives longer than a task, and on a Dask cluster longer than a run: what one task opened serves the next as
# long as it asks for the same. Each thread has its own, since neither a Finder nor a file serves two at a time.
_kept = threading.local()


def find_block(task: Task) -> FoundBlock:
    """Search a block of frames; stop at a frame that cannot be used, and say so.

    Raises
    ------
    InputError
        The file is not what the task says.
    """
    frames, finder = _tools(task)
    parts = [empty_events()]
    searched = dark = empty = saturated = 0
    damage = None
    try:
        for image_id, frame in frames.rows(task.start, task.stop):
            searched += 1
            events = finder.find(frame)
            if events is None:
                saturated += 1
                continue
            empty += events.size == 0
            dark += not frame.any()
            events["ImageId"] = image_id
            parts.append(events)
    except FrameError as error:
        damage = error
    return FoundBlock(task.shard, np.concatenate(parts), FrameCounts(searched, dark, empty, saturated), damage)


def release() -> None:
    """Close what this thread has opened."""
    if hasattr(_kept, "tools"):
        _kept.tools[0].close()
    _kept.__dict__.clear()


def _tools(task: Task) -> tuple[FrameSource, Finder]:
    asked = task.path, task.dataset, task.source, task.detector, task.finder
    if getattr(_kept, "asked", None) != asked:
        release()
        frames = open_frames(task.path, task.dataset)
        if frames.fingerprint() != task.source:
            frames.close()
            raise InputError(
                f"{task.path}: expected the file that the run began with, found another; "
                "leave it alone while it is searched, and let all machines see the same"
            )
        _kept.tools = corrected(frames, task.detector), Finder(task.detector, task.finder)
        _kept.asked = asked
    return _kept.tools
