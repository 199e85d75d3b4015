"""What a training of the network starts from: nothing, the weights of another, or its own checkpoint."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from src.network import processes
from src.network.checkpoint import check_same
from src.network.dataset import DrawnMatrices, Samples, tensors
from src.network.matrix_net import MatrixNet
from src.network.model import SphereNet, distance
from src.network.progress import counted
from src.network.source import SampleSource
from src.network.weights import Network, build, read_weights
from util.runtime.errors import InputError
from util.training.course import Course, TrainingFacts
from util.training.map_inversion import InputSettings, tuned
from util.training.matrix_input import MatrixInput, NetworkInput
from util.training.recipe import TrainingSettings

_FITTING = "fits the shortcut to the first samples"
# Settings that a network is built by, and the options that give them.
_BUILT = {"arch": "--arch", "pixels": "--pixels", "shortcut": "--no-shortcut"}


@dataclass(frozen=True)
class Plan:
    """A training as asked for.

    Attributes
    ----------
    stage : str
        Name of its files.
    spheres : int
    settings : TrainingSettings
    inputs : NetworkInput
        Of a network that starts from nothing.
    source : SampleSource
    seed : int
    init : Path or None
        Weights to start from.
    rounds : bool
        Whether a checkpoint of another prior is a round to go on from, not another training.
    given : frozenset of str
        Settings of the command line: what those weights would bring along must agree with these, and otherwise is
        taken over.
    """

    stage: str
    spheres: int
    settings: TrainingSettings
    inputs: NetworkInput
    source: SampleSource[Any]
    seed: int
    init: Path | None
    rounds: bool
    given: frozenset[str]


def resumed_network(plan: Plan, facts: TrainingFacts, checkpoint: Path) -> Network:
    """Return the network of a checkpoint, without its weights.

    Raises
    ------
    InputError
        A checkpoint of another training.
    """
    own, was, wanted = facts.inherited is None, facts.settings, plan.settings
    check_same(checkpoint, facts, spheres=plan.spheres, seed=plan.seed, prior=plan.source.prior)
    built = {name: getattr(wanted, name) for name in _BUILT if own or name in plan.given}
    check_same(checkpoint, was, window=wanted.window, first_samples=wanted.first_samples, **built)
    # A window stands for an input that was made for the samples; what inherits keeps what it found.
    if own and not wanted.window:
        check_same(checkpoint, facts, input=plan.inputs)
    return build(facts)


def first_network(plan: Plan, say: Callable[[str], None]) -> tuple[Network, TrainingFacts | None]:
    """Return a network to train, and the facts of the weights that it starts from, if any.

    Raises
    ------
    InputError
        Weights that cannot be started from, or samples of other spheres.
    """
    if plan.init is None:
        return _new_network(plan, plan.inputs, say), None
    donor, inherited = read_weights(plan.init)
    if inherited.spheres != plan.spheres:
        raise InputError(
            f"{plan.init}: expected weights for {plan.spheres} sphere(s), found {inherited.spheres}; "
            "use --spheres or others"
        )
    if inherited.settings.input != plan.settings.input:
        raise InputError(
            f"{plan.init}: expected weights of a network for --input {plan.settings.input}, found one for "
            f"{inherited.settings.input}; use others"
        )
    settings = _as_built(plan.settings, inherited.settings)
    for name in sorted(plan.given & _BUILT.keys()):
        wanted, found = getattr(plan.settings, name), getattr(settings, name)
        if wanted != found:
            raise InputError(
                f"{plan.init}: expected {name} {wanted}, found {found}; leave {_BUILT[name]} out, or name others with "
                "--init"
            )
    say(_inheritance(plan, settings, inherited))
    if isinstance(donor, SphereNet) and plan.settings.window:
        return _new_windows(plan, donor.input_settings, donor, say), inherited
    return donor, inherited


def _as_built(settings: TrainingSettings, donor: TrainingSettings) -> TrainingSettings:
    """Return settings with what a network that starts from a donor's weights takes over."""
    shortcut = settings.shortcut if settings.window else donor.shortcut
    return dataclasses.replace(settings, arch=donor.arch, pixels=donor.pixels, shortcut=shortcut)


def _inheritance(plan: Plan, settings: TrainingSettings, inherited: TrainingFacts) -> str:
    if settings.window:
        kept, first = "all layers but the last, scale of the labels", ["prior", "input"]
    elif settings.input == "matrix":
        kept, first = "all layers, input", ["prior"]
    else:
        kept, first = "all layers, input, scale of the labels", ["prior"]
    if settings.window and settings.shortcut:
        first.append("shortcut")
    before = dataclasses.asdict(inherited.per_step)
    now = dataclasses.asdict(settings)
    changed = [f"{name} {value}" for name, value in now.items() if value != before[name]]
    come = f"{counted(inherited.epoch, 'epoch')}, validation {inherited.curve[-1].valid[0]:.4f}"
    return (
        f"inherits from {plan.init} ({come}): architecture {inherited.arch}, {kept}\n"
        f"overrides: {', '.join([*first, *changed])}"
    )


def _new_network(plan: Plan, inputs: NetworkInput, say: Callable[[str], None]) -> Network:
    if not isinstance(inputs, MatrixInput):
        return _new_windows(plan, inputs, None, say)
    mean = torch.from_numpy(plan.source.first_draws(inputs).beta.mean(0))
    torch.manual_seed(plan.seed)
    return MatrixNet(plan.settings.arch, plan.spheres, inputs, mean)


def _new_windows(plan: Plan, inputs: InputSettings, donor: SphereNet | None, say: Callable[[str], None]) -> SphereNet:
    """Make a network with a fitted shortcut, if any; a donor gives it the scale of its outputs, and its layers."""
    draws = plan.source.first_draws(inputs)
    if plan.settings.window:
        inputs = tuned(inputs, draws, plan.settings.window)
    if donor is None:
        betas = torch.from_numpy(draws.beta).float()
        arch, scale = plan.settings.arch, (betas.mean(0), betas.std(0).clamp_min(1e-6))
    else:
        arch, scale = donor.arch, (donor.label_mean, donor.label_std)
    torch.manual_seed(plan.seed)
    net = SphereNet(arch, plan.spheres, inputs, *scale, shortcut=plan.settings.shortcut)
    if net.shortcut is not None:
        say(_FITTING)
        net.fit_shortcut(map(tensors, plan.source.first_samples(inputs)), by_cell=plan.settings.window > 0)
    if donor is not None:
        net.inherit(donor.net)
    return net


def resumed_facts(before: TrainingFacts, now: TrainingFacts) -> TrainingFacts:
    """Return the facts of a training that goes on: as far as it has come before, done as it is done now."""
    come = {field.name: getattr(before, field.name) for field in dataclasses.fields(Course)}
    return dataclasses.replace(now, **come)


def first_facts(
    plan: Plan,
    net: Network,
    inherited: TrainingFacts | None,
    validation: Samples | DrawnMatrices,
    device: torch.device,
) -> TrainingFacts:
    """Return the facts of a training before its first epoch."""
    import torchvision  # loaded with the network

    betas = torch.tensor(validation.draws.beta)
    return TrainingFacts(
        stage=plan.stage,
        arch=net.arch,
        spheres=plan.spheres,
        input=net.input_settings,
        settings=plan.settings if inherited is None else _as_built(plan.settings, inherited.settings),
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
