"""Frames prepared for summing: binned, and with what the camera cut off put back."""

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.phosphor import (
    SMALLEST_SIGMA_PX,
    Geometry,
    PhosphorRecipe,
    as_rendered,
    light,
)
from util.finder.finder import Finder

_CELL = 2 * 2 / 1024  # detector units, about, of the grid on which the density is sampled; sigma_R is 2 cells or more
_RAISED = 0.001  # counts of dark pixels that a camera without negative counts may add


def cell_of(camera: Geometry) -> int:
    """Return the pixels along each side of a cell of the density; a bin of the summed frames is twice as wide."""
    return max(1, round(_CELL / camera.pitch))


def bin_frame(frame: NDArray[np.number], size: int) -> NDArray[np.float32]:
    """Sum size x size pixels; rows and columns beyond a multiple of the size are left out."""
    height, width = (pixels // size for pixels in frame.shape)
    cut = frame[: height * size, : width * size]
    # Rows first, as whole rows of small integers: three times as fast as one sum over both axes.
    kind = {"u1": np.uint16, "u2": np.uint32}.get(frame.dtype.str[1:], frame.dtype)
    rows = cut.reshape(height, size, width * size).sum(axis=1, dtype=kind)
    return rows.reshape(height, width, size).sum(axis=2, dtype=np.float32)


def restored(frame: NDArray[np.unsignedinteger], finder: Finder) -> NDArray[np.number]:
    """Return the frame with what the camera cut off put back: light beyond its range, and negative counts.

    Light lost where electrons pile up at the poles of a PAD would pass for electrons lost. A camera that makes 0 of
    negative counts raises its dark pixels, and lit ones by less, so that spots would not add up. How much is missing
    follows from the light of the spots found, whatever electrons it came from; the sum of the frames takes nothing else
    from the search.

    Parameters
    ----------
    frame : (H, W) uint8 or uint16
        Without hot pixels.
    finder : Finder

    Returns
    -------
    (H, W) array
        Counts whose mean is background plus light; the frame itself where nothing was cut off.
    """
    detector = finder.detector
    full = frame >= detector.saturation
    raises = (detector.dark_at(*_corners(detector)) - detector.background_at(*_corners(detector))).max() > _RAISED
    events = finder.find(frame) if raises or full.any() else None
    if events is None:
        return frame
    camera = PhosphorRecipe(detector.frame_shape, 1, 0, detector.A, detector.sigma, detector.rho)
    x, z = as_rendered(detector, camera, events["x"], events["z"])
    rows, columns = (np.arange(pixels) for pixels in detector.frame_shape)
    # The narrowest spot that is found, rounded to single precision, may lie a hair below what is rendered.
    sigma = np.maximum(events["sigma"].astype(float), SMALLEST_SIGMA_PX * detector.pitch)
    level = light(camera, x, z, events["A"], sigma, events["rho"])
    level += detector.background_at(rows[:, None], columns)
    out = np.where(full, np.maximum(level, frame), frame)
    return out - (detector.mean_of(level) - level) if raises else out


def _corners(detector: Detector) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = (np.array([0, pixels - 1]) for pixels in detector.frame_shape)
    return rows[:, None], columns
