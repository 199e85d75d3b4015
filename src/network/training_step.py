"""Training: settings, learning rate, one epoch, validation, checkpoints."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from src.network.model import ARCHITECTURES, distance, freeze_statistics
from util.runtime.errors import InputError

SCHEDULES = ("onecycle", "cosine")
PRECISIONS = ("float32", "bf16")
_WARM_UP = 0.2
_WARM_UP_COSINE = 0.02
_LOWEST = 1e-3
_SHORTCUT_PACE = 0.1


@dataclass(frozen=True)
class TrainingSettings:
    """One stage of param/training.toml; the file says what each means.

    Raises
    ------
    ValueError
        A value out of range.
    """

    arch: str
    window: int
    first_samples: int
    batch: int
    epoch_samples: int
    epochs: int
    rate: float
    schedule: str
    weight_decay: float
    ema: float
    clip: float
    frozen: float
    precision: str

    def __post_init__(self):
        for name, choices in (("arch", ARCHITECTURES), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}, found {getattr(self, name)!r}")
        if min(self.epoch_samples, self.epochs) < 1 or not (self.rate > 0 and self.clip > 0):
            raise ValueError("epoch_samples and epochs must be at least 1, rate and clip above 0")
        if min(self.batch, self.first_samples) < 2 or self.window < 0:
            # Batch normalisation needs a spread.
            raise ValueError("batch and first_samples must be at least 2, window not below 0")
        if not (0 <= self.ema < 1 and 0 <= self.frozen <= 1 and self.weight_decay >= 0):
            raise ValueError("expected 0 <= ema < 1, 0 <= frozen <= 1 and weight_decay >= 0")


@dataclass(frozen=True)
class TrainingStages:
    """All of param/training.toml."""

    pretraining: TrainingSettings
    fine_tuning: TrainingSettings


class Diverged(InputError):
    """The loss is no number any more."""


def rate_at(settings: TrainingSettings, progress: float) -> float:
    """Learning rate at `progress` 0 .. 1 of a round: warm-up, then half a cosine down to a thousandth."""
    warm_up = _WARM_UP if settings.schedule == "onecycle" else _WARM_UP_COSINE
    if progress < warm_up:
        low = 0.04
        return settings.rate * (low + (1 - low) * (1 - math.cos(math.pi * progress / warm_up)) / 2)
    fallen = (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2
    return settings.rate * (_LOWEST + (1 - _LOWEST) * fallen)


def make_optimiser(net: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW. Biases and the scales of normalisation do not decay; the shortcut, fitted already, moves slowly."""
    inner = list(net.net.parameters())
    groups = [
        {"params": [p for p in inner if p.ndim > 1], "weight_decay": settings.weight_decay, "pace": 1.0},
        {"params": [p for p in inner if p.ndim <= 1], "weight_decay": 0.0, "pace": 1.0},
        {"params": list(net.shortcut.parameters()), "weight_decay": 0.0, "pace": _SHORTCUT_PACE},
    ]
    return torch.optim.AdamW(groups, lr=settings.rate)


def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move `average` towards `net`: parameters and the running averages of normalisation."""
    with torch.no_grad():
        for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse mixed precision where it would go wrong.

    oneDNN's bf16 gradient of a 3 x 3 convolution of stride 2 over an image one pixel wide, as in a ResNet's last stage,
    holds what was in memory before: for weights that only ever see padding it is never written.

    Raises
    ------
    InputError
        bf16 on a CPU, or on a GPU that has no such numbers.
    """
    if precision != "bf16" or (device.type == "cuda" and torch.cuda.is_bf16_supported()):
        return
    what = "a GPU with bf16 (compute capability 8.0)" if device.type == "cuda" else "a GPU"
    raise InputError(
        f"--precision bf16: expected {what}, found {device.type}, where gradients would be wrong; "
        "use --precision float32"
    )


def average_statistics(net: nn.Module) -> None:
    """Give all processes the mean of their running averages of normalisation."""
    if not dist.is_initialized():
        return
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                for values in (layer.running_mean, layer.running_var):
                    dist.all_reduce(values)
                    values /= dist.get_world_size()


def train_epoch(
    model: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    settings: TrainingSettings,
    rate: Callable[[int], float],
    *,
    device: torch.device,
    epoch: int,
    frozen: bool,
    losses_of: Callable[[Tensor, Tensor], Tensor] = distance,
) -> NDArray:
    """Make one step a batch.

    Parameters
    ----------
    model : nn.Module
        A network, or that within DistributedDataParallel.
    average : nn.Module
        A network that follows it.
    rate : function of the step within the epoch
    frozen : bool
        Whether batch normalisation rests.
    losses_of : function of the model's answer and the targets
        Loss of each sample (n,).

    Returns
    -------
    array (3,)
        Sum of the losses, of their squares, and their number; of this process.

    Raises
    ------
    Diverged
        A loss that is not finite.
    """
    net = model.module if hasattr(model, "module") else model
    model.train()
    if frozen:
        freeze_statistics(model)
    sums = torch.zeros(3, dtype=torch.float64)
    for step, (inputs, betas) in enumerate(batches):
        lr = rate(step)
        for group in optimiser.param_groups:
            group["lr"] = lr * group["pace"]
        inputs, betas = inputs.to(device), betas.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            found = model(inputs)
        # In full precision: the distance is a root of small squares.
        losses = losses_of(found, betas)
        loss = losses.mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise Diverged(
                f"epoch {epoch}, step {step}: loss {loss.item()}, gradient {float(norm):.3g} at rate {lr:.3g}; "
                "expected finite numbers; resume with a lower --rate"
            )
        optimiser.step()
        update_average(average, net, settings.ema)
        sums += torch.stack((losses.sum(), losses.square().sum(), losses.new_tensor(len(losses)))).detach().cpu()
    return sums.numpy()


@torch.no_grad()
def evaluate(net: nn.Module, inputs: Tensor, betas: Tensor, *, device: torch.device, batch: int = 128) -> NDArray:
    """Distance of each sample (n,), in full precision."""
    net.eval()
    parts = [
        distance(net(some.to(device)), truth.to(device))
        for some, truth in zip(inputs.split(batch), betas.split(batch), strict=True)
    ]
    return torch.cat(parts).double().cpu().numpy()


def reduce_sums(sums: NDArray, device: torch.device) -> NDArray:
    """Add over all processes."""
    if not dist.is_initialized():
        return sums
    total = torch.tensor(sums, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.cpu().numpy()


def mean_and_std(sums: NDArray) -> tuple[float, float]:
    """Mean and standard deviation from sum, sum of squares and number."""
    mean = sums[0] / max(sums[2], 1)
    return float(mean), float(np.sqrt(max(sums[1] / max(sums[2], 1) - mean**2, 0)))


def stage_of(stages: TrainingStages, name: str, changes: dict[str, object]) -> TrainingSettings:
    """Take one stage's settings, with what the command line overrides.

    Raises
    ------
    InputError
        A value out of range.
    """
    try:
        given = {key: value for key, value in changes.items() if value is not None}
        return dataclasses.replace(getattr(stages, name), **given)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
