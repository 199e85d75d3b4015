"""Make a training and a validation set from a prior; what both gen_traindata_* stages share.

A sample is the folded map of one measurement: a Poisson number of electrons per sphere, each weighted by a flux that
spreads by `weight_spread`. `poisson` draws the map itself from what is expected in each bin; `electrons` draws
and folds every electron. Both give the same distribution.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from src.network.dataset import (
    TRAINING_SET,
    VALIDATION_SET,
    Samples,
    SamplesMadeBy,
    Sampling,
    fresh_samples,
    joined,
    read_made_by,
    seeded,
    write_samples,
)
from util.physics.polar_map import fold
from util.physics.sampling import project, sample_sphere
from util.runtime import console
from util.runtime.errors import InputError
from util.runtime.executor import available_cores, map_in_order, open_executor
from util.runtime.options import add_workers, number
from util.runtime.output_names import folder_name
from util.runtime.progress import Progress
from util.runtime.settings import load
from util.training.map_inversion import InputSettings
from util.training.priors import Prior, draw
from util.training.recipe import file_stem

_BLOCK = 20


@dataclass(frozen=True)
class SetOptions:
    """Options of both stages; see `add_options`."""

    data: Path
    input: Path
    training: int | None
    validation: int | None
    spheres: int | None
    sampling: Sampling
    seed: int
    workers: int
    overwrite: bool


class Block(NamedTuple):
    """Samples to draw with one random generator; travels to the workers."""

    prior: Prior
    settings: InputSettings
    sampling: Sampling
    seed: int
    key: int
    number: int
    size: int


def sample_electrons(
    beta: NDArray[np.float64],
    R: NDArray[np.float64],
    sigma_R: NDArray[np.float64],
    electrons: NDArray[np.float64],
    *,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw positions x, z of a Poisson number of electrons of each sphere, by inversion (Devroye 1986, chapter II.2).

    Parameters
    ----------
    beta : array (S, m)
    R, sigma_R, electrons : arrays (S,)
    """
    parts = [
        project(*sample_sphere(b, r, s, rng.poisson(n), rng=rng), rng=rng)
        for b, r, s, n in zip(beta, R, sigma_R, electrons, strict=True)
    ]
    x, z = (np.concatenate(values) for values in zip(*parts, strict=True))
    return x, z


def electron_samples(prior: Prior, settings: InputSettings, n: int, *, rng: np.random.Generator) -> Samples:
    """Draw samples electron by electron: about 0.4 s each for 4.3 million electrons."""
    draws = draw(prior, n, rng=rng)
    maps = np.empty((n, settings.n_rho, settings.n_angle), np.float32)
    for i in range(n):
        x, z = sample_electrons(*(values[i] for values in draws), rng=rng)
        weight = 1 + settings.weight_spread * rng.standard_normal(x.size, np.float32)
        maps[i] = fold(x, z, weight, (0.0, 0.0), settings.bins).weight
    return Samples(maps, draws)


def draw_block(block: Block) -> Samples:
    """Draw the samples of a block."""
    rng = seeded(block.seed, block.key, block.number)
    make = fresh_samples if block.sampling == "poisson" else electron_samples
    return make(block.prior, block.settings, block.size, rng=rng)


def draw_set(made_by: SamplesMadeBy, *, key: int, workers: int) -> Samples:
    """Draw a whole set; the same for any number of workers.

    Parameters
    ----------
    made_by : SamplesMadeBy
    key : {TRAINING_SET, VALIDATION_SET}
    workers : int
    """
    n = made_by.samples
    blocks = [
        Block(
            made_by.prior, made_by.input, made_by.sampling, made_by.seed, key, start // _BLOCK, min(_BLOCK, n - start)
        )
        for start in range(0, n, _BLOCK)
    ]
    parts = []
    name = "training" if key == TRAINING_SET else "validation"
    with open_executor(min(workers, len(blocks))) as executor, Progress(f"drawing {name}", n, "sample") as bar:
        for part in map_in_order(executor, draw_block, blocks, in_flight=2 * workers):
            parts.append(part)
            bar.update(len(part.inputs))
    return Samples(np.concatenate([part.inputs for part in parts]), joined([part.draws for part in parts]))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of both stages."""
    parser.add_argument(
        "--data", type=folder_name, required=True, metavar="DIR", help="traindata/ and validdata/ go there"
    )
    parser.add_argument("--input", type=Path, default=Path("param/network_input.toml"), metavar="FILE")
    parser.add_argument("--training", type=number(int, 1), metavar="N", help="samples (default: of the prior)")
    parser.add_argument("--validation", type=number(int, 1), metavar="N", help="samples (default: of the prior)")
    parser.add_argument(
        "--spheres", type=number(int, 1, 3), metavar="S", help="take the prior's first S (default: all)"
    )
    parser.add_argument("--sampling", choices=get_args(Sampling), default="poisson", help="(default %(default)s)")
    parser.add_argument("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add_workers(parser, available_cores())
    parser.add_argument("--overwrite", action="store_true", help="replace sets that were made otherwise")


def make_sets(stage: str, prior: Prior, options: SetOptions) -> None:
    """Write DATA/traindata/STAGE_SEED.h5 and DATA/validdata/STAGE_SEED.h5, unless they exist.

    Sets of one sphere are named STAGE_single_SEED.h5.

    Raises
    ------
    InputError
        A set exists that was made otherwise, or the prior has fewer spheres than asked for.
    """
    try:
        prior = prior.first(options.spheres or len(prior.spheres))
    except ValueError as error:
        raise InputError(f"{stage}: prior: {error}") from None
    name = f"{file_stem(stage, len(prior.spheres))}_{options.seed}.h5"
    inputs = load(InputSettings, options.input)
    for folder, key, samples in (
        ("traindata", TRAINING_SET, options.training or prior.training),
        ("validdata", VALIDATION_SET, options.validation or prior.validation),
    ):
        made_by = SamplesMadeBy(prior, inputs, options.sampling, options.seed, samples)
        make_set(options.data / folder / name, made_by, key=key, workers=options.workers, overwrite=options.overwrite)


def make_set(path: Path, made_by: SamplesMadeBy, *, key: int, workers: int, overwrite: bool) -> None:
    """Draw and write a set, unless it exists.

    Raises
    ------
    InputError
        It exists, made otherwise.
    """
    if path.exists() and not overwrite:
        if read_made_by(path) != made_by:
            raise InputError(
                f"{path}: exists, made with other settings; add --overwrite to replace it or choose another SEED"
            )
        console.conclude(f"{path}: already there, made with the same settings")
        return
    write_samples(path, draw_set(made_by, key=key, workers=workers), made_by)
    console.conclude(f"{path}: {made_by.samples} samples, {path.stat().st_size / 1e6:.0f} MB")
