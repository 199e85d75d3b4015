"""Where the samples of a training come from: a prior, from which they are drawn as they are needed, or files.

Both are a `SampleSource`, and what they yield fits the network that asks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import torch
from torch import Tensor

from src.network.dataset import (
    FIRST,
    TRAINING,
    VALIDATION,
    DrawnMatrices,
    Samples,
    fresh_samples,
    joined,
    read_made_by,
    read_samples,
    seeded,
    tensors,
)
from util.runtime.errors import InputError
from util.training.map_inversion import InputSettings
from util.training.matrix_input import NetworkInput
from util.training.priors import Draws, Prior, draw
from util.training.recipe import TrainingSettings

_FIRST_PART = 1000
# Of each process in a step: batch normalisation needs a spread.
FEWEST = 2
_USE_MORE, _MAKE_MORE = "use more, or fewer processes", "make more, or use fewer processes"
Input = TypeVar("Input", bound=NetworkInput, contravariant=True)


class SampleSource(Protocol[Input]):
    """A source of samples; every method raises InputError for samples that do not fit the network's input."""

    @property
    def name(self) -> str:
        """What samples come from, for messages."""

    @property
    def prior(self) -> Prior | None:
        """What samples are drawn from, where that is known."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that samples come from, if any."""

    def steps(self, epoch: int) -> int:
        """Return the number of batches of an epoch, whatever the number of processes."""

    def weight(self, epoch: int) -> float:
        """Return this process' part of a batch, over an equal part."""

    def first_draws(self, inputs: Input) -> Draws:
        """Return the parameters of the samples that are used before training starts."""

    def first_samples(self, inputs: Input) -> Iterator[Samples]:
        """Yield the samples that are used before training starts, part by part."""

    def batches(self, inputs: Input, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and betas of an epoch, of each batch this process' part; the same ones at every call."""

    def validation(self, inputs: Input) -> Samples | DrawnMatrices:
        """Return samples to validate on."""


def share_of(samples: int, rank: int, ranks: int) -> int:
    """Return how many of a batch's samples a process takes: what is left over goes to the first ones."""
    return samples // ranks + (rank < samples % ranks)


def check_number(samples: int, ranks: int, name: Path | str, remedy: str = _USE_MORE, *, each: int = 1) -> None:
    """Raise InputError for fewer samples, as many as `name` tells, than `each` of the processes needs."""
    if samples < each * ranks:
        what = f"{each} sample{'s' * (each > 1)}"
        raise InputError(f"{name}: expected at least {what} for each of {ranks} processes, found {samples}; {remedy}")


def fitting_draws(draws: Draws, inputs: NetworkInput, spheres: int, name: Path | str) -> Draws:
    """Return the draws; InputError for other spheres or betas than a network with that input answers."""
    expected, found = (spheres, inputs.betas), draws.beta.shape[1:]
    if found != expected:
        raise InputError(
            f"{name}: labels: expected {expected} per sample, found {found}; use --spheres {found[0]} or other samples"
        )
    return draws


def _fitting(samples: Samples, inputs: InputSettings, spheres: int, name: Path | str) -> Samples:
    fitting_draws(samples.draws, inputs, spheres, name)
    expected, found = (inputs.n_rho, inputs.n_angle), samples.inputs.shape[1:]
    if found != expected:
        raise InputError(f"{name}: inputs: expected {expected} per sample, found {found}; make them for this network")
    return samples


@dataclass(frozen=True)
class PriorSource:
    """Samples that no epoch and no process sees twice.

    Those of step `i` of epoch `e` depend on (seed, e, i, rank) alone, so a resumed run goes on with the same ones.
    Fewer than two samples for a process in a step, or none to validate on, raise InputError.

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
    """

    name: str
    prior: Prior
    settings: TrainingSettings
    valid: Path | int
    seed: int
    rank: int = 0
    ranks: int = 1
    files: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_number(self.settings.batch, self.ranks, "--batch", each=FEWEST)
        if isinstance(self.valid, int):
            check_number(self.valid, self.ranks, "--validation")

    def steps(self, _: int) -> int:
        """Return how many batches hold about the settings' samples per epoch."""
        return max(round(self.settings.epoch_samples / self.settings.batch), 1)

    def weight(self, _: int) -> float:
        """Return this process' part of a batch, over an equal part."""
        return share_of(self.settings.batch, self.rank, self.ranks) * self.ranks / self.settings.batch

    def first_draws(self, inputs: InputSettings) -> Draws:
        """Draw the parameters of as many samples as the settings say."""
        with self._told():
            draws = self._parameters(self.settings.first_samples, FIRST)
        return fitting_draws(draws, inputs, len(self.prior.spheres), self.name)

    def first_samples(self, inputs: InputSettings) -> Iterator[Samples]:
        """Draw as many samples as the settings say."""
        for start in range(0, self.settings.first_samples, _FIRST_PART):
            n = min(_FIRST_PART, self.settings.first_samples - start)
            yield self._draw(inputs, n, FIRST, start)

    def batches(self, inputs: InputSettings, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Draw this process' part of the batches of an epoch."""
        mine = share_of(self.settings.batch, self.rank, self.ranks)
        for step in range(self.steps(epoch)):
            yield tensors(self._draw(inputs, mine, TRAINING, epoch, step, self.rank))

    def validation(self, inputs: InputSettings) -> Samples:
        """Draw samples that are never trained on, or read them."""
        if isinstance(self.valid, Path):
            return _validation(self.valid, inputs, len(self.prior.spheres), self.ranks)
        return self._draw(inputs, self.valid, VALIDATION)

    def _draw(self, inputs: InputSettings, n: int, *key: int) -> Samples:
        with self._told():
            samples = self._make(inputs, n, *key)
        return _fitting(samples, inputs, len(self.prior.spheres), self.name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Name the prior that cannot be drawn from."""
        try:
            yield
        except ValueError as error:
            raise InputError(f"{self.name}: {error}") from None

    def _make(self, inputs: InputSettings, n: int, *key: int) -> Samples:
        return fresh_samples(self.prior, inputs, n, rng=seeded(self.seed, *key))

    def _parameters(self, n: int, *key: int) -> Draws:
        return draw(self.prior, n, rng=seeded(self.seed, *key))


class FileSource:
    """Samples of files, shuffled anew each epoch; every `exchange` epochs the next file, one in memory at a time.

    A file that was replaced by another of its name is read anew. A batch holds the same samples whatever the number of
    processes, which share it.

    Raises
    ------
    InputError
        Files that cannot be read, that were made from different priors, or that hold too few samples.
    """

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
        check_number(batch, ranks, "--batch", each=FEWEST)
        self._train, self._valid, self._spheres = train, valid, spheres
        self._batch, self._exchange = batch, exchange
        self._seed, self._rank, self._ranks = seed, rank, ranks
        self._held: tuple[object, Samples] | None = None
        self.files = tuple(path.name for path in train)
        self.name = ", ".join(map(str, train))
        self.prior: Prior | None = _common_prior(train, ranks)

    def _samples(self, path: Path) -> Samples:
        """Read a file, unless it is the one in memory."""
        if not path.exists():
            return read_samples(path)  # says so
        found = path.stat()
        state = (path, found.st_ino, found.st_size, found.st_mtime_ns)
        if self._held is None or self._held[0] != state:
            self._held = None  # before another takes as much memory
            samples = read_samples(path)
            check_number(len(samples.inputs), self._ranks, path, _MAKE_MORE, each=FEWEST)
            self._held = state, samples
        return self._held[1]

    def _path(self, epoch: int) -> Path:
        return self._train[epoch // self._exchange % len(self._train)]

    def _batch_of(self, epoch: int) -> tuple[int, int]:
        """Return the samples of a batch, fewer than asked for where the file holds fewer, and those of the file."""
        held = len(self._samples(self._path(epoch)).inputs)
        return min(self._batch, held), held

    def steps(self, epoch: int) -> int:
        """Return the number of batches; a last one that is not full is left out, unless it is the only one."""
        batch, held = self._batch_of(epoch)
        return held // batch

    def weight(self, epoch: int) -> float:
        """Return this process' part of a batch, over an equal part."""
        batch, _ = self._batch_of(epoch)
        return share_of(batch, self._rank, self._ranks) * self._ranks / batch

    def first_draws(self, inputs: InputSettings) -> Draws:
        """Return the parameters of all training samples."""
        return joined([samples.draws for samples in self.first_samples(inputs)])

    def first_samples(self, inputs: InputSettings) -> Iterator[Samples]:
        """Yield all training samples, file by file."""
        for path in self._train:
            yield _fitting(self._samples(path), inputs, self._spheres, path)

    def batches(self, inputs: InputSettings, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process' part of the batches of an epoch."""
        path = self._path(epoch)
        maps, betas = tensors(_fitting(self._samples(path), inputs, self._spheres, path))
        order = seeded(self._seed, TRAINING, epoch).permutation(len(maps))
        batch, held = self._batch_of(epoch)
        for start in range(0, held - batch + 1, batch):
            chosen = torch.from_numpy(order[start : start + batch][self._rank :: self._ranks])
            yield maps[chosen], betas[chosen]

    def validation(self, inputs: InputSettings) -> Samples:
        """Read the samples to validate on."""
        return _validation(self._valid, inputs, self._spheres, self._ranks)


def _common_prior(paths: Sequence[Path], ranks: int) -> Prior:
    """Return the prior that all files were made from."""
    made_by = [read_made_by(path) for path in paths]
    for path, this in zip(paths, made_by, strict=True):
        check_number(this.samples, ranks, path, _MAKE_MORE, each=FEWEST)
        if this.prior != made_by[0].prior:
            raise InputError(
                f"{path}: expected samples of one prior, found another than that of {paths[0]}; a network trained on "
                "such a mixture is right for neither: give the files of one stage, as those named STAGE_SEED.h5"
            )
    return made_by[0].prior


def _validation(path: Path, inputs: InputSettings, spheres: int, ranks: int) -> Samples:
    samples = _fitting(read_samples(path), inputs, spheres, path)
    check_number(len(samples.inputs), ranks, path, _MAKE_MORE)
    return samples
