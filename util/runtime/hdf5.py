"""Opening HDF5 files, with one line about what is wrong with a file."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from util.runtime.errors import InputError


def open_hdf5(path: str | os.PathLike[str]) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    InputError
        The file is missing, not HDF5, or cut short.
    OSError
        There is no permission to read the file.
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


def describe(kind: np.dtype[Any]) -> str:
    """Describe a type in a message."""
    if kind.names is not None:
        return "a compound of " + ", ".join(kind.names)
    return f"{kind.base} of shape {kind.shape}" if kind.shape else str(kind)


def datasets_of(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return all datasets of a file by name, those in groups too."""
    found: dict[str, h5py.Dataset] = {}

    def take(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(take)
    return found
