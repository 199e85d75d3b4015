"""Reading camera frames from a plain HDF5 dataset of shape (N, H, W)."""

import h5py
import numpy as np
from numpy.typing import NDArray

from util.errors import InputError
from util.frame_source import SMALLEST_FRAME, counts_dtype
from util.hdf5_frames import HDF5Frames, describe


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
        """Give number and frame of row `index`; see `FrameSource.read_row`."""
        return index, self._counts(index, self._row(index))

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
