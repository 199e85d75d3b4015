"""Arrays in NPY and NPZ files: what they declare is read and checked before anything is allocated."""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.runtime.input_file import MISSING, check_file
from util.runtime.memory import check_fits

# What NumPy and zipfile raise on files that are cut short or damaged, depending on where.
_DAMAGE = (
    *(OSError, ValueError, EOFError, NotImplementedError, RuntimeError, LookupError, TypeError, SyntaxError),
    *(OverflowError, MemoryError, RecursionError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error),
)


class ArrayError(Exception):
    """A file holds no such arrays, or not whole; the message says in one line what was found."""


class Header(NamedTuple):
    """What an array declares."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of its content."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ArrayError((str(error).splitlines() or [type(error).__name__])[0]) from None


def read_header(stream: IO[bytes]) -> Header:
    """Read the header of an array; the stream then stands at its content.

    Raises
    ------
    ArrayError
        None is there, or it makes no sense.
    """
    with _damage():
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
        if kind.hasobject:
            raise ValueError("Python objects, which may hold code")
        if min(shape, default=0) < 0:
            raise ValueError(f"shape {shape}")
        return Header(shape, kind)


def read_rows(stream: IO[bytes], dtype: np.dtype[Any], rows: int) -> NDArray[Any]:
    """Read the next `rows` values of a column whose header was read; raise ArrayError where they are not whole."""
    with _damage():
        return np.frombuffer(stream.read(rows * dtype.itemsize), dtype, rows)


def map_npy(path: Path) -> NDArray[Any]:
    """Map a file of one array, for which `util.runtime.input_file.check_file` was called, without reading it.

    Raises
    ------
    ArrayError
        It holds none, or not whole.
    """
    with path.open("rb") as stream:
        header = read_header(stream)
        found = path.stat().st_size - stream.tell()
    if found < header.nbytes:
        raise ArrayError(f"{found} bytes of {header.nbytes}")
    with _damage():
        mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped


def read_npy(path: Path) -> NDArray[Any]:
    """Read such a file; raise as `map_npy`, or InputError where it is larger than this machine can hold."""
    mapped = map_npy(path)
    check_fits(path, mapped.nbytes)
    return np.array(mapped)


class Archive:
    """An NPZ file that is open: its arrays by name, with their `headers`; made by `opening_npz`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self.headers: dict[str, Header] = {}
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            with _damage(), self.stream(name) as stream:
                header = read_header(stream)
                declared = stream.tell() + header.nbytes
            if name in self.headers or declared != member.file_size:
                raise ArrayError(f"{name}: {declared} bytes in {member.file_size}, or twice")
            self.headers[name] = header

    def stream(self, name: str) -> IO[bytes]:
        """Open an array for reading, from its header on."""
        return self._archive.open(f"{name}.npy")

    def read(self, name: str) -> NDArray[Any]:
        """Read an array.

        Raises
        ------
        ArrayError
            There is none of that name, or not whole.
        InputError
            It is larger than this machine can hold.
        """
        if name not in self.headers:
            raise ArrayError(f"no {name}")
        check_fits(f"{self._path}: {name}", self.headers[name].nbytes)
        with _damage(), self.stream(name) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


@contextmanager
def opening_npz(path: Path, missing: str = MISSING) -> Iterator[Archive]:
    """Open an NPZ file and read all its headers; close it again.

    Parameters
    ----------
    path : Path
    missing : str
        As in `util.runtime.input_file.check_file`.

    Raises
    ------
    ArrayError
        It is none, or one of its headers makes no sense.
    InputError
        No regular file.
    """
    check_file(path, missing)
    with path.open("rb") as stream:
        with _damage():
            archive = zipfile.ZipFile(stream)
        with archive:
            yield Archive(path, archive)
