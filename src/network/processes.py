"""Several processes that train one network, each on its own samples; for a lone process nothing changes."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from util.runtime.errors import InputError

T = TypeVar("T")
Net = TypeVar("Net", bound=nn.Module)


def rank() -> int:
    """Return the number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def from_the_first(make: Callable[[], T]) -> T:
    """Make something in the first process alone, and return it in all.

    Raises
    ------
    InputError
        In every process, where the first one raises it.
    """
    if ranks() == 1:
        return make()
    made: list[T | InputError | None] = [None]
    if rank() == 0:
        try:
            made = [make()]
        except InputError as error:
            made = [error]
    dist.broadcast_object_list(made)
    if isinstance(made[0], InputError):
        raise made[0]
    return cast(T, made[0])


def place(net: Net, device: torch.device) -> Net:
    """Return a network on its device, which on several GPUs normalises over the samples of all of them."""
    net = net.to(device)
    if device.type == "cuda":
        net = net.to(memory_format=torch.channels_last)
        if ranks() > 1:
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    return net


def sharing_gradients(net: nn.Module) -> nn.Module:
    """Wrap a network such that each step takes the mean gradient of all processes; a lone process keeps its own."""
    # Fixed matrices are among the buffers: sending them at each step would cost more than the step.
    return DistributedDataParallel(net, forward_sync_buffers=False) if ranks() > 1 else net


def total(sums: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
    """Sum over all processes."""
    if not dist.is_initialized():
        return sums
    added = torch.tensor(sums, dtype=torch.float64, device=device)
    dist.all_reduce(added)
    return added.cpu().numpy()


def of_the_first(value: float, device: torch.device) -> float:
    """Return the first process' value to all."""
    return float(total(np.array([value * (rank() == 0)]), device)[0])


def average_statistics(net: nn.Module) -> None:
    """Set the running averages of normalisation to their mean over all processes."""
    if not dist.is_initialized():
        return
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                for values in (layer.get_buffer("running_mean"), layer.get_buffer("running_var")):
                    dist.all_reduce(values)
                    values /= dist.get_world_size()


def check_together(epoch: int, checkpoint: Path, device: torch.device) -> None:
    """Refuse to begin where processes would resume from different epochs.

    Raises
    ------
    InputError
        In every process.
    """
    found = total(np.array([epoch, epoch**2], np.float64), device)
    if ranks() * found[1] != found[0] ** 2:
        raise InputError(
            f"{checkpoint}: expected the same checkpoint in every process, found others; "
            "DATA_DIR must be on a disk that all nodes share"
        )
