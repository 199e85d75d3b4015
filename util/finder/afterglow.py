"""What the screen still shows of the last frames' light, learnt from frames that follow one another.

Where the last frames were bright and no electron has struck since, a frame holds nothing but their afterglow. So it is
regressed there, pixel by pixel, on the frames before it, over the pixels whose counts lie near the regression. Some of
these hold the flank of a new spot. The frames after it are bright at such places just as often, and nothing of their
light can be there: the same regression on them tells what flanks and noise feign.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.finder.corrected_frames import inverse_series
from util.frames.source import FrameSource
from util.runtime.errors import FrameError

LAGS = 4  # frames back that are regressed on
RUNS, RUN = 6, 12  # runs of frames that follow one another, spread over the file
FEWEST = 2 * LAGS + 1
SIGNIFICANT, LEAST = 5.0, 0.001  # errors, and part of the light: a smaller afterglow moves no answer
ROUNDS = 4
TERMS = 8  # of an afterglow; what is left of ten per cent is then 1e-8
_BRIGHT = 0.4  # of a spot's height: pixels that the afterglow is looked for in
_STEP = 4  # pixels: every fourth along each axis holds all there is to learn
_MOST_PIXELS = 3000  # of a frame


@dataclass(frozen=True)
class Afterglow:
    """What the screen still shows of the last frames' light.

    Attributes
    ----------
    last, error : float
        Part of the last frame's light as it was measured, and its standard error: infinite where frames do not tell.
    parts : tuple of float
        As `util.camera.imperfections.Imperfections` has it; none where it is not clear.
    decay : tuple of (float, float)
        Part of a frame's light that is left after one frame, two and so on, as measured, each with its standard error.
    """

    last: float = 0.0
    error: float = math.inf
    parts: tuple[float, ...] = ()
    decay: tuple[tuple[float, float], ...] = ()

    @property
    def clear(self) -> bool:
        """Whether it is there beyond doubt and large enough to matter."""
        return bool(self.parts)


def learn_afterglow(frames: FrameSource, camera: Detector) -> Afterglow:
    """Return the afterglow of a file's frames.

    Parameters
    ----------
    frames : FrameSource
        In the order in which they were taken; their counts rise with the light.
    camera : Detector
        Background and noise.
    """
    runs = [run for run in _runs(frames, camera) if len(run) >= FEWEST]
    parts = np.zeros(LAGS)
    for _ in range(ROUNDS):
        feigned, error_of_feigned = _regress([_without(run, parts) for run in runs], camera, direction=1)
        seen, error_of_seen = _regress(runs, camera, direction=-1)
        before, parts = parts, seen - feigned
        error = np.hypot(error_of_seen, error_of_feigned)
        if np.isnan(parts[0]):
            return Afterglow()
        last = float(parts[0]), float(error[0])
        decay = tuple(zip(_decay(parts, LAGS), error.tolist(), strict=True))
        if not parts[0] > max(SIGNIFICANT * error[0], LEAST):
            return Afterglow(*last, decay=decay)
        if np.abs(parts - before).max() < LEAST / 4:
            break
    return Afterglow(*last, tuple(max(part, 0.0) for part in _decay(parts, TERMS)), decay)


def _decay(parts: NDArray[np.float64], frames: int) -> list[float]:
    """Return what is left of a frame's light after one frame, two .., of the parts (LAGS,) of those before it."""
    return (-inverse_series((-parts).tolist(), frames)).tolist()


def _runs(frames: FrameSource, camera: Detector) -> list[NDArray[np.float32]]:
    """Read runs of frames that follow one another, each (n, H/4, W/4), their background subtracted."""
    length = min(RUN, frames.count)
    starts = np.unique(np.linspace(0, frames.count - length, RUNS).round().astype(int))
    rows, columns = (np.arange(0, pixels, _STEP) for pixels in frames.frame_shape)
    dark = camera.background_at(rows[:, None], columns)
    runs = []
    for start in starts.tolist():
        run: list[NDArray[np.float32]] = []
        last = None
        for index in range(start, start + length):
            try:
                image_id, frame = frames.read_row(index)
            except FrameError:
                break
            if last is not None and image_id != last + 1:
                break
            last = image_id
            run.append((frame[::_STEP, ::_STEP] - dark).astype(np.float32))
        if run:
            runs.append(np.stack(run))
    return runs


def _without(run: NDArray[np.float32], parts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a run without the afterglow of its own frames; the first frames lack what came before them."""
    out = run.copy()
    for back, part in enumerate(parts.tolist(), start=1):
        out[back:] -= np.float32(part) * run[:-back]
    return out


def _regress(
    runs: Sequence[NDArray[np.float32]], camera: Detector, *, direction: Literal[-1, 1]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how much of the frames before (-1) or after (1) a frame holds, (LAGS,), and errors; NaN if unknown.

    The errors follow from the scatter of frames (jackknife).
    """
    height = _height_of_spots(runs, camera)
    sample = []
    for run in runs:
        for t in range(LAGS, len(run) - LAGS):
            others = np.stack([run[t + direction * back] for back in range(1, LAGS + 1)], axis=-1)
            chosen = np.argwhere(others.max(axis=-1) > _BRIGHT * height)
            i, k = chosen[:: math.ceil(len(chosen) / _MOST_PIXELS) or 1].T
            sample.append((run[t][i, k], others[i, k]))
    if not any(len(values) for values, _ in sample):
        return np.full(LAGS, np.nan), np.full(LAGS, np.nan)
    normal, right = _sums_near_the_line(sample, camera)
    n = len(right)
    without = [_solve(np.delete(normal, i, axis=0), np.delete(right, i, axis=0)) for i in range(n)]
    return _solve(normal, right), np.sqrt((n - 1) * np.var(without, axis=0))


def _height_of_spots(runs: Sequence[NDArray[np.float32]], camera: Detector) -> float:
    heights = [frame[frame > 5 * camera.noise + 2] for run in runs for frame in run[::LAGS]]
    return float(np.median([np.percentile(lit, 95) for lit in heights if lit.size] or [np.inf]))


def _sums_near_the_line(
    sample: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], camera: Detector
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return normal equations (n, LAGS, LAGS), (n, LAGS) of n frames, over the pixels near the regression."""
    window = 3 * camera.noise + 2.0
    dark = camera.background[0]
    values, others = (np.concatenate(parts).astype(np.float64) for parts in zip(*sample, strict=True))
    edges = np.cumsum([0, *(len(part) for part, _ in sample)])
    line = np.zeros(LAGS)
    last = others[:, 0] >= others.max(axis=1)
    line[0] = np.median(values[last] / others[last, 0]) if last.any() else 0.0
    for _ in range(30):
        level = others @ line
        # A camera without negative counts raises what noise would have taken below 0.
        residual = values - (camera.mean_of(level + dark) - dark)
        kept = np.abs(residual) < window
        target = np.where(kept, level + residual, 0.0)
        used = np.where(kept[:, None], others, 0.0)
        normal = np.array([used[a:b].T @ others[a:b] for a, b in itertools.pairwise(edges)])
        right = np.array([used[a:b].T @ target[a:b] for a, b in itertools.pairwise(edges)])
        before, line = line, _solve(normal, right)
        if np.abs(line - before).max() < 1e-5:
            break
    return normal, right


def _solve(normal: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.lstsq(normal.sum(axis=0), right.sum(axis=0), rcond=None)[0]
