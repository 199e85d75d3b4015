"""Which rows of an HDF5 dataset were ever stored, and datasets read whole once it is known that all were.

HDF5 gives fill values, zeros as a rule, for what is not there, without a word: rows that were declared and never
written, a virtual dataset whose source is gone, the end of an external file that is too short. That is told from the
file's own tables, without reading what is in the datasets.
"""

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from util.runtime.errors import InputError
from util.runtime.hdf5_types import check_filters
from util.runtime.memory import check_fits

Range = tuple[int, int]  # of indices along an axis, the first and the one after the last

_DEEPEST = 8  # virtual datasets made of virtual datasets


def stored_ranges(dataset: h5py.Dataset, axis: int = 0, depth: int = 0) -> list[Range]:
    """Return what is stored of a dataset: ranges of indices along one axis, ascending and apart.

    Parameters
    ----------
    dataset : h5py.Dataset
        One without axes counts as one row.
    axis : int
        The one along which frames lie.
    depth : int
        How many virtual datasets led here.

    Raises
    ------
    InputError
        A source of a virtual dataset, or a file of external data, is missing or too short, or a filter is not
        installed; the message names it.
    """
    if 0 in dataset.shape:
        return []
    check_filters(_where(dataset), dataset)
    count = int(dataset.shape[axis]) if dataset.shape else 1
    if dataset.is_virtual:
        return _of_sources(dataset, axis, depth)
    if dataset.external:
        _check_external(dataset)
        return [(0, count)]
    if dataset.chunks is not None:
        return _of_chunks(dataset, axis)
    return [] if _is_late(dataset) else [(0, count)]


def content_of(dataset: h5py.Dataset, fields: Sequence[str] | None = None) -> Any:
    """Read a dataset whole.

    Parameters
    ----------
    dataset : h5py.Dataset
        In a file that is open by `util.runtime.hdf5.reading_hdf5`, which says in one line what HDF5 raises.
    fields : sequence of str, or None
        Of a table: those to read; None: all.

    Raises
    ------
    InputError
        As in `check_stored`, or it is larger than this machine can hold.
    """
    check_stored(dataset)
    # Not `dataset.nbytes`, which wraps around.
    check_fits(_where(dataset), math.prod(map(int, dataset.shape)) * dataset.dtype.itemsize)
    return dataset[()] if fields is None else dataset.fields(list(fields))[()]


def check_stored(dataset: h5py.Dataset) -> None:
    """Refuse a dataset that declares what was never written.

    Raises
    ------
    InputError
        It does, or has no dataspace, or what it refers to is missing (`stored_ranges`).
    """
    where = _where(dataset)
    if dataset.shape is None:
        raise InputError(f"{where}: expected data, found a dataset without any; make the file anew")
    rows = int(dataset.shape[0]) if dataset.shape else 1
    stored = _length(stored_ranges(dataset))
    if stored < rows and 0 not in dataset.shape:
        raise InputError(
            f"{where}: expected {rows} rows, found {rows - stored} of them declared and never written; make the file "
            "anew, or copy it again"
        )


def _is_late(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset takes room at first need, and nobody wrote to it."""
    layout = dataset.id.get_create_plist().get_layout()
    return layout == h5py.h5d.CONTIGUOUS and dataset.id.get_storage_size() == 0


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return ranges ascending, those that touch or overlap as one."""
    found: list[Range] = []
    for start, stop in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        elif start < stop:
            found.append((start, stop))
    return found


def gaps(ranges: Iterable[Range], start: int, stop: int) -> list[Range]:
    """Return what ranges that are ascending and apart leave out of `start` .. `stop` - 1."""
    found = []
    for first, last in ranges:
        if first > start:
            found.append((start, min(first, stop)))
        start = max(start, last)
        if start >= stop:
            break
    if start < stop:
        found.append((start, stop))
    return [(first, last) for first, last in found if first < last]


def _where(dataset: h5py.Dataset) -> str:
    return f"{dataset.file.filename}: {dataset.name.strip('/')}"


def _of_chunks(dataset: h5py.Dataset, axis: int) -> list[Range]:
    along = [math.ceil(size / chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    count, step = int(dataset.shape[axis]), dataset.chunks[axis]
    if dataset.id.get_num_chunks() == math.prod(along):
        return [(0, count)]
    bands: list[int] = []
    dataset.id.chunk_iter(lambda chunk: bands.append(chunk.chunk_offset[axis] // step))
    band, chunks = np.unique(np.array(bands, np.int64), return_counts=True)
    whole = band[chunks == math.prod(along) // along[axis]] * step
    return merged((start, min(start + step, count)) for start in whole.tolist())


def _check_external(dataset: h5py.Dataset) -> None:
    """Refuse external files that are missing or short, where HDF5 looks for them: in the folder the process runs in."""
    beside = Path(dataset.file.filename).resolve().parent
    folder = Path(os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(beside)))
    wanted = math.prod(dataset.shape) * dataset.dtype.itemsize
    for name, offset, size in dataset.external:
        path = folder / os.fsdecode(name)
        length = min(size, wanted)  # the last one may be declared without an end
        wanted -= length
        if not path.exists():
            moved = (beside / path.name).exists()
            remedy = (
                "it is beside the HDF5 file: set HDF5_EXTFILE_PREFIX='${ORIGIN}' in the environment"
                if moved
                else "put it beside the HDF5 file, and set HDF5_EXTFILE_PREFIX='${ORIGIN}' in the environment"
            )
            raise InputError(
                f"{_where(dataset)}: expected its data in the external file {path}, found no such file; {remedy}"
            )
        if path.stat().st_size < offset + length:
            raise InputError(
                f"{_where(dataset)}: expected {offset + length} bytes in the external file {path}, found "
                f"{path.stat().st_size}; copy it again, or declare only the frames that it holds"
            )


def _of_sources(dataset: h5py.Dataset, axis: int, depth: int) -> list[Range]:
    if depth == _DEEPEST:
        raise InputError(f"{_where(dataset)}: expected a virtual dataset of others, found one of itself; make it again")
    elements = math.prod(dataset.shape) // dataset.shape[axis]
    pieces: list[tuple[int, int, int]] = []  # first and last index, and elements at each
    missing: dict[str, str] = {}
    folder = Path(dataset.file.filename).parent
    for source in dataset.virtual_sources():
        slab = _Slab.of(source.vspace, dataset.shape, axis)
        for block, file_name in _names(source.file_name, slab, folder):
            try:
                stored = _of_source(dataset, source, file_name, block, axis, depth)
            except (FileNotFoundError, KeyError, OSError) as error:
                missing[f"{source.dset_name} in {file_name}"] = _reason(error)
                continue
            pieces += [(start, stop, block.elements) for start, stop in stored]
    if missing:
        name, reason = next(iter(missing.items()))
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(
            f"{_where(dataset)}: expected the sources of a virtual dataset, found none at {name}{more}: {reason}; "
            "put the sources where they were when it was made"
        )
    return _filled(pieces, elements)


def _filled(pieces: list[tuple[int, int, int]], elements: int) -> list[Range]:
    """Return the indices at which pieces (start, stop, elements at each index) have all elements together."""
    if not pieces:
        return []
    edges, at = np.unique([piece[:2] for piece in pieces], return_inverse=True)
    at, change = at.reshape(-1, 2), np.zeros(len(edges), np.int64)
    held = np.array([piece[2] for piece in pieces])
    np.add.at(change, at[:, 0], held)
    np.add.at(change, at[:, 1], -held)
    full = np.flatnonzero(np.cumsum(change)[:-1] >= elements)
    return merged(zip(edges[full].tolist(), edges[full + 1].tolist(), strict=True))


@dataclass(frozen=True)
class _Slab:
    """A selection of a dataspace along one axis: `count` blocks of `block` indices, `stride` apart from `start` on.

    `elements` are those that are selected at each index.
    """

    start: int
    stride: int
    count: int
    block: int
    elements: int

    @classmethod
    def of(cls, space: Any, shape: tuple[int, ...], axis: int) -> "_Slab":
        """Read a selection; an irregular one counts as its bounding box, and one without end ends with `shape`."""
        rank = len(shape)
        start, stride, count, block = [0] * rank, [1] * rank, [1] * rank, list(shape)
        if space.get_select_type() == h5py.h5s.SEL_HYPERSLABS and space.is_regular_hyperslab():
            start, stride, count, block = (list(values) for values in space.get_regular_hyperslab())
        elif space.get_select_type() != h5py.h5s.SEL_ALL:
            start, high = (list(values) for values in space.get_select_bounds())
            block = [last + 1 - first for first, last in zip(start, high, strict=True)]
        for k in range(rank):
            block[k] = max(min(block[k], shape[k] - start[k]), 0)
            count[k] = max(min(count[k], math.ceil((shape[k] - start[k]) / stride[k])), 0)
        elements = math.prod(count[k] * block[k] for k in range(rank) if k != axis)
        return cls(start[axis], stride[axis], count[axis], block[axis], elements)

    @property
    def ranges(self) -> list[Range]:
        """The indices, as ranges."""
        starts = range(self.start, self.start + self.count * self.stride, self.stride)
        return merged((start, start + self.block) for start in starts)


def _names(pattern: str, slab: _Slab, folder: Path) -> list[tuple[_Slab, str]]:
    """Return the files that a source's name stands for, each with what is selected of it.

    In a name, %b stands for the number of a block, of which each is in a file of its own, and %% for one percent sign.
    HDF5 ends such a dataset before the first number that is missing; those beyond it that are in `folder` count too.
    """
    if "%b" not in pattern.replace("%%", ""):
        return [(slab, pattern.replace("%%", "%"))]
    before, after = (part.replace("%%", "%") for part in pattern.split("%b", 1))
    given = re.compile(re.escape(Path(before + "0").name[:-1]) + r"(\d+)" + re.escape(after))
    beyond = [
        int(found[1]) + 1
        for path in (folder / (before + "0")).parent.glob("*")
        if (found := given.fullmatch(path.name))
    ]
    starts = (slab.start + number * slab.stride for number in range(max(slab.count, *beyond, 0)))
    return [(replace(slab, start=start, count=1), f"{before}{number}{after}") for number, start in enumerate(starts)]


def _of_source(dataset: h5py.Dataset, source: Any, file_name: str, slab: _Slab, axis: int, depth: int) -> list[Range]:
    """Return which of the indices that a virtual dataset takes from one source are stored there.

    Raises
    ------
    OSError, KeyError
        No such file or dataset.
    """
    if file_name == ".":
        return _mapped(dataset.file[source.dset_name], source.src_space, dataset.ndim, slab, axis, depth)
    with h5py.File(_source_path(Path(dataset.file.filename), file_name), "r") as file:
        return _mapped(file[source.dset_name], source.src_space, dataset.ndim, slab, axis, depth)


def _mapped(found: h5py.Dataset, space: Any, rank: int, slab: _Slab, axis: int, depth: int) -> list[Range]:
    if found.ndim != rank:  # one frame, as a rule
        whole = found.size >= slab.elements * _length(slab.ranges)
        return slab.ranges if whole and stored_ranges(found, 0, depth + 1) == [(0, found.shape[0])] else []
    stored = stored_ranges(found, axis, depth + 1)
    there = _Slab.of(space, found.shape, axis)
    taken, wanted = there.ranges, slab.ranges
    if there.elements < slab.elements:
        return []
    if not gaps(stored, 0, found.shape[axis]) and _length(taken) == _length(wanted):
        return wanted
    if len(taken) == len(wanted) == 1:
        low, high = wanted[0]
        shift = low - taken[0][0]
        return merged((max(start + shift, low), min(stop + shift, high)) for start, stop in stored)
    return []


def _length(ranges: list[Range]) -> int:
    return sum(stop - start for start, stop in ranges)


def _source_path(file: Path, name: str) -> Path:
    """Return where HDF5 finds a source of a virtual dataset, in its order of looking."""
    given = Path(name)
    relative = Path(given.name) if given.is_absolute() else given
    prefixes = [prefix for prefix in os.environ.get("HDF5_VDS_PREFIX", "").split(":") if prefix]
    origin = str(file.absolute().parent)
    places = [Path(prefix.replace("${ORIGIN}", origin)) / relative for prefix in prefixes]
    places += [file.parent / relative, relative, file.resolve().parent / relative]
    for place in [given, *places] if given.is_absolute() else places:
        if place.is_file():
            return place
    raise FileNotFoundError(name)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return "no such dataset" if isinstance(error, KeyError) else str(error).splitlines()[0]
