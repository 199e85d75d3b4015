"""A training of the network from its start or checkpoint to its last epoch."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from src.network import processes, progress
from src.network.checkpoint import TrainingState, read_checkpoint
from src.network.dataset import DrawnMatrices, Samples, tensors
from src.network.loop import Validation, run_epochs
from src.network.model import distance
from src.network.outputs import Outputs, open_board
from src.network.schedule import Duration
from src.network.source import SampleSource
from src.network.start import Plan, first_facts, first_network, resumed_facts, resumed_network
from src.network.training_step import check_precision, distances, make_optimiser, running_average
from src.network.weights import Network
from util.runtime.interruption import Interruption
from util.training.course import Change, TrainingFacts, changes_between
from util.training.matrix_input import NetworkInput
from util.training.recipe import TrainingSettings

Say = Callable[[str], None]
ENDS = "ends after this epoch, and keeps it; a second signal ends at once, with the last checkpoint"


class SphereTask:
    """The network's training for the loop: batches and validation samples of one source."""

    losses = staticmethod(distance)

    def __init__(
        self,
        settings: TrainingSettings,
        source: SampleSource[Any],
        inputs: NetworkInput,
        validation: Samples | DrawnMatrices,
        shown: progress.Progress,
    ) -> None:
        self.settings, self.source, self.inputs, self.shown = settings, source, inputs, shown
        self.frozen, self.steps, self.weight = settings.frozen, source.steps, source.weight
        mine = slice(processes.rank(), None, processes.ranks())
        self.valid = tuple(values[mine] for values in tensors(validation))

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and betas."""
        return self.shown.over(self.source.batches(self.inputs, epoch), self.settings.batch)

    def validate(self, net: nn.Module) -> Validation:
        """Measure this process' share of the validation samples; the distance is the score."""
        return Validation(distances(net, *self.valid), {})


class Begun(NamedTuple):
    """A network to train on, its facts, the tensors of its checkpoint if it has one, and what is done otherwise now."""

    net: Network
    validation: Samples | DrawnMatrices
    facts: TrainingFacts
    saved: dict[str, object] | None
    changes: tuple[Change, ...]


def begin(plan: Plan, outputs: Outputs, device: torch.device, *, resume: bool, say: Say) -> Begun:
    """Resume from a checkpoint, where there is one, or begin anew: from nothing, or from weights.

    Raises
    ------
    InputError
        As `train_network` says.
    """
    exists = resume and outputs.checkpoint.exists()
    processes.check_together(exists, outputs.checkpoint, device)
    if exists:
        remedy = "begin anew with --restart"
        saved, before = read_checkpoint(TrainingFacts, outputs.checkpoint, maker="run_model.sh", remedy=remedy)
        processes.check_together(before.epoch, outputs.checkpoint, device)
        if not plan.rounds or before.prior == plan.source.prior:
            net = resumed_network(plan, before, outputs.checkpoint)
            validation = plan.source.validation(net.input_settings)
            now = first_facts(plan, net, before.inherited, validation, device)
            return Begun(net, validation, resumed_facts(before, now), saved, changes_between(before, now))
        say(f"{outputs.checkpoint}: trained about another prior; a new round goes on from its weights")
        plan = dataclasses.replace(plan, init=outputs.weights)
    # Its samples are drawn and fitted once, not by every process.
    net, inherited = processes.from_the_first(lambda: first_network(plan, say))
    validation = plan.source.validation(net.input_settings)
    return Begun(net, validation, first_facts(plan, net, inherited, validation, device), None, ())


def train_network(
    plan: Plan, outputs: Outputs, duration: Duration, *, device: torch.device, resume: bool, say: Say
) -> tuple[TrainingState[TrainingFacts], Interruption | None]:
    """Train the epochs that are left.

    Parameters
    ----------
    plan : Plan
    outputs : Outputs
        Written after each epoch.
    duration : Duration
    device : torch.device
    resume : bool
        Whether to resume from a checkpoint, where there is one.
    say : function
        Called in the first process with what is inherited and changed, with a line per epoch, and what comes next.

    Returns
    -------
    state : TrainingState
        The final one.
    interruption : Interruption or None
        The signal that ended it before its time.

    Raises
    ------
    InputError
        Weights, a checkpoint or samples that do not fit; processes that do not see the same checkpoint.
    Diverged
        A loss that is not finite; the last checkpoint stays.
    """
    settings, first = plan.settings, processes.rank() == 0
    check_precision(settings.precision, device)
    told: Say = say if first else lambda _: None
    net, validation, facts, saved, changes = begin(plan, outputs, device, resume=resume, say=told)
    placed = processes.place(net, device)
    optimiser = make_optimiser(placed, settings.rate, settings.weight_decay, settings.optimiser)
    state = TrainingState(placed, running_average(placed, settings.ema), optimiser, facts)
    if saved is not None:
        state.load(saved, outputs.checkpoint)
    if duration.is_over(facts):
        told(progress.finished(facts, duration, outputs))
        return state, None
    steps = plan.source.steps(facts.epoch)
    told(progress.heading(facts, placed, plan.source, duration, outputs))
    if changes:
        told(progress.changed(facts.epoch, changes))
    board = open_board(outputs.tensorboard, facts.epoch) if first and outputs.tensorboard else None
    shown = progress.Progress(facts, duration, steps * settings.batch, say=told, shown=first)

    def keep(now: TrainingState[TrainingFacts], last: bool) -> None:
        outputs.write(now, last=last)
        shown.tell(now.facts)
        if board is not None:
            line = now.facts.curve[-1]
            for name, value in (("train", line.train[0]), ("valid", line.valid[0]), ("rate", line.rate)):
                board.add_scalar(name, value, line.epoch)
            board.flush()

    task = SphereTask(settings, plan.source, net.input_settings, validation, shown)
    with Interruption(told, ENDS) as interruption:
        ended_early = run_epochs(
            state, task, duration, seed=plan.seed, keep=keep, changes=changes, caught=interruption.caught
        )
    shown.close()
    if ended_early:
        return state, interruption
    told(progress.what_next(outputs, settings.input))
    return state, None
