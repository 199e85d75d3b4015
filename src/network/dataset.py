"""Samples for the network: fresh ones, drawn as they are needed, or those of a file. Written once, read by both."""

import functools
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from util.physics.shell_maps import expected_maps, observe
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.runtime.executor import map_in_order
from util.runtime.hdf5 import open_hdf5
from util.training.map_inversion import InputSettings
from util.training.priors import Draws, Prior, draw

VALIDATION = 1  # spawn keys of samples: what is validated on is never trained on
TRAINING = 0
_CHUNK = 64


class Samples(NamedTuple):
    """Maps (n, n_rho, n_angle) float32 of electrons, and the parameters of their spheres."""

    inputs: NDArray[np.float32]
    draws: Draws


def fresh_samples(prior: Prior, settings: InputSettings, n: int, *, rng: np.random.Generator) -> Samples:
    """Draw parameters, and maps by a Poisson draw from what they lead to be expected: about 0.4 ms a sample."""
    draws = draw(prior, n, rng=rng)
    maps = np.empty((n, settings.n_rho, settings.n_angle), np.float32)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        maps[part] = observe(
            expected_maps(settings.bins, *(values[part] for values in draws)), settings.weight_spread, rng=rng
        )
    return Samples(maps, draws)


def seeded(seed: int, *key: int) -> np.random.Generator:
    """Give a generator of its own to each purpose, epoch, step and process."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def tensors(samples: Samples) -> tuple[Tensor, Tensor]:
    """Give inputs and betas as float32 tensors."""
    return torch.from_numpy(samples.inputs), torch.from_numpy(samples.draws.beta).float()


class FreshBatches:
    """Batches that no epoch and no process sees twice.

    The samples of step `i` of epoch `e` depend on (seed, e, i, rank) alone, so a resumed run goes on
    with the same ones.
    """

    def __init__(
        self,
        prior: Prior,
        settings: InputSettings,
        batch: int,
        steps: int,
        *,
        seed: int,
        rank: int = 0,
        threads: int = 0,
    ):
        self.prior, self.settings, self.batch, self.steps = prior, settings, batch, steps
        self.seed, self.rank, self.threads = seed, rank, threads

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch."""
        make = functools.partial(self._batch, epoch)
        if self.threads == 0:
            yield from map(make, range(self.steps))
            return
        # A GPU would wait for one core's samples; NumPy draws and multiplies outside Python's lock.
        with ThreadPoolExecutor(self.threads) as executor:
            yield from map_in_order(executor, make, range(self.steps), in_flight=2 * self.threads)

    def _batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        rng = seeded(self.seed, TRAINING, epoch, step, self.rank)
        return tensors(fresh_samples(self.prior, self.settings, self.batch, rng=rng))


class FileBatches:
    """Batches of files, shuffled anew each epoch; the files exchanged every `exchange` epochs, one in use at a time.

    Every process takes its own share of each epoch's order.
    """

    def __init__(self, paths: list[Path], batch: int, exchange: int, *, seed: int, rank: int = 0, ranks: int = 1):
        if not paths:
            raise InputError("no training files; make some with script/gen_traindata_pretraining.sh")
        self.paths, self.batch, self.exchange = paths, batch, exchange
        self.seed, self.rank, self.ranks = seed, rank, ranks
        first = read_samples(paths[0])
        self._open: tuple[Path, Samples] = (paths[0], first)
        self.betas_shape = first.draws.beta.shape[1:]
        self.steps = max(len(first.inputs) // ranks // batch, 1)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch; a last one that is not full is left out, unless it is the only one."""
        path = self.paths[epoch // self.exchange % len(self.paths)]
        if self._open[0] != path:
            self._open = (path, read_samples(path))
        inputs, betas = tensors(self._open[1])
        order = seeded(self.seed, TRAINING, epoch).permutation(len(inputs))[self.rank :: self.ranks]
        usable = len(inputs) // self.ranks
        batch = min(self.batch, usable)
        for start in range(0, usable - batch + 1, batch):
            chosen = torch.from_numpy(order[start : start + batch])
            yield inputs[chosen], betas[chosen]


def write_samples(path: Path, samples: Samples, facts: dict[str, object]) -> None:
    """Write a set of samples: `inputs`, `labels` (n, S, m), `Rs`, `sigma_Rs`, `electrons`; `facts` as JSON."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_dataset("inputs", data=samples.inputs, chunks=(1, *samples.inputs.shape[1:]))
        file.create_dataset("labels", data=samples.draws.beta)
        file.create_dataset("Rs", data=samples.draws.R)
        file.create_dataset("sigma_Rs", data=samples.draws.sigma_R)
        file.create_dataset("electrons", data=samples.draws.electrons)
        file.create_dataset("MadeBy", data=json.dumps(facts, sort_keys=True), dtype=h5py.string_dtype())
    with replacing(path) as temporary:
        temporary.write_bytes(image.getbuffer())


def read_facts(path: Path) -> dict:
    """Say how a set was made.

    Raises
    ------
    InputError
        Missing, not HDF5, or no set of samples.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; make it with script/gen_traindata_pretraining.sh or _fine_tuning.sh")
    with open_hdf5(path) as file:
        if "MadeBy" not in file:
            raise InputError(f"{path}: expected a dataset MadeBy, found {', '.join(file) or 'nothing'}; make it anew")
        return json.loads(file["MadeBy"][()])


def read_samples(path: Path) -> Samples:
    """Read a set of samples.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, or datasets that do not fit together.
    """
    remedy = "make it with script/gen_traindata_pretraining.sh or script/gen_traindata_fine_tuning.sh"
    if not path.exists():
        raise InputError(f"{path}: no such file; {remedy}")
    names = ("inputs", "labels", "Rs", "sigma_Rs", "electrons")
    with open_hdf5(path) as file:
        missing = [name for name in names if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            found = ", ".join(file) or "nothing"
            raise InputError(f"{path}: expected a dataset {missing[0]}, found {found}; {remedy}")
        try:
            inputs, labels, R, sigma_R, electrons = (file[name][()] for name in names)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path}: damaged ({str(error).splitlines()[0]}); {remedy}") from None
    n, spheres = labels.shape[:2] if labels.ndim == 3 else (0, 0)
    if not n or inputs.ndim != 3 or len(inputs) != n or any(v.shape != (n, spheres) for v in (R, sigma_R, electrons)):
        raise InputError(
            f"{path}: expected inputs (n, n_rho, n_angle), labels (n, S, m) and Rs, sigma_Rs, electrons (n, S), found "
            f"{inputs.shape}, {labels.shape}, {R.shape}, {sigma_R.shape}, {electrons.shape}; {remedy}"
        )
    return Samples(np.asarray(inputs, np.float32), Draws(labels, R, sigma_R, electrons))
