"""Streaming lists of events: CSV and other text, NPY, NPZ, HDF5 and Parquet, a chunk of rows at a time."""

import contextlib
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import h5py
import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from util.entries.file_kind import STREAM_DAMAGE, damaged, kind_of, open_text, separator_of
from util.runtime.errors import InputError
from util.runtime.hdf5 import describe, reading_hdf5
from util.runtime.hdf5_names import datasets_of
from util.runtime.hdf5_stored import check_stored, content_of
from util.runtime.hdf5_types import check_known
from util.runtime.npz import Archive, ArrayError, map_npy, opening_npz, read_header, read_rows

CHUNK_ROWS = 1_000_000
CHUNK_BYTES = 4_000_000  # of text
_NULLS = ["", "nan", "NaN", "NAN", "NA", "N/A", "null", "None", "inf", "-inf"]

Chunks = Callable[[Sequence[int]], Iterator[NDArray[np.float64]]]


@dataclass(frozen=True)
class EventFile:
    """A file of events, one per row.

    Attributes
    ----------
    path : Path
    names : tuple of str
        Of all columns, in the file's order; their numbers where it does not name them.
    named : bool
    chunks : callable
        Given k numbers of columns, yields arrays (k, n) float64, the rows in their order; NaN for what is missing. It
        may be called again.
    """

    path: Path
    names: tuple[str, ...]
    named: bool
    chunks: Chunks


def open_events(path: Path, dataset: str | None = None) -> EventFile:
    """Look at a file of events; its rows are read when they are asked for.

    Parameters
    ----------
    path : Path
    dataset : str or None
        Of an HDF5 file: the table, or the group whose datasets are the columns; None: the only one.

    Raises
    ------
    InputError
        No such file or dataset, or no columns in it.
    """
    kind = kind_of(path)
    if dataset is not None and kind != "hdf5":
        raise InputError(f"{path}: --dataset {dataset}: expected an HDF5 file, found {kind}; leave the option out")
    if kind == "hdf5":
        return _of_hdf5(path, dataset)
    readers = {"text": _of_text, "npy": _of_npy, "zip": _of_npz, "parquet": _of_parquet}
    if kind not in readers:
        raise InputError(f"{path}: expected events as text, NPY, NPZ, HDF5 or Parquet, found {kind}; convert them")
    return readers[kind](path)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


class _CleanText:
    """A text file without comments and empty lines, white space between values made one blank; for pyarrow."""

    closed = False

    def __init__(self, stream: BinaryIO, separator: str | None) -> None:
        self._stream, self._blanks = stream, separator is None
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; none at the end."""
        while not self._rest and (text := self._stream.read(max(size, 1))):
            self._rest = self._cleaned(text + self._stream.readline())
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _cleaned(self, text: bytes) -> bytes:
        if self._blanks:
            text = re.sub(rb"(?m)^ | ?\r?$", b"", re.sub(rb"[ \t]+", b" ", text))
        return re.sub(rb"(?m)^[ \t]*#.*(\n|\Z)", b"", text) if b"#" in text else text

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _of_text(path: Path) -> EventFile:
    comment, first = "", ""
    try:
        with open_text(path) as stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").strip()
                if line.startswith("#"):
                    comment = line.lstrip("# ")
                elif line:
                    first = line
                    break
    except STREAM_DAMAGE as error:
        raise damaged(path, error) from None
    if not first:
        raise InputError(f"{path}: expected rows of events, found none; give another file")
    separator = separator_of(first)
    try:
        words, commented = _words(first, separator), _words(comment, separator_of(comment))
    except csv.Error as error:
        raise InputError(
            f"{path}: expected a first line of names or numbers of columns, found one that cannot be split ({error}); "
            "correct it, or give another file"
        ) from None
    headed = not all(map(_is_number, words))
    named = headed or len(commented) == len(words)
    names = tuple(words if headed else commented if named else _numbers(len(words)))

    def chunks(columns: Sequence[int]) -> Iterator[NDArray[np.float64]]:
        labels = _numbers(len(names))  # names may repeat
        wanted = [labels[column] for column in columns]
        try:
            with open_text(path) as stream:
                reader = pyarrow.csv.open_csv(
                    pyarrow.PythonFile(_CleanText(stream, separator), mode="r"),
                    read_options=pyarrow.csv.ReadOptions(
                        column_names=labels, skip_rows=int(headed), block_size=CHUNK_BYTES
                    ),
                    parse_options=pyarrow.csv.ParseOptions(delimiter=separator or " "),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=dict.fromkeys(wanted, pyarrow.float64()),
                        include_columns=list(dict.fromkeys(wanted)),
                        null_values=_NULLS,
                    ),
                )
                for batch in reader:
                    yield np.stack([_floats(batch.column(label)) for label in wanted])
        except (pyarrow.ArrowInvalid, pyarrow.ArrowKeyError) as error:
            reason = str(error).splitlines()[0].removeprefix("CSV parse error: ").rstrip(".")
            raise InputError(
                f"{path}: expected rows of {len(names)} values, numbers where they are read, found otherwise "
                f"({reason}); correct it, or begin lines that are no event with #"
            ) from None
        except STREAM_DAMAGE as error:
            raise damaged(path, error) from None

    return EventFile(path, names, named, chunks)


def _words(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    return [word.strip() for word in next(csv.reader([line], delimiter=separator), [])]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word in _NULLS
    return True


def _floats(column: Any) -> NDArray[np.float64]:
    return cast(NDArray[np.float64], column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False))


def _of_parquet(path: Path) -> EventFile:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None

    def chunks(columns: Sequence[int]) -> Iterator[NDArray[np.float64]]:
        wanted = [names[column] for column in columns]
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(CHUNK_ROWS, columns=wanted):
                    yield np.stack([_floats(batch.column(name)) for name in wanted])
        except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as error:
            raise damaged(path, error) from None

    return EventFile(path, names, True, chunks)


def _of_npy(path: Path) -> EventFile:
    try:
        array = map_npy(path)
    except ArrayError as error:
        raise damaged(path, error) from None
    return _of_array(path, str(path), lambda part: array[part], array.dtype, array.shape)


def _of_array(
    path: Path,
    where: str,
    rows: Callable[[slice], NDArray[Any]],
    kind: np.dtype[Any],
    shape: tuple[int, ...],
    labels: tuple[str, ...] | None = None,
) -> EventFile:
    """Return the events of a structured array (n,) or of an array (n, k), whose columns may have `labels`."""
    if kind.names and len(shape) == 1:
        names, named = tuple(kind.names), True
        kinds = [kind[name] for name in names]
    elif not kind.names and len(shape) == 2:
        names, named = labels or _numbers(shape[1]), labels is not None
        kinds = [kind] * shape[1]
    else:
        raise InputError(
            f"{where}: expected a table of events, structured (n,) or of shape (n, k), found {describe(kind)} of shape "
            f"{shape}; give one row per event"
        )

    def chunks(columns: Sequence[int]) -> Iterator[NDArray[np.float64]]:
        for column in columns:
            _check_real(where, names[column], kinds[column])
        for start in range(0, shape[0], CHUNK_ROWS):
            part = rows(slice(start, start + CHUNK_ROWS))
            parts = [part[names[column]] if kind.names else part[:, column] for column in columns]
            yield np.stack([np.asarray(part, np.float64) for part in parts])

    return EventFile(path, names, named, chunks)


def _check_real(where: str, name: str, kind: np.dtype[Any]) -> None:
    if kind.kind not in "iuf" or kind.shape:
        found = "complex numbers" if kind.kind == "c" else describe(kind)
        raise InputError(f"{where}: column {name}: expected integers or real numbers, found {found}; name another")


def _of_npz(path: Path) -> EventFile:
    with _opened_npz(path) as archive:
        heads = archive.headers
    names = tuple(heads)
    _check_columns(path, {name: head.shape for name, head in heads.items()})

    def chunks(columns: Sequence[int]) -> Iterator[NDArray[np.float64]]:
        wanted = [names[column] for column in columns]
        for name in wanted:
            _check_real(str(path), name, heads[name].dtype)
        with _opened_npz(path) as archive, contextlib.ExitStack() as stack:
            streams = [stack.enter_context(archive.stream(name)) for name in wanted]
            kinds = [read_header(stream).dtype for stream in streams]
            for start in range(0, heads[wanted[0]].shape[0], CHUNK_ROWS):
                rows = min(heads[wanted[0]].shape[0] - start, CHUNK_ROWS)
                parts = [read_rows(stream, kind, rows) for stream, kind in zip(streams, kinds, strict=True)]
                yield np.stack([part.astype(np.float64) for part in parts])

    return EventFile(path, names, True, chunks)


@contextlib.contextmanager
def _opened_npz(path: Path) -> Iterator[Archive]:
    try:
        with opening_npz(path) as archive:
            yield archive
    except ArrayError as error:
        raise damaged(path, error) from None


def _check_columns(where: Path | str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Check that all columns are of one length."""
    if not shapes or any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
        raise InputError(
            f"{where}: expected one array (n,) per column, all of one length, found {found}; save one per column"
        )


def _of_hdf5(path: Path, dataset: str | None) -> EventFile:
    with reading_hdf5(path) as file:
        there = datasets_of(file)
        shown = ", ".join(f"{name} ({describe(found.dtype)}, shape {found.shape})" for name, found in there.items())
        tables = [name for name, found in there.items() if found.ndim == 2 or (found.ndim == 1 and found.dtype.names)]
        group = "" if dataset is None else dataset.strip("/")
        if dataset is not None and group in there:
            tables = [group]
        elif dataset is not None:
            check_known(file, group)
            tables = []
        if len(tables) > 1:
            raise InputError(f"{path}: expected one table of events, found {shown}; name one with --dataset")
        if tables:
            found = there[tables[0]]
            check_stored(found)
            kind, shape, labels = found.dtype, found.shape, _labels_of(path, there, tables[0])
        else:
            columns = {name: found for name, found in there.items() if name.rpartition("/")[0] == group}
            if dataset is not None and not columns:
                raise InputError(f"{path}: --dataset {dataset}: no such table or group; there are {shown or 'none'}")
            shapes = {name.rpartition("/")[2]: found.shape for name, found in columns.items()}
            _check_columns(path, shapes)
            for found in columns.values():
                check_stored(found)
            kinds = [found.dtype for found in columns.values()]
            members, names = list(columns), tuple(shapes)
    if tables:

        def rows(part: slice) -> NDArray[Any]:
            with reading_hdf5(path) as file:
                return np.asarray(file[tables[0]][part])

        return _of_array(path, f"{path}: {tables[0]}", rows, kind, shape, labels)

    def chunks(columns: Sequence[int]) -> Iterator[NDArray[np.float64]]:
        for column in columns:
            _check_real(str(path), names[column], kinds[column])
        with reading_hdf5(path) as file:
            for start in range(0, shapes[names[0]][0], CHUNK_ROWS):
                part = slice(start, start + CHUNK_ROWS)
                yield np.stack([np.asarray(file[members[column]][part], np.float64) for column in columns])

    return EventFile(path, names, True, chunks)


def _labels_of(path: Path, there: dict[str, h5py.Dataset], table: str) -> tuple[str, ...] | None:
    """Return what pandas calls the columns of a block of a frame in its fixed format; None for any other table."""
    block = re.fullmatch(r"((?:.*/)?block\d+)_values", table)
    if block is None or (items := there.get(f"{block[1]}_items")) is None:
        return None
    labels = np.asarray(content_of(items)).ravel()
    if labels.size != there[table].shape[-1] or labels.dtype.kind not in "SOiu":
        raise InputError(
            f"{path}: {table}: expected names of its {there[table].shape[-1]} columns in {block[1]}_items, found "
            f'{describe(labels.dtype)} of shape {items.shape}; save the frame with format="table", data_columns=True'
        )
    return tuple(label.decode() if isinstance(label, bytes) else str(label) for label in labels.tolist())
