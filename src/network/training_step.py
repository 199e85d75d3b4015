"""One epoch of a training, step by step, and the validation after it."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from src.network.checkpoint import TrainingState
from src.network.model import distance, freeze_statistics
from src.network.weights import Network
from util.runtime.errors import InputError
from util.training.recipe import Optimiser, Precision

_SHORTCUT_PACE = 0.1
_LOOK = 50  # steps after which losses are looked at


class StepSettings(Protocol):
    """What `train_epoch` asks of settings."""

    @property
    def clip(self) -> float:
        """Largest norm of the gradient."""

    @property
    def precision(self) -> Precision:
        """Of the network's inside."""


class Diverged(InputError):
    """The loss is not finite."""


def make_optimiser(net: Network, rate: float, weight_decay: float, kind: Optimiser = "adamw") -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov and Hutter, arXiv:1711.05101), or Adam (Kingma and Ba, arXiv:1412.6980), without decay.

    Biases and the scales of normalisation do not decay; the shortcut, fitted already, moves slowly.
    """
    if kind == "adam":
        weight_decay = 0.0  # AdamW is Adam then
    inner = list(net.net.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in inner if p.ndim > 1], "weight_decay": weight_decay, "pace": 1.0},
        {"params": [p for p in inner if p.ndim <= 1], "weight_decay": 0.0, "pace": 1.0},
    ]
    if net.shortcut is not None:
        groups.append({"params": list(net.shortcut.parameters()), "weight_decay": 0.0, "pace": _SHORTCUT_PACE})
    # One kernel for all parameters: a GPU would wait for the launches of several.
    return torch.optim.AdamW(groups, lr=rate, fused=True if inner[0].is_cuda else None)


def running_average(net: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential running average of a network over the steps to come, the network as it is the first.

    Parameters and buffers are averaged, among them the mean and variance of batch normalisation. Integers are
    truncated, so that its count of batches, which nothing reads, is not that of the network.
    """
    follow = get_ema_multi_avg_fn(decay)
    average = AveragedModel(net, multi_avg_fn=follow, use_buffers=True)
    # Otherwise the network after the first step would count as the first.
    average.update_parameters(net)
    return average


def check_precision(precision: Precision, device: torch.device) -> None:
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


def train_epoch(
    state: TrainingState[Any],
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    settings: StepSettings,
    rate: Callable[[int], float],
    *,
    losses_of: Callable[[Tensor, Tensor], Tensor],
    weight: float = 1.0,
    frozen: bool = False,
) -> NDArray[np.float64]:
    """Make one step per batch.

    Parameters
    ----------
    state : TrainingState
        Its network, average and optimiser change.
    model : nn.Module
        The state's network, or that within DistributedDataParallel.
    batches : iterable of inputs and targets
    settings : StepSettings
    rate : function of the step within the epoch
    losses_of : function of the model's answer and the targets
        Loss of each sample (n,).
    weight : float
        This process' part of a step's samples, over an equal part; gradients are averaged over processes.
    frozen : bool
        Whether batch normalisation is frozen.

    Returns
    -------
    array (3,)
        Sum of the losses, of their squares, and their number; of this process.

    Raises
    ------
    Diverged
        A loss that is not finite.
    """
    model.train()
    if frozen:
        freeze_statistics(model)
    device = state.device
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    # Step, loss and gradient where these were not finite at first. Asking a GPU for them makes it wait.
    worst, lr = torch.full((3,), -1.0, device=device), rate(0)
    for step, (inputs, targets) in enumerate(batches):
        lr = rate(step)
        for group in state.optimiser.param_groups:
            group["lr"] = lr * group["pace"]
        inputs, targets = inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            found = model(inputs)
        # In full precision: the distance is a root of small squares.
        losses = losses_of(found, targets)
        loss = losses.mean() * weight
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(state.net.parameters(), settings.clip)
        sound = torch.isfinite(loss) & torch.isfinite(norm)
        here = torch.stack((torch.full_like(loss, step), loss, norm)).detach()
        worst = torch.where(sound | (worst[0] >= 0), worst, here)
        state.optimiser.step()
        state.average.update_parameters(state.net)
        sums += torch.stack((losses.sum(), losses.square().sum(), torch.full_like(losses[0], len(losses)))).detach()
        if step % _LOOK == _LOOK - 1:
            _check_finite(worst, state.facts.epoch, lr)
    _check_finite(worst, state.facts.epoch, lr)
    return sums.cpu().numpy()


def _check_finite(worst: Tensor, epoch: int, rate: float) -> None:
    step, loss, gradient = worst.tolist()
    if step >= 0:
        raise Diverged(
            f"epoch {epoch}, step {step:.0f}: loss {loss}, gradient {gradient:.3g} at rate {rate:.3g} or one before; "
            "expected finite numbers; resume with a lower --rate"
        )


@torch.no_grad()
def distances(net: nn.Module, inputs: Tensor, betas: Tensor, *, batch: int = 128) -> NDArray[np.float64]:
    """Return the distance of the network's answer to each sample (n,), in full precision."""
    net.eval()
    device = next(net.parameters()).device
    parts = [
        distance(net(some.to(device)), truth.to(device))
        for some, truth in zip(torch.split(inputs, batch), torch.split(betas, batch), strict=True)
    ]
    return torch.cat(parts).double().cpu().numpy()


def mean_and_std(sums: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation from sum, sum of squares and number."""
    mean = sums[0] / max(sums[2], 1)
    return float(mean), float(np.sqrt(max(sums[1] / max(sums[2], 1) - mean**2, 0)))
