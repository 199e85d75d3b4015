"""Where the samples of a training come from: a prior, from which they are drawn as they are needed, or files.

Both are a `SampleSource`, and what they yield fits the network that asks.
"""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from src.network.dataset import (
    FIRST,
    TRAINING,
    VALIDATION,
    Samples,
    fresh_samples,
    joined,
    read_samples,
    seeded,
    tensors,
)
from util.runtime.errors import InputError
from util.runtime.executor import map_in_order
from util.training.map_inversion import InputSettings
from util.training.priors import Draws, Prior, draw
from util.training.recipe import TrainingSettings

_FIRST_PART = 1000


class SampleSource(Protocol):
    """A source of samples; every method raises InputError for samples that do not fit the network's input."""

    @property
    def prior(self) -> Prior | None:
        """What samples are drawn from, where that is known."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that samples come from, if any."""

    @property
    def steps(self) -> int:
        """Batches per epoch."""

    def first_draws(self, inputs: InputSettings) -> Draws:
        """Return the parameters of the samples that are used before training starts."""

    def first_samples(self, inputs: InputSettings) -> Iterator[Samples]:
        """Yield the samples that are used before training starts, part by part."""

    def batches(self, inputs: InputSettings, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and betas of an epoch, batch by batch; the same ones whenever it is asked for."""

    def validation(self, inputs: InputSettings) -> Samples:
        """Return samples to validate on."""


def _fitting_draws(draws: Draws, inputs: InputSettings, spheres: int, name: Path | str) -> Draws:
    expected, found = (spheres, len(inputs.beta_mean)), draws.beta.shape[1:]
    if found != expected:
        raise InputError(
            f"{name}: labels: expected {expected} per sample, found {found}; use --spheres {found[0]} or other samples"
        )
    return draws


def _fitting(samples: Samples, inputs: InputSettings, spheres: int, name: Path | str) -> Samples:
    _fitting_draws(samples.draws, inputs, spheres, name)
    expected, found = (inputs.n_rho, inputs.n_angle), samples.inputs.shape[1:]
    if found != expected:
        raise InputError(f"{name}: inputs: expected {expected} per sample, found {found}; make them for this network")
    return samples


@dataclass(frozen=True)
class PriorSource:
    """Samples that no epoch and no process sees twice.

    Those of step `i` of epoch `e` depend on (seed, e, i, rank) alone, so a resumed run goes on with the same ones.

    Attributes
    ----------
    name : str
        Of the prior, for messages.
    prior : Prior
    settings : TrainingSettings
    valid : Path or int
        File of samples to validate on, or how many to draw.
    seed, rank, ranks : int
        `ranks` processes share an epoch; this one is `rank`.
    threads : int
        How many draw at a time; 0: none but the caller's, each batch as it is asked for.
    """

    name: str
    prior: Prior
    settings: TrainingSettings
    valid: Path | int
    seed: int
    rank: int = 0
    ranks: int = 1
    threads: int = 0
    files: ClassVar[tuple[str, ...]] = ()

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return max(round(self.settings.epoch_samples / (self.settings.batch * self.ranks)), 1)

    def first_draws(self, inputs: InputSettings) -> Draws:
        """Draw the parameters of as many samples as the settings say."""
        draws = draw(self.prior, self.settings.first_samples, rng=seeded(self.seed, FIRST))
        return _fitting_draws(draws, inputs, len(self.prior.spheres), self.name)

    def first_samples(self, inputs: InputSettings) -> Iterator[Samples]:
        """Draw as many samples as the settings say."""
        for start in range(0, self.settings.first_samples, _FIRST_PART):
            n = min(_FIRST_PART, self.settings.first_samples - start)
            yield self._draw(inputs, n, FIRST, start)

    def batches(self, inputs: InputSettings, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Draw the batches of an epoch."""

        def make(step: int) -> tuple[Tensor, Tensor]:
            return tensors(self._draw(inputs, self.settings.batch, TRAINING, epoch, step, self.rank))

        if self.threads == 0:
            yield from map(make, range(self.steps))
            return
        # A GPU would wait for the samples of one core; NumPy draws and multiplies without Python's lock.
        with ThreadPoolExecutor(self.threads) as executor:
            yield from map_in_order(executor, make, range(self.steps), in_flight=2 * self.threads)

    def validation(self, inputs: InputSettings) -> Samples:
        """Draw samples that are never trained on, or read them."""
        if isinstance(self.valid, Path):
            return _fitting(read_samples(self.valid), inputs, len(self.prior.spheres), self.valid)
        return self._draw(inputs, self.valid, VALIDATION)

    def _draw(self, inputs: InputSettings, n: int, *key: int) -> Samples:
        samples = fresh_samples(self.prior, inputs, n, rng=seeded(self.seed, *key))
        return _fitting(samples, inputs, len(self.prior.spheres), self.name)


class FileSource:
    """Samples of files, shuffled anew each epoch; every `exchange` epochs the next file, one in memory at a time.

    Each of `ranks` processes takes its own share of an epoch's order.
    """

    prior = None

    def __init__(
        self,
        train: Sequence[Path],
        valid: Path,
        *,
        spheres: int,
        batch: int,
        exchange: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._train, self._valid, self._spheres = train, valid, spheres
        self._batch, self._exchange = batch, exchange
        self._seed, self._rank, self._ranks = seed, rank, ranks
        self._read = functools.lru_cache(maxsize=1)(read_samples)
        self.files = tuple(path.name for path in train)

    @property
    def steps(self) -> int:
        """Full batches of the first file; one where it does not fill any."""
        return max(len(self._read(self._train[0]).inputs) // self._ranks // self._batch, 1)

    def first_draws(self, inputs: InputSettings) -> Draws:
        """Return the parameters of all training samples."""
        return joined([samples.draws for samples in self.first_samples(inputs)])

    def first_samples(self, inputs: InputSettings) -> Iterator[Samples]:
        """Yield all training samples, file by file."""
        for path in self._train:
            yield _fitting(self._read(path), inputs, self._spheres, path)

    def batches(self, inputs: InputSettings, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch; a last one that is not full is left out, unless it is the only one."""
        path = self._train[epoch // self._exchange % len(self._train)]
        maps, betas = tensors(_fitting(self._read(path), inputs, self._spheres, path))
        order = seeded(self._seed, TRAINING, epoch).permutation(len(maps))[self._rank :: self._ranks]
        usable = len(maps) // self._ranks
        batch = min(self._batch, usable)
        for start in range(0, usable - batch + 1, batch):
            chosen = torch.from_numpy(order[start : start + batch])
            yield maps[chosen], betas[chosen]

    def validation(self, inputs: InputSettings) -> Samples:
        """Read the samples to validate on."""
        return _fitting(read_samples(self._valid), inputs, self._spheres, self._valid)
