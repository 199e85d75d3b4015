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
from util.training.course import Course, Epoch

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
    def steps(self) -> int:
        """Batches per epoch."""

    @property
    def frozen(self) -> float:
        """Last part of a round, in which batch normalisation is frozen."""

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets."""

    def losses(self, found: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample (n,)."""

    def validate(self, net: nn.Module) -> Validation:
        """Test the averaged network."""


def _rate(settings: Rates, progress: Callable[[int], float], step: int) -> float:
    return rate_at(settings, progress(step))


def run_epochs(
    state: TrainingState[F],
    task: Task,
    duration: Duration,
    *,
    seed: int,
    keep: Callable[[TrainingState[F]], None],
) -> None:
    """Train the epochs that are left.

    Parameters
    ----------
    state : TrainingState
        Changes from epoch to epoch.
    task : Task
    duration : Duration
    seed : int
    keep : function
        Called with the state after each epoch, in the first process only.

    Raises
    ------
    Diverged
        A loss that is not finite; what was kept after the last whole epoch stays.
    """
    model = processes.sharing_gradients(state.net)
    device, begun, before = state.device, time.monotonic(), state.facts.seconds
    while not duration.is_over(state.facts):
        epoch = state.facts.epoch
        # For layers that draw at random: efficientnet_b0 drops some.
        torch.manual_seed(int(seeded(seed, NOISE, epoch, processes.rank()).integers(2**62)))
        progress = duration.progress(state.facts, task.steps)
        sums = training_step.train_epoch(
            state,
            model,
            task.batches(epoch),
            task.settings,
            functools.partial(_rate, task.settings, progress),
            losses_of=task.losses,
            frozen=progress(0) >= 1 - task.frozen,
        )
        sums = processes.total(sums, device)
        for net in (state.net, state.average):
            processes.average_statistics(net)
        losses, scores = task.validate(state.average)
        valid = processes.total(np.array([losses.sum(), (losses**2).sum(), len(losses)]), device)
        seconds = processes.of_the_first(before + time.monotonic() - begun, device)
        line = Epoch(
            epoch=epoch,
            train=training_step.mean_and_std(sums),
            valid=training_step.mean_and_std(valid),
            rate=state.optimiser.param_groups[0]["lr"],
            seconds=round(seconds, 1),
            samples=state.facts.samples + int(sums[2]),
            scores=scores,
        )
        state.facts = state.facts.after(line, seconds)
        if processes.rank() == 0:
            keep(state)
