"""Checkpoint files: tensors and, separately, the facts of their training; no code in them is run.

`TrainingState` is what a training writes after each epoch and resumes from; weights are files of the same kind.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.runtime.facts import from_json, to_json
from util.runtime.input_file import check_file
from util.runtime.memory import check_fits
from util.training.course import Course

T = TypeVar("T")
F = TypeVar("F", bound=Course)


def write_checkpoint(path: Path, tensors: Mapping[str, Any], facts: object) -> None:
    """Write tensors (nested dicts and lists of them) and, separately, the dataclass `facts`."""
    with replacing(path) as temporary:
        torch.save({"tensors": dict(tensors), "facts": to_json(facts, sort_keys=True)}, temporary)


def read_checkpoint(cls: type[T], path: Path, *, maker: str, remedy: str) -> tuple[dict[str, Any], T]:
    """Read tensors and facts, as script/`maker` wrote them; no code in the file is run.

    Parameters
    ----------
    cls : type
        Dataclass of the facts.
    path : Path
    maker : str
        Script that writes such files.
    remedy : str
        What to do about one that cannot be used.

    Raises
    ------
    InputError
        Missing, not such a file, or facts of another kind.
    """
    check_file(path, f"no such checkpoint; train one with script/{maker}")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # before anything is allocated
                check_fits(path, sum(member.file_size for member in archive.infolist()))
        content = torch.load(path, map_location="cpu", weights_only=True)
        tensors, text = content["tensors"], content["facts"]
        if not isinstance(tensors, dict):
            raise TypeError(f"{type(tensors).__name__} of tensors")
        if not _finite(tensors):
            raise ValueError("tensors that are not finite")
    except InputError:
        raise
    except Exception as error:  # torch raises whatever unzipping, unpickling and its own checks raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected a checkpoint of {maker}, found none ({reason[:120]}); {remedy}") from None
    return tensors, from_json(cls, text, path, remedy=remedy)


def _finite(content: object) -> bool:
    """Return whether all tensors in nested dicts and lists are."""
    if isinstance(content, torch.Tensor):
        return bool(torch.isfinite(content).all())
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    return all(map(_finite, parts))


def write_curve(path: Path, course: Course) -> None:
    """Write one line of JSON per epoch."""
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{to_json(line)}\n" for line in course.curve), encoding="utf-8")


def check_same(path: Path, facts: object, **mine: object) -> None:
    """Refuse to resume from the checkpoint of another training.

    Raises
    ------
    InputError
        A fact that differs from this training's.
    """
    for key, value in mine.items():
        if getattr(facts, key) != value:
            raise InputError(
                f"{path}: expected a checkpoint of the same {key}, found another; "
                "begin anew with --restart, or in another folder"
            )


@dataclass
class TrainingState(Generic[F]):
    """What a training carries from one epoch to the next.

    Attributes
    ----------
    net : nn.Module
    average : AveragedModel
        Its running average (`src.network.training_step.running_average`); it is validated and kept as weights.
    optimiser : torch.optim.Optimizer
    facts : dataclass
        How it is trained, and how far it has got.
    """

    net: nn.Module
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    facts: F

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return next(self.net.parameters()).device

    def write(self, path: Path) -> None:
        """Write all that is needed to resume."""
        tensors = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        write_checkpoint(path, tensors, self.facts)

    def load(self, tensors: Mapping[str, Any], path: Path) -> None:
        """Take over the tensors of the checkpoint `path` that `write` wrote.

        Raises
        ------
        InputError
            They are those of another network, or of none.
        """
        try:
            self._load(tensors)
        except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{path}: expected a checkpoint of this network, found another ({reason[:120]}); begin anew with "
                "--restart, or in another folder"
            ) from None

    def _load(self, tensors: Mapping[str, Any]) -> None:
        self.net.load_state_dict(tensors["net"])
        self.average.load_state_dict(tensors["average"])
        # Its settings are those of now, not those of the checkpoint; by these the optimiser places what it loads, which
        # one of a CPU does otherwise than one of a GPU.
        saved, now = tensors["optimiser"], self.optimiser.state_dict()["param_groups"]
        own = [{**group, "params": before["params"]} for group, before in zip(now, saved["param_groups"], strict=True)]
        self.optimiser.load_state_dict({**saved, "param_groups": own})
