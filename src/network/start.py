"""What a training of the network starts from: nothing, the weights of another, or its own checkpoint."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision

from src.network import processes
from src.network.checkpoint import check_same
from src.network.dataset import Samples, tensors
from src.network.model import SphereNet, distance
from src.network.source import SampleSource
from src.network.weights import build, read_weights
from util.runtime.errors import InputError
from util.training.course import Course, TrainingFacts
from util.training.map_inversion import InputSettings, tuned
from util.training.recipe import TrainingSettings

_FITTING = "fits the shortcut to the first samples"


@dataclass(frozen=True)
class Plan:
    """A training as asked for.

    Attributes
    ----------
    stage : str
        Name of its files.
    spheres : int
    settings : TrainingSettings
    inputs : InputSettings
        Of a network that starts from nothing.
    source : SampleSource
    seed : int
    init : Path or None
        Weights to start from.
    rounds : bool
        Whether a checkpoint of another prior is a round to go on from, not another training.
    arch_given : bool
        Whether those must have the architecture of `settings`; otherwise theirs is taken over.
    """

    stage: str
    spheres: int
    settings: TrainingSettings
    inputs: InputSettings
    source: SampleSource
    seed: int
    init: Path | None
    rounds: bool
    arch_given: bool


def resumed_network(plan: Plan, facts: TrainingFacts, checkpoint: Path) -> SphereNet:
    """Return the network of a checkpoint, without its weights.

    Raises
    ------
    InputError
        A checkpoint of another training.
    """
    own = facts.inherited is None
    arch = plan.settings.arch if own or plan.arch_given else facts.arch
    check_same(checkpoint, facts, arch=arch, spheres=plan.spheres, seed=plan.seed, prior=plan.source.prior)
    was, wanted = facts.settings, plan.settings
    check_same(checkpoint, was, window=wanted.window, first_samples=wanted.first_samples)
    # A window stands for an input that was made for the samples; what inherits keeps what it found.
    if own and not wanted.window:
        check_same(checkpoint, facts, input=plan.inputs)
    return build(facts)


def first_network(plan: Plan, say: Callable[[str], None]) -> tuple[SphereNet, TrainingFacts | None]:
    """Return a network to train, and the facts of the weights that it starts from, if any.

    Raises
    ------
    InputError
        Weights that cannot be started from, or samples of other spheres.
    """
    if plan.init is None:
        say(_FITTING)
        return _new_network(plan, plan.inputs, None), None
    donor, inherited = read_weights(plan.init)
    if inherited.spheres != plan.spheres:
        raise InputError(
            f"{plan.init}: expected weights for {plan.spheres} sphere(s), found {inherited.spheres}; "
            "use --spheres or others"
        )
    if plan.arch_given and inherited.arch != plan.settings.arch:
        raise InputError(
            f"{plan.init}: expected {plan.settings.arch}, found {inherited.arch}; leave --arch out, or "
            "name others with --init"
        )
    say(_inheritance(plan, inherited))
    if not plan.settings.window:
        return donor, inherited
    say(_FITTING)
    return _new_network(plan, donor.input_settings, donor), inherited


def _inheritance(plan: Plan, inherited: TrainingFacts) -> str:
    kept, first = ("but the last", "prior, input, shortcut") if plan.settings.window else ("and input", "prior")
    before = dataclasses.asdict(inherited.per_step)
    now = dataclasses.asdict(dataclasses.replace(plan.settings, arch=inherited.arch))
    changed = [f"{name} {value}" for name, value in now.items() if value != before[name]]
    return (
        f"inherits from {plan.init} ({inherited.epoch} epochs, validation {inherited.curve[-1].valid[0]:.4f}): "
        f"architecture {inherited.arch}, layers {kept}, scale of the labels\n"
        f"overrides: {', '.join((first, *changed))}"
    )


def _new_network(plan: Plan, inputs: InputSettings, donor: SphereNet | None) -> SphereNet:
    """Make a network with a fitted shortcut; a donor gives it the scale of its outputs, and its layers."""
    draws = plan.source.first_draws(inputs)
    if plan.settings.window:
        inputs = tuned(inputs, draws, plan.settings.window)
    if donor is None:
        betas = torch.from_numpy(draws.beta).float()
        arch, scale = plan.settings.arch, (betas.mean(0), betas.std(0).clamp_min(1e-6))
    else:
        arch, scale = donor.arch, (donor.label_mean, donor.label_std)
    torch.manual_seed(plan.seed)
    net = SphereNet(arch, plan.spheres, inputs, *scale)
    net.fit_shortcut(map(tensors, plan.source.first_samples(inputs)), by_cell=plan.settings.window > 0)
    if donor is not None:
        net.inherit(donor.net)
    return net


def resumed_facts(before: TrainingFacts, now: TrainingFacts) -> TrainingFacts:
    """Return the facts of a training that goes on: as far as it has come before, done as it is done now."""
    come = {field.name: getattr(before, field.name) for field in dataclasses.fields(Course)}
    return dataclasses.replace(now, **come)


def first_facts(
    plan: Plan, net: SphereNet, inherited: TrainingFacts | None, validation: Samples, device: torch.device
) -> TrainingFacts:
    """Return the facts of a training before its first epoch."""
    betas = torch.tensor(validation.draws.beta)
    return TrainingFacts(
        stage=plan.stage,
        arch=net.arch,
        spheres=plan.spheres,
        input=net.input_settings,
        settings=dataclasses.replace(plan.settings, arch=net.arch),
        prior=plan.source.prior,
        files=plan.source.files,
        seed=plan.seed,
        processes=processes.ranks(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        versions={"torch": torch.__version__, "torchvision": torchvision.__version__},
        inherited=inherited,
        validation_samples=len(betas),
        predicting_the_mean=distance(betas.mean(0).expand_as(betas), betas).mean().item(),
        predicting_the_first_prior=distance(net.label_mean.expand_as(betas), betas).mean().item(),
        batch_of="step",
        epoch=0,
        samples=0,
        seconds=0.0,
        curve=(),
    )
