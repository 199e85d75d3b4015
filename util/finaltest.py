"""Reading the camera frames of a run, the course's `finaltest.h5`.

``FinalImage`` is a compound dataset {``ImageId`` <i4, ``Image`` u1 (H, W)}, one row a frame, one row a chunk, gzip.
Axis 0 of ``Image`` is x, axis 1 is z.

HDF5 inflates chunks inside the library with zlib: 1.5 to 2.6 ms a frame of 86 electrons, by how it was packed. Here
chunks leave the library packed, and ISA-L inflates them: 0.45 ms a frame in all.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from util.errors import FrameError, InputError

FRAMES = "FinalImage"
SMALLEST_FRAME = 16  # pixels a side; less cannot hold a spot
CHUNK_CACHE_LIMIT = 1 << 28  # bytes
FINGERPRINT_FRAMES = 16


def frame_dtype(frame_shape: tuple[int, int]) -> np.dtype:
    """Row type of ``FinalImage`` for frames of the given shape, in the course's field order."""
    return np.dtype([("ImageId", "<i4"), ("Image", "u1", frame_shape)])


class FrameFile:
    """The frames of a `finaltest.h5`, opened for reading.

    Frames in chunks of one row, packed with gzip alone, are read packed and inflated here; any other layout goes
    through HDF5. Pickles as its path: a worker process that receives one opens the file anew.

    Parameters
    ----------
    path : path-like
        The file.

    Attributes
    ----------
    path : Path
        As given.
    count : int
        Number of frames.
    frame_shape : (int, int)
        Pixels along x (axis 0) and z (axis 1).

    Raises
    ------
    InputError
        The file is missing, no HDF5 file, cut short, or holds no frames of eight bits; one line that names what was
        expected, what was found and what to do.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = open_hdf5(self.path)
        try:
            self._open_frames()
        except BaseException:
            self._file.close()
            raise

    def _open_frames(self) -> None:
        file, where = self._file, f"{self.path}: {FRAMES}"
        found = file.get(FRAMES)
        if not isinstance(found, h5py.Dataset):
            raise InputError(
                f"{self.path}: expected a dataset {FRAMES}, found {', '.join(file) or 'an empty file'}; "
                "give a file of camera frames, as script/simulate_finaltest.sh makes"
            )
        kind = found.dtype
        if kind.names is None or not {"ImageId", "Image"} <= set(kind.names):
            raise InputError(
                f"{where}: expected a compound of ImageId and Image, found {_describe(kind)}; convert the file"
            )
        id_kind, image_kind = kind["ImageId"], kind["Image"]
        if id_kind.kind not in "iu" or id_kind.shape:
            raise InputError(
                f"{where}: expected ImageId to be an integer, found {_describe(id_kind)}; convert the file"
            )
        if image_kind.base != np.dtype("u1"):
            raise InputError(
                f"{where}: expected Image of eight bits (uint8), found {_describe(image_kind)}; "
                "scale the frames to 0..255 and convert the file"
            )
        if len(image_kind.shape) != 2 or min(image_kind.shape) < SMALLEST_FRAME:
            raise InputError(
                f"{where}: expected Image of shape (H, W), at least {SMALLEST_FRAME} pixels each, "
                f"found {_describe(image_kind)}; convert the file"
            )
        if found.ndim != 1 or found.shape[0] == 0:
            raise InputError(
                f"{where}: expected one row a frame, found shape {found.shape}; give a file that holds frames"
            )
        self.count: int = found.shape[0]
        self.frame_shape: tuple[int, int] = image_kind.shape
        self._dtype = kind
        filters = found.id.get_create_plist()
        self._direct = (
            found.chunks == (1,) and filters.get_nfilters() == 1 and filters.get_filter(0)[0] == h5py.h5z.FILTER_DEFLATE
        )
        self._dataset = found if self._direct else _with_chunk_cache(found)

    def __enter__(self) -> "FrameFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        return self.count

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return FrameFile, (self.path,)

    def attributes(self) -> dict[str, object]:
        """Give the root's attributes, by which `src.simulate_finaltest` says how it made the file."""
        return dict(self._file.attrs)

    def check_range(self, start: int, stop: int) -> None:
        """Raise InputError unless frames `start` .. `stop` - 1 are in the file."""
        if not 0 <= start <= stop <= self.count:
            raise InputError(
                f"{self.path}: {FRAMES}: expected a range of frames within 0..{self.count}, "
                f"found {start}..{stop}; choose one inside the file"
            )

    def read(self, index: int) -> NDArray[np.uint8]:
        """Frame `index`, shape (H, W), an array of its own.

        Raises
        ------
        InputError
            No such frame.
        FrameError
            Its chunk is damaged.
        """
        return self.read_row(index)[1]

    def read_row(self, index: int) -> tuple[int, NDArray[np.uint8]]:
        """``ImageId`` and frame of row `index`; as `read`."""
        self.check_range(index, index + 1)
        row = self._row(index)
        # A copy: aligned and writable, so that compiled code sees the same kind of array whatever the file's layout.
        return int(row["ImageId"]), np.array(row["Image"], order="C")

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """``ImageId`` and frame of each row from `start` up to `stop` (default: the end), one after the other."""
        stop = self.count if stop is None else stop
        self.check_range(start, stop)
        return (self.read_row(index) for index in range(start, stop))

    def image_ids(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """``ImageId`` of rows `start` .. `stop` - 1, shape (stop - start,), without inflating whole frames.

        Raises
        ------
        InputError
            Range outside the file.
        FrameError
            A damaged chunk.
        """
        stop = self.count if stop is None else stop
        self.check_range(start, stop)
        ids = np.empty(stop - start, np.int64)
        kind, offset = self._dtype.fields["ImageId"][:2]
        for index in range(start, stop):
            chunk = self._packed(index) if self._direct else None
            if chunk is None:
                ids[index - start] = self._row(index)["ImageId"]
                continue
            try:
                head = isal_zlib.decompressobj().decompress(chunk, offset + kind.itemsize)
                ids[index - start] = np.frombuffer(head, kind, 1, offset)[0]
            except (isal_zlib.error, zlib.error, ValueError) as error:
                raise self._damaged(index, error) from None
        return ids

    def fingerprint(self) -> str:
        """SHA-256, as hex digits, over file size, row type, count and up to 16 evenly spaced frames.

        It tells one run's file from another's in milliseconds; it is no proof against tampering.
        """
        layout = [[name, str(self._dtype[name]), self._dtype.fields[name][1]] for name in self._dtype.names]
        digest = hashlib.sha256(json.dumps([self.path.stat().st_size, self.count, layout]).encode())
        for index in np.unique(np.linspace(0, self.count - 1, FINGERPRINT_FRAMES).round().astype(int)):
            try:
                image_id, frame = self.read_row(int(index))
            except FrameError:
                digest.update(b"damaged")
                continue
            digest.update(str(image_id).encode())
            digest.update(frame)
        return digest.hexdigest()

    def _packed(self, index: int) -> bytes | None:
        """Give the deflated chunk of a row; None where the row was stored plain or never written."""
        try:
            skipped, chunk = self._dataset.id.read_direct_chunk((index,))
        except (OSError, RuntimeError, ValueError):
            return None  # HDF5's own reader knows the fill value, or else the better message
        return None if skipped else chunk

    def _row(self, index: int) -> np.void:
        try:
            chunk = self._packed(index) if self._direct else None
            if chunk is None:
                return self._dataset[index]
            row = isal_zlib.decompress(chunk, bufsize=self._dtype.itemsize)
            if len(row) != self._dtype.itemsize:
                raise ValueError(f"one of {len(row)} bytes")
            return np.frombuffer(row, self._dtype, 1)[0]
        except (OSError, RuntimeError, ValueError, isal_zlib.error, zlib.error) as error:
            raise self._damaged(index, error) from None

    def _damaged(self, index: int, error: Exception) -> FrameError:
        return FrameError(
            f"{self.path}: {FRAMES}: frame {index} is damaged: expected a gzip chunk of {self._dtype.itemsize} bytes, "
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


def _with_chunk_cache(dataset: h5py.Dataset) -> h5py.Dataset:
    """Reopen a dataset so that two of its chunks stay in memory; else each row would unpack its chunk anew."""
    if dataset.chunks is None:
        return dataset
    size = 2 * dataset.chunks[0] * dataset.dtype.itemsize
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(521, min(max(size, 1 << 20), CHUNK_CACHE_LIMIT), 1.0)
    return h5py.Dataset(h5py.h5d.open(dataset.file.id, dataset.name.encode(), access))


def _describe(kind: np.dtype) -> str:
    if kind.names is not None:
        return "a compound of " + ", ".join(kind.names)
    return f"{kind.base} of shape {kind.shape}" if kind.shape else str(kind)
