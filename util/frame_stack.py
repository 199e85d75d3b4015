"""Reading camera frames from a plain HDF5 dataset of shape (N, H, W)."""

import os
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from util.errors import FrameError, InputError
from util.finaltest import damaged_chunk, describe, open_hdf5
from util.frame_source import SMALLEST_FRAME, FrameSource, as_counts, counts_dtype
from util.hdf5_rows import DAMAGE, HDF5Rows


class FrameStack(FrameSource):
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

    def __init__(self, path: str | os.PathLike[str], dataset: str) -> None:
        self.path = Path(path)
        self.dataset = dataset
        self._file = open_hdf5(self.path)
        try:
            self._open_frames()
        except BaseException:
            self._file.close()
            raise

    def _open_frames(self) -> None:
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
        self._rows = HDF5Rows(found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Give number and frame of row `index`; see `FrameSource.read_row`."""
        self.check_range(index, index + 1)
        try:
            frame = self._rows.read(index)
        except DAMAGE as error:
            raise damaged_chunk(self.where, index, self._rows, error) from None
        try:
            return index, as_counts(frame, self.dtype)
        except ValueError as error:
            raise FrameError(f"{self.where}: frame {index}: {error}; give the camera's own counts") from None

    def _layout(self) -> list:
        return [self.path.stat().st_size, self.count, self.dataset, str(self._rows.dtype.base), self.frame_shape]


def datasets_of(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Give all datasets of a file by name, those in groups too."""
    found: dict[str, h5py.Dataset] = {}

    def take(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(take)
    return found
