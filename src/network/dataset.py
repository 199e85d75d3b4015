"""Samples for the network: drawn afresh, or kept in files, in the bins of param/network_input.toml."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from util.physics.shell_maps import expected_maps, observe
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.runtime.facts import from_json, to_json
from util.runtime.hdf5 import reading_hdf5
from util.runtime.hdf5_stored import content_of
from util.training.map_inversion import InputSettings
from util.training.priors import Draws, Prior, draw

if TYPE_CHECKING:
    from torch import Tensor

Sampling = Literal["poisson", "electrons"]
# First spawn keys of `seeded`, one per purpose: what is validated on is never trained on.
TRAINING, VALIDATION, FIRST, NOISE, REFERENCE = 0, 1, 2, 3, 4
TRAINING_SET, VALIDATION_SET = 10, 11
_CHUNK = 64
_REMEDY = "make it with script/gen_traindata_pretraining.sh or script/gen_traindata_fine_tuning.sh"


class Samples(NamedTuple):
    """Maps (n, n_rho, n_angle) float32 of electrons, and the parameters of their spheres."""

    inputs: NDArray[np.float32]
    draws: Draws


class DrawnMatrices(NamedTuple):
    """Matrices (n, pixels, pixels) float32 of electrons on the device that drew them, and the parameters."""

    inputs: "Tensor"
    draws: Draws


@dataclass(frozen=True)
class SamplesMadeBy:
    """How a file of samples was made; stored in it."""

    prior: Prior
    input: InputSettings
    sampling: Sampling
    seed: int
    samples: int


def fresh_samples(prior: Prior, settings: InputSettings, n: int, *, rng: np.random.Generator) -> Samples:
    """Draw parameters, and maps by a Poisson draw about the expected ones: about 0.4 ms per sample."""
    draws = draw(prior, n, rng=rng)
    maps = np.empty((n, settings.n_rho, settings.n_angle), np.float32)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        maps[part] = observe(
            expected_maps(settings.bins, *(values[part] for values in draws)), settings.weight_spread, rng=rng
        )
    return Samples(maps, draws)


def joined(draws: list[Draws]) -> Draws:
    """Join the parameters of several sets of samples."""
    return Draws(*(np.concatenate(values) for values in zip(*draws, strict=True)))


def seeded(seed: int, *key: int) -> np.random.Generator:
    """Return a separate generator for each purpose, epoch, step and process."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def tensors(samples: Samples | DrawnMatrices) -> tuple["Tensor", "Tensor"]:
    """Return inputs and betas as float32 tensors."""
    import torch  # takes seconds, which making files of samples does not need, in this process nor in its workers

    return torch.as_tensor(samples.inputs), torch.from_numpy(samples.draws.beta).float()


def write_samples(path: Path, samples: Samples, made_by: SamplesMadeBy) -> None:
    """Write a set of samples: `inputs`, `labels` (n, S, m), `Rs`, `sigma_Rs`, `electrons`, and `MadeBy` as JSON."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_dataset("inputs", data=samples.inputs, chunks=(1, *samples.inputs.shape[1:]))
        file.create_dataset("labels", data=samples.draws.beta)
        file.create_dataset("Rs", data=samples.draws.R)
        file.create_dataset("sigma_Rs", data=samples.draws.sigma_R)
        file.create_dataset("electrons", data=samples.draws.electrons)
        file.create_dataset("MadeBy", data=to_json(made_by, sort_keys=True), dtype=h5py.string_dtype())
    with replacing(path) as temporary:
        temporary.write_bytes(image.getbuffer())


def read_made_by(path: Path) -> SamplesMadeBy:
    """Read how a set of samples was made.

    Raises
    ------
    InputError
        Missing, not HDF5, no set of samples, or one of another version of this program.
    """
    with reading_hdf5(path, f"no such file; {_REMEDY}", _REMEDY) as file:
        if not isinstance(file.get("MadeBy"), h5py.Dataset):
            raise InputError(f"{path}: expected a dataset MadeBy, found {', '.join(file) or 'nothing'}; make it anew")
        text = content_of(file["MadeBy"])
    return from_json(SamplesMadeBy, text, f"{path}: MadeBy", remedy="add --overwrite to make it anew")


def read_samples(path: Path) -> Samples:
    """Read a set of samples.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, or datasets that do not fit together.
    """
    names = ("inputs", "labels", "Rs", "sigma_Rs", "electrons")
    with reading_hdf5(path, f"no such file; {_REMEDY}", _REMEDY) as file:
        missing = [name for name in names if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            found = ", ".join(file) or "nothing"
            raise InputError(f"{path}: expected a dataset {missing[0]}, found {found}; {_REMEDY}")
        inputs, labels, R, sigma_R, electrons = (content_of(file[name]) for name in names)
    n, spheres = labels.shape[:2] if labels.ndim == 3 else (0, 0)
    if not n or inputs.ndim != 3 or len(inputs) != n or any(v.shape != (n, spheres) for v in (R, sigma_R, electrons)):
        raise InputError(
            f"{path}: expected inputs (n, n_rho, n_angle), labels (n, S, m) and Rs, sigma_Rs, electrons (n, S), found "
            f"{inputs.shape}, {labels.shape}, {R.shape}, {sigma_R.shape}, {electrons.shape}; {_REMEDY}"
        )
    return Samples(np.asarray(inputs, np.float32), Draws(labels, R, sigma_R, electrons))
