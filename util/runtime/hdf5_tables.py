"""Writing HDF5 files of tables, atomically and without HDF5's trouble with a full disk."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError


class TableWriter:
    """The open file that `writing_tables` yields; a failed write is an InputError that names the file."""

    def __init__(self, file: h5py.File, disk: "_Disk") -> None:
        self.file = file
        self.disk = disk

    def create_table(
        self, name: str, dtype: np.dtype[Any], rows: int | None = None, *, packed: bool = False
    ) -> h5py.Dataset:
        """Make a dataset: of `rows` rows for `put`, or empty and growing by `append`, with gzip if `packed`."""
        if rows is None:
            how = {"compression": "gzip", "shuffle": True} if packed else {}
            return self.file.create_dataset(name, (0,), dtype, chunks=(1 << 15,), maxshape=(None,), **how)
        return self.file.create_dataset(name, (rows,), dtype)

    def put(self, table: h5py.Dataset, start: int, rows: NDArray[np.void]) -> None:
        """Store rows of a table from row `start` on."""
        table[start : start + len(rows)] = rows
        self.disk.check()

    def append(self, table: h5py.Dataset, rows: NDArray[np.void]) -> None:
        """Add rows at the end of a growing table."""
        start = len(table)
        table.resize((start + len(rows),))
        self.put(table, start, rows)


@contextmanager
def writing_tables(path: Path, attributes: Mapping[str, str | int]) -> Iterator[TableWriter]:
    """Write an HDF5 file that appears under its name once it is whole.

    Parameters
    ----------
    path : Path
        The final name. An existing file is replaced in one step at the end.
    attributes : mapping
        Attributes of the file's root, which say how it was made.

    Yields
    ------
    TableWriter

    Raises
    ------
    InputError
        The disk is full or fails; nothing is left behind.
    """
    with replacing(path) as temporary, _Disk(path, temporary) as disk:
        with h5py.File(disk, "w") as file:
            file.attrs.update(attributes)
            yield TableWriter(file, disk)
        disk.check()


class _Disk:
    """The file beneath HDF5, which a full disk cannot trip up.

    HDF5 keeps part of a file in memory until the file is closed. Where there is no room for that part, closing fails,
    the library's objects stay open, and each complains once more, with a traceback, until the process ends. So after
    the first failure this file takes whatever HDF5 still writes and keeps nothing of it; `check` raises that failure.
    So it does once it is closed: an interrupt while the library opens it leaves an object behind that nobody holds.
    """

    def __init__(self, path: Path, temporary: Path) -> None:
        self._path = path
        self._failure: BaseException | None = None
        self._file = temporary.open("w+b", buffering=0)

    def __enter__(self) -> "_Disk":
        return self

    def __exit__(self, *failure: object) -> None:
        self._failure = self._failure or ValueError(f"{self._path}: closed")
        self._file.close()

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if isinstance(self._failure, OSError):
            reason = self._failure.strerror or self._failure
            raise InputError(f"{self._path}: cannot be written ({reason}); make room there or name another file")
        if self._failure is not None:
            raise self._failure

    # What h5py asks of a file object. HDF5 seeks before it reads or writes.

    def write(self, data: memoryview) -> int:
        rest = memoryview(data)
        try:
            while self._failure is None and rest:
                rest = rest[self._file.write(rest) :]
        except BaseException as failure:  # an interrupt too: it must not be raised within HDF5, which called
            self._failure = failure
        return len(data)

    def readinto(self, data: memoryview) -> int:
        return self._file.readinto(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return offset if self._file.closed else self._file.seek(offset, whence)

    def tell(self) -> int:
        return 0 if self._file.closed else self._file.tell()

    def truncate(self, size: int) -> int:
        try:
            return size if self._failure else self._file.truncate(size)
        except BaseException as failure:
            self._failure = failure
            return size

    def flush(self) -> None:
        pass
