"""Whether subtracting the finder's bias, measured by simulation at the answer, helps.

usage: nice .venv/bin/python -m benchmark.finder_bias [--frames 6000] [--seeds 4] [--truth NAME] [--workers 1]
           [--json FILE]

Four truths that nothing was developed on, two of them strongly peaked at the poles. Each is simulated, searched and
fitted; the fit to its true electrons says what the finder really added, both weighted by flux, whose noise cancels. The
correction is simulated at the answer, with other random numbers and as many frames. Differences are averaged over the
seeds, and their length is the distance in statistical floors of 50,000 frames: `bias` before, `left` after subtracting,
`known to` what the noise of the average alone would show; R and sigma_R in standard errors of 50,000 frames.

Resumes: what the JSON file holds, truth by truth and seed by seed, is not repeated. 6,000 frames and one seed take
about 2 x 55 s of one core for each truth; "known to" falls as one over the root of frames times seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from benchmark.shared.results import read_rows, write_json
from util.answer.bootstrap import answer_of
from util.answer.finder_bias import measure_bias, seen_in, subtract
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.finder.finder import FinderSettings
from util.fit.influence_functions import Influence
from util.fit.likelihood import fit
from util.fit.parameters import Layout
from util.fit.result import floor_distance
from util.physics import pad
from util.runtime import settings
from util.runtime.errors import run_program
from util.runtime.executor import open_executor
from util.runtime.options import Parser, as_options, number
from util.simulation.virtual_experiment import Scene, VirtualExperiment

ROOT = Path(__file__).resolve().parents[1]
FULL = 50_000


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: int
    seeds: int
    truth: tuple[str, ...] | None
    workers: int
    json: Path


def mixed(flat: float, power: int) -> tuple[float, ...]:
    """Return the twelve betas of `flat` parts of 1/2 and the rest c^power, normalised."""
    series = np.zeros(25)
    series[0] = flat / 2
    series[power] = (1 - flat) * (power + 1) / 2
    return tuple(legendre.poly2leg(series)[2:25:2].tolist() + [0.0] * 12)[:12]


TRUTHS = {
    "mild, apart": Scene((0.42, 0.71), (0.009, 0.008), (mixed(0.6, 2), mixed(0.4, 4)), (0.5, 0.5), (0, 0), (86,)),
    "mild, close": Scene((0.62, 0.71), (0.008, 0.010), (mixed(0.3, 4), mixed(0.5, 2)), (0.4, 0.6), (0, 0), (86,)),
    "peaked c^12": Scene((0.47, 0.77), (0.010, 0.009), (mixed(0.2, 12), mixed(0.2, 10)), (0.5, 0.5), (0, 0), (86,)),
    "peaked c^20": Scene((0.55, 0.84), (0.009, 0.011), (mixed(0.1, 16), mixed(0.1, 20)), (0.5, 0.5), (0, 0), (86,)),
}


def measure(name: str, frames: int, seed: int, workers: int) -> dict[str, Any]:
    """Measure the bias of one truth, and what is left of it; arrays in the order of `names`."""
    recipe = settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    finder = settings.load(FinderSettings, ROOT / "param" / "finder.toml")
    scene, number = TRUTHS[name], list(TRUTHS).index(name)
    with open_executor(workers) as executor:
        experiment = VirtualExperiment(Detector.of_recipe(recipe), finder, executor)
        run = experiment.play(scene, frames, seed=1000 * seed + number)
        found = fit(*(run.found[key] for key in ("x", "z", "flux")))
        bias = measure_bias(
            found, seen_in(run.found, run.found["weight"], frames), frames, experiment, seed=1000 * seed + 500 + number
        )
    true = answer_of(run.true, found, run.true["flux"])
    influence = Influence(true)
    sums = []
    for hits in (run.found, run.true):
        x, z, flux = (hits[key].astype(float) for key in ("x", "z", "flux"))
        sums.append(influence.by_group(x, z, flux, hits["ImageId"], frames))
    return {
        "truth": name,
        "frames": frames,
        "seed": seed,
        "names": found.names,
        "errors": (np.sqrt(frames / FULL) * found.errors).tolist(),
        "floor": np.sqrt(frames / FULL)
        * floor_distance(found.beta_covariance(floor=True), 4000, np.random.default_rng(0)),
        "bias": (found.values - true.values).tolist(),
        "left": (subtract(found, bias).values - true.values).tolist(),
        # One simulation's noise in `bias`, two in `left`.
        "variance": (frames * (sums[0] - sums[1]).var(axis=0, ddof=1)).tolist(),
        "variance_left": (frames * (sums[0] - sums[1]).var(axis=0, ddof=1) + bias.error**2).tolist(),
        "p": bias.p,
    }


def summary(rows: list[dict[str, Any]]) -> str:
    """Return one line of the table: all seeds of one truth."""
    layout = Layout.from_names(rows[0]["names"])
    floor = np.mean([row["floor"] for row in rows])

    def length(values: NDArray[np.float64]) -> float:
        part = values[layout.beta]
        return float(pad.distance(part, np.zeros_like(part))) / floor

    mean = {key: np.mean([row[key] for row in rows], axis=0) for key in ("bias", "left", "errors")}
    known = [
        floor_distance(np.diag(np.mean([row[key] for row in rows], axis=0)[layout.beta.ravel()] / len(rows)), 4000, rng)
        / floor
        for key, rng in (("variance", np.random.default_rng(1)), ("variance_left", np.random.default_rng(1)))
    ]
    pulls = ", ".join(
        f"{layout.names[i]} {mean['bias'][i] / mean['errors'][i]:+.2f} -> {mean['left'][i] / mean['errors'][i]:+.2f}"
        for i in np.sort(np.append(layout.R, layout.sigma_R))
    )
    total = sum(row["frames"] for row in rows)
    return (
        f"{rows[0]['truth']:<14}{total:>8}{length(mean['bias']):>8.3f}{known[0]:>10.3f}{length(mean['left']):>8.3f}"
        f"{known[1]:>10.3f}  {pulls}"
    )


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.finder_bias", __doc__)
    add = parser.add_argument
    add("--frames", type=number(int, 200), default=6000, metavar="N", help="of each seed (default %(default)s)")
    add("--seeds", type=number(int, 1), default=4, metavar="N", help="independent repetitions (default %(default)s)")
    add("--truth", choices=TRUTHS, action="append", help="this one alone; may be repeated")
    add("--workers", type=number(int, 1), default=1, metavar="N", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "finder_bias.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    rows = read_rows(options.json)
    rows = [row for row in rows if row["frames"] == options.frames and "seed" in row]
    for seed in range(options.seeds):
        for name in options.truth or TRUTHS:
            if any((row["truth"], row["seed"]) == (name, seed) for row in rows):
                continue
            rows.append(measure(name, options.frames, seed, options.workers))
            write_json(options.json, rows)
    print(f"{'truth':<14}{'frames':>8}{'bias':>8}{'known to':>10}{'left':>8}{'known to':>10}  bias -> left")
    for name in TRUTHS:
        of_truth = [row for row in rows if row["truth"] == name]
        if of_truth:
            print(summary(of_truth))


if __name__ == "__main__":
    run_program(main)
