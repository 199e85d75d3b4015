"""What is kept of a training besides its tensors: how it was done, and how it went, a line per epoch."""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from util.training.matrix_input import NetworkInput
from util.training.priors import Prior
from util.training.recipe import Architecture, TrainingSettings
from util.training.reference import Reference

Value = int | float | str


@dataclass(frozen=True)
class Change:
    """Something that a resumed training does otherwise from an epoch on; `name` of a setting, or of a fact."""

    name: str
    before: Value
    now: Value


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training.

    Attributes
    ----------
    train, valid : (mean, standard deviation)
        Loss of the training samples during the epoch, and of the validation samples after it.
    rate : float
        Learning rate of the last step.
    seconds, samples : float, int
        Since the training began.
    scores : dict
        Further scores of the validation samples, by name; none where the loss is the score.
    changes : tuple of Change
        What is done otherwise from this epoch on than in those before it.
    """

    epoch: int
    train: tuple[float, float]
    valid: tuple[float, float]
    rate: float
    seconds: float
    samples: int
    scores: dict[str, float] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Course:
    """How far a training has come."""

    epoch: int
    samples: int
    seconds: float
    curve: tuple[Epoch, ...]

    def after(self, line: Epoch, seconds: float) -> Self:
        """Return how far it has come after one more epoch."""
        return replace(self, epoch=self.epoch + 1, samples=line.samples, seconds=seconds, curve=(*self.curve, line))


@dataclass(frozen=True, kw_only=True)
class TrainingFacts(Course):
    """How a network was trained.

    Attributes
    ----------
    stage : str
        Name of its files.
    prior : Prior or None
        What its samples were drawn from; None: they came from `files`.
    inherited : TrainingFacts or None
        Of the weights that it started from.
    processes, device : int, str
        What it was trained on.
    validation_samples : int
    predicting_the_mean, predicting_the_first_prior : float
        Distance of those samples from their mean, and from that of the first prior that this network saw: what a
        network reaches that has learnt nothing.
    batch_of : {"step", "process"}
        Whether `settings.batch` counts the samples of a step, or those of each of `processes` in it, as it did when
        the weights that ship with the program were trained.
    reference : Reference or None
        How far its readings may lie from a fit; None: not measured.
    """

    stage: str
    arch: Architecture
    spheres: int
    input: NetworkInput
    settings: TrainingSettings
    prior: Prior | None
    files: tuple[str, ...]
    seed: int
    processes: int
    device: str
    versions: dict[str, str]
    inherited: "TrainingFacts | None"
    validation_samples: int
    predicting_the_mean: float
    predicting_the_first_prior: float
    batch_of: Literal["step", "process"] = "process"
    reference: Reference | None = None

    @property
    def per_step(self) -> TrainingSettings:
        """The settings in force at the last epoch, with the batch of a whole step."""
        processes = self.processes if self.batch_of == "process" else 1
        return replace(self.settings, batch=self.settings.batch * processes)

    def in_force(self) -> dict[str, Value]:
        """Return all that a resumed training may do otherwise than before, by name."""
        others = {name: getattr(self, name) for name in ("processes", "device", "validation_samples")}
        return {**vars(self.per_step), **others, "files": " ".join(self.files)}


def changes_between(before: TrainingFacts, now: TrainingFacts) -> tuple[Change, ...]:
    """List what a training does otherwise now."""
    old = before.in_force()
    return tuple(Change(name, old[name], value) for name, value in now.in_force().items() if value != old[name])
