"""How near METHOD=resnet comes to the best possible answer, and whether its errors are right: on samples of the prior.

usage: .venv/bin/python -m benchmark.posterior --weights param/fine_tuning.weights.pt [--samples 1000] [--closest 0.05]
           [--electrons N] [--workers 2] [--json FILE]

Draws samples of the prior that the weights were trained on, with a seed of its own. Prints the mean distance of what
the network reads, of the fit that starts there and weighs the prior's means and spreads, and of the posterior's mean,
which no other answer beats on average; the part of all R, sigma_R and betas within one and 1.96 errors of the truth;
and how many samples the tests would refuse. About 0.4 s of one core a sample.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.network import SEED, narrowed, prior_of
from benchmark.shared.results import write_json
from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import SphereNet
from src.network.weights import read_weights
from util.answer.posterior import contradiction, hits_alone, known_spheres, posterior
from util.fit.folded_map import fit_folded
from util.physics import pad
from util.runtime.errors import InputError, run_program
from util.runtime.executor import available_cores, map_in_order, open_executor
from util.runtime.options import Parser, as_options, number
from util.runtime.value_with_error import shorthand
from util.training.reference import APART

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = 10


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    weights: Path
    samples: int
    closest: float
    electrons: float | None
    workers: int
    json: Path


class Scored(NamedTuple):
    """Scores of a block's samples: distances (n, 3); pulls (n, P') of R, sigma_R, beta; least p of the tests (n,)."""

    distances: NDArray[np.float64]
    pulls: NDArray[np.float64]
    p: NDArray[np.float64]


def score(block: int, options: Options) -> Scored:
    """Draw and answer one block of samples."""
    torch.set_num_threads(1)
    net, facts = read_weights(options.weights)
    if not isinstance(net, SphereNet):
        raise InputError(f"{options.weights}: expected a network that reads windows, found another; use other weights")
    net.eval()
    prior = prior_of(options.weights, facts)
    inputs = net.input_settings
    samples = fresh_samples(
        narrowed(prior, options.electrons, options.closest), inputs, _BLOCK, rng=seeded(SEED, 1, block)
    )
    maps, _ = tensors(samples)
    with torch.no_grad():
        read = net(maps).double().numpy()
    rng = seeded(SEED, 2, block)
    distances, pulls, least = [], [], []
    for i, radii in enumerate(net.starting_radii(maps)):
        beta, R, sigma_R, _ = (values[i] for values in samples.draws)
        electrons = float(samples.inputs[i].sum(dtype=np.float64))
        known = known_spheres(prior, electrons)
        spread = 1 + inputs.weight_spread**2
        fitted = fit_folded(
            samples.inputs[i], inputs.bins, radii, order=2 * prior.betas, variance_per_electron=spread, known=known
        )
        found = posterior(fitted, prior, known, rng=rng, chains=20)
        layout = found.layout
        index = np.concatenate((layout.R, layout.sigma_R, layout.beta.ravel()))
        truth = np.concatenate((R, sigma_R, beta.ravel()))
        distances.append([float(pad.distance(guess, beta)) for guess in (read[i], fitted.beta, found.beta)])
        pulls.append((found.values[index] - truth) / found.errors[index])
        p = [contradiction(fitted, known).p]
        if facts.reference and np.diff(fitted.R).min(initial=1.0) >= APART:
            p.append(facts.reference.p(read[i], hits_alone(fitted).beta, electrons))
        least.append(min(p))
    return Scored(np.array(distances), np.array(pulls), np.array(least))


def measure(options: Options) -> dict[str, Any]:
    """Answer all samples."""
    blocks = range(-(-options.samples // _BLOCK))
    with open_executor(options.workers) as executor, tqdm(total=len(blocks) * _BLOCK, unit="sample") as bar:
        parts = []
        for part in map_in_order(
            executor, functools.partial(score, options=options), blocks, in_flight=2 * options.workers
        ):
            parts.append(part)
            bar.update(_BLOCK)
    distances, pulls, p = (np.concatenate(values) for values in zip(*parts, strict=True))
    mean, error = distances.mean(axis=0), distances.std(axis=0, ddof=1) / len(distances) ** 0.5
    return {
        "weights": options.weights.name,
        "samples": len(distances),
        "closest": options.closest,
        "electrons": options.electrons,
        **{
            name: (float(one), float(two))
            for name, one, two in zip(("network", "fit with prior", "posterior mean"), mean, error, strict=True)
        },
        "within one error": float((np.abs(pulls) < 1).mean()),
        "within 1.96 errors": float((np.abs(pulls) < 1.96).mean()),
        "worst parameters within one error": np.sort((np.abs(pulls) < 1).mean(axis=0))[[0, -1]].tolist(),
        "warned of (p < 1e-3)": float((p < 1e-3).mean()),
        "refused (p < 1e-6)": int((p < 1e-6).sum()),
    }


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.posterior", __doc__)
    add = parser.add_argument
    add("--weights", type=Path, required=True, metavar="FILE")
    add("--samples", type=number(int, 1), default=1000, metavar="N", help="(default %(default)s)")
    add("--closest", type=number(float, 0, 0.5), default=0.0, metavar="D", help="least distance of two radii")
    add("--electrons", type=number(float, 1e4), metavar="N", help="of each sphere (default: of the prior)")
    add("--workers", type=number(int, 1), default=available_cores(), metavar="N", help="(default: all cores)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "posterior.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse_args(argv)
    found = measure(options)
    print(f"{found['weights']}, {found['samples']} samples, radii at least {options.closest:g} apart")
    for name in ("network", "fit with prior", "posterior mean"):
        print(f"distance, {name}: {shorthand(*found[name])}")
    low, high = found["worst parameters within one error"]
    print(
        f"within one error {100 * found['within one error']:.1f} % (single parameters {100 * low:.0f} to "
        f"{100 * high:.0f} %), within 1.96 errors {100 * found['within 1.96 errors']:.1f} %"
    )
    print(f"warned of: {100 * found['warned of (p < 1e-3)']:.1f} %, refused: {found['refused (p < 1e-6)']}")
    write_json(options.json, found)


if __name__ == "__main__":
    run_program(main)
