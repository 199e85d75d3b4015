"""What a shard says of itself: which frames of which file were searched, how, and how many were out of the ordinary."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.finder.finder import FinderSettings
from util.runtime import facts


@dataclass(frozen=True)
class FrameCounts:
    """How many frames were searched, and how many of them were out of the ordinary."""

    frames: int
    dark: int  # all pixels zero
    empty: int  # no electron found; dark ones are among them
    saturated: int  # clipped so widely that no electron could be told; not searched

    def __post_init__(self) -> None:
        if min(self.frames, self.dark, self.empty, self.saturated) < 0:
            raise ValueError(f"expected no number of frames below 0, found {self}")
        if max(self.dark, self.empty + self.saturated) > self.frames:
            raise ValueError(f"expected no more frames of a kind than frames, found {self}")


@dataclass(frozen=True)
class SearchSettings:
    """What the finder was told; shards belong together where these are equal.

    Attributes
    ----------
    phosphor : PhosphorRecipe
    finder : FinderSettings
    dataset : str or None
        Dataset of the file that holds the frames, as `util.frames.open.open_frames` takes it.
    spots : {"learn", "recipe"}
        Whether camera and spot were learnt from the frames or taken from `phosphor`.
    detector : Detector or None
        The one that was learnt or taken; None before it is known, and in the oldest shards, which do not tell.
    """

    phosphor: PhosphorRecipe
    finder: FinderSettings
    dataset: str | None = None
    spots: Literal["learn", "recipe"] = "recipe"
    detector: Detector | None = None


@dataclass(frozen=True)
class ShardFacts:
    """What a shard holds besides its arrays.

    Attributes
    ----------
    start, stop : int
        Range of frames, `stop` excluded.
    source : str
        Fingerprint of the file of frames (`util.frames.source.FrameSource.fingerprint`).
    frames_in_source : int
        Frames in that file.
    settings : SearchSettings
    counts_of_frames : FrameCounts
    squared_weights : float
        Sum of the squares of all weights.

    Raises
    ------
    ValueError
        A range that is empty or leaves the file, counts that do not add up, a sum of squares below 0.
    """

    start: int
    stop: int
    source: str
    frames_in_source: int
    settings: SearchSettings
    counts_of_frames: FrameCounts
    squared_weights: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= self.frames_in_source:
            raise ValueError(
                f"expected a range of the {self.frames_in_source} frames in the file, found {self.start}..{self.stop}"
            )
        if self.counts_of_frames.frames != self.stop - self.start:
            raise ValueError(
                f"expected counts of the {self.stop - self.start} frames {self.start}..{self.stop}, "
                f"found {self.counts_of_frames.frames}"
            )
        if not 0 <= self.squared_weights < math.inf:
            raise ValueError(f"expected a finite squared_weights of at least 0, found {self.squared_weights}")

    def to_json(self) -> str:
        """Return the text that `from_json` reads, keys as here and, below `settings`, in alphabetical order."""
        return facts.to_json(facts.unstructure(self) | {"settings": facts.unstructure(self.settings, sort_keys=True)})

    @classmethod
    def from_json(cls, text: str, path: Path) -> "ShardFacts":
        """Read the facts of the shard `path`.

        Raises
        ------
        InputError
            They are not a shard's, or make no sense.
        """
        remedy = "search its frames again with script/gen_finaltest_npy.sh --overwrite"
        return facts.from_json(cls, text, f"{path}: facts", remedy=remedy)
