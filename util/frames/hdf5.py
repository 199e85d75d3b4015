"""Camera frames in a dataset of an HDF5 file: of shape (N, H, W), or records as in `util.frames.course_file`."""

import os
from abc import abstractmethod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from util.frames.hdf5_rows import DAMAGE, HDF5Rows
from util.frames.source import SMALLEST_FRAME, FrameSource, as_counts, counts_dtype
from util.runtime.errors import FrameError, InputError
from util.runtime.hdf5 import describe, open_hdf5


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
        found and what to do.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: str) -> None:
        self.path = Path(path)
        self.dataset = dataset
        self._file = open_hdf5(self.path)
        try:
            self._rows = HDF5Rows(self._checked())
        except BaseException:
            self._file.close()
            raise

    @abstractmethod
    def _checked(self) -> h5py.Dataset:
        """Return the dataset once it is known to hold frames, and set the attributes that describe them."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _row(self, index: int) -> Any:
        """Return a record or an array, as the dataset has it."""
        self.check_range(index, index + 1)
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


class FrameStack(HDF5Frames):
    """Frames along the first axis of a dataset, x along the second, z along the third; ``ImageId`` is their number.

    Parameters
    ----------
    path : path-like
        The file.
    dataset : str
        Name of the dataset in it, groups included.

    Raises
    ------
    InputError
        No such file or dataset, or it holds no frames.
    """

    def _checked(self) -> h5py.Dataset:
        found = self._file[self.dataset]
        dtype = counts_dtype(found.dtype)
        if dtype is None or found.ndim != 3:
            raise InputError(
                f"{self.where}: expected integers of shape (N, H, W), found {describe(found.dtype)} of shape "
                f"{found.shape}; name another dataset, or convert it to the camera's own counts"
            )
        if found.shape[0] == 0 or min(found.shape[1:]) < SMALLEST_FRAME:
            raise InputError(
                f"{self.where}: expected frames of at least {SMALLEST_FRAME} x {SMALLEST_FRAME} pixels along the "
                f"second and third axis, found shape {found.shape}; name another dataset, or convert it"
            )
        self.count, *shape = found.shape
        self.frame_shape = tuple(shape)
        self.dtype = dtype
        self.bits = min(found.id.get_type().get_precision(), 8 * dtype.itemsize)
        return found

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return number and frame of row `index`; see `FrameSource.read_row`."""
        return index, self._counts(index, self._row(index))

    def _layout(self) -> list[object]:
        return [self.path.stat().st_size, self.count, self.dataset, str(self._rows.dtype.base), self.frame_shape]
