"""Reading camera frames from TIFF: a file of many pages, or a folder of files."""

import hashlib
import itertools
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from util.frames.source import FINGERPRINT_FRAMES, SMALLEST_FRAME, FrameSource, as_counts, counts_dtype
from util.runtime.errors import FrameError, InputError

SUFFIXES = (".tif", ".tiff")
# What tifffile raises on files that are damaged, or whose compression needs further packages.
_DAMAGE = (
    *(tifffile.TiffFileError, OSError, ValueError, TypeError, RuntimeError, LookupError),
    *(struct.error, zlib.error, EOFError, MemoryError),
)


class TiffFrames(FrameSource):
    """Frames of eight to sixteen bits, one per page; ``ImageId`` is their number.

    Parameters
    ----------
    path : path-like
        A file, or a folder: its files ``*.tif`` and ``*.tiff``, ordered by name, with the numbers in names by value.
        Where its first file has one page, all must have one; where it has more, each may have any number.

    Raises
    ------
    InputError
        No TIFF files, or frames that are no camera's counts or not all of one size. Of a folder of single frames only
        some are checked here, the others when they are read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._files = _files_in(self.path) if self.path.is_dir() else [self.path]
        self._opened: tuple[Path, _TiffPages] | None = None
        try:
            first = self._pages_of(0)
            self.frame_shape, self.dtype, self.bits = first.look(0)
            if len(self._files) > 1 and len(first) > 1:
                lengths = [len(self._pages_of(number)) for number in range(len(self._files))]
            else:
                lengths = [len(first)] * len(self._files)
            self._starts = [0, *itertools.accumulate(lengths)]
            self.count = self._starts[-1]
            for index in np.unique(np.linspace(0, self.count - 1, FINGERPRINT_FRAMES).round().astype(int)):
                self._check(int(index))
        except FrameError as error:
            self.close()
            raise InputError(str(error)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file that is open."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return number and frame of row `index`; see `FrameSource.read_row`."""
        self.check_range(index, index + 1)
        pages, page = self._check(index)
        try:
            return index, as_counts(pages.read(page), self.dtype)
        except _DAMAGE as error:
            raise _unreadable(self._name(index), error) from None

    def _check(self, index: int) -> tuple["_TiffPages", int]:
        """Find frame `index` and compare its size and depth with the first one's."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        pages, page = self._pages_of(number), index - self._starts[number]
        if len(self._files) == self.count and len(pages) > 1:
            raise FrameError(
                f"{self._files[number]}: expected one page, as in the folder's first file, found {len(pages)}; "
                "keep files of one page and of many in separate folders"
            )
        shape, dtype, _ = pages.look(page)
        if (shape, dtype) != (self.frame_shape, self.dtype):
            first = f"{self.frame_shape[0]} x {self.frame_shape[1]} pixels of {self.dtype}"
            raise FrameError(
                f"{self._name(index)}: expected {first}, as the first frame has, found {shape[0]} x {shape[1]} "
                f"of {dtype}; keep the frames of one camera setting together"
            )
        return pages, page

    def _pages_of(self, number: int) -> "_TiffPages":
        path = self._files[number]
        if self._opened is None or self._opened[0] != path:
            self.close()
            self._opened = path, _TiffPages(path)
        return self._opened[1]

    def _name(self, index: int) -> str:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return f"{self._files[number]}: page {index - self._starts[number]} (frame {index})"

    def _layout(self) -> list[object]:
        names = hashlib.sha256("/".join(path.name for path in self._files).encode()).hexdigest()
        size = self._files[0].stat().st_size if len(self._files) == 1 else names
        return ["TIFF", size, self.count, self.frame_shape, str(self.dtype)]


class _TiffPages:
    """Pages of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = tifffile.TiffFile(path)
        except FileNotFoundError:
            raise FrameError(f"{path}: no such file; give an existing one") from None
        except _DAMAGE as error:
            raise _unreadable(str(path), error) from None
        try:
            self._count = len(self._file.pages)
            self._stack = self._plain_stack()
        except _DAMAGE as error:
            self.close()
            raise _unreadable(str(path), error) from None

    def _plain_stack(self) -> NDArray[np.integer] | None:
        """Map the frames that ImageJ writes one after another, under a single page beyond 4 GB."""
        if not (self._file.is_imagej and self._count == 1):
            return None
        series = self._file.series[0]
        if len(series.shape) != 3 or series.shape[0] == 1 or series.dataoffset is None:
            return None
        self._count = series.shape[0]
        kind = self._file.byteorder + series.dtype.char
        return np.memmap(self._path, kind, "r", series.dataoffset, series.shape)

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        self._stack = None
        self._file.close()

    def look(self, page: int) -> tuple[tuple[int, int], np.dtype[np.unsignedinteger], int]:
        """Return shape, type and depth of a frame without reading it."""
        where = f"{self._path}: page {page}"
        try:
            found = self._file.pages[0 if self._stack is not None else page].aspage()
            shape, kind, bits = found.shape, found.dtype, found.bitspersample
            grey = found.samplesperpixel == 1 and found.photometric == tifffile.PHOTOMETRIC.MINISBLACK
            seen = getattr(found.photometric, "name", found.photometric)
        except _DAMAGE as error:
            raise _unreadable(where, error) from None
        if not grey:
            raise FrameError(
                f"{where}: expected grey values with black as zero (MINISBLACK), one per pixel, found {seen} with "
                f"{found.samplesperpixel}; save the camera's own counts"
            )
        dtype = None if kind is None else counts_dtype(kind)
        if dtype is None or not 8 <= bits <= 16:
            raise FrameError(f"{where}: expected integers of 8 to 16 bits, found {kind} of {bits} bits; save counts")
        if len(shape) != 2 or min(shape) < SMALLEST_FRAME:
            raise FrameError(
                f"{where}: expected a frame of shape (H, W), at least {SMALLEST_FRAME} pixels each, found {shape}; "
                "save one frame per page"
            )
        return shape, dtype, bits

    def read(self, page: int) -> NDArray[np.integer]:
        """Return a frame as it is stored; raise one of `_DAMAGE` where it cannot be read."""
        return self._stack[page] if self._stack is not None else self._file.pages[page].asarray()


def _files_in(folder: Path) -> list[Path]:
    names = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not names:
        raise InputError(f"{folder}: expected files *.tif or *.tiff, found none; give the folder that holds the frames")
    return sorted(names, key=_by_value)


def _by_value(path: Path) -> list[tuple[int, int | str]]:
    """Order names so that frame_9 comes before frame_10, and names of equal values by their text."""
    parts = [part for part in re.split(r"(\d+)", path.name) if part]
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts] + [(2, path.name)]


def _unreadable(where: str, error: Exception) -> FrameError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if "imagecodecs" in reason:
        return FrameError(
            f"{where}: {reason}; install it with .venv/bin/python -m pip install imagecodecs, "
            "or save the frames without compression"
        )
    return FrameError(f"{where}: expected a whole TIFF page, found one that cannot be read ({reason}); copy it again")
