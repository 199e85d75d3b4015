"""Frames summed in blocks, and the spot learnt from some of them, on any number of workers."""

import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.finder.corrected_frames import corrected
from util.finder.finder import Finder, FinderSettings
from util.frames.open import open_frames
from util.runtime.errors import InputError
from util.runtime.executor import WorkerPool, map_in_order
from util.runtime.progress import over
from util.summed.deconvolved_fit import FEWEST_BLOCKS
from util.summed.restore import bin_frame, cell_of, restored
from util.summed.spot import Spot, learn_spot

_MOST_BLOCKS = 250
_SPOT_FRAMES = 1000  # about five spots of a usual frame stand alone


class FrameSums(NamedTuple):
    """Sums (B, rows, columns) of B blocks of frames, binned, of even gain and no background; block of each ImageId."""

    sums: NDArray[np.float64]
    block_of: dict[int, int]


class _Task(NamedTuple):
    path: Path
    dataset: str | None
    detector: Detector
    settings: FinderSettings
    start: int
    stop: int


def sum_frames(
    path: Path, dataset: str | None, detector: Detector, settings: FinderSettings, executor: WorkerPool
) -> FrameSums:
    """Sum the frames of a file in up to 250 blocks of nearly equally many; `dataset` is as `open_frames` takes it.

    `settings` are those of the finder whose spots tell what the camera cut off.

    Raises
    ------
    InputError
        Fewer than 40 frames, or one that cannot be read.
    """
    with open_frames(path, dataset) as frames:
        frames.check_written()
        if frames.count < FEWEST_BLOCKS:
            raise InputError(f"{path}: expected at least {FEWEST_BLOCKS} frames, found {frames.count}; use more")
        # Of as many frames each as can be: a block of two frames and one of one would seem to scatter.
        blocks = frames.count // math.ceil(frames.count / _MOST_BLOCKS)
        dataset = frames.dataset  # the one chosen; which one is printed once
        edges = np.linspace(0, frames.count, blocks + 1).round().astype(int)
        ids = frames.image_ids()
    path, ranges = path.resolve(), itertools.pairwise(edges.tolist())
    tasks = (_Task(path, dataset, detector, settings, start, stop) for start, stop in ranges)
    summed = map_in_order(executor, _sum_block, tasks, in_flight=lambda: 2 * executor.concurrency)
    sums = np.stack(list(over(summed, "summing frames", blocks, "block")))
    size = 2 * cell_of(detector)
    rows, columns = (size * np.arange(bins) + (size - 1) / 2 for bins in sums.shape[1:])
    dark = size**2 * detector.background_at(rows[:, None], columns)
    sums = (sums - np.diff(edges)[:, None, None] * dark) / detector.gain_at(rows[:, None], columns)
    return FrameSums(sums, dict(zip(ids.tolist(), np.repeat(np.arange(blocks), np.diff(edges)).tolist(), strict=True)))


def _sum_block(task: _Task) -> NDArray[np.float64]:
    with open_frames(task.path, task.dataset) as frames:
        size, finder = 2 * cell_of(task.detector), Finder(task.detector, task.settings)
        total = np.zeros([pixels // size for pixels in frames.frame_shape])
        for _, frame in corrected(frames, task.detector).rows(task.start, task.stop):
            total += bin_frame(restored(task.detector.without_hot_pixels(frame), finder), size)
    return total


def spot_of(path: Path, dataset: str | None, finder: Finder) -> Spot:
    """Learn one electron's spot from up to 1,000 frames, evenly over the file."""
    with open_frames(path, dataset) as frames:
        rows = np.unique(np.linspace(0, frames.count - 1, _SPOT_FRAMES).round().astype(int))
        linear = corrected(frames, finder.detector)
        read = over(rows.tolist(), "learning the spot", len(rows), "frame")
        return learn_spot((linear.read(row) for row in read), finder)
