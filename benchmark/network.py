"""How well a network reads the betas: on samples never trained on, against the floor; and on frames.

usage: .venv/bin/python -m benchmark.network --weights param/pretraining.weights.pt [--samples 2000] [--prior FILE]
           [--electrons N] [--closest 0.05] [--device cpu] [--json FILE]

Draws samples of the prior that the weights were trained for (or of --prior), with a seed of its own: folded maps, or
matrices for the published network. Prints the mean distance of the network, of its linear shortcut alone if it has one,
and of the mean of the prior; the statistical floor of the maximum likelihood fit is the mean over some samples of their
Cramér-Rao bound. --closest 0.05 leaves out radii that are closer. --electrons takes that many per sphere instead of the
prior's.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from benchmark.shared.results import write_json
from src.network.dataset import NOISE, DrawnMatrices, Samples, fresh_samples, seeded, tensors
from src.network.device import DeviceChoice, choose_device
from src.network.matrix_samples import MatrixDrawer
from src.network.model import SphereNet, distance
from src.network.weights import Network, read_weights
from util.fit.floor import floor_at
from util.fit.parameters import Layout
from util.physics.polar_map import PolarBins
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.runtime.value_with_error import shorthand
from util.training.course import TrainingFacts
from util.training.map_inversion import InputSettings
from util.training.priors import Draws, Prior, draw

SEED = 20_000  # far from any used to train or validate
FLOOR_BINS = PolarBins(500, 96)
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    weights: tuple[Path, ...]
    prior: Path | None
    samples: int
    electrons: float | None
    closest: float
    device: DeviceChoice
    json: Path


def prior_of(weights: Path, facts: TrainingFacts) -> Prior:
    """Return the prior that weights were trained on.

    Raises
    ------
    InputError
        They were trained on files.
    """
    if facts.prior is None:
        raise InputError(f"{weights}: expected weights trained on a prior, found {', '.join(facts.files)}; use others")
    return facts.prior


def narrowed(prior: Prior, electrons: float | None, closest: float) -> Prior:
    """Return a prior of so many electrons of each sphere, None: of as many as before, and of radii so far apart."""
    spheres = prior.spheres
    if electrons is not None:
        spheres = tuple(dataclasses.replace(sphere, electrons=(electrons, electrons)) for sphere in spheres)
    return dataclasses.replace(prior, closest=closest, spheres=spheres)


def floor_of(draws: Draws, i: int, rng: np.random.Generator, spread: float) -> float:
    """Return the mean distance that the Cramér-Rao bound of sample `i` allows, the spread of the weights included."""
    spheres, betas = draws.beta.shape[1:]
    layout = Layout(spheres, 2 * betas)
    values = np.zeros(layout.size)
    for index, drawn in (
        (layout.N, draws.electrons),
        (layout.R, draws.R),
        (layout.sigma_R, draws.sigma_R),
        (layout.beta, draws.beta),
    ):
        values[index] = drawn[i]
    return floor_at(layout, values, rng=rng, bins=FLOOR_BINS, variance_per_electron=1 + spread**2)


def drawn_for(net: Network, prior: Prior, samples: int, device: torch.device) -> tuple[Samples | DrawnMatrices, float]:
    """Draw samples as a network sees them, and say how far the weight of one electron in them spreads."""
    rng, settings = seeded(SEED, 0), net.input_settings
    if isinstance(settings, InputSettings):
        return fresh_samples(prior, settings, samples, rng=rng), settings.weight_spread
    draws = draw(prior, samples, rng=rng)
    drawer = MatrixDrawer(settings, device)
    return DrawnMatrices(drawer.draw_all(drawer.prepare(draws, SEED, 0, NOISE)), draws), 0.0


@torch.no_grad()
def shortcut_alone(net: Network, inputs: torch.Tensor) -> torch.Tensor | None:
    """Return the betas that the linear shortcut gives by itself; None where there is none."""
    if not isinstance(net, SphereNet) or net.shortcut is None:
        return None
    out = torch.cat([net.shortcut(net.image(some).flatten(1)) for some in inputs.split(256)])
    return out.view(-1, *net.label_mean.shape) * net.label_std + net.label_mean


def measure(
    weights: Path,
    prior: Prior | None,
    samples: int,
    electrons: float | None,
    closest: float,
    device: torch.device,
) -> dict[str, Any]:
    """Evaluate one file of weights."""
    net, facts = read_weights(weights)
    net.eval().to(device)
    prior = prior or prior_of(weights, facts)
    prior = narrowed(prior, electrons, closest)
    drawn, spread = drawn_for(net, prior, samples, device)
    inputs, betas = (values.to(device) for values in tensors(drawn))
    begin = time.perf_counter()
    with torch.no_grad():
        found = torch.cat([net(some) for some in inputs.split(128)])
        errors = distance(found, betas).cpu()
    seconds = time.perf_counter() - begin
    alone = shortcut_alone(net, inputs)
    rng = np.random.default_rng(0)
    floors = [floor_of(drawn.draws, i, rng, spread) for i in range(min(samples, 40))]
    return {
        "weights": weights.name,
        "samples": samples,
        "closest": closest,
        "electrons": electrons,
        "network": errors.mean().item(),
        "error_of_the_mean": errors.std().item() / samples**0.5,
        "median": errors.median().item(),
        "shortcut_alone": None if alone is None else distance(alone, betas).mean().item(),
        "predicting_the_mean": distance(betas.mean(0).expand_as(betas), betas).mean().item(),
        "floor": float(np.mean(floors)),
        "ms_per_sample": 1e3 * seconds / samples,
        "trained_on_samples": facts.samples,
    }


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.network", __doc__)
    add = parser.add_argument
    add("--weights", type=Path, nargs="+", required=True, metavar="FILE")
    add("--prior", type=Path, metavar="FILE", help="(default: that of the weights)")
    add("--samples", type=number(int, 2), default=2000, metavar="N", help="(default %(default)s)")
    add("--electrons", type=number(float, 1e4), metavar="N", help="of each sphere (default: of the prior)")
    add("--closest", type=number(float, 0, 0.5), default=0.0, metavar="D", help="least distance of two radii")
    add("--device", choices=get_args(DeviceChoice), default="cpu", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "network.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse_args(argv)
    prior = load(Prior, options.prior) if options.prior else None
    device = choose_device(options.device)
    results = [
        measure(path, prior, options.samples, options.electrons, options.closest, device) for path in options.weights
    ]
    for result in results:
        alone = "none" if result["shortcut_alone"] is None else f"{result['shortcut_alone']:.4f}"
        print(
            f"{result['weights']}: distance {shorthand(result['network'], result['error_of_the_mean'])} "
            f"(median {result['median']:.4f}; shortcut alone {alone}; predicting the mean "
            f"{result['predicting_the_mean']:.3f}; floor {result['floor']:.4f}); {result['ms_per_sample']:.1f} ms each"
        )
    write_json(options.json, results)


if __name__ == "__main__":
    run_program(main)
