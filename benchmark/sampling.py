"""How fast samples are drawn: each electron by inversion, and whole maps by a Poisson draw.

usage: .venv/bin/python -m benchmark.sampling [--electrons 4300000] [--repeats 7]
           [--json data/benchmark/sampling.json]

Processor time of one core, the median over the repeats after one that is not counted; the peer runs in between. Reads
param/experiment.toml (spheres), param/network_input.toml (bins) and param/pretraining.toml (prior). The rows:

electrons       speeds, directions and positions (x, z) of all electrons of both spheres, the inverse tables included
plain NumPy     the same by whole-array NumPy: `rng.normal`, `np.interp` in a table of the distribution function,
                `rng.random`
electrons, map  `electrons`, a flux weight for each, and their folding into the network's map
Poisson, map    the same map drawn from what is expected in each bin, for given parameters; one of a batch of 64
Poisson, all    with the draw of the parameters from the prior; what a training pays
Poisson, once   tabulating the shells that expected maps are made of, once per process
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.shared.results import machine, write_json
from src.network.dataset import fresh_samples
from src.network.sample_files import sample_electrons
from util.physics import pad
from util.physics.polar_map import fold
from util.physics.shell_maps import expected_maps, observe, shell_table
from util.physics.sphere import Experiment
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.training.map_inversion import InputSettings
from util.training.priors import Prior, draw

ROOT = Path(__file__).resolve().parents[1]
BATCH = 64
_PEER_TABLE = 4096


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    electrons: int
    repeats: int
    json: Path


def plain_numpy(
    beta: NDArray[np.float64],
    R: NDArray[np.float64],
    sigma_R: NDArray[np.float64],
    electrons: NDArray[np.float64],
    *,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw positions x, z as `src.network.sample_files.sample_electrons` does, the way NumPy's manual suggests."""
    parts = []
    grid = np.linspace(-1, 1, _PEER_TABLE)
    for b, radius, width, n in zip(beta, R, sigma_R, rng.poisson(electrons), strict=True):
        r = rng.normal(radius, width, n)
        costheta = np.interp(rng.random(n), pad.cumulative(b, grid), grid)
        parts.append((r * np.sqrt(1 - costheta**2) * np.cos(2 * np.pi * rng.random(n)), r * costheta))
    x, z = (np.concatenate(values) for values in zip(*parts, strict=True))
    return x, z


def seconds(run: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def measure(electrons: int, repeats: int) -> dict[str, float]:
    """Measure every row, in seconds per sample."""
    inputs = load(InputSettings, ROOT / "param" / "network_input.toml")
    prior = load(Prior, ROOT / "param" / "pretraining.toml")
    spheres = load(Experiment, ROOT / "param" / "experiment.toml").spheres
    share = np.array([s.electrons_per_frame for s in spheres], dtype=float)
    given = (
        np.array([s.beta for s in spheres]),
        np.array([s.R for s in spheres]),
        np.array([s.sigma_R for s in spheres]),
        electrons * share / share.sum(),
    )
    rng = np.random.default_rng(0)
    draws = draw(prior, BATCH, rng=rng)

    def electrons_map() -> NDArray[np.float64]:
        x, z = sample_electrons(*given, rng=rng)
        weight = 1 + inputs.weight_spread * rng.standard_normal(x.size, np.float32)
        return fold(x, z, weight, (0.0, 0.0), inputs.bins).weight

    once = seconds(lambda: shell_table(inputs.bins, 2 * prior.betas))
    rows: dict[str, tuple[Callable[[], object], int]] = {
        "electrons": (lambda: sample_electrons(*given, rng=rng), 1),
        "plain NumPy": (lambda: plain_numpy(*given, rng=rng), 1),
        "electrons, map": (electrons_map, 1),
        "Poisson, map": (lambda: observe(expected_maps(inputs.bins, *draws), inputs.weight_spread, rng=rng), BATCH),
        "Poisson, all": (lambda: fresh_samples(prior, inputs, BATCH, rng=rng), BATCH),
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    for repeat in range(repeats + 1):  # the first compiles
        for name, (run, samples) in rows.items():
            found = seconds(run) / samples
            if repeat:
                times[name].append(found)
    return {**{name: float(np.median(values)) for name, values in times.items()}, "Poisson, once": once}


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.sampling", __doc__)
    parser.add_argument("--electrons", type=number(int, 1000), default=4_300_000, metavar="N", help="of both spheres")
    parser.add_argument("--repeats", type=number(int, 1), default=7, metavar="N", help="(default %(default)s)")
    parser.add_argument("--json", type=Path, default=ROOT / "data" / "benchmark" / "sampling.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse_args(argv)
    processor = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}"
    found = measure(options.electrons, options.repeats)
    print(f"{processor}; {options.electrons} electrons")
    for name, value in found.items():
        print(f"{name:<16}{1e3 * value:10.2f} ms")
    print(f"plain NumPy / electrons: {found['plain NumPy'] / found['electrons']:.1f}")
    write_json(options.json, {"machine": machine(), "electrons": options.electrons, "seconds": found})


if __name__ == "__main__":
    run_program(main)
