"""Opening HDF5 files, with one line about what is wrong with a file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from util.runtime.errors import InputError
from util.runtime.input_file import check_file

_MISSING = "no such file; give an existing one, or make it with script/simulate_finaltest.sh"
_OPEN_FOR_WRITING = "already open for write"  # in HDF5's message


@contextmanager
def reading_hdf5(
    path: str | os.PathLike[str], missing: str = _MISSING, remedy: str = "copy or make it again"
) -> Iterator[h5py.File]:
    """Open an HDF5 file and close it again; whatever HDF5 raises in between becomes one InputError.

    Parameters
    ----------
    path : path-like
    missing : str
        What the message says where nothing is there.
    remedy : str
        What to do about a damaged file.

    Raises
    ------
    InputError
        As in `open_hdf5`, or the file turns out to be damaged.
    """
    with metadata_of(path, remedy), open_hdf5(path, missing) as file:
        yield file


def open_hdf5(path: str | os.PathLike[str], missing: str = _MISSING) -> h5py.File:
    """Open an HDF5 file for reading, to be closed by the caller; `missing` as in `reading_hdf5`.

    One that is being written for readers to follow (SWMR: single writer, multiple readers), or whose writer died while
    it was, is opened as HDF5 asks for then: its ``swmr_mode`` is True.

    Raises
    ------
    InputError
        The file is missing, not HDF5, cut short, or open for writing elsewhere in a way that forbids reading.
    OSError
        There is no permission to read the file.
    """
    path = Path(path)
    check_file(path, missing)
    with path.open("rb") as stream:
        start = stream.read(8)
    try:
        return _open(path)
    except (OSError, RuntimeError) as error:
        if isinstance(error, BlockingIOError) or _OPEN_FOR_WRITING in str(error):
            raise InputError(
                f"{path}: expected a file that nobody writes, found one that is open for writing; close it in the "
                "program that writes it; where that has died, copy the file, and clear its mark with h5clear -s"
            ) from None
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


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if _OPEN_FOR_WRITING not in str(error):
            raise
        try:
            return h5py.File(path, "r", swmr=True)
        except OSError:  # not written for readers to follow
            raise error from None


@contextmanager
def metadata_of(path: str | os.PathLike[str], remedy: str = "copy or make it again") -> Iterator[None]:
    """Turn what h5py raises on damaged headers, in any of its ways, into one InputError."""
    try:
        yield
    # An attribute is lacking where a name leads to something else than a dataset.
    except (
        AttributeError,
        KeyError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        OverflowError,
        MemoryError,
    ) as error:
        reason = (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: HDF5 cannot make out what is in it ({reason}); {remedy}") from None


def _reason(error: Exception) -> str:
    """Say in a few words what HDF5 said in many, as 'No space left on device'."""
    errno = getattr(error, "errno", None)
    text = str(error)
    if errno is None and "errno = " in text:
        digits = text.split("errno = ", 1)[1].split(",")[0].strip()
        errno = int(digits) if digits.isdigit() else None
    return os.strerror(errno) if errno else text.splitlines()[0]


def describe(kind: np.dtype[Any]) -> str:
    """Describe a type in a message."""
    if kind.names is not None:
        return "a compound of " + ", ".join(kind.names)
    return f"{kind.base} of shape {kind.shape}" if kind.shape else str(kind)
