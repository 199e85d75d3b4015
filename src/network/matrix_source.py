"""Where matrices come from: sets of a prior, seen again and again, and exchanged for others while training."""

import functools
from collections.abc import Iterator

import torch
from torch import Tensor

from src.network.dataset import FIRST, NOISE, TRAINING, TRAINING_SET, VALIDATION, DrawnMatrices, Samples, seeded
from src.network.matrix_samples import MatrixDrawer, MatrixSet
from src.network.source import FEWEST, check_number, fitting_draws, share_of
from util.training.matrix_input import MatrixInput
from util.training.priors import Draws, Prior, draw
from util.training.recipe import TrainingSettings


class MatrixSource:
    """A `SampleSource` as the published pipeline had it: each epoch sees all samples of a set, in an order of its own.

    After `exchange` epochs comes the next set. Set `k` depends on (seed, k) alone.

    Parameters
    ----------
    name : str
        Of the prior, for messages.
    prior : Prior
    settings : TrainingSettings
    valid : int
        How many samples to validate on.
    device : torch.device
        Where matrices are drawn.
    seed, rank, ranks : int
        `ranks` processes share a batch; this one is `rank`.

    Raises
    ------
    InputError
        Fewer than two samples for a process in a step, or none to validate on.
    """

    files: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        prior: Prior,
        settings: TrainingSettings,
        valid: int,
        *,
        device: torch.device,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        # Fewer samples than batches are asked to hold make one batch.
        self._batch = min(settings.batch, settings.epoch_samples)
        check_number(self._batch, ranks, "--batch", each=FEWEST)
        check_number(valid, ranks, "--validation")
        self.prior: Prior | None = prior
        self.name, self._prior, self._settings, self._valid = name, prior, settings, valid
        self._seed, self._rank, self._ranks = seed, rank, ranks
        self._drawer = functools.lru_cache(maxsize=1)(functools.partial(MatrixDrawer, device=device))
        self._set = functools.lru_cache(maxsize=1)(self._prepared)

    def steps(self, _: int) -> int:
        """Return the number of full batches of a set; one where it does not fill any."""
        return self._settings.epoch_samples // self._batch

    def weight(self, _: int) -> float:
        """Return this process' part of a batch, over an equal part."""
        return share_of(self._batch, self._rank, self._ranks) * self._ranks / self._batch

    def first_draws(self, inputs: MatrixInput) -> Draws:
        """Draw the parameters of as many samples as the settings say."""
        return self._parameters(inputs, self._settings.first_samples, FIRST)

    def first_samples(self, _: MatrixInput) -> Iterator[Samples]:
        """Yield nothing: no layer of a network for matrices is fitted before training starts."""
        return iter(())

    def batches(self, inputs: MatrixInput, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Draw this process' part of the batches of an epoch."""
        made = self._set(inputs, epoch // self._settings.exchange)
        order = seeded(self._seed, TRAINING, epoch).permutation(self._settings.epoch_samples)
        for start in range(0, self.steps(epoch) * self._batch, self._batch):
            chosen = order[start : start + self._batch][self._rank :: self._ranks]
            yield self._drawer(inputs).draw(made, chosen.tolist())

    def validation(self, inputs: MatrixInput) -> DrawnMatrices:
        """Draw samples that are never trained on."""
        draws = self._parameters(inputs, self._valid, VALIDATION)
        drawer = self._drawer(inputs)
        return DrawnMatrices(drawer.draw_all(drawer.prepare(draws, self._seed, VALIDATION, NOISE)), draws)

    def _parameters(self, inputs: MatrixInput, n: int, *key: int) -> Draws:
        draws = draw(self._prior, n, rng=seeded(self._seed, *key))
        return fitting_draws(draws, inputs, len(self._prior.spheres), self.name)

    def _prepared(self, inputs: MatrixInput, number: int) -> MatrixSet:
        draws = self._parameters(inputs, self._settings.epoch_samples, TRAINING_SET, number)
        return self._drawer(inputs).prepare(draws, self._seed, TRAINING_SET, number, NOISE)
