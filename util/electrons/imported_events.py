"""Lists of events as shards, in bounded memory: the rows are read twice, to survey them and to write them.

Frames of a file whose numbers do not lie above those of the files before it count on from these. Without a column of
frames, each shard's events count as one frame: nothing else is known of when they came.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.electrons.import_folder import Range
from util.electrons.shard_facts import FrameCounts, ImportSettings, ShardFacts
from util.electrons.shards import Shard, distribution_of
from util.entries.event_columns import Columns
from util.entries.event_file import EventFile
from util.finder.finder import EVENT
from util.runtime.errors import InputError

_ROW = np.dtype([("frame", "<i4"), ("x", "<f4"), ("z", "<f4"), ("weight", "<f4")])
_STRAY = 5e-6  # share of events that may lie beyond the camera: fits of spots at its edge
_MOST_FRAMES = 2**31 - 1
_MOST_ELECTRONS = 2**31 - 1  # that an event stands for
_FEWEST_PIXELS = 16  # along the shorter side of a camera of which shares of its sides are told from pixels
_COARSE = 2**16  # numbers of frames, or ranges of them, that are counted apart


@dataclass(frozen=True)
class Camera:
    """Where the positions of events lie.

    Attributes
    ----------
    pixels : (int, int) or None
        W, along which the first position runs, and H, along which the second does. None: not known, detector units.
    axis : {0, 1}
        Along which axis of the camera's array the polarisation lies: 0, along H, or 1, along W.
    detector_units : bool
        Whether positions are in detector units already; otherwise the centre of the first pixel is 0.
    """

    pixels: tuple[int, int] | None
    axis: int
    detector_units: bool

    @property
    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Lowest and highest position along W and along H, in their own units."""
        if self.pixels is None:
            return (-1.0, 1.0), (-1.0, 1.0)
        longest = max(self.pixels)
        along_w, along_h = (
            (-size / longest, size / longest) if self.detector_units else (-0.5, size - 0.5) for size in self.pixels
        )
        return along_w, along_h

    def place(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return x and z (2, n) in detector units of positions (2, n) along W and H."""
        if not self.detector_units and self.pixels is not None:
            sizes = np.array(self.pixels)[:, None]
            positions = 2 / max(self.pixels) * (positions + 0.5 - sizes / 2)
        return positions if self.axis == 0 else positions[::-1]


class Part(NamedTuple):
    """A file of events, and which of its columns are which."""

    file: EventFile
    columns: Columns


@dataclass
class _Tally:
    """What was seen of the rows of a file."""

    rows: int = 0
    unknown: int = 0
    stray: int = 0
    kept: int = 0
    electrons: float = 0.0


class Survey(NamedTuple):
    """What is in the files, and how it is cut into shards.

    Attributes
    ----------
    ranges : list of (int, int)
        Of frames, one per shard.
    events : list of int
        In each shard.
    starts : list of int
        What is added to the frames of each file.
    rows, unknown, stray : int
        Rows read; those with NaN, and those beyond the camera, which are left out.
    seen : array (2, 2)
        Lowest and highest position along W and along H.
    """

    ranges: list[Range]
    events: list[int]
    starts: list[int]
    rows: int
    unknown: int
    stray: int
    seen: NDArray[np.float64]


def survey(parts: Sequence[Part], camera: Camera, rows_per_shard: int) -> Survey:
    """Read all files once, and cut them into shards of about `rows_per_shard` events.

    Raises
    ------
    InputError
        No events, events beyond the camera or in its first pixel alone, frames that are no numbers of frames, or
        weights that are no numbers of electrons.
    """
    ranges: list[Range] = []
    events: list[int] = []
    starts: list[int] = []
    total = _Tally()
    seen = np.array([[np.inf, -np.inf]] * 2)
    for part in parts:
        tally, counted = _Tally(), _FrameCount()
        extent = np.array([[np.inf, -np.inf]] * 2)
        for frame, _, _ in _rows(part, camera, rows_per_shard, tally, extent):
            counted.add(frame)
        _check_stray(part, camera, tally, extent)
        _check_units(part, camera, tally, extent)
        seen = np.stack((np.minimum(seen[:, 0], extent[:, 0]), np.maximum(seen[:, 1], extent[:, 1])), axis=1)
        total.rows += tally.rows
        total.unknown += tally.unknown
        total.stray += tally.stray
        total.kept += tally.kept
        total.electrons += tally.electrons
        stop = ranges[-1][1] if ranges else 0
        if not counted.events:
            starts.append(stop)
            continue
        start = 0 if counted.lowest >= stop else stop
        if start + counted.highest >= _MOST_FRAMES:
            raise _frames(part, f"frame {start + counted.highest}")
        starts.append(start)
        for until, number in counted.cut(rows_per_shard):
            ranges.append((ranges[-1][1] if ranges else 0, start + until))
            events.append(number)
    if not events:
        raise InputError(
            f"{parts[0].file.path}: expected events, found {total.rows} rows of which none is one; give another file, "
            "or name its columns with --columns"
        )
    if not total.electrons >= 1:
        raise InputError(
            f"{parts[0].file.path}: expected weights that sum to at least one electron, found {total.electrons:.4g} in "
            f"{total.kept} events; name another column with --columns, or none"
        )
    return Survey(ranges, events, starts, total.rows, total.unknown, total.stray, seen)


def _check_stray(part: Part, camera: Camera, tally: _Tally, extent: NDArray[np.float64]) -> None:
    if tally.stray <= max(1, _STRAY * tally.rows):
        return
    found, limits = (
        " and ".join(f"{low:.6g} .. {high:.6g}" for low, high in ranges) for ranges in (extent.tolist(), camera.limits)
    )
    first, second = part.file.names[part.columns.first], part.file.names[part.columns.second]
    raise InputError(
        f"{part.file.path}: expected events within the camera, {first} and {second} in {limits}, found {tally.stray} "
        f"of {tally.rows} beyond it, {first} and {second} in {found}; check --pixels W H, --units and --columns"
    )


def _check_units(part: Part, camera: Camera, tally: _Tally, extent: NDArray[np.float64]) -> None:
    """Refuse shares of the camera's sides, or positions in half screens, that are taken for pixels."""
    if camera.pixels is None or camera.detector_units or min(camera.pixels) < _FEWEST_PIXELS or tally.kept < 2:
        return
    if np.abs(extent).max() > 1:
        return
    first, second = part.file.names[part.columns.first], part.file.names[part.columns.second]
    found = " and ".join(f"{low:.6g} .. {high:.6g}" for low, high in extent.tolist())
    raise InputError(
        f"{part.file.path}: expected positions on {camera.pixels[0]} x {camera.pixels[1]} pixels, found {first} and "
        f"{second} in {found}, beside the first one; give half screens from the middle with --units detector, or "
        "multiply shares of the camera's sides by its pixels"
    )


def _frames(part: Part, found: str) -> InputError:
    column = part.columns.frame
    name = "rows" if column is None else f"column {part.file.names[column]}"
    return InputError(
        f"{part.file.path}: {name}: expected integers from 0 to {_MOST_FRAMES - 1} as frames, found {found}; "
        "name another column with --columns, or none"
    )


def _weights(part: Part, found: float) -> InputError:
    column = part.columns.read[-1]
    return InputError(
        f"{part.file.path}: column {part.file.names[column]}: expected at most {_MOST_ELECTRONS} electrons an event, "
        f"found {found:.4g}; divide its weights by what one electron adds, or name another column with --columns"
    )


class _FrameCount:
    """Events in each frame or, where there are too many frames, in each range of 2, 4, 8 .. frames."""

    def __init__(self) -> None:
        self._bins, self._width = np.zeros(_COARSE, np.int64), 1
        self.events, self.lowest, self.highest = 0, _MOST_FRAMES, -1

    def add(self, frame: NDArray[np.int64]) -> None:
        """Count the events of a chunk."""
        if not frame.size:
            return
        self.events += frame.size
        self.lowest, self.highest = min(self.lowest, int(frame.min())), max(self.highest, int(frame.max()))
        while self.highest >= _COARSE * self._width:
            merged = self._bins.reshape(-1, 2).sum(axis=1)
            self._bins, self._width = np.append(merged, np.zeros_like(merged)), 2 * self._width
        self._bins += np.bincount(frame // self._width, minlength=_COARSE)

    def cut(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield where each shard stops, and how many events it has: at most `most`, unless one range holds more."""
        events = 0
        for number, more in enumerate(self._bins.tolist()):
            if events and more and events + more > most:
                yield number * self._width, events
                events = 0
            events += more
        yield self.highest + 1, events


def _rows(
    part: Part, camera: Camera, rows_per_shard: int, tally: _Tally, extent: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """Yield frames, x and z (2, n), and weights of the events of a file; count in `tally` what is left out."""
    columns = part.columns
    (low_w, high_w), (low_h, high_h) = camera.limits
    for chunk in part.file.chunks(columns.read):
        known = np.isfinite(chunk).all(axis=0)
        tally.rows += known.size
        tally.unknown += int(known.size - known.sum())
        chunk = chunk[:, known]
        if chunk.shape[1]:
            extent[:, 0] = np.minimum(extent[:, 0], chunk[:2].min(axis=1))
            extent[:, 1] = np.maximum(extent[:, 1], chunk[:2].max(axis=1))
        inside = (chunk[0] >= low_w) & (chunk[0] <= high_w) & (chunk[1] >= low_h) & (chunk[1] <= high_h)
        tally.stray += int(inside.size - inside.sum())
        chunk = chunk[:, inside]
        weight = chunk[-1] if columns.weight is not None else np.ones(chunk.shape[1])
        if columns.frame is None:
            frame = (tally.kept + np.arange(chunk.shape[1])) // rows_per_shard
        else:
            bad = (chunk[2] < 0) | (chunk[2] >= _MOST_FRAMES) | (chunk[2] != np.floor(chunk[2]))
            if bad.any():
                raise _frames(part, f"{chunk[2][bad][0]:.10g}")
            frame = chunk[2].astype(np.int64)
        if not (np.abs(weight) <= _MOST_ELECTRONS).all():
            raise _weights(part, float(np.abs(weight).max()))
        tally.kept += chunk.shape[1]
        tally.electrons += float(weight.sum())
        yield frame, camera.place(chunk[:2]), weight


def event_shards(
    parts: Sequence[Part],
    camera: Camera,
    found: Survey,
    settings: ImportSettings,
    *,
    source: str,
    wanted: Sequence[Range],
    rows_per_shard: int,
    keep_events: bool,
    scratch: Path,
) -> Iterator[tuple[Range, Shard]]:
    """Read all files again, and yield the shards that are wanted, each as soon as it is complete.

    Parameters
    ----------
    parts, camera, rows_per_shard
        As for `survey`.
    found : Survey
    settings : ImportSettings
    source : str
        Fingerprint of the files.
    wanted : sequence of (int, int)
    keep_events : bool
        Otherwise the shards hold distributions alone.
    scratch : Path
        Existing folder for what is read of shards that are not complete; nothing is left in it.
    """
    stops = np.array([stop for _, stop in found.ranges])
    frames = int(stops[-1])
    with contextlib.ExitStack() as stack:
        heaps: dict[int, IO[bytes]] = {}
        left = list(found.events)
        for part, start in zip(parts, found.starts, strict=True):
            extent = np.array([[np.inf, -np.inf]] * 2)
            for frame, (x, z), weight in _rows(part, camera, rows_per_shard, _Tally(), extent):
                rows = np.empty(frame.size, _ROW)
                rows["frame"], rows["x"], rows["z"], rows["weight"] = frame + start, x, z, weight
                shard = np.searchsorted(stops, rows["frame"], side="right")
                for number in np.unique(shard).tolist():
                    mine = rows[shard == number]
                    if number not in heaps:
                        heaps[number] = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
                    heaps[number].write(mine.tobytes())
                    left[number] -= mine.size
                    if left[number]:
                        continue
                    with heaps.pop(number) as heap:
                        heap.seek(0)
                        whole = np.frombuffer(heap.read(), _ROW)
                    span = found.ranges[number]
                    if span in wanted:
                        yield span, _shard(whole, span, frames, settings, source, keep_events)


def _shard(
    rows: NDArray[np.void], span: Range, frames: int, settings: ImportSettings, source: str, keep_events: bool
) -> Shard:
    """Return the shard of the events of a range of frames."""
    if (np.diff(rows["frame"]) < 0).any():
        rows = rows[np.argsort(rows["frame"], kind="stable")]
    events = np.zeros(rows.size, EVENT)
    events["ImageId"] = rows["frame"]
    for name in ("x", "z", "weight"):
        events[name] = rows[name]
    events["flux"] = rows["weight"]
    for name in ("A", "sigma", "rho"):
        events[name] = np.nan  # of the spots nothing is known
    size = span[1] - span[0]
    counts = FrameCounts(size, 0, size - np.unique(rows["frame"]).size, 0)
    squares = float(np.sum(rows["weight"].astype(float) ** 2))
    facts = ShardFacts(*span, source, frames, settings, counts, squares)
    return Shard(facts, events if keep_events else None, *distribution_of(events))
