"""Samples of a prior drawn on the device that trains, so that a GPU need not wait for the cores beside it."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from src.network.dataset import TRAINING, Samples, seeded
from src.network.map_samples import DeviceDraws, MapDrawer, PriorDrawer
from src.network.source import PriorSource, share_of
from util.training.map_inversion import InputSettings
from util.training.priors import Draws, Prior

_PART = 2000  # maps at a time


@dataclass(frozen=True)
class DeviceSource(PriorSource):
    """As `PriorSource`, with samples of the same distribution, not the same ones.

    Attributes
    ----------
    device : torch.device
    """

    device: torch.device = field(kw_only=True)

    def batches(self, inputs: InputSettings, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Draw this process' part of the batches of an epoch: parameters at its begin, maps as they are asked for."""
        mine, steps = share_of(self.settings.batch, self.rank, self.ranks), self.steps(epoch)
        with self._told():
            draws = self._on_device(mine * steps, TRAINING, epoch, self.rank)
        drawer = _map_drawer(inputs, self.device)
        for step in range(steps):
            part = DeviceDraws(*(values[step * mine : (step + 1) * mine] for values in draws))
            yield drawer.observe(part, self._generator(TRAINING, epoch, self.rank, step)), part.beta

    def _make(self, inputs: InputSettings, n: int, *key: int) -> Samples:
        draws, drawer = self._on_device(n, *key), _map_drawer(inputs, self.device)
        generator = self._generator(*key, 0)
        parts = (DeviceDraws(*values) for values in zip(*(values.split(_PART) for values in draws), strict=True))
        maps = [drawer.observe(part, generator).cpu().numpy() for part in parts]
        return Samples(np.concatenate(maps), _at_home(draws))

    def _parameters(self, n: int, *key: int) -> Draws:
        return _at_home(self._on_device(n, *key))

    def _on_device(self, n: int, *key: int) -> DeviceDraws:
        return _prior_drawer(self.prior, self.device).draw(n, self._generator(*key))

    def _generator(self, *key: int) -> torch.Generator:
        generator = torch.Generator(self.device)
        return generator.manual_seed(int(seeded(self.seed, *key).integers(2**62)))


@functools.lru_cache(maxsize=1)
def _prior_drawer(prior: Prior, device: torch.device) -> PriorDrawer:
    return PriorDrawer(prior, device)


@functools.lru_cache(maxsize=1)
def _map_drawer(inputs: InputSettings, device: torch.device) -> MapDrawer:
    return MapDrawer(inputs, device)


def _at_home(draws: DeviceDraws) -> Draws:
    return Draws(*(values.double().cpu().numpy() for values in draws))
