"""A training of the network from its start or checkpoint to its last epoch, and the files that it writes."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from src.network import processes
from src.network.checkpoint import TrainingState, read_checkpoint, write_checkpoint, write_curve
from src.network.dataset import Samples, tensors
from src.network.loop import Validation, run_epochs
from src.network.model import distance
from src.network.schedule import Duration
from src.network.source import SampleSource
from src.network.start import Plan, first_facts, first_network, resumed_network
from src.network.training_step import check_precision, distances, make_optimiser, running_average
from src.network.weights import half
from util.runtime.atomic_file import replacing
from util.runtime.facts import to_json
from util.training.course import TrainingFacts
from util.training.map_inversion import InputSettings
from util.training.recipe import TrainingSettings


class Outputs(NamedTuple):
    """Names of what a training writes."""

    stage: str
    param: Path
    losses: Path

    @property
    def checkpoint(self) -> Path:
        """All that is needed to resume."""
        return self.param / f"{self.stage}.checkpoint.pt"

    @property
    def weights(self) -> Path:
        """Averaged weights in half precision."""
        return self.param / f"{self.stage}.weights.pt"

    def loss(self, kind: str, suffix: str) -> Path:
        """Losses by epoch; `kind` is "train" or "valid"."""
        return self.losses / f"{kind}_loss" / f"{self.stage}{suffix}"

    def write(self, state: TrainingState[TrainingFacts]) -> None:
        """Write all of them."""
        state.write(self.checkpoint)
        write_checkpoint(self.weights, half(state.average.module.state_dict()), state.facts)
        curve = state.facts.curve
        for kind, losses in (("train", [line.train for line in curve]), ("valid", [line.valid for line in curve])):
            image = io.BytesIO()
            np.save(image, np.array(losses))
            with replacing(self.loss(kind, ".npy")) as temporary:
                temporary.write_bytes(image.getvalue())
        write_curve(self.loss("train", ".jsonl"), state.facts)


class SphereTask:
    """The network's training for the loop: batches and validation samples of one source."""

    losses = staticmethod(distance)

    def __init__(
        self, settings: TrainingSettings, source: SampleSource, inputs: InputSettings, validation: Samples
    ) -> None:
        self.settings, self.source, self.inputs = settings, source, inputs
        self.frozen, self.steps = settings.frozen, source.steps
        mine = slice(processes.rank(), None, processes.ranks())
        self.valid = tuple(values[mine] for values in tensors(validation))

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield maps and betas."""
        return self.source.batches(self.inputs, epoch)

    def validate(self, net: nn.Module) -> Validation:
        """Measure this process' share of the validation samples; the distance is the score."""
        return Validation(distances(net, *self.valid), {})


def train_network(
    plan: Plan,
    outputs: Outputs,
    duration: Duration,
    *,
    device: torch.device,
    resume: bool,
    say: Callable[[str], None],
) -> TrainingState[TrainingFacts]:
    """Train the epochs that are left, and return the final state.

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
        Called in the first process with what is inherited, and with a line per epoch.

    Raises
    ------
    InputError
        Weights, a checkpoint or samples that do not fit; processes that do not see the same checkpoint.
    Diverged
        A loss that is not finite; the checkpoint of the last whole epoch stays.
    """
    settings = plan.settings
    check_precision(settings.precision, device)
    told = say if processes.rank() == 0 else lambda _: None
    if resume and outputs.checkpoint.exists():
        remedy = "begin anew with --restart"
        saved, facts = read_checkpoint(TrainingFacts, outputs.checkpoint, maker="run_model.sh", remedy=remedy)
        net = resumed_network(plan, facts, outputs.checkpoint)
        validation = plan.source.validation(net.input_settings)
    else:
        net, inherited = first_network(plan, told)
        validation = plan.source.validation(net.input_settings)
        saved, facts = None, first_facts(plan, net, inherited, validation, device)
    processes.check_together(facts.epoch, outputs.checkpoint, device)
    task = SphereTask(settings, plan.source, net.input_settings, validation)
    placed = processes.place(net, device)
    optimiser = make_optimiser(placed, settings.rate, settings.weight_decay)
    state = TrainingState(placed, running_average(placed, settings.ema), optimiser, facts)
    if saved is not None:
        state.load(saved)

    def keep(now: TrainingState[TrainingFacts]) -> None:
        outputs.write(now)
        told(to_json(now.facts.curve[-1]))

    run_epochs(state, task, duration, seed=plan.seed, keep=keep)
    return state
