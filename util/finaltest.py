"""Reading the camera frames of a run, the course's `finaltest.h5`.

``FinalImage`` is a compound dataset {``ImageId`` <i4, ``Image`` u1 (H, W)}, one row a frame, one row a chunk, gzip.
Axis 0 of ``Image`` is x, axis 1 is z. Images of sixteen bits are read too.
"""

import os
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from util.errors import FrameError, InputError
from util.frame_source import SMALLEST_FRAME, FrameSource, as_counts, counts_dtype
from util.hdf5_rows import DAMAGE, HDF5Rows

FRAMES = "FinalImage"


def frame_dtype(frame_shape: tuple[int, int]) -> np.dtype:
    """Row type of ``FinalImage`` for frames of the given shape, in the course's field order."""
    return np.dtype([("ImageId", "<i4"), ("Image", "u1", frame_shape)])


class FrameFile(FrameSource):
    """The frames of a `finaltest.h5`, opened for reading; see `util.frame_source.FrameSource`.

    Parameters
    ----------
    path : path-like
        The file.
    dataset : str
        The compound dataset in it.

    Raises
    ------
    InputError
        The file is missing, no HDF5 file, cut short, or holds no frames; one line that names what was expected, what
        was found and what to do.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: str = FRAMES) -> None:
        self.path = Path(path)
        self.dataset = dataset
        self._file = open_hdf5(self.path)
        try:
            self._open_frames()
        except BaseException:
            self._file.close()
            raise

    def _open_frames(self) -> None:
        file, where = self._file, self.where
        found = file.get(self.dataset)
        if not isinstance(found, h5py.Dataset):
            raise InputError(
                f"{self.path}: expected a dataset {self.dataset}, found {', '.join(file) or 'an empty file'}; "
                "give a file of camera frames, as script/simulate_finaltest.sh makes"
            )
        kind = found.dtype
        if kind.names is None or not {"ImageId", "Image"} <= set(kind.names):
            raise InputError(
                f"{where}: expected a compound of ImageId and Image, found {describe(kind)}; convert the file"
            )
        id_kind, image_kind = kind["ImageId"], kind["Image"]
        if id_kind.kind not in "iu" or id_kind.shape:
            raise InputError(f"{where}: expected ImageId to be an integer, found {describe(id_kind)}; convert the file")
        dtype = counts_dtype(image_kind.base)
        if dtype is None:
            raise InputError(
                f"{where}: expected Image of eight or sixteen bits (uint8, uint16), found {describe(image_kind)}; "
                "give the camera's own counts"
            )
        if len(image_kind.shape) != 2 or min(image_kind.shape) < SMALLEST_FRAME:
            raise InputError(
                f"{where}: expected Image of shape (H, W), at least {SMALLEST_FRAME} pixels each, "
                f"found {describe(image_kind)}; convert the file"
            )
        if found.ndim != 1 or found.shape[0] == 0:
            raise InputError(
                f"{where}: expected one row a frame, found shape {found.shape}; give a file that holds frames"
            )
        self.count = found.shape[0]
        self.frame_shape = image_kind.shape
        self.dtype = dtype
        self.bits = 8 * dtype.itemsize
        self._rows = HDF5Rows(found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:
        return FrameFile, (self.path, self.dataset)

    def attributes(self) -> dict[str, object]:
        """Give the root's attributes, by which `src.simulate_finaltest` says how it made the file."""
        return dict(self._file.attrs)

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """``ImageId`` and frame of row `index`; see `FrameSource.read_row`."""
        self.check_range(index, index + 1)
        try:
            row = self._rows.read(index)
        except DAMAGE as error:
            raise self._damaged(index, error) from None
        try:
            return int(row["ImageId"]), as_counts(row["Image"], self.dtype)
        except ValueError as error:
            raise FrameError(f"{self.where}: frame {index}: {error}; give the camera's own counts") from None

    def image_ids(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """``ImageId`` of rows `start` .. `stop` - 1, shape (stop - start,), without inflating whole frames."""
        stop = self.count if stop is None else stop
        self.check_range(start, stop)
        ids = np.empty(stop - start, np.int64)
        for index in range(start, stop):
            try:
                ids[index - start] = self._rows.read_field(index, "ImageId")
            except DAMAGE as error:
                raise self._damaged(index, error) from None
        return ids

    def _layout(self) -> list:
        kind = self._rows.dtype
        layout = [[name, str(kind[name]), kind.fields[name][1]] for name in kind.names]
        return [self.path.stat().st_size, self.count, layout]

    def _damaged(self, index: int, error: Exception) -> FrameError:
        return damaged_chunk(self.where, index, self._rows, error)


def damaged_chunk(where: str, index: int, rows: HDF5Rows, error: Exception) -> FrameError:
    """Say that a frame's chunk cannot be read."""
    return FrameError(
        f"{where}: frame {index} is damaged: expected a gzip chunk of {rows.dtype.itemsize} bytes, "
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
