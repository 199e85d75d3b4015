"""Reading camera frames from TIFF: a file of many pages, or a folder of files."""

import itertools
import logging
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from util.frames.folder import files_in, sizes_of
from util.frames.source import (
    FINGERPRINT_FRAMES,
    SMALLEST_FRAME,
    FrameSource,
    as_counts,
    check_frame_shape,
    counts_dtype,
)
from util.frames.tiff_axes import check_axes, declared_axes
from util.runtime.errors import FrameError, InputError

SUFFIXES = (".tif", ".tiff")
# What tifffile raises on files that are damaged, or whose compression needs further packages.
_DAMAGE = (
    *(tifffile.TiffFileError, OSError, ValueError, TypeError, RuntimeError, LookupError),
    *(struct.error, zlib.error, EOFError, MemoryError, ArithmeticError, AttributeError),
)
_TAG_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# What tifffile logs, a damaged file makes it raise too, or is found here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class TiffFrames(FrameSource):
    """Frames of counts up to 16 bits, one per page; ``ImageId`` is their number.

    Parameters
    ----------
    path : path-like
        A file, or a folder: its files ``*.tif`` and ``*.tiff``, ordered by name, with the numbers in names by value.
        Where its first file has one page, all must have one; where it has more, each may have any number.

    Raises
    ------
    InputError
        No TIFF files, or frames that are no camera's counts or not all of one size; a file that was cut short, or that
        holds channels or slices besides frames. Of a folder of single frames only some are checked here, the others
        when they are read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._files = files_in(self.path, SUFFIXES) if self.path.is_dir() else [self.path]
        self._opened: tuple[Path, _TiffPages] | None = None
        try:
            first = self._pages_of(0)
            self.frame_shape, self.dtype, self.bits = first.look(0)
            check_frame_shape(self._files[0], self.frame_shape)
            if len(self._files) > 1 and len(first) > 1:
                lengths = [len(self._pages_of(number)) for number in range(len(self._files))]
            else:
                lengths = [len(first)] * len(self._files)
            self._starts = [0, *itertools.accumulate(lengths)]
            self.count = self._starts[-1]
            for index in self.spread_out(FINGERPRINT_FRAMES):
                self._check(index)
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
            frame = pages.read(page)
        except _DAMAGE as error:
            raise _unreadable(self._name(index), error) from None
        try:
            return index, as_counts(frame, self.dtype)
        except ValueError as error:
            raise FrameError(f"{self._name(index)}: {error}; give the camera's own counts") from None

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
            self._opened = path, _TiffPages(path, alone=len(self._files) == 1)
        return self._opened[1]

    def _name(self, index: int) -> str:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return f"{self._files[number]}: page {index - self._starts[number]} (frame {index})"

    def _layout(self) -> list[object]:
        size = self._files[0].stat().st_size if len(self._files) == 1 else sizes_of(self._files)
        return ["TIFF", size, self.count, self.frame_shape, str(self.dtype)]


class _TiffPages:
    """Pages of one file; `alone`: the other frames, if it tells of any, are in no other file."""

    def __init__(self, path: Path, *, alone: bool) -> None:
        self._path = path
        try:
            self._file = tifffile.TiffFile(path)
        except FileNotFoundError:
            raise FrameError(f"{path}: no such file; give an existing one") from None
        except _DAMAGE as error:
            raise _unreadable(str(path), error) from None
        try:
            self._count = len(self._file.pages)
            self._check_whole()
            declared = self._declared()
            stored = self._stored_plainly() if self._count == 1 and declared > 1 else self._count
            self._stack = self._plain_stack(declared) if 1 == self._count < declared <= stored else None
            if alone and stored < declared:
                raise FrameError(
                    f"{path}: expected the {declared} frames that it tells of, found {stored} whole; it was cut "
                    "short, is still being written, or others are in further files: copy it again, or give their folder"
                )
        except _DAMAGE as error:
            self.close()
            raise _unreadable(str(path), error) from None
        except FrameError:
            self.close()
            raise

    def _check_whole(self) -> None:
        """Raise FrameError where the chain of pages breaks off, or the last one lies beyond the end of the file."""
        pages, handle = self._file.pages, self._file.filehandle
        follows = pages.next_page_offset
        broken = False
        if follows is not None:
            handle.seek(follows)
            broken = any(handle.read(self._file.tiff.offsetsize))
        if not broken and self._is_whole(0) and self._is_whole(self._count - 1):
            return
        whole = sum(self._is_whole(page) for page in range(self._count))
        size = "and further ones beyond its end" if broken else f"of {self._count}"
        raise FrameError(
            f"{self._path}: expected a whole TIFF file, found one that ends at {handle.size} bytes, with {whole} whole "
            f"pages {size}; it was cut short or is still being written: copy it again, or save the whole pages anew"
        )

    def _is_whole(self, number: int) -> bool:
        """Return whether a page's frame, and what the file says of it, end within the file."""
        try:
            page = self._file.pages[number].aspage()
        except _DAMAGE:
            return False
        ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
        return max(ends + self._ends_of_tags(page.offset), default=0) <= self._file.filehandle.size

    def _ends_of_tags(self, offset: int) -> list[int]:
        """Return where the values of a page's tags end that lie elsewhere; tifffile leaves out those it cannot read."""
        tiff, handle = self._file.tiff, self._file.filehandle
        handle.seek(offset)
        (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
        ends = []
        for _, kind, count, value in struct.iter_unpack(
            tiff.byteorder + "HH" + 2 * tiff.offsetformat[1], handle.read(tags * tiff.tagsize)
        ):
            size = count * _TAG_SIZES.get(kind, 0)
            ends += [value + size] if size > tiff.offsetsize else []
        return ends

    def _declared(self) -> int:
        """Return how many frames the file tells of, 1 where it does not; raise FrameError where not all are frames."""
        try:
            axes = declared_axes(self._file)
        except _DAMAGE:
            return 1  # a comment that no program wrote which tifffile knows
        try:
            check_axes(axes)
        except ValueError as error:
            raise FrameError(f"{self._path}: {error}") from None
        return math.prod(axes.values())

    def _stored_plainly(self) -> int:
        """Return how many frames may lie one after another under a single page, as ImageJ writes them beyond 4 GB."""
        page = self._file.pages.first
        if not page.is_final or len(page.shape) != 2 or page.dtype is None:
            return 1
        length = math.prod(page.shape) * page.dtype.itemsize
        return max((self._file.filehandle.size - page.dataoffsets[0]) // length, 1)

    def _plain_stack(self, count: int) -> NDArray[np.integer]:
        """Map such frames."""
        page = self._file.pages.first
        self._count = count
        kind = np.dtype(page.dtype).newbyteorder(self._file.byteorder)
        return np.memmap(self._path, kind, "r", page.dataoffsets[0], (count, *page.shape))

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
            kind, bits = found.dtype, int(found.bitspersample)
            shape = tuple(int(pixels) for pixels in found.shape)  # each several, in a damaged file
            lacking = not found.databytecounts or not all(found.databytecounts)
            grey = found.samplesperpixel == 1 and found.photometric == tifffile.PHOTOMETRIC.MINISBLACK
            seen = getattr(found.photometric, "name", found.photometric)
        except _DAMAGE as error:
            raise _unreadable(where, error) from None
        if lacking:
            raise FrameError(f"{where}: expected a frame, found a page of which nothing or not all was ever written")
        if not grey:
            raise FrameError(
                f"{where}: expected grey values with black as zero (MINISBLACK), one per pixel, found {seen} with "
                f"{found.samplesperpixel}; save the camera's own counts"
            )
        dtype = None if kind is None else counts_dtype(kind)
        if dtype is None or bits < 8:
            raise FrameError(f"{where}: expected integers of 8 bits or more, found {kind} of {bits} bits; save counts")
        if len(shape) != 2 or min(shape) < SMALLEST_FRAME:
            raise FrameError(
                f"{where}: expected a frame of shape (H, W), at least {SMALLEST_FRAME} pixels each, found {shape}; "
                "save one frame per page"
            )
        return shape, dtype, min(bits, 8 * dtype.itemsize)

    def read(self, page: int) -> NDArray[np.integer]:
        """Return a frame as it is stored; raise one of `_DAMAGE` where it cannot be read."""
        return self._stack[page] if self._stack is not None else self._file.pages[page].asarray()


def _unreadable(where: str, error: Exception) -> FrameError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if "imagecodecs" in reason:
        return FrameError(
            f"{where}: {reason}; install it with .venv/bin/python -m pip install imagecodecs, "
            "or save the frames without compression"
        )
    return FrameError(f"{where}: expected a whole TIFF page, found one that cannot be read ({reason}); copy it again")
