"""Reading camera frames from PNG: a folder of files, one frame each."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from util.frames.folder import files_in, sizes_of
from util.frames.source import FINGERPRINT_FRAMES, SMALLEST_FRAME, FrameSource, as_counts, check_frame_shape
from util.runtime.errors import FrameError, InputError

SUFFIXES = (".png",)
START = b"\x89PNG\r\n\x1a\n"

_HEADER = struct.Struct(">8s4x4sIIBB")  # start, IHDR, width, height, bits, colour type
_GREY = 0
_COLOURS = {0: "grey", 2: "colour", 3: "a palette", 4: "grey with transparency", 6: "colour with transparency"}
# What Pillow raises on files that are damaged.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error, zlib.error)


class PngFrames(FrameSource):
    """Frames of eight or sixteen bits, one per file; ``ImageId`` is their number.

    Parameters
    ----------
    path : path-like
        A file, or a folder: its files ``*.png``, ordered by name, with the numbers in names by value.

    Raises
    ------
    InputError
        No PNG files, or frames that are no camera's counts or not all of one size. Of a folder only some are checked
        here, the others when they are read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._files = files_in(self.path, SUFFIXES) if self.path.is_dir() else [self.path]
        self.count = len(self._files)
        try:
            self.frame_shape, self.bits = _look(self._files[0])
            check_frame_shape(self._files[0], self.frame_shape)
            self.dtype = np.dtype(np.uint8 if self.bits == 8 else np.uint16)
            for index in self.spread_out(FINGERPRINT_FRAMES):
                self._check(index)
        except FrameError as error:
            raise InputError(str(error)) from None

    def close(self) -> None:
        """Do nothing: no file is open between two frames."""

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return number and frame of row `index`; see `FrameSource.read_row`."""
        self.check_range(index, index + 1)
        self._check(index)
        path = self._files[index]
        try:
            with Image.open(path, formats=["PNG"]) as image:
                images = getattr(image, "n_frames", 1)
                frame = np.asarray(image)
        except (*_DAMAGE, Image.DecompressionBombError) as error:
            raise _unreadable(path, error) from None
        if images > 1:
            raise FrameError(f"{path}: expected one frame, found an animation of {images}; save one frame per file")
        return index, as_counts(frame, self.dtype)

    def _check(self, index: int) -> None:
        """Compare size and depth of frame `index` with the first one's."""
        found = _look(self._files[index])
        if found != (self.frame_shape, self.bits):
            (height, width), bits = found
            raise FrameError(
                f"{self._files[index]}: expected {self.frame_shape[0]} x {self.frame_shape[1]} pixels of {self.bits} "
                f"bits, as the first frame has, found {height} x {width} of {bits}; keep the frames of one camera "
                "setting together"
            )

    def _layout(self) -> list[object]:
        return ["PNG", sizes_of(self._files), self.count, self.frame_shape, str(self.dtype)]


def _look(path: Path) -> tuple[tuple[int, int], int]:
    """Return shape and depth of a frame without reading it."""
    try:
        with path.open("rb") as stream:
            start, name, width, height, bits, colours = _HEADER.unpack(stream.read(_HEADER.size))
        if (start, name) != (START, b"IHDR"):
            raise ValueError(f"it begins with {start!r}")
    except FileNotFoundError:
        raise FrameError(f"{path}: no such file; give an existing one") from None
    except (struct.error, ValueError) as error:
        raise _unreadable(path, error) from None
    if colours != _GREY or bits not in (8, 16):
        raise FrameError(
            f"{path}: expected grey values of 8 or 16 bits, found {_COLOURS.get(colours, 'others')} of {bits} bits; "
            "save the camera's own counts"
        )
    if min(height, width) < SMALLEST_FRAME:
        raise FrameError(
            f"{path}: expected a frame of at least {SMALLEST_FRAME} pixels each way, found {height} x {width}; "
            "save whole frames"
        )
    return (height, width), bits


def _unreadable(path: Path, error: Exception) -> FrameError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return FrameError(f"{path}: expected a whole PNG file, found one that cannot be read ({reason}); copy it again")
