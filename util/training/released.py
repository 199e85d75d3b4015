"""The manifest of released weights, param/weights.json."""

import re
from dataclasses import dataclass
from pathlib import Path

from util.runtime.facts import from_json
from util.runtime.input_file import read_whole
from util.training.course import TrainingFacts


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A file or a part of one, with the size and the checksum that show it to be whole.

    Raises
    ------
    ValueError
        A name that leads elsewhere, or no SHA-256.
    """

    name: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name:
            raise ValueError(f"expected the name of a file, found {self.name!r}")
        if len(self.sha256) != 64 or self.bytes < 0:
            raise ValueError(
                f"{self.name}: expected 64 digits of SHA-256 and a size, found {self.sha256!r}, {self.bytes}"
            )


@dataclass(frozen=True, kw_only=True)
class ReleasedWeights(TrainingFacts, Piece):
    """A file of weights, how they were trained and how good they are; cut into parts where files must stay small."""

    validation_distance: float
    hours: float
    parts: tuple[Piece, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name.endswith(".pt"):
            raise ValueError(f"expected the name of a file of weights, NAME.pt, found {self.name!r}")
        strange = [part.name for part in self.parts if not re.fullmatch(re.escape(self.name) + r"\.\d{3}", part.name)]
        if strange:
            raise ValueError(f"expected parts {self.name}.000 .., found {strange[0]!r}")


@dataclass(frozen=True)
class Manifest:
    """All released weights, and the address of the folder that they are fetched from; empty: given by the user."""

    base: str
    files: tuple[ReleasedWeights, ...]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    InputError
        Missing, or no manifest.
    """
    text = read_whole(path, "no such manifest; restore it from git, or make it with script/release_weights.sh")
    return from_json(Manifest, text, path, remedy="restore it from git")
