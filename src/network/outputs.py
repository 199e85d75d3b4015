"""What a training writes: checkpoint, weights, snapshots of them, and losses by epoch."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from src.network.checkpoint import TrainingState, write_checkpoint, write_curve
from src.network.weights import half
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.training.course import Epoch, TrainingFacts


class Board(Protocol):
    """What is used of TensorBoard's SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add a point to a curve."""

    def flush(self) -> None:
        """Write what was added."""


def open_board(folder: Path, epoch: int) -> Board:
    """Open a folder for TensorBoard, from an epoch on.

    Raises
    ------
    InputError
        TensorBoard is not installed; no other part of the program needs it.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "--tensorboard: expected the package tensorboard, found none; install it with .venv/bin/pip install "
            "tensorboard, or read the CSV file beside the losses"
        ) from None
    board: Board = SummaryWriter(str(folder), purge_step=epoch)  # type: ignore[no-untyped-call]
    return board


def columns_of(curve: Sequence[Epoch]) -> list[dict[str, object]]:
    """Return the lines of a curve for a table; what changed in words."""
    return [
        {
            "epoch": line.epoch,
            "samples": line.samples,
            "seconds": line.seconds,
            "rate": line.rate,
            **{f"train_{name}": value for name, value in zip(("mean", "std"), line.train, strict=True)},
            **{f"valid_{name}": value for name, value in zip(("mean", "std"), line.valid, strict=True)},
            "changes": "; ".join(f"{change.name} {change.before} -> {change.now}" for change in line.changes),
        }
        for line in curve
    ]


@dataclass(frozen=True)
class Outputs:
    """Names and times of what a training writes.

    Attributes
    ----------
    stage : str
        Stem of the names.
    folder : Path
        Checkpoint and weights go there, snapshots into its folder `snapshots`.
    losses : Path
        Losses go to its folders `train_loss` and `valid_loss`.
    checkpoint_every : int
        Epochs from one checkpoint to the next; the last epoch has one in any case.
    keep_every : int or None
        Epochs from one snapshot of the weights to the next; None: only the best ones so far.
    tensorboard : Path or None
        Folder for TensorBoard.
    """

    stage: str
    folder: Path
    losses: Path
    checkpoint_every: int = 1
    keep_every: int | None = None
    tensorboard: Path | None = None

    @property
    def checkpoint(self) -> Path:
        """All that is needed to resume."""
        return self.folder / f"{self.stage}.checkpoint.pt"

    @property
    def weights(self) -> Path:
        """Averaged weights in half precision."""
        return self.folder / f"{self.stage}.weights.pt"

    def snapshot(self, name: str) -> Path:
        """Weights as they were; apart from those that an answer chooses among."""
        return self.folder / "snapshots" / f"{self.stage}.{name}.weights.pt"

    def loss(self, kind: str, suffix: str) -> Path:
        """Losses by epoch; `kind` is "train" or "valid"."""
        return self.losses / f"{kind}_loss" / f"{self.stage}{suffix}"

    def write(self, state: TrainingState[TrainingFacts], *, last: bool) -> None:
        """Write what is due after an epoch; `last`: none follows it for now."""
        curve, epoch = state.facts.curve, state.facts.epoch
        due = [self.weights] if last or epoch % self.checkpoint_every == 0 else []
        if curve[-1].valid[0] == min(line.valid[0] for line in curve):
            due.append(self.snapshot("best"))
        if self.keep_every and epoch % self.keep_every == 0:
            due.append(self.snapshot(f"{epoch:04d}"))
        tensors = half(state.average.module.state_dict()) if due else {}
        for path in due:
            write_checkpoint(path, tensors, state.facts)
        if self.weights in due:
            state.write(self.checkpoint)
        self._write_losses(state.facts)

    def _write_losses(self, facts: TrainingFacts) -> None:
        curve = facts.curve
        for kind, losses in (("train", [line.train for line in curve]), ("valid", [line.valid for line in curve])):
            image = io.BytesIO()
            np.save(image, np.array(losses))
            with replacing(self.loss(kind, ".npy")) as temporary:
                temporary.write_bytes(image.getvalue())
        write_curve(self.loss("train", ".jsonl"), facts)
        lines = columns_of(curve)
        with (
            replacing(self.loss("train", ".csv")) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            table = csv.DictWriter(file, lines[0])
            table.writeheader()
            table.writerows(lines)
