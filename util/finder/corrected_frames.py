"""Frames as a linear camera would have taken them of a screen without afterglow.

Both are undone before anything else looks at a frame, in the reverse order of the way of the light
(`util.camera.imperfections`): counts become light, and what was left of the last frames' light is subtracted. Counts
stay whole numbers. Were they rounded, all pixels of the same counts would be off by the same, up to a half: stairs that
pass for a power of 0.02. So neighbouring pixels are rounded up from different fractions, and their mean is right.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.frames.source import FrameSource
from util.runtime.errors import FrameError

NEGLIGIBLE = 0.0005  # part of a frame's light that is not worth subtracting: a twentieth of a count
# Steps along the axes whose multiples, modulo 1, fill neighbouring pixels evenly: 1/g and 1/g^2, where g^3 = g + 1
# (M. Roberts, The unreasonable effectiveness of quasirandom sequences, 2018).
_EVENLY = 0.7548776662466927, 0.5698402909980532


def corrected(frames: FrameSource, detector: Detector) -> FrameSource:
    """Return the frames with a detector's afterglow and bent response undone; the frames themselves if it has none."""
    return CorrectedFrames(frames, detector) if needs_correction(detector) else frames


def needs_correction(detector: Detector) -> bool:
    """Return whether there is anything to undo."""
    return bool(detector.imperfections.afterglow) or detector.imperfections.gamma != 1


def inverse_series(afterglow: Sequence[float], length: int) -> NDArray[np.float64]:
    """Return b (length,) such that the new light of a frame is its light minus the sum of b_j times frame t - j.

    With the afterglow a it is the inverse of a power series: 1 - sum b_j z^j = 1 / (1 + sum a_k z^k). It inverts
    itself: of b with the opposite signs it gives a with the opposite signs.
    """
    series = np.zeros(length + 1)
    series[0] = 1.0
    for j in range(1, length + 1):
        series[j] = -sum(a * series[j - k] for k, a in enumerate(afterglow[:j], start=1))
    return -series[1:]


class Correction:
    """What undoes a detector's afterglow and response, frame by frame.

    Parameters
    ----------
    detector : Detector
        Its background is that of corrected frames.
    dtype : np.dtype
        Of the frames: uint8 or uint16.
    """

    def __init__(self, detector: Detector, dtype: np.dtype[np.unsignedinteger]) -> None:
        full = detector.saturation
        counts = np.arange(np.iinfo(dtype).max + 1, dtype=np.float64)
        light = full * (counts / full) ** (1 / detector.imperfections.gamma)
        self._light = np.where(counts < full, light, counts).astype(np.float32)
        self._full = full
        self._dtype = dtype
        parts = inverse_series(detector.imperfections.afterglow, 16)
        seen = np.flatnonzero(np.abs(parts) > NEGLIGIBLE)
        self.parts = parts[: seen[-1] + 1] if seen.size else parts[:0]
        rows, columns = (np.arange(pixels) for pixels in detector.frame_shape)
        self._dark = detector.background_at(rows[:, None], columns).astype(np.float32)
        self._round_up = ((_EVENLY[0] * rows[:, None] + _EVENLY[1] * columns) % 1).astype(np.float32)

    def light_of(self, frame: NDArray[np.unsignedinteger]) -> NDArray[np.float32]:
        """Return the light (H, W) that a frame's counts stand for, the background included."""
        return self._light[frame]

    def apply(self, light: NDArray[np.float32], earlier: Sequence[NDArray[np.float32]]) -> NDArray[np.unsignedinteger]:
        """Return a frame's counts without what is left of earlier ones.

        Parameters
        ----------
        light : (H, W) float32
        earlier : sequence of (H, W) float32
            Light of the last frame, of the one before it, and so on; as many as are known, `parts` at most.
        """
        out = light.copy()
        for part, past in zip(self.parts, earlier, strict=False):
            out -= np.float32(part) * (past - self._dark)
        # What clipped still says "at least this bright".
        out[light >= self._full] = self._full
        return np.floor(out + self._round_up).clip(0, self._full).astype(self._dtype)


class CorrectionInOrder:
    """Corrects frames that are given one after another, as they were taken; those of an ideal detector it leaves alone.

    Parameters
    ----------
    detector : Detector
    dtype : np.dtype
        Of the frames.
    """

    def __init__(self, detector: Detector, dtype: np.dtype[np.unsignedinteger]) -> None:
        self._correction = Correction(detector, dtype) if needs_correction(detector) else None
        self._last: deque[NDArray[np.float32]] = deque(maxlen=self.memory)

    @property
    def memory(self) -> int:
        """Frames before one that its correction needs."""
        return len(self._correction.parts) if self._correction else 0

    def next(self, frame: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        """Return the next frame (H, W), corrected."""
        if self._correction is None:
            return frame
        light = self._correction.light_of(frame)
        out = self._correction.apply(light, self._last)
        self._last.appendleft(light)
        return out


class CorrectedFrames(FrameSource):
    """Frames of a file, each corrected by those before it.

    A frame whose predecessor is not in the file (its ``ImageId`` is not one less) or cannot be read is taken to follow
    a dark one. Other members are as `util.frames.source.FrameSource` says.

    Parameters
    ----------
    frames : FrameSource
        Closed with this.
    detector : Detector
    """

    def __init__(self, frames: FrameSource, detector: Detector) -> None:
        self._frames = frames
        for name in ("path", "dataset", "count", "frame_shape", "dtype", "bits", "cautions"):
            setattr(self, name, getattr(frames, name))
        self._correction = Correction(detector, frames.dtype)
        self._kept: OrderedDict[int, tuple[int, NDArray[np.float32]]] = OrderedDict()

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return ``ImageId`` and the corrected frame of row `index`; see `FrameSource.read_row`."""
        image_id, light = self._light(index)
        earlier = []
        for back in range(1, min(len(self._correction.parts), index) + 1):
            try:
                past_id, past = self._light(index - back)
            except FrameError:
                break
            if past_id != image_id - back:
                break
            earlier.append(past)
        return image_id, self._correction.apply(light, earlier)

    def _light(self, index: int) -> tuple[int, NDArray[np.float32]]:
        if index not in self._kept:
            image_id, frame = self._frames.read_row(index)
            self._kept[index] = image_id, self._correction.light_of(frame)
            while len(self._kept) > len(self._correction.parts) + 1:
                self._kept.popitem(last=False)
        return self._kept[index]

    def close(self) -> None:
        """Close the file."""
        self._frames.close()

    def _layout(self) -> list[object]:
        return self._frames._layout()

    def check_written(self, start: int = 0, stop: int | None = None) -> None:
        """Raise InputError unless the frames were ever stored; see `FrameSource.check_written`."""
        self._frames.check_written(start, stop)

    def written(self) -> list[tuple[int, int]]:
        """Return the ranges of frames that were ever stored; see `FrameSource.written`."""
        return self._frames.written()

    def image_ids(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return the ``ImageId`` of rows; see `FrameSource.image_ids`."""
        return self._frames.image_ids(start, stop)

    def fingerprint(self) -> str:
        """Return the fingerprint of the frames as they are in the file."""
        return self._frames.fingerprint()
