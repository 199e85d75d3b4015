"""What every file of camera frames offers, whatever its format."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from util.camera.frame_size import check_pixels
from util.runtime.errors import FrameError, InputError

SMALLEST_FRAME = 16  # pixels along each side; fewer cannot hold a spot
FINGERPRINT_FRAMES = 16


def counts_dtype(kind: np.dtype[Any]) -> np.dtype[np.unsignedinteger] | None:
    """Return the type of a camera's counts, uint8 or uint16; None where `kind` holds no integers.

    Wider and signed integers are accepted, since some programs store counts in them; `as_counts` checks the values.
    """
    if kind.kind not in "iu":
        return None
    return np.dtype(np.uint8 if kind.itemsize == 1 else np.uint16)


def as_counts(frame: NDArray[np.integer], dtype: np.dtype[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Return a frame as an array of its own, of `dtype`, in C order and the machine's byte order.

    Raises
    ------
    ValueError
        A value does not fit.
    """
    if frame.dtype.kind != "u" or frame.dtype.itemsize != dtype.itemsize:
        low, high = int(frame.min()), int(frame.max())
        if low < 0 or high > np.iinfo(dtype).max:
            raise ValueError(f"expected counts of 0..{np.iinfo(dtype).max}, found {low if low < 0 else high}")
    return np.array(frame, dtype, order="C")


def check_frame_shape(where: Path | str, shape: tuple[int, int]) -> None:
    """Raise InputError for frames that no camera takes."""
    try:
        check_pixels(shape)
    except ValueError as error:
        raise InputError(f"{where}: {error}; give the camera's own frames") from None


def digest_of(image_id: int, frame: NDArray[np.unsignedinteger]) -> bytes:
    """Return the SHA-256 of one frame and its number, as they were read."""
    digest = hashlib.sha256(json.dumps([int(image_id), *frame.shape, str(frame.dtype)]).encode())
    digest.update(frame.data)
    return digest.digest()


class FrameSource(ABC):
    """Frames of one camera, opened for reading.

    Not for two threads at a time, nor to be pickled: a worker opens `path` anew.

    Attributes
    ----------
    path : Path
        As given.
    dataset : str or None
        The HDF5 dataset, with which `util.frames.open.open_frames` opens the same again.
    count : int
        Number of frames.
    frame_shape : (int, int)
        Pixels along x (axis 0) and z (axis 1).
    dtype : np.dtype
        Of the frames: uint8 or uint16.
    bits : int
        Depth of the camera as far as the file declares it; mostly 16 for 12-bit counts stored in 16 bits.
    cautions : tuple of str
        What whoever chose the file should be told of how it was understood; `util.frames.open.log_cautions`.
    """

    path: Path
    dataset: str | None = None
    count: int
    frame_shape: tuple[int, int]
    dtype: np.dtype[np.unsignedinteger]
    bits: int
    cautions: tuple[str, ...] = ()

    @abstractmethod
    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return ``ImageId`` and frame of row `index`: shape (H, W), an array of its own in C order.

        Raises
        ------
        InputError
            No such frame.
        FrameError
            It cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def _layout(self) -> list[object]:
        """Return what a fingerprint covers besides frames, as JSON can hold it."""

    @property
    def where(self) -> str:
        """The frames, as messages name them."""
        return f"{self.path}: {self.dataset}" if self.dataset else str(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count

    def check_range(self, start: int, stop: int) -> None:
        """Raise InputError unless frames `start` .. `stop` - 1 are in the file."""
        if not 0 <= start <= stop <= self.count:
            raise InputError(
                f"{self.where}: expected a range of frames within 0..{self.count}, "
                f"found {start}..{stop}; choose one inside the file"
            )

    def check_written(self, start: int = 0, stop: int | None = None) -> None:
        """Raise InputError unless frames `start` .. `stop` - 1 were ever stored; the message says which were."""
        self.check_range(start, self.count if stop is None else stop)

    def written(self) -> list[tuple[int, int]]:
        """Return the ranges of frames that were ever stored, ascending and apart: of a sound file all."""
        return [(0, self.count)]

    def spread_out(self, most: int) -> list[int]:
        """Return up to `most` frames, evenly over those that were written, ascending; where none were, over all."""
        ranges = self.written() or [(0, self.count)]
        starts, stops = np.array(ranges, np.int64).T
        before = np.cumsum(stops - starts) - (stops - starts)
        chosen = np.unique(np.linspace(0, before[-1] + stops[-1] - starts[-1] - 1, most).round().astype(int))
        inside = np.searchsorted(before, chosen, side="right") - 1
        return (starts[inside] + chosen - before[inside]).tolist()

    def read(self, index: int) -> NDArray[np.unsignedinteger]:
        """Return frame `index`; see `read_row`."""
        return self.read_row(index)[1]

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[np.unsignedinteger]]]:
        """Return an iterator over ``ImageId`` and frame of each row from `start` up to `stop` (default: the end)."""
        stop = self.count if stop is None else stop
        self.check_range(start, stop)
        return (self.read_row(index) for index in range(start, stop))

    def image_ids(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return the ``ImageId`` of rows `start` .. `stop` - 1, shape (stop - start,), by default their numbers.

        Raises
        ------
        InputError
            The range is not within the file.
        FrameError
            An ``ImageId`` that is in the file cannot be read.
        """
        stop = self.count if stop is None else stop
        self.check_range(start, stop)
        return np.arange(start, stop)

    def fingerprint(self) -> str:
        """Return the SHA-256, as hex digits, of layout, sizes and up to 16 frames spread evenly over those written.

        It tells one run's file from another's in milliseconds, and a file of packed frames from the same with another
        frame in it, whose size differs as a rule; it does not prove that nobody has tampered with one.
        """
        digest = hashlib.sha256(json.dumps(self._layout()).encode())
        for index in self.spread_out(FINGERPRINT_FRAMES):
            try:
                image_id, frame = self.read_row(index)
            except FrameError:
                digest.update(b"damaged")
                continue
            digest.update(str(image_id).encode())
            digest.update(frame.data)
        return digest.hexdigest()
