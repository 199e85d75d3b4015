"""Make a training and a validation set from a prior; what both gen_traindata_* stages share.

A sample is the folded map of one measurement: a Poisson number of electrons a sphere, each weighted by a flux that
spreads by `weight_spread`. `poisson` draws the map itself from what is expected in each bin; `electrons` draws
and folds every electron. Both give the same distribution.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from src.network.dataset import Samples, fresh_samples, read_facts, seeded, write_samples
from util.physics.polar_map import fold
from util.physics.sampling import project, sample_sphere
from util.runtime.errors import InputError
from util.runtime.executor import available_cores, map_in_order, open_executor
from util.runtime.options import number
from util.training.map_inversion import InputSettings
from util.training.priors import Draws, Prior, draw

METHODS = ("poisson", "electrons")
# Apart from those of fresh samples (`src.network.dataset.TRAINING`, `VALIDATION`).
_KEYS = {"train": 10, "valid": 11}
_BLOCK = 20


class Block(NamedTuple):
    """Samples to draw with one random generator; travels to the workers."""

    prior: Prior
    settings: InputSettings
    method: str
    seed: int
    key: int
    index: int
    size: int


def sample_electrons(
    beta: np.ndarray, R: np.ndarray, sigma_R: np.ndarray, electrons: np.ndarray, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions x, z of a Poisson number of electrons of each sphere, by the inverse transform method.

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
    rng = seeded(block.seed, block.key, block.index)
    make = fresh_samples if block.method == "poisson" else electron_samples
    return make(block.prior, block.settings, block.size, rng=rng)


def draw_set(
    prior: Prior, settings: InputSettings, n: int, *, kind: str, method: str, seed: int, workers: int
) -> Samples:
    """Draw a whole set; the same for any number of workers.

    Parameters
    ----------
    kind : {"train", "valid"}
    """
    blocks = [
        Block(prior, settings, method, seed, _KEYS[kind], start // _BLOCK, min(_BLOCK, n - start))
        for start in range(0, n, _BLOCK)
    ]
    parts = []
    with open_executor(min(workers, len(blocks))) as executor, tqdm(total=n, unit="sample", desc=kind) as bar:
        for part in map_in_order(executor, draw_block, blocks, in_flight=2 * workers):
            parts.append(part)
            bar.update(len(part.inputs))
    draws = Draws(*(np.concatenate(values) for values in zip(*(part.draws for part in parts), strict=True)))
    return Samples(np.concatenate([part.inputs for part in parts]), draws)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that both stages have."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="traindata/ and validdata/ go there")
    parser.add_argument("--input", type=Path, default=Path("param/network_input.toml"), metavar="FILE")
    parser.add_argument("--training", type=number(int, 1), metavar="N", help="samples (default: of the prior)")
    parser.add_argument("--validation", type=number(int, 1), metavar="N", help="samples (default: of the prior)")
    parser.add_argument(
        "--spheres", type=number(int, 1, 3), metavar="S", help="take the prior's first S (default: all)"
    )
    parser.add_argument("--method", choices=METHODS, default="poisson", help="(default %(default)s)")
    parser.add_argument("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    parser.add_argument("--workers", type=number(int, 1, 1024), default=available_cores(), metavar="N")
    parser.add_argument("--overwrite", action="store_true", help="replace sets that were made otherwise")


def make_sets(name: str, prior: Prior, settings: InputSettings, args: argparse.Namespace) -> list[Path]:
    """Write DATA/traindata/NAME_SEED.h5 and DATA/validdata/NAME_SEED.h5, unless they are there.

    Sets of one sphere are named NAME_single_SEED.h5.

    Raises
    ------
    InputError
        A set is there that was made otherwise, or the prior has fewer spheres than asked for.
    """
    try:
        prior = prior.first(args.spheres or len(prior.spheres))
    except ValueError as error:
        raise InputError(f"{name}: prior: {error}") from None
    if len(prior.spheres) == 1:
        name += "_single"
    facts = {
        "prior": dataclasses.asdict(prior),
        "input": dataclasses.asdict(settings),
        "method": args.method,
        "seed": args.seed,
    }
    paths = []
    for kind, n in (("train", args.training or prior.training), ("valid", args.validation or prior.validation)):
        path = args.data / f"{kind}data" / f"{name}_{args.seed}.h5"
        paths.append(path)
        mine = json.loads(json.dumps({**facts, "samples": n}))
        if path.exists() and not args.overwrite:
            if read_facts(path) != mine:
                raise InputError(
                    f"{path}: exists, made with other settings; add --overwrite to replace it or choose another SEED"
                )
            print(f"{path}: already there, made with the same settings")
            continue
        samples = draw_set(prior, settings, n, kind=kind, method=args.method, seed=args.seed, workers=args.workers)
        write_samples(path, samples, mine)
        print(f"{path}: {n} samples, {path.stat().st_size / 1e6:.0f} MB")
    return paths
