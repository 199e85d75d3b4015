"""Searching frames as they arrive: what is there is searched in order, and kept in parts (`util.electrons.parts`)."""

import bisect
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.electrons.parts import Part, fingerprint, write_part
from util.electrons.search import add_counts
from util.electrons.shard_facts import FrameCounts, SearchSettings
from util.electrons.shards import empty_events, shard_path
from util.finder.corrected_frames import corrected
from util.finder.finder import Finder
from util.frames.growing import GrowingFrames
from util.frames.source import FrameSource, digest_of
from util.runtime.errors import FrameError
from util.runtime.hdf5_stored import gaps, merged

FRAMES_EACH = 100  # in a part: what a kill costs at most


class _Found(NamedTuple):
    """One frame's electrons, None where it is too bright, and whether all of its pixels are zero.

    `digest` is of the frame as it was searched: it may not have been whole, and be another by the time it is kept.
    """

    row: int
    digest: bytes
    events: NDArray[np.void] | None
    dark: bool


class LiveSearch:
    """The search of a source that grows.

    Parameters
    ----------
    folder : Path
        Of the parts.
    frames : GrowingFrames
    settings : SearchSettings
        With the detector.
    parts : list of Part
        That are there already.
    patience_s : float
        How long after it arrived a frame that cannot be read is waited for; those after it wait as well.
    clock : function
        Returns the time in seconds.

    Attributes
    ----------
    parts : list of Part
        In the order in which they were found; what is not in one yet is not among them.
    left_out : dict of int to str
        Frames that were given up, and why.
    """

    def __init__(
        self,
        folder: Path,
        frames: GrowingFrames,
        settings: SearchSettings,
        parts: list[Part],
        *,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if settings.detector is None:
            raise ValueError("expected settings with a detector, found none")
        self._folder, self._frames, self.settings = folder, frames, settings
        self._detector, self._patience_s, self._clock = settings.detector, patience_s, clock
        self._finder = Finder(settings.detector, settings.finder)
        self._corrected: FrameSource = corrected(frames, settings.detector)
        self.parts, self.left_out = parts, dict[int, str]()
        self._open: list[_Found] = []
        self._arrivals = [(frames.count, clock())]  # how many frames there were at which time

    def look(self) -> None:
        """Look for new frames; forget what was found in those that are not the same any more."""
        same = self._frames.look()
        if same < self._most():
            self._forget(same)
        if self._frames.count > self._most():
            self._arrivals.append((self._frames.count, self._clock()))

    def _most(self) -> int:
        """Return how many frames there were at most."""
        return self._arrivals[-1][0] if self._arrivals else 0

    def _forget(self, same: int) -> None:
        for part in self.parts:
            if part.stop > same:
                shard_path(self._folder, part.start, part.stop).unlink(missing_ok=True)
        self.parts = [part for part in self.parts if part.stop <= same]
        self._open = [frame for frame in self._open if frame.row < same]
        self.left_out = {row: why for row, why in self.left_out.items() if row < same}
        self._arrivals = [(count, at) for count, at in self._arrivals if count <= same]
        self._corrected = corrected(self._frames, self._detector)

    def search(self, until_s: float, ended: Callable[[], bool] = lambda: False) -> int:
        """Search what is there and return how many frames that were; go on to a time of the clock, or `ended`."""
        done = 0
        if self._frames.fault:
            return done
        for start, stop in gaps(merged((part.start, part.stop) for part in self._all()), 0, self._frames.count):
            for row in range(start, stop):
                if row in self.left_out:
                    continue
                if self._clock() >= until_s or ended():
                    return done
                try:
                    image_id, frame = self._corrected.read_row(row)
                except FrameError as error:
                    if self._clock() - self._arrival(row) < self._patience_s:
                        return done
                    self.left_out[row] = str(error)
                    continue
                self._take(row, image_id, frame)
                done += 1
        return done

    def _arrival(self, row: int) -> float:
        return self._arrivals[bisect.bisect_right(self._arrivals, row, key=lambda entry: entry[0])][1]

    def _take(self, row: int, image_id: int, frame: NDArray[np.unsignedinteger]) -> None:
        if self._open and self._open[-1].row != row - 1:
            self.close_part()
        digest = digest_of(image_id, frame)
        events = self._finder.find(frame)
        if events is not None:
            events["ImageId"] = image_id
        self._open.append(_Found(row, digest, events, not frame.any()))
        if (row + 1) % FRAMES_EACH == 0:
            self.close_part()

    def close_part(self) -> None:
        """Keep the frames that are in no part yet, if there are any, as one."""
        for part in self._opened():
            write_part(self._folder, part, part.stop, self.settings)
            self.parts.append(part)
            self._open = []

    def _opened(self) -> list[Part]:
        if not self._open:
            return []
        found = [frame.events for frame in self._open if frame.events is not None]
        counts = FrameCounts(
            len(self._open),
            sum(frame.dark for frame in self._open),
            sum(events.size == 0 for events in found),
            len(self._open) - len(found),
        )
        source = fingerprint(frame.digest for frame in self._open)
        events = np.concatenate([empty_events(), *found])
        return [Part(self._open[0].row, self._open[-1].row + 1, source, events, counts)]

    def _all(self) -> list[Part]:
        return sorted([*self.parts, *self._opened()], key=lambda part: part.start)

    def found(self) -> list[Part]:
        """Return all that was found, in the order of the frames, that which is in no part yet included."""
        return self._all()

    def counts(self) -> FrameCounts:
        """Return how many frames were searched, and of which kinds."""
        return add_counts([FrameCounts(0, 0, 0, 0), *(part.counts for part in self._all())])
