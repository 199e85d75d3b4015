"""How close a cold-start fit of perfect hits comes to the statistical floor.

usage: .venv/bin/python -m benchmark.fit_accuracy [--seeds 20] [--electrons 4300000]
           [--json data/benchmark/fit_accuracy.json]

Reads param/experiment.toml for the spheres; prints a line per seed and the averages; writes the JSON file.
Set OPENBLAS_NUM_THREADS=1 for the time on one core.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.shared.results import machine, write_json
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.physics.pad import distance
from util.physics.sampling import project, sample_sphere
from util.physics.sphere import Experiment, Sphere
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    seeds: int
    electrons: int
    json: Path


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.fit_accuracy", __doc__)
    add = parser.add_argument
    add("--seeds", type=number(int, 1), default=20, metavar="N", help="experiments to simulate (default %(default)s)")
    each = "of each experiment (default %(default)s)"
    add("--electrons", type=number(int, 10_000), default=4_300_000, metavar="N", help=each)
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "fit_accuracy.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def measure(spheres: tuple[Sphere, ...], electrons: int, *, rng: np.random.Generator) -> dict[str, float]:
    """Simulate and fit one experiment; return the seconds of the fit, the distance and its floor."""
    share = np.array([sphere.electrons_per_frame for sphere in spheres], dtype=float)
    numbers = np.round(electrons * share / share.sum()).astype(int)
    hits = [
        project(*sample_sphere(s.beta, s.R, s.sigma_R, n, rng=rng), rng=rng)
        for s, n in zip(spheres, numbers, strict=True)
    ]
    x, z = np.concatenate(hits, axis=1)
    begin = time.perf_counter()
    found = fit(x, z, spheres=len(spheres))
    seconds = time.perf_counter() - begin
    score = float(distance(found.beta, [sphere.beta for sphere in spheres]))
    floor = floor_distance(found.beta_covariance(floor=True), 2000, rng, spheres=len(spheres))
    return {
        "seconds": seconds,
        "distance": score,
        "floor": floor,
        "ratio": score / floor,
        "deviance_over_dof": found.deviance / found.dof,
        "iterations": found.iterations,
        "converged": found.converged,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    spheres = load(Experiment, ROOT / "param" / "experiment.toml").spheres
    # Compiles, or loads what is compiled, which is no part of a fit's time.
    measure(spheres, 20_000, rng=np.random.default_rng(0))
    rows = []
    for seed in range(options.seeds):
        row = measure(spheres, options.electrons, rng=np.random.default_rng(seed))
        rows.append({"seed": seed, **row})
        print(f"seed {seed:3d}: {row['seconds']:5.2f} s  distance {row['distance']:.4f} = {row['ratio']:.2f} floors")
    mean = {key: float(np.mean([row[key] for row in rows])) for key in ("seconds", "distance", "floor", "ratio")}
    mean["median_seconds"] = float(np.median([row["seconds"] for row in rows]))
    print(
        f"mean of {options.seeds}: {mean['seconds']:.2f} s  distance {mean['distance']:.4f}, "
        f"floor {mean['floor']:.4f}, {mean['ratio']:.2f} floors"
    )
    write_json(options.json, {"electrons": options.electrons, "machine": machine(), "mean": mean, "rows": rows})


if __name__ == "__main__":
    run_program(main)
