"""Both answers of the same frames: the likelihood's, and that of METHOD=resnet, on spheres drawn from its prior.

usage: .venv/bin/python -m benchmark.methods [--frames 10000] [--draws 10] [--weights param/fine_tuning.weights.pt]
           [--workers N] [--json FILE]

Frames are simulated and searched as in the stages; each method answers as in the answer stage, the finder's bias
measured and subtracted. One row a draw: distance from the truth by likelihood, network's reading and posterior.
"""

import re
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmark.network import prior_of
from benchmark.shared.results import write_json
from src import gen_finaltest_answer, gen_finaltest_npy
from src.network.dataset import seeded
from src.network.weights import read_facts
from util.camera.phosphor import PhosphorRecipe
from util.physics.sphere import Experiment, Sphere
from util.runtime.errors import run_program
from util.runtime.executor import available_cores
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.simulation.frames_file import simulate
from util.training.priors import draw

ROOT = Path(__file__).resolve().parents[1]
SEED = 30_000
ELECTRONS = 43  # of each sphere in a frame
METHODS = {
    "likelihood": ("--method", "likelihood"),
    "reading": ("--method", "resnet", "--raw"),
    "posterior": ("--method", "resnet"),
}


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: int
    draws: int
    weights: Path
    workers: int
    json: Path


def answer(folder: Path, weights: Path, method: str, workers: int) -> float:
    """Answer the frames in a folder by a method; return the distance that the stage prints."""
    words = ["--shards", folder / "shards", "--finaltest", folder / "frames.h5", "--output", folder / "final.h5"]
    said = StringIO()
    with redirect_stdout(said):
        gen_finaltest_answer.main(
            [str(word) for word in (*words, "--network", weights, "--workers", workers, *METHODS[method])]
        )
    found = re.search(r"distance (\d\.\d+)", said.getvalue().splitlines()[-1])
    assert found is not None  # the truth of simulated frames is known
    return float(found[1])


def measure(options: Options, number_of_draw: int, folder: Path) -> dict[str, float]:
    """Simulate, search and answer one draw."""
    prior = prior_of(options.weights, read_facts(options.weights))
    drawn = draw(prior, options.draws, rng=seeded(SEED))
    beta, R, sigma_R, _ = (values[number_of_draw].tolist() for values in drawn)
    spheres = tuple(Sphere(r, sigma, ELECTRONS, tuple(b)) for r, sigma, b in zip(R, sigma_R, beta, strict=True))
    recipe = load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    experiment = Experiment(options.frames, spheres)
    simulate(folder / "frames.h5", experiment, recipe, seed=SEED + number_of_draw, workers=options.workers)
    words = ["--finaltest", folder / "frames.h5", "--output", folder / "shards", "--workers", options.workers]
    with redirect_stdout(StringIO()):
        gen_finaltest_npy.main([str(word) for word in words])
    return {method: answer(folder, options.weights, method, options.workers) for method in METHODS}


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.methods", __doc__)
    add = parser.add_argument
    add("--frames", type=number(int, 100), default=10_000, metavar="N", help="of each draw (default %(default)s)")
    add("--draws", type=number(int, 1), default=10, metavar="N", help="(default %(default)s)")
    add("--weights", type=Path, default=ROOT / "param" / "fine_tuning.weights.pt", metavar="FILE")
    add("--workers", type=number(int, 1), default=available_cores(), metavar="N", help="(default: all cores)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "methods.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    rows = []
    for number_of_draw in range(options.draws):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(options, number_of_draw, Path(folder)))
        print(
            f"draw {number_of_draw}: " + ", ".join(f"{name} {value:.4f}" for name, value in rows[-1].items()),
            flush=True,
        )
    means = [[name, np.mean([row[name] for row in rows])] for name in METHODS]
    print(tabulate(means, headers=("mean distance", f"{options.frames} frames"), floatfmt=".4f"))
    write_json(options.json, {"frames": options.frames, "rows": rows})


if __name__ == "__main__":
    run_program(main)
