"""HDF5 files of camera frames: opening them, and what its two formats have in common."""

import os
from abc import abstractmethod
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from util.errors import FrameError, InputError
from util.frame_source import FrameSource, as_counts
from util.hdf5_rows import DAMAGE, HDF5Rows


class HDF5Frames(FrameSource):
    """Frames in one dataset of an HDF5 file, a row each.

    Parameters
    ----------
    path : path-like
        The file.
    dataset : str
        In it.

    Raises
    ------
    InputError
        The file is missing, no HDF5 file, cut short, or holds no frames; one line that names what was expected, what
        was found and what to do.
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
        """Give the dataset, once it is sure that it holds frames, and set what is known of them."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _row(self, index: int) -> np.void | NDArray:
        self.check_range(index, index + 1)
        try:
            return self._rows.read(index)
        except DAMAGE as error:
            raise self._damaged(index, error) from None

    def _counts(self, index: int, frame: NDArray) -> NDArray[np.unsignedinteger]:
        try:
            return as_counts(frame, self.dtype)
        except ValueError as error:
            raise FrameError(f"{self.where}: frame {index}: {error}; give the camera's own counts") from None

    def _damaged(self, index: int, error: Exception) -> FrameError:
        return FrameError(
            f"{self.where}: frame {index} is damaged: expected a gzip chunk of {self._rows.dtype.itemsize} bytes, "
            f"found {str(error).splitlines()[0]}; copy or make the file again"
        )


def open_hdf5(path: str | os.PathLike[str]) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    InputError
        The file is missing, not HDF5, or cut short.
    OSError
        The file may not be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give an existing one, or make it with script/simulate_finaltest.sh")
    if path.is_dir():
        raise InputError(f"{path}: expected a file, found a folder; name the HDF5 file in it")
    with path.open("rb") as stream:
        start = stream.read(8)
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        if "signature" in str(error):
            raise InputError(
                f"{path}: expected an HDF5 file, found one that begins with {start!r}; give another"
            ) from None
        if "truncated" in str(error):
            size = path.stat().st_size
            raise InputError(
                f"{path}: expected a whole HDF5 file, found one cut short at {size} bytes; copy it again"
            ) from None
        raise InputError(f"{path}: HDF5 cannot open it ({_reason(error)}); copy or make it again") from None


def _reason(error: Exception) -> str:
    """Say in a few words what HDF5 said in many, as 'No space left on device'."""
    errno = getattr(error, "errno", None)
    text = str(error)
    if errno is None and "errno = " in text:
        digits = text.split("errno = ", 1)[1].split(",")[0].strip()
        errno = int(digits) if digits.isdigit() else None
    return os.strerror(errno) if errno else text.splitlines()[0]


def describe(kind: np.dtype) -> str:
    """Say what a type is, for a message."""
    if kind.names is not None:
        return "a compound of " + ", ".join(kind.names)
    return f"{kind.base} of shape {kind.shape}" if kind.shape else str(kind)
