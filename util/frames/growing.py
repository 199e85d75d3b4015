"""Frames of a file or a folder that is still written to: those that are there by now.

A camera's program leaves what is not whole: half a PNG or TIFF, rows of a dataset that are declared and not written
yet, which HDF5 reads as zeros, and of the newest row a part. Frames are counted up to the last that is there and seems
whole; `look` counts anew. An HDF5 file is opened anew each time, which shows all that its writer has flushed, as a
refresh in SWMR mode does, and serves every format. That nobody is kept from writing it is script/watch.sh's care, which
turns HDF5's locks off.
"""

import fcntl
import os
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.frames.open import check_format, frame_files, open_frames
from util.frames.source import FrameSource, digest_of
from util.runtime.errors import FrameError, InputError
from util.runtime.input_file import check_file

SETTLED_S = 0.4  # for which a file keeps size and time, or a row what is in it, before it is taken to be whole
_RECENT_NS = 2_000_000_000
_IN_A_ROW = 4  # frames without any light, after which rows are taken not to be written yet

_Stamp = tuple[int, int]  # size and time of the last change


class GrowingFrames(FrameSource):
    """Frames that are there by now; none before the first `look`.

    Attributes
    ----------
    fault : str
        Why nothing could be read the last time; empty where all was well.
    """

    count = 0
    fault = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def look(self) -> int:
        """Look for frames anew; return how many of those from the first on are still the same ones.

        Raises
        ------
        InputError
            Frames that no camera takes.
        """

    def _like(self, frames: FrameSource) -> None:
        """Take over what describes the frames of a camera."""
        self.frame_shape, self.dtype, self.bits = frames.frame_shape, frames.dtype, frames.bits


class GrowingFile(GrowingFrames):
    """Frames of a file that grows, as `util.frames.open.open_frames` reads it.

    A row counts once there is light in a later one, or once it has stayed the same for a while.

    Parameters
    ----------
    path : Path
    dataset, frame_axis
        As `open_frames` takes them.
    clock : function
        Returns the time in seconds.
    """

    def __init__(
        self,
        path: Path,
        dataset: str | None = None,
        frame_axis: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(path)
        self._clock = clock
        self._newest: tuple[int, bytes, float] | None = None  # row, what is in it, and since when
        self.dataset, self._axis = dataset, frame_axis
        self._frames: FrameSource | None = None
        self._stamp: _Stamp | None = None

    def look(self) -> int:
        """See `GrowingFrames.look`; a file that was replaced by one of fewer frames counts as another."""
        before = self.count
        try:
            check_file(self.path)
            stamp = _stamp(self.path)
            if stamp == self._stamp:
                return before
            if is_written_alone(self.path):
                raise InputError(
                    f"{self.path}: expected a file that can be followed, found one that its writer keeps to itself; "
                    "have it write for readers to follow (SWMR)"
                )
            self.close()  # a file that is open here is not read anew
            self._frames = open_frames(self.path, self.dataset, None if self.dataset else self._axis)
        except (InputError, OSError) as error:
            self.fault, self._stamp = str(error), None
            return before
        frames = self._frames
        self.fault, self.dataset = "", frames.dataset
        self._like(frames)
        written = frames.written()
        end = written[-1][1] if written else 0
        lit = self._last_with_light(min(before, end), end)
        whole = lit <= before or self._is_settled(lit - 1)
        self.count = lit if whole else lit - 1
        # Of two changes at about the same time the first may be all that was seen.
        self._stamp = stamp if whole and time.time_ns() - stamp[1] > _RECENT_NS else None
        return min(before, end)

    def _is_settled(self, index: int) -> bool:
        try:
            digest = digest_of(*self.read_row(index))
        except FrameError:
            digest = b""
        if self._newest is None or self._newest[:2] != (index, digest):
            self._newest = index, digest, self._clock()
        return self._clock() - self._newest[2] >= SETTLED_S

    def _last_with_light(self, low: int, high: int) -> int:
        """Return how many frames there are, of `low` that were there before and at most `high`."""
        if low == high or self._is_lit(high - 1):
            return high
        while low < high:
            middle = (low + high) // 2
            if any(self._is_lit(index) for index in range(middle, min(middle + _IN_A_ROW, high))):
                low = middle + 1
            else:
                high = middle
        return low

    def _is_lit(self, index: int) -> bool:
        with suppress(FrameError):
            return bool(self.read_row(index)[1].any())
        return False

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return ``ImageId`` and frame of row `index`; see `util.frames.source.FrameSource.read_row`."""
        if self._frames is None:
            raise FrameError(f"{self.path}: expected a file that can be read, found none; {self.fault}")
        return self._frames.read_row(index)

    def written(self) -> list[tuple[int, int]]:
        """Return the ranges of frames that are there; see `util.frames.source.FrameSource.written`."""
        found = self._frames.written() if self._frames else []
        return [(start, min(stop, self.count)) for start, stop in found if start < self.count]

    def close(self) -> None:
        """Close the file."""
        if self._frames is not None:
            self._frames.close()
        self._frames = None

    def _layout(self) -> list[object]:
        return ["growing"]


class GrowingFolder(GrowingFrames):
    """Frames of a folder of TIFF or PNG files, one frame each, in the order of `util.frames.open.frame_files`.

    A file counts once it has kept its size and time for a while; those after it wait for it. It may yet turn out not to
    be whole, which reading it tells.

    Parameters
    ----------
    path : Path
    clock : function
        Returns the time in seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(path)
        self._files: list[Path] = []
        self._clock = clock
        self._waiting: dict[Path, tuple[_Stamp, float]] = {}

    def look(self) -> int:
        """See `GrowingFrames.look`; a file whose name comes before others moves these up."""
        before, self.fault = self._files, ""
        try:
            files = frame_files(self.path)
        except (InputError, OSError) as error:  # the frames that were there are not gone for that
            self.fault = str(error)
            return len(before)
        same = len(before) if files[: len(before)] == before else _alike(before, files)
        new = files[same:]
        settled = [self._is_settled(file) for file in new]
        self._files = files[:same] + new[: [*settled, False].index(False)]
        self._waiting = {file: self._waiting[file] for file in new if file in self._waiting and file not in self._files}
        if self._files and not hasattr(self, "frame_shape"):
            self._like_first()
        self.count = len(self._files) if hasattr(self, "frame_shape") else 0
        return same

    def _is_settled(self, file: Path) -> bool:
        try:
            stamp = _stamp(file)
        except OSError:
            return False
        known, since = self._waiting.get(file, (None, 0.0))
        if known != stamp:
            since = self._clock()
            self._waiting[file] = stamp, since
        return self._clock() - since >= SETTLED_S

    def _like_first(self) -> None:
        """Take the first file that can be read for what all are like."""
        for file in self._files:
            try:
                with open_frames(file) as frames:
                    self._like(frames)
                return
            except InputError as error:
                self.fault = str(error)

    def read_row(self, index: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return number and frame of row `index`; see `util.frames.source.FrameSource.read_row`."""
        self.check_range(index, index + 1)
        file = self._files[index]
        try:
            with open_frames(file) as frames:
                if frames.count > 1:
                    raise FrameError(f"{file}: expected one frame, found {frames.count}; search such a folder later on")
                found, wanted = (
                    f"{camera.frame_shape[0]} x {camera.frame_shape[1]} pixels of {camera.dtype}"
                    for camera in (frames, self)
                )
                if found != wanted:
                    raise FrameError(
                        f"{file}: expected {wanted}, as the first frame has, found {found}; keep the frames of one "
                        "camera setting together"
                    )
                return index, frames.read(0)
        except FrameError:
            raise
        except (InputError, OSError) as error:
            raise FrameError(str(error)) from None

    def close(self) -> None:
        """Do nothing: no file is open between two frames."""

    def _layout(self) -> list[object]:
        return ["growing"]


def growing_frames(path: Path, dataset: str | None = None, frame_axis: int | None = None) -> GrowingFrames:
    """Return the frames of a folder or a file; parameters as `util.frames.open.open_frames` takes them.

    Raises
    ------
    InputError
        Nothing is there, or a file of another kind; options of HDF5 files for a folder.
    """
    if not path.is_dir():
        check_format(path)
        return GrowingFile(path, dataset, frame_axis)
    for value, option in ((dataset, "--dataset"), (frame_axis, "--frame-axis")):
        if value is not None:
            raise InputError(f"{path}: {option} {value}: expected an HDF5 file, found a folder; leave the option out")
    return GrowingFolder(path)


def is_written_alone(path: Path) -> bool:
    """Return whether a program has the file open for itself, as HDF5's writers do but for those of SWMR."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a disk without locks
            return False
    return False


def _stamp(path: Path) -> _Stamp:
    found = os.stat(path)  # noqa: PTH116 - in a loop over many files
    return found.st_size, found.st_mtime_ns


def _alike(one: list[Path], other: list[Path]) -> int:
    """Return from where on two lists differ."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
