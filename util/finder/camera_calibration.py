"""Learning the camera from its frames: background, noise, clipping and hot pixels, from the pixels that stay dark."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.optimize import least_squares
from scipy.special import ndtri

from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.finder.binning import bin_pixels
from util.frames.source import FrameSource
from util.runtime.errors import FrameError, InputError

CAMERA_FRAMES = 48
MOST_FRAMES = 480
CAMERA_BYTES = 1 << 28  # of frames held at once
TILES = 8  # along each axis, in which the background is looked up
COARSE = 4  # pixels along each axis averaged for the background


def learn_camera(frames: FrameSource, recipe: PhosphorRecipe) -> Detector:
    """Learn background, noise, clipping and hot pixels alone; one electron's spot is the recipe's.

    Raises
    ------
    InputError
        No frame can be read.
    """
    per_read = frames_per_read(frames)
    images = read_frames(frames, in_runs(frames.spread_out(MOST_FRAMES), per_read)[:per_read])
    return camera_of(frames, images, Detector.of_recipe(replace(recipe, frame_shape=frames.frame_shape)))


def frames_per_read(frames: FrameSource) -> int:
    """Return how many frames are held at once."""
    return int(np.clip(CAMERA_BYTES // (np.prod(frames.frame_shape) * 8), 8, CAMERA_FRAMES))


def camera_of(frames: FrameSource, images: Sequence[NDArray[np.unsignedinteger]], blank: Detector) -> Detector:
    """Return the camera that some frames show; the rest of it is that of `blank`.

    Raises
    ------
    InputError
        There are no images.
    """
    if not images:
        raise InputError(f"{frames.where}: expected frames, found none that can be read; copy or make the file again")
    return _learn_camera(images, replace(blank, noise=0.0, saturation=_saturation(images, 2**frames.bits - 1)))


def in_runs(rows: Sequence[int], per_read: int) -> list[int]:
    """Order evenly spaced rows such that each run of `per_read` of them spreads over the whole file."""
    runs = max(1, math.ceil(len(rows) / per_read))
    return [row for run in range(runs) for row in rows[run::runs]]


def read_frames(frames: FrameSource, indices: Sequence[int]) -> list[NDArray[np.unsignedinteger]]:
    """Read the frames that can be read; the search itself reports the others."""
    images = []
    for index in indices:
        with suppress(FrameError):
            images.append(frames.read(index))
    return images


def _saturation(images: Sequence[NDArray[np.unsignedinteger]], largest: int) -> int:
    """Return the counts at which the camera clips: the largest declared, or a 2^k - 1 at which many pixels end."""
    top = max(int(image.max()) for image in images)
    full_scale = top > 255 and (top + 1) & top == 0  # all ones: where a converter of fewer bits ends
    often = sum(np.count_nonzero(image == top) for image in images) > 20
    return top if full_scale and often else largest


def _learn_camera(images: Sequence[NDArray[np.unsignedinteger]], blank: Detector) -> Detector:
    """Learn background, noise and hot pixels; no hot pixels where there are too few frames to tell."""
    coarse = np.stack([bin_pixels(image, COARSE, blank.saturation)[0] for image in images])
    edges = [np.array_split(np.arange(size), TILES) for size in coarse.shape[1:]]
    tiles = [(rows, columns) for rows in edges[0] for columns in edges[1] if rows.size and columns.size]

    def dark() -> NDArray[np.float64]:
        """Return the level and spread of each tile's dark bins."""
        return np.array([_dark_level(coarse[:, rows[0] : rows[-1] + 1, c[0] : c[-1] + 1]) for rows, c in tiles])

    level, spread = dark().T
    if np.median(level) > 0:
        at = [COARSE * np.array([tile[axis].mean() for tile in tiles]) + (COARSE - 1) / 2 for axis in (0, 1)]
        unit = [replace(blank, background=tuple(plane)).background_at(*at) for plane in np.eye(3)]
        design = np.stack(np.broadcast_arrays(*unit), axis=1)
        scale = max(float(np.median(spread)), 0.05)
        start = [np.median(level), 0.0, 0.0]
        plane = least_squares(lambda p: (design @ p - level) / scale, start, loss="soft_l1").x
        blank = replace(blank, background=tuple(plane.tolist()))
        rows, columns = (COARSE * np.arange(size) + (COARSE - 1) / 2 for size in coarse.shape[1:])
        coarse -= blank.background_at(rows[:, None], columns)
        level, spread = dark().T  # now without what a slope adds
    bin_spread = float(np.median(spread))
    noise = bin_spread * COARSE
    is_dark = np.abs(coarse - np.median(level)) <= 2.5 * bin_spread
    zeros = np.stack([bin_pixels((image == 0).view(np.uint8), COARSE, 2)[0] for image in images])[is_dark].mean()
    if 0.05 < zeros < 0.95:
        # Negative counts became 0: the share of zeros and the mean are those of a normal law cut off there.
        cut = float(ndtri(zeros))
        height = math.exp(-cut * cut / 2) / math.sqrt(2 * math.pi)
        noise = max(noise, (blank.background[0] - 0.5 * (1 - zeros)) / (height - cut * (1 - zeros)))
        # Under light nothing is cut off: the background there is the mean of the whole law.
        blank = replace(blank, background=(0.5 - cut * noise, *blank.background[1:]))
    hot: tuple[tuple[int, int], ...] = ()
    if len(images) >= 8:
        darkest = np.min(images, axis=0).astype(float)
        excess = darkest - median_filter(darkest, 3)
        # Where spots crowd, every frame has some light, and that has ridges, none as high as a tenth of the brightest.
        brightest = float(np.median([image.max() for image in images])) - blank.background[0]
        hot = tuple((int(i), int(j)) for i, j in np.argwhere(excess > 4 * noise + 0.1 * brightest))
    return replace(blank, noise=noise, hot_pixels=hot)


def pixel_noise(images: Sequence[NDArray[np.unsignedinteger]]) -> float:
    """Return the noise of a pixel [counts], from its difference to the next, which smooth light does not raise."""
    step = [np.median(np.abs(np.diff(image.astype(np.int32), axis=1))) for image in images]
    return float(np.median(step)) / (0.6745 * math.sqrt(2))


def _dark_level(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return level and spread of values that light has raised in places, with the bright side clipped away."""
    level, spread = float(np.median(values)), 0.0
    for _ in range(20):
        below = values[values <= level]
        spread = float(np.sqrt(np.mean((below - level) ** 2)))
        before, level = level, float(values[np.abs(values - level) <= 2.5 * max(spread, 0.02)].mean())
        if abs(level - before) < 1e-3:
            break
    return level, spread
