"""How often something is found on an ideal detector, where there is nothing to find.

usage: nice .venv/bin/python -m benchmark.false_alarms CASE [--experiments 100] [--first-seed 0] [--frames 300]
           [--workers 1] [--json FILE]

CASE  checks      of the frames, as `check_frames.sh` makes them; an alarm is what it marks by !
      integrated  the tests of METHOD=integrated, and whether --check-integrated finds that both methods agree; an alarm
                  is a p below 1e-3

Each experiment is drawn by its seed: one to three spheres of any radius, width and betas, 20 to 120 electrons a frame,
fewer where these would crowd, spots of 4 to 10 pixels and 60 to 150 counts, every other one with a background of 12 and
noise of 1.5 counts. Prints every alarm, and at last how many there were. Resumes: what the JSON file holds is not done
again.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.shared.results import read_rows, write_json
from src import gen_finaltest_answer, gen_finaltest_npy
from util.answer.final_h5 import read_tables
from util.camera.phosphor import Normal, PhosphorRecipe
from util.finder.finder import FinderSettings
from util.finder.run_checks import check_frames
from util.fit.goodness import ALARM
from util.frames.open import open_frames
from util.physics.sphere import Experiment, Sphere
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.simulation.frames_file import simulate
from util.simulation.simulated_detector import RECIPES_OWN, SimulatedDetector
from util.training.priors import Prior, draw_betas

PARAM = Path(__file__).resolve().parents[1] / "param"
DARK = SimulatedDetector(noise=1.5, background=(12.0, 0.0, 0.0))
APART = 0.08  # by which radii are moved apart, where there is room
CROWDED = 0.45  # electrons in the square of a spot's size, spread evenly within R, at most; more are slow to search
Row = dict[str, Any]  # as the JSON file has it: case, seed and frames, and what was found or why it was refused


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    case: str
    experiments: int
    first_seed: int
    frames: int
    workers: int
    json: Path


class Drawn(NamedTuple):
    """What is simulated."""

    experiment: Experiment
    recipe: PhosphorRecipe
    detector: SimulatedDetector


def draw(seed: int, frames: int) -> Drawn:
    """Draw an experiment on an ideal detector."""
    rng = np.random.default_rng(seed)
    prior = load(Prior, PARAM / "pretraining.toml").spheres[0]
    radii = np.sort(rng.uniform(0.2, 0.85, rng.integers(1, 4)))
    radii += APART * np.arange(radii.size) * (0.85 - radii[-1]) / 0.85
    each = int(rng.integers(20, 121)) // radii.size
    betas = draw_betas(prior, radii.size, rng=rng)
    widths = [float(rng.uniform(0.005, 0.03)) for _ in radii]
    recipe = load(PhosphorRecipe, PARAM / "phosphor.toml")
    size, height = rng.uniform(4, 10) * recipe.pitch, rng.uniform(60, 150)
    each = int(each * min(1.0, CROWDED / (each * np.sum((size / radii) ** 2))))
    spheres = tuple(
        Sphere(float(R), width, each, tuple(beta.tolist())) for R, width, beta in zip(radii, widths, betas, strict=True)
    )
    spots = replace(recipe, sigma=Normal(size, size / 15), A=Normal(height, height / 10))
    return Drawn(Experiment(frames, spheres), spots, RECIPES_OWN if seed % 2 else DARK)


def checks(path: Path, _: Drawn) -> list[Row]:
    """Check frames; return what each check found."""
    with open_frames(path) as frames:
        recipe, finder = load(PhosphorRecipe, PARAM / "phosphor.toml"), load(FinderSettings, PARAM / "finder.toml")
        learned, _run = check_frames(frames, recipe, finder)
    return [
        {"what": part.what, "value": float(part.value), "error": float(part.error), "alarm": part.clear}
        for part in learned.findings
    ]


def integrated(path: Path, drawn: Drawn) -> list[Row]:
    """Answer by hits, checked by the summed frames, and by these alone; return the p of each test."""
    shards, answer = path.parent / "shards", path.parent / "final.h5"
    words = ["--finaltest", path, "--shards", shards, "--output", answer, "--spheres", len(drawn.experiment.spheres)]
    with redirect_stdout(StringIO()):
        gen_finaltest_npy.main(["--finaltest", str(path), "--output", str(shards)])
        gen_finaltest_answer.main([str(word) for word in (*words, "--bias", 0, "--check-integrated")])
        agree = float(str(read_tables(answer)["Integrated"].attributes["p"]))
        gen_finaltest_answer.main([str(word) for word in (*words, "--method", "integrated")])
    tests = read_tables(answer)["Tests"].array
    ps = [("both methods agree", agree), *((test["Name"].decode(), float(test["P"])) for test in tests)]
    return [{"what": name, "p": p, "alarm": p < ALARM} for name, p in ps]


CASES: dict[str, Callable[[Path, Drawn], list[Row]]] = {"checks": checks, "integrated": integrated}


def measure(case: Row, workers: int) -> Row:
    """Simulate one experiment and look for what is not there."""
    drawn = draw(case["seed"], case["frames"])
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(StringIO()):
        path = Path(folder) / "frames.h5"
        simulate(path, drawn.experiment, drawn.recipe, drawn.detector, seed=case["seed"], workers=workers)
        try:
            return {**case, "found": CASES[case["case"]](path, drawn)}
        except InputError as refused:
            return {**case, "refused": str(refused)}


def run(options: Options) -> list[Row]:
    """Do what the JSON file does not hold yet."""
    rows = read_rows(options.json)
    seeds = range(options.first_seed, options.first_seed + options.experiments)
    wanted = [{"case": options.case, "seed": seed, "frames": options.frames} for seed in seeds]
    for case in wanted:
        if any(case.items() <= row.items() for row in rows):
            continue
        rows.append(measure(case, options.workers))
        write_json(options.json, rows)
        print(told(rows[-1]), flush=True)
    return [row for case in wanted for row in rows if case.items() <= row.items()]


def told(row: Row) -> str:
    """Return a line on one experiment."""
    if "refused" in row:
        return f"seed {row['seed']}: refused: {row['refused']}"
    alarms = [", ".join(f"{key} {value}" for key, value in part.items()) for part in row["found"] if part["alarm"]]
    return f"seed {row['seed']}: {'; '.join(alarms) or 'nothing found'}"


def summary(rows: Sequence[Row]) -> str:
    """Return how many looks found something, of how many; and the least p, where there are any."""
    found = [part for row in rows for part in row.get("found", ())]
    alarms, refused = sum(part["alarm"] for part in found), sum("refused" in row for row in rows)
    least = min((part["p"] for part in found if "p" in part), default=None)
    text = f"{len(rows) - refused} ideal experiments, {len(found)} looks: {alarms} found something; {refused} refused"
    return text if least is None else f"{text}; least p: {least:.2g}"


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.false_alarms", __doc__)
    add = parser.add_argument
    add("case", choices=CASES, metavar="CASE", help=", ".join(CASES))
    add("--experiments", type=number(int, 1), default=100, metavar="N", help="(default %(default)s)")
    add("--first-seed", type=number(int, 0), default=0, metavar="S", help="(default %(default)s)")
    add("--frames", type=number(int, 10), default=300, metavar="N", help="of each (default %(default)s)")
    add("--workers", type=number(int, 1), default=1, metavar="N", help="that simulate (default %(default)s)")
    add("--json", type=Path, default=PARAM.parent / "data" / "benchmark" / "false_alarms.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    print(summary(run(parse_args(argv))))


if __name__ == "__main__":
    run_program(main)
