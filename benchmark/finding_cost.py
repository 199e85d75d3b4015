"""What finding the electrons costs: from frames to the answer on spheres that nothing was developed on.

usage: .venv/bin/python -m benchmark.finding_cost [--frames 4000] [--cases 6] [--seed 1]
           [--json data/benchmark/finding_cost.json]

Each case draws two spheres at random: radii in 0.35 .. 0.88, at least 0.08 apart, widths 0.006 .. 0.012,
26 .. 60 electrons per frame each, PADs that mix an even background, cos^2 and a peak at the poles. Frames are
simulated, searched and fitted as in the stages; the same fit runs on the true positions too. `cost` is the distance
between the two answers, in statistical floors; `final` the same once the finder's bias, from a tenth as many simulated
frames, is subtracted where it is clear, as in the answer stage.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.polynomial import legendre

from benchmark.shared.electrons import true_electrons
from benchmark.shared.results import machine, write_json
from src.answer_steps.bias_and_bootstrap import without_bias
from src.answer_steps.options import Simulation
from src.answer_steps.truth import distance_to
from src.gen_finaltest_npy import main as find_main
from util.camera.phosphor import PhosphorRecipe
from util.electrons.hits import read_hits
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.physics import pad
from util.physics.sphere import Experiment, Sphere
from util.runtime.errors import run_program
from util.runtime.executor import available_cores, open_executor
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.simulation.frames_file import simulate

ROOT = Path(__file__).resolve().parents[1]
CLOSEST = 0.08


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: int
    cases: int
    seed: int
    json: Path


@dataclass(frozen=True)
class Row:
    """What one case gave: distances from the truth, and those between answers in statistical floors."""

    spheres: tuple[Sphere, ...]
    floor: float
    distance: float
    distance_of_true_positions: float
    cost: float
    final_cost: float
    cost_with_unit_weights: float
    total: float  # weights of all hits over the electrons, less 1


def random_beta(rng: np.random.Generator) -> tuple[float, ...]:
    """Draw the twelve betas of a PAD a + b c^2 + d c^2m, m in 2 .. 12, with random positive shares."""
    even, square, peak = rng.dirichlet([2, 1, 2])
    m = int(rng.integers(2, 13))
    series = np.zeros(25)  # of powers of c
    series[0] += even / 2
    series[2] += 1.5 * square
    series[2 * m] += (2 * m + 1) / 2 * peak
    return tuple(legendre.poly2leg(series)[2:26:2].tolist() + [0.0] * 12)[:12]


def random_experiment(frames: int, rng: np.random.Generator, *, close: bool) -> Experiment:
    """Draw two spheres; if `close`, only just far enough apart."""
    gap = CLOSEST if close else rng.uniform(CLOSEST, 0.4)
    first = rng.uniform(0.35, 0.88 - gap)
    spheres = [
        Sphere(R, rng.uniform(0.006, 0.012), int(rng.integers(26, 61)), random_beta(rng)) for R in (first, first + gap)
    ]
    return Experiment(frames, tuple(spheres))


def measure(experiment: Experiment, recipe: PhosphorRecipe, seed: int, folder: Path) -> Row:
    """Simulate, search and fit one case."""
    path, shards = folder / "finaltest.h5", folder / "shards"
    workers = available_cores()
    simulate(path, experiment, recipe, seed=seed, workers=workers)
    find_main(["--finaltest", str(path), "--output", str(shards), "--workers", str(workers)])
    hits = read_hits(shards, hit_weights="flux", partial=False)
    ours = fit(hits.x, hits.z, hits.weight, variance=hits.variance)
    unit = fit(hits.x, hits.z)
    with open_executor(workers) as executor:
        final = without_bias(ours, hits, Simulation(seed=seed), hit_weights="flux", executor=executor).answer
    electrons = true_electrons(path)
    best = fit(electrons["x"], electrons["z"])
    floor = floor_distance(best.beta_covariance(floor=True), 4000, np.random.default_rng(0))
    return Row(
        spheres=experiment.spheres,
        floor=floor,
        distance=distance_to(experiment.spheres, final.R, final.beta),
        distance_of_true_positions=distance_to(experiment.spheres, best.R, best.beta),
        cost=float(pad.distance(ours.beta, best.beta)) / floor,
        final_cost=float(pad.distance(final.beta, best.beta)) / floor,
        cost_with_unit_weights=float(pad.distance(unit.beta, best.beta)) / floor,
        total=float(hits.weight.sum()) / len(electrons) - 1,
    )


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.finding_cost", __doc__)
    add = parser.add_argument
    add("--frames", type=number(int, 10), default=4000, metavar="N", help="of each case (default %(default)s)")
    add("--cases", type=number(int, 1), default=6, metavar="N", help="every other one close (default %(default)s)")
    add("--seed", type=number(int, 0), default=1, metavar="S", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "finding_cost.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    recipe = load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    rows = []
    for case in range(options.cases):
        rng = np.random.default_rng([options.seed, case])
        experiment = random_experiment(options.frames, rng, close=case % 2 == 1)
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(experiment, recipe, 1000 * options.seed + case, Path(folder)))
    print(f"\n{options.frames} frames per case")
    print(
        f"{'radii':<16}{'electrons':<12}{'floor':>8}{'D':>8}{'D true':>8}{'unit':>8}{'cost':>8}{'final':>8}{'total':>9}"
    )
    for row in rows:
        radii = ", ".join(f"{sphere.R:.3f}" for sphere in row.spheres)
        electrons = " + ".join(str(sphere.electrons_per_frame) for sphere in row.spheres)
        print(
            f"{radii:<16}{electrons:<12}{row.floor:>8.4f}{row.distance:>8.4f}{row.distance_of_true_positions:>8.4f}"
            f"{row.cost_with_unit_weights:>8.3f}{row.cost:>8.3f}{row.final_cost:>8.3f}{row.total:>+9.3%}"
        )
    cost, final = np.mean([(row.cost, row.final_cost) for row in rows], axis=0)
    print(f"mean cost {cost:.3f} floors, final {final:.3f}")
    write_json(options.json, {"frames": options.frames, "machine": machine(), "rows": rows})


if __name__ == "__main__":
    run_program(main)
