"""What a shard says of itself: which frames of which file were searched, how, and how many were out of the ordinary.

Or what was imported: the image or the events of another program, which have no frames that could be searched again.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.entries.noise_law import NoiseLaw
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
    spots : {"learn", "ideal", "recipe"}
        Whether camera and spot were learnt from the frames, learnt as those of an ideal detector, or taken from
        `phosphor`.
    detector : Detector or None
        The one that was learnt or taken; None before it is known, and in the oldest shards, which do not tell.
    """

    phosphor: PhosphorRecipe
    finder: FinderSettings
    dataset: str | None = None
    spots: Literal["learn", "ideal", "recipe"] = "recipe"
    detector: Detector | None = None


@dataclass(frozen=True)
class ImportSettings:
    """What was imported, and how; shards belong together where these are equal.

    Attributes
    ----------
    kind : {"image", "events"}
    pixels : (int, int) or None
        Of the camera, along x and along z, as the shard has them; None where events in detector units came without.
    axis : {0, 1}
        Along which axis of the array, or of the camera that the events are of, the polarisation lies.
    noise : NoiseLaw or None
        Of an image; None for events.
    dataset : str or None
        Dataset of the HDF5 file.
    columns : tuple of str
        Of events: the columns taken for the positions along W and H, for the frame and for the weight, as far as there
        are any.
    units : {"pixels", "detector"}
        Of the positions of events.

    Raises
    ------
    ValueError
        No pixels, a noise law of events, an image without one.
    """

    kind: Literal["image", "events"]
    pixels: tuple[int, int] | None
    axis: Literal[0, 1]
    noise: NoiseLaw | None = None
    dataset: str | None = None
    columns: tuple[str, ...] = ()
    units: Literal["pixels", "detector"] = "pixels"

    def __post_init__(self) -> None:
        if self.pixels is not None and min(self.pixels) < 1:
            raise ValueError(f"expected at least one pixel along each axis, found {self.pixels}")
        if (self.kind == "image") != (self.noise is not None):
            raise ValueError(f"expected a noise law of an image and of nothing else, found {self.noise}")
        if self.pixels is None and (self.kind, self.units) != ("events", "detector"):
            raise ValueError("expected pixels, found none; only events in detector units can do without")

    @property
    def reach(self) -> tuple[float, float]:
        """Half extents of the camera along x and z [detector units]; (1, 1) where it is not known."""
        return reach_of(self.pixels)


def reach_of(pixels: tuple[int, int] | None) -> tuple[float, float]:
    """Return the half extents along x and z [detector units] of a camera of square pixels; (1, 1) for None."""
    return (1.0, 1.0) if pixels is None else (pixels[0] / max(pixels), pixels[1] / max(pixels))


@dataclass(frozen=True)
class ShardFacts:
    """What a shard holds besides its arrays.

    Attributes
    ----------
    start, stop : int
        Range of frames, `stop` excluded.
    source : str
        Fingerprint of the file of frames (`util.frames.source.FrameSource.fingerprint`), or of what was imported.
    frames_in_source : int
        Frames in that file; 1 for an image.
    settings : SearchSettings or ImportSettings
        How its frames were searched, or that it was imported.
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
    settings: SearchSettings | ImportSettings
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

    @property
    def search(self) -> SearchSettings | None:
        """How the frames were searched; None where the shard was imported."""
        return self.settings if isinstance(self.settings, SearchSettings) else None

    @property
    def imported(self) -> ImportSettings | None:
        """How the shard was imported; None where frames were searched."""
        return self.settings if isinstance(self.settings, ImportSettings) else None

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
