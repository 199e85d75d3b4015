"""How a network is trained: param/training.toml or param/published.toml, and what the command line changes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from util.runtime.settings import changed

Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101", "efficientnet_b0"]
Schedule = Literal["onecycle", "cosine"]
Precision = Literal["float32", "bf16"]
Stage = Literal["pretraining", "fine_tuning"]
Optimiser = Literal["adamw", "adam"]
InputKind = Literal["windows", "matrix"]
# The file of param/ with the settings of each kind of input, and what the names of its training's files begin with.
RECIPES: dict[InputKind, str] = {"windows": "training.toml", "matrix": "published.toml"}
_PREFIXES: dict[InputKind, str] = {"windows": "", "matrix": "published_"}
_FEWEST_PIXELS = 32


@dataclass(frozen=True)
class TrainingSettings:
    """One stage of param/training.toml or param/published.toml; the files say what each means.

    The defaults are what the released weights were trained with before these could be set.

    Raises
    ------
    ValueError
        A value out of range.
    """

    arch: Architecture
    batch: int
    epoch_samples: int
    epochs: int
    rate: float
    schedule: Schedule
    weight_decay: float
    ema: float
    clip: float
    frozen: float
    precision: Precision
    window: int = 0
    first_samples: int = 4000
    optimiser: Optimiser = "adamw"
    shortcut: bool = True
    pixels: int = 0
    exchange: int = 1

    def __post_init__(self) -> None:
        if min(self.epoch_samples, self.epochs) < 1 or not (self.rate > 0 and self.clip > 0):
            raise ValueError("epoch_samples and epochs must be at least 1, rate and clip above 0")
        if min(self.batch, self.first_samples) < 2 or self.window < 0:
            # Batch normalisation needs a spread.
            raise ValueError("batch and first_samples must be at least 2, window not below 0")
        if not (0 <= self.ema < 1 and 0 <= self.frozen <= 1 and self.weight_decay >= 0):
            raise ValueError("expected 0 <= ema < 1, 0 <= frozen <= 1 and weight_decay >= 0")
        if self.exchange < 1:
            raise ValueError("exchange must be at least 1")
        if self.pixels and (self.pixels < _FEWEST_PIXELS or self.pixels % 2 or self.shortcut or self.window):
            raise ValueError(
                f"pixels, of a matrix, must be even and at least {_FEWEST_PIXELS}, and go without window and shortcut, "
                "which know nothing of matrices; use --input matrix"
            )

    @property
    def input(self) -> InputKind:
        """What the network sees."""
        return "matrix" if self.pixels else "windows"


@dataclass(frozen=True)
class TrainingStages:
    """All of param/training.toml, or of param/published.toml."""

    pretraining: TrainingSettings
    fine_tuning: TrainingSettings

    def stage(self, name: Stage, changes: Mapping[str, object]) -> TrainingSettings:
        """Return one stage's settings, with what the command line changes of them.

        Raises
        ------
        InputError
            A value of the wrong kind or out of range.
        """
        return changed(self.fine_tuning if name == "fine_tuning" else self.pretraining, changes, name)


def file_stem(stage: str, spheres: int, kind: InputKind = "windows") -> str:
    """Return the stem of the names of a stage's files; no network's may replace those of another kind."""
    return f"{_PREFIXES[kind]}{stage}{'_single' if spheres == 1 else ''}"
