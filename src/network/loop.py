"""The loop over the epochs of a training, whatever is trained, in one process or several."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from src.network import processes, training_step
from src.network.checkpoint import TrainingState
from src.network.dataset import NOISE, seeded
from src.network.schedule import Duration, Rates, rate_at
from util.training.course import Change, Course, Epoch

F = TypeVar("F", bound=Course)


class TaskSettings(Rates, training_step.StepSettings, Protocol):
    """What the loop asks of settings."""


class Validation(NamedTuple):
    """Loss of each of this process' validation samples (n,), and further scores by name."""

    losses: NDArray[np.float64]
    scores: dict[str, float]


class Task(Protocol):
    """What the loop does not know of a training."""

    @property
    def settings(self) -> TaskSettings:
        """How it is trained."""

    @property
    def frozen(self) -> float:
        """Last part of a round, in which batch normalisation is frozen."""

    def steps(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""

    def weight(self, epoch: int) -> float:
        """Return this process' part of a batch, over an equal part."""

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process' part of each batch: inputs and targets."""

    def losses(self, found: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample (n,)."""

    def validate(self, net: nn.Module) -> Validation:
        """Test the averaged network."""


def _rate(settings: Rates, progress: Callable[[int], float], step: int) -> float:
    return rate_at(settings, progress(step))


def _train_epoch(
    state: TrainingState[F], model: nn.Module, task: Task, duration: Duration, seed: int
) -> NDArray[np.float64]:
    epoch = state.facts.epoch
    # For layers that draw at random: efficientnet_b0 drops some.
    torch.manual_seed(int(seeded(seed, NOISE, epoch, processes.rank()).integers(2**62)))
    progress = duration.progress(state.facts, task.steps(epoch))
    return training_step.train_epoch(
        state,
        model,
        task.batches(epoch),
        task.settings,
        functools.partial(_rate, task.settings, progress),
        losses_of=task.losses,
        weight=task.weight(epoch),
        frozen=progress(0) >= 1 - task.frozen,
    )


def run_epochs(
    state: TrainingState[F],
    task: Task,
    duration: Duration,
    *,
    seed: int,
    keep: Callable[[TrainingState[F], bool], None],
    changes: tuple[Change, ...] = (),
    caught: Callable[[], bool] = lambda: False,
) -> bool:
    """Train the epochs that are left, or, where a process is told to end, the one that it is in.

    Parameters
    ----------
    state : TrainingState
        Changes from epoch to epoch.
    task : Task
    duration : Duration
    seed : int
    keep : function
        Called in the first process after each epoch, with the state and whether no further epoch follows.
    changes : tuple of Change
        What the first of these epochs does otherwise than the last one before.
    caught : function
        Whether this process was told to end.

    Returns
    -------
    bool
        Whether any process was told to end.

    Raises
    ------
    Diverged
        A loss that is not finite; what was kept after the last whole epoch stays.
    """
    model = processes.sharing_gradients(state.net)
    device, begun, before = state.device, time.monotonic(), state.facts.seconds
    told_to_end = False
    while not (told_to_end or duration.is_over(state.facts)):
        epoch = state.facts.epoch
        sums = processes.total(_train_epoch(state, model, task, duration, seed), device)
        for net in (state.net, state.average):
            processes.average_statistics(net)
        losses, scores = task.validate(state.average)
        valid = processes.total(np.array([losses.sum(), (losses**2).sum(), len(losses), caught()]), device)
        seconds = processes.of_the_first(before + time.monotonic() - begun, device)
        line = Epoch(
            epoch=epoch,
            train=training_step.mean_and_std(sums),
            valid=training_step.mean_and_std(valid),
            rate=state.optimiser.param_groups[0]["lr"],
            seconds=round(seconds, 1),
            samples=state.facts.samples + int(sums[2]),
            scores=scores,
            changes=changes,
        )
        state.facts = state.facts.after(line, seconds)
        changes, told_to_end = (), bool(valid[3])
        if processes.rank() == 0:
            keep(state, told_to_end or duration.is_over(state.facts))
    return told_to_end
