"""Camera frames in a dataset of an HDF5 file: of shape (N, H, W), or records as in `util.frames.course_file`."""

import bisect
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from util.frames.hdf5_axes import ambiguity, likely_frame_axis, with_axis
from util.frames.hdf5_rows import DAMAGE, HDF5Rows
from util.frames.source import SMALLEST_FRAME, FrameSource, as_counts, check_frame_shape, counts_dtype
from util.runtime.errors import FrameError, InputError
from util.runtime.hdf5 import describe, metadata_of, open_hdf5
from util.runtime.hdf5_stored import gaps, stored_ranges
from util.runtime.hdf5_types import check_integers

RANGES_NAMED = 4  # at most, in a message


class HDF5Frames(FrameSource):
    """Frames in one dataset of an HDF5 file, one row each.

    Parameters
    ----------
    path : path-like
        The file.
    dataset : str
        Its name in the file, groups included.

    Raises
    ------
    InputError
        The file is missing, not HDF5, cut short, or holds no frames; one line that says what was expected, what was
        found and what to do. So it is where HDF5 would put zeros for what is missing: the source of a virtual dataset,
        or a file of external data. Frames that were never written are another matter; see `check_written`.
    """

    _axis = 0  # along which frames lie

    def __init__(self, path: str | os.PathLike[str], dataset: str) -> None:
        self.path = Path(path)
        self.dataset = dataset
        self._file = open_hdf5(self.path)
        try:
            with metadata_of(self.path):
                found = self._checked()
                check_frame_shape(self.where, self.frame_shape)
                self._unwritten = gaps(stored_ranges(found, self._axis), 0, self.count)
                self._rows = HDF5Rows(found, self._axis)
                self._packed_bytes = found.id.get_storage_size()
                if self._file.swmr_mode:
                    self.cautions += (
                        f"{self.where}: the file is open for writing, or was left so: taking the {self.count} frames "
                        "that it holds now",
                    )
        except BaseException:
            self._file.close()
            raise

    @abstractmethod
    def _checked(self) -> h5py.Dataset:
        """Return the dataset once it is known to hold frames, and set the attributes that describe them."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _sizes(self) -> list[object]:
        """Return bytes of the file and of all packed frames together, which another frame alters, and their number."""
        return [self.path.stat().st_size, self._packed_bytes, self.count]

    def written(self) -> list[tuple[int, int]]:
        """Return the ranges of frames that were written; see `FrameSource.written`."""
        return gaps(self._unwritten, 0, self.count)

    def check_written(self, start: int = 0, stop: int | None = None) -> None:
        """Raise InputError unless frames `start` .. `stop` - 1 were written; HDF5 would read others as zeros."""
        stop = self.count if stop is None else stop
        super().check_written(start, stop)
        asked = [(max(first, start), min(last, stop)) for first, last in self._unwritten]
        asked = [(first, last) for first, last in asked if first < last]
        if not asked:
            return
        written = self.written()
        if written:
            first, last = max(written, key=lambda found: found[1] - found[0])
            remedy = f"search those that were, as with --range {first} {last}"
        else:
            remedy = "give a file that holds frames"
        raise InputError(
            f"{self.where}: expected {stop - start} frames, found {sum(last - first for first, last in asked)} of them "
            f"declared and never written: {_named(asked)}; {remedy}"
        )

    def _require(self, index: int) -> None:
        """Raise FrameError where row `index` was never written."""
        before = bisect.bisect_right(self._unwritten, index, key=lambda gap: gap[0])
        if before and index < self._unwritten[before - 1][1]:
            raise FrameError(f"{self.where}: frame {index} was never written; leave it out with --range, or write it")

    def _row(self, index: int) -> Any:
        """Return a record or an array, as the dataset has it."""
        self.check_range(index, index + 1)
        self._require(index)
        try:
            return self._rows.read(index)
        except DAMAGE as error:
            raise self._damaged(index, error) from None

    def _counts(self, index: int, frame: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
        try:
            return as_counts(frame, self.dtype)
        except ValueError as error:
            raise FrameError(f"{self.where}: frame {index}: {error}; give the camera's own counts") from None

    def _damaged(self, index: int, error: Exception) -> FrameError:
        return FrameError(
            f"{self.where}: frame {index} is damaged: expected a gzip chunk of {self._rows.dtype.itemsize} bytes, "
            f"found {str(error).splitlines()[0]}; copy or make the file again"
        )


def _named(ranges: Sequence[tuple[int, int]]) -> str:
    """Name ranges of frames in a message, the first few."""
    names = [f"{first}..{last - 1}" if last - first > 1 else str(first) for first, last in ranges[:RANGES_NAMED]]
    return ", ".join(names) + (f" and {len(ranges) - RANGES_NAMED} further ranges" if len(names) < len(ranges) else "")


class FrameStack(HDF5Frames):
    """Frames in a dataset of three axes; ``ImageId`` is their number.

    Parameters
    ----------
    path : path-like
        The file.
    dataset : str
        Name of the dataset in it, groups included.
    axis : int or None
        Along which of its axes frames lie; x goes along the first of the others, z along the second. None: the first,
        unless something speaks against it, which is then refused.

    Raises
    ------
    InputError
        No such file or dataset, or it holds no frames.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: str, axis: int | None = None) -> None:
        self._name, self._asked, self._axis = dataset, axis, axis or 0
        super().__init__(path, dataset if axis is None else with_axis(dataset, axis))

    def _checked(self) -> h5py.Dataset:
        found = self._file[self._name]
        dtype = counts_dtype(found.dtype)
        if dtype is None or found.ndim != 3:
            raise InputError(
                f"{self.where}: expected integers of shape (N, H, W), found {describe(found.dtype)} of shape "
                f"{found.shape}; name another dataset, or convert it to the camera's own counts"
            )
        check_integers(self.where, found)
        self.count = int(found.shape[self._axis])
        if self._asked is None and 0 not in found.shape:
            self._check_axis(found)
        height, width = (int(size) for axis, size in enumerate(found.shape) if axis != self._axis)
        if self.count == 0:
            raise InputError(f"{self.where}: expected frames, found none (shape {found.shape}); name another dataset")
        if min(height, width) < SMALLEST_FRAME:
            which = ("second and third", "first and third", "first and second")[self._axis]
            raise InputError(
                f"{self.where}: expected frames of at least {SMALLEST_FRAME} x {SMALLEST_FRAME} pixels along the "
                f"{which} axis, found shape {found.shape}; name another dataset, or convert it"
            )
        self.frame_shape = height, width
        self.dtype = dtype
        self.bits = min(found.id.get_type().get_precision(), 8 * dtype.itemsize)
        return found

    def _check_axis(self, found: h5py.Dataset) -> None:
        """Refuse to take the first axis for that of the frames where another one seems to be."""
        likely = likely_frame_axis(found)
        if likely is not None:
            axis, reason = likely
            raise InputError(
                f"{self.where}: expected frames along axis 0, found shape {found.shape}, whose frames seem to lie "
                f"along axis {axis}: {reason}; say which it is with --frame-axis {axis} or --frame-axis 0"
            )
        if ambiguity(found):
            self.cautions += (
                f"{self.where}: taking shape {found.shape} for {self.count} frames of {found.shape[1]} x "
                f"{found.shape[2]} pixels; were it {found.shape[2]} of {found.shape[0]} x {found.shape[1]}, say so "
                "with --frame-axis 2",
            )

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return number and frame of row `index`; see `FrameSource.read_row`."""
        return index, self._counts(index, self._row(index))

    def _layout(self) -> list[object]:
        return [*self._sizes(), self.dataset, str(self._rows.dtype.base), self.frame_shape]
