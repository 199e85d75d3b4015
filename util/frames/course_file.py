"""Reading the camera frames of a run from the course's `finaltest.h5`.

``FinalImage`` is a compound dataset {``ImageId`` <i4, ``Image`` u1 (H, W)}, one row per frame, one row per chunk, gzip.
Axis 0 of ``Image`` is x, axis 1 is z. Images of sixteen bits are read too.
"""

import os
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from util.frames.hdf5 import HDF5Frames
from util.frames.hdf5_rows import DAMAGE
from util.frames.source import SMALLEST_FRAME, counts_dtype
from util.runtime.errors import FrameError, InputError
from util.runtime.hdf5 import describe
from util.runtime.hdf5_names import broken_links, link_texts

FRAMES = "FinalImage"
_IDS = np.iinfo(np.int32)  # as events have them


def frame_dtype(frame_shape: tuple[int, int], counts: type[np.unsignedinteger] = np.uint8) -> np.dtype[Any]:
    """Return the row type of ``FinalImage`` for frames of the given shape, in the course's field order."""
    return np.dtype([("ImageId", "<i4"), ("Image", np.dtype(counts).newbyteorder("<"), frame_shape)])


class FrameFile(HDF5Frames):
    """The frames of a `finaltest.h5`, opened for reading; see `util.frames.source.FrameSource`.

    Parameters
    ----------
    path : path-like
        The file.
    dataset : str
        The compound dataset in it.

    Raises
    ------
    InputError
        The file is missing, not HDF5, cut short, or holds no frames; one line that says what was expected, what was
        found and what to do.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: str = FRAMES) -> None:
        super().__init__(path, dataset)

    def _checked(self) -> h5py.Dataset:
        file, where = self._file, self.where
        broken = broken_links(file)
        found = None if self.dataset in broken else file.get(self.dataset)
        if not isinstance(found, h5py.Dataset):
            names = ", ".join([*(name for name in file if name not in broken), *link_texts(broken)]) or "an empty file"
            raise InputError(
                f"{self.path}: expected a dataset {self.dataset}, found {names}; "
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
                f"{where}: expected one row per frame, found shape {found.shape}; give a file that holds frames"
            )
        self.count = found.shape[0]
        self.frame_shape = image_kind.shape
        self.dtype = dtype
        self.bits = 8 * dtype.itemsize
        return found

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return ``ImageId`` and frame of row `index`; see `FrameSource.read_row`."""
        row = self._row(index)
        return self._image_id(index, row["ImageId"]), self._counts(index, row["Image"])

    def image_ids(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return ``ImageId`` of rows `start` .. `stop` - 1, shape (stop - start,), without inflating whole frames."""
        stop = self.count if stop is None else stop
        self.check_range(start, stop)
        ids = np.empty(stop - start, np.int64)
        for index in range(start, stop):
            self._require(index)
            try:
                found = self._rows.read_field(index, "ImageId")
            except DAMAGE as error:
                raise self._damaged(index, error) from None
            ids[index - start] = self._image_id(index, found)
        return ids

    def _image_id(self, index: int, found: np.generic) -> int:
        """Return the number of a frame, which files may keep in wider integers than the course's."""
        number = int(found)
        if not _IDS.min <= number <= _IDS.max:
            raise FrameError(
                f"{self.where}: frame {index}: expected an ImageId of 32 bits, found {number}; number the frames anew"
            )
        return number

    def _layout(self) -> list[object]:
        layout = [[name, str(kind), offset] for name, (kind, offset) in self._rows.fields.items()]
        return [*self._sizes(), layout]
