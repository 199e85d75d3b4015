"""What a detector that is not ideal does to an answer, and what the program says of it.

usage: nice .venv/bin/python -m benchmark.detectors [--rows NAME ..] [--frames 3000] [--seeds 1] [--first-seed 0]
           [--sizes half listed double] [--bias N] [--workers 1] [--json FILE]

Each row is one imperfection (mixture: all at a third of their size); frames are simulated, searched and answered as by
the stages, with their defaults. One line a row, size and seed:

distance  of the answer, and the floor: that of the same electrons seen by the ideal detector, by its FloorCovariance
perfect   over the floor, the distance of a fit to those electrons that the plate registered, where they met it: what
          chance, efficiency and threshold leave, without the finder
pull      the worst of betas, and of R, sigma_R and betas, and whose it is
F1        at two pixels, and hits per electron that the plate registered, each over that of the ideal detector
electrons of the answer, over those that the plate registered
warnings  what final.h5 says, by the first words of each

Every camera has background 12 and noise 1.5. Resumes: what the JSON file holds is not done again.
"""

import itertools
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from benchmark.shared.electrons import by_frame, found_electrons, places_of, true_electrons
from benchmark.shared.results import read_rows, write_json
from src import gen_finaltest_answer, gen_finaltest_npy
from util.answer.final_h5 import read_parameters, read_tables
from util.camera.imperfections import Imperfections, Term
from util.camera.phosphor import Normal, PhosphorRecipe
from util.electrons.shards import list_shards
from util.finder.matching import match
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.physics import pad
from util.physics.sphere import Experiment
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.simulation.frames_file import simulate
from util.simulation.simulated_detector import Drift, SimulatedDetector

ROOT = Path(__file__).resolve().parents[1]
PIXEL = 2 / 1024
SIZES = {"half": 0.5, "listed": 1.0, "double": 2.0}
CAMERA = SimulatedDetector(noise=1.5, background=(12.0, 0.0, 0.0))
SIXTEEN_BITS = 4095  # room for high pulses
WORDS = 6  # of a warning
Row = dict[str, Any]  # as the JSON file has it: a case, and what it gave or why it was refused


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    rows: tuple[str, ...]
    frames: int
    bias: int | None
    seeds: int
    first_seed: int
    sizes: tuple[str, ...]
    workers: int
    json: Path


class Case(NamedTuple):
    """One line of the table."""

    row: str
    size: str
    seed: int
    frames: int
    bias: int | None  # frames that measure the finder's bias; None: as the stage does


def quadrupole(size: float) -> tuple[Term, Term]:
    """Return ``1 + size (x^2 - z^2)``."""
    return Term(2, 0, size), Term(0, 2, -size)


def decay(part: float) -> tuple[float, ...]:
    """Return the afterglow of an exponential decay, as far as it is above a thousandth."""
    return tuple(itertools.takewhile(lambda left: left > 1e-3, (part**frame for frame in itertools.count(1))))


def heights(spread: float) -> SimulatedDetector:
    """Return a camera of pulse heights that spread, and with room for them."""
    return replace(CAMERA, A=Normal(100.0, 100.0 * spread), saturation=SIXTEEN_BITS)


def looks(imperfections: Imperfections, camera: SimulatedDetector = CAMERA) -> SimulatedDetector:
    """Return a camera with imperfections of each frame."""
    return replace(camera, imperfections=imperfections)


# The detector of a row, by its size: 1 as in the table.
ROWS: dict[str, Callable[[float], SimulatedDetector]] = {
    "ideal": lambda size: CAMERA,  # noqa: ARG005
    "gamma 0.8": lambda size: looks(Imperfections(gamma=0.8**size)),
    "exponential heights, gain 10 %": lambda size: looks(
        Imperfections(pulse_heights="gamma", gain=quadrupole(0.1 * size)), heights(min(size, 1))
    ),
    "gain 10 %": lambda size: looks(Imperfections(gain=quadrupole(0.1 * size))),
    "vignetting 15 %": lambda size: looks(Imperfections(gain=(Term(2, 0, -0.15 * size), Term(0, 2, -0.15 * size)))),
    "efficiency 2.5 %": lambda size: looks(Imperfections(efficiency=quadrupole(0.025 * size))),
    "afterglow 10 %": lambda size: looks(Imperfections(afterglow=decay(0.1 * size))),
    "afterglow 30 %": lambda size: looks(Imperfections(afterglow=decay(min(0.3 * size, 0.45)))),
    "wings 2.5": lambda size: looks(Imperfections(wings=min(0.4 * size, 0.6))),
    "heights spread 60 %": lambda size: heights(min(0.6 * size, 1)),
    "exponential heights, threshold": lambda size: looks(
        Imperfections(pulse_heights="gamma", threshold=0.2 * size), heights(1.0)
    ),
    "elliptic 1.3": lambda size: looks(Imperfections(aspect=1.3**size)),
    "drift 6 px": lambda size: replace(CAMERA, drift=Drift(x=6.0 * size)),
    "barrel 0.3 %": lambda size: replace(CAMERA, distortion=0.003 * size),
    "mixture": lambda size: replace(
        heights(size / 3),
        imperfections=Imperfections(
            pulse_heights="gamma",
            threshold=0.2 * size / 3,
            gain=(Term(2, 0, 0.05 * size / 3), Term(0, 2, -0.25 * size / 3)),
            efficiency=quadrupole(0.025 * size / 3),
            aspect=1.3 ** (size / 3),
            wings=0.4 * size / 3,
            afterglow=decay(0.1 * size),
            gamma=0.8 ** (size / 3),
        ),
        drift=Drift(x=2.0 * size),
        distortion=0.001 * size,
    ),
}


def detector_of(case: Case) -> SimulatedDetector:
    """Return the detector of a row at its size."""
    return ROWS[case.row](SIZES[case.size])


def silently(program: Callable[[Sequence[str]], None], *words: object) -> None:
    """Run a stage without what it prints."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        program([str(word) for word in words])


def measure(case: Case, workers: int, folder: Path) -> Row:
    """Simulate, search and answer."""
    experiment = replace(load(Experiment, ROOT / "param" / "experiment.toml"), frames=case.frames)
    recipe, detector = load(PhosphorRecipe, ROOT / "param" / "phosphor.toml"), detector_of(case)
    frames, shards, answer = (folder / name for name in ("frames.h5", "shards", "final.h5"))
    with redirect_stderr(StringIO()):
        simulate(frames, experiment, recipe, detector, seed=case.seed, workers=workers)
    try:
        silently(gen_finaltest_npy.main, "--finaltest", frames, "--output", shards, "--workers", workers)
        silently(
            gen_finaltest_answer.main,
            *("--finaltest", frames, "--shards", shards, "--output", answer, "--workers", workers),
            *(() if case.bias is None else ("--bias", case.bias)),
        )
    except InputError as refused:
        return {**case._asdict(), "refused": str(refused)}
    return {
        **case._asdict(),
        **scored(answer, experiment),
        **found_of(frames, shards, detector, case.frames),
        "perfect": distance_of_registered(frames, experiment),
    }


def scored(answer: Path, experiment: Experiment) -> Row:
    """Return how far an answer is from the truth, in all the ways of the table."""
    layout, values, errors = read_parameters(answer)
    tables = read_tables(answer)
    told = [warning.decode() for warning in tables["Warnings"].array]
    if layout.spheres != len(experiment.spheres):
        return {"refused": f"{layout.spheres} spheres", "warnings": told}
    spheres = sorted(experiment.spheres, key=lambda sphere: sphere.R)
    truth = layout.known(*zip(*((s.R, s.sigma_R, s.beta) for s in spheres), strict=True))
    pulls = (values - truth) / errors
    beta = layout.beta.ravel()
    worst, worst_beta = (which[np.nanargmax(np.abs(pulls[which]))] for which in (layout.shape, beta))
    floor = tables["FloorCovariance"].array[np.ix_(beta, beta)]
    return {
        "distance": float(pad.distance(values[layout.beta], truth[layout.beta])),
        "electrons": float(values[layout.N].sum()),
        "floor": floor_distance(floor, 4000, np.random.default_rng(0)),
        "pull": float(pulls[worst]),
        "whose": layout.names[worst],
        "beta_pull": float(pulls[worst_beta]),
        "warnings": told,
    }


def distance_of_registered(frames: Path, experiment: Experiment) -> float:
    """Return the distance of a fit to the electrons that the plate registered, where they met it."""
    x, z = places_of(true_electrons(frames)).T
    spheres = sorted(experiment.spheres, key=lambda sphere: sphere.R)
    result = fit(x, z, np.ones(x.size), start=[(sphere.R, sphere.sigma_R) for sphere in spheres])
    return float(pad.distance(result.beta, np.array([sphere.beta for sphere in spheres])))


def found_of(frames: Path, shards: Path, detector: SimulatedDetector, count: int) -> dict[str, float]:
    """Return F1 at two pixels of where electrons are seen, and hits per electron that the plate registered."""
    events, electrons = found_electrons(list_shards(shards)), true_electrons(frames)
    when = (electrons["ImageId"] + 0.5) / count
    seen = np.stack(detector.seen_at(electrons["x"], electrons["z"], when, PIXEL), axis=1)
    hits = places_of(events)
    matched = 0
    for own, true in zip(*(by_frame(table["ImageId"], count) for table in (events, electrons)), strict=True):
        matched += match(hits[own], seen[true], 2 * PIXEL).hit.size
    return {
        "f1": 2 * matched / (len(hits) + len(seen)),
        "hits_per_electron": len(hits) / len(seen),
        "registered": len(seen),
    }


def run(options: Options) -> list[Row]:
    """Do what the JSON file does not hold yet; the ideal detector first, beside which the others are told."""
    rows = read_rows(options.json)
    wanted = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        wanted.append(Case("ideal", "listed", seed, options.frames, options.bias))
        named = [row for row in options.rows if row != "ideal"]
        wanted += [Case(row, size, seed, options.frames, options.bias) for row in named for size in options.sizes]
    for case in wanted:
        if any(case._asdict().items() <= row.items() for row in rows):
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(case, options.workers, Path(folder)))
        write_json(options.json, rows)
        print(table_of([rows[-1]], rows), flush=True)
    return [row for case in wanted for row in rows if case._asdict().items() <= row.items()]


def table_of(shown: Sequence[Row], rows: Sequence[Row]) -> str:
    """Return lines of the table, each beside the ideal detector of its seed among `rows`."""
    lines = []
    for row in shown:
        (ideal,) = (
            other
            for other in rows
            if other["row"] == "ideal" and all(other[key] == row[key] for key in ("seed", "frames", "bias"))
        )
        line: list[object] = [row["row"], row["size"], row["seed"]]
        if "refused" in row:
            lines.append([*line, *[""] * 9, f"refused: {row['refused']}"])
            continue
        line += [f"{row['distance']:.4f}", f"{ideal['floor']:.4f}", f"{row['distance'] / ideal['floor']:.2f}"]
        line += [
            f"{row['perfect'] / ideal['floor']:.2f}",
            f"{row['beta_pull']:+.1f}",
            f"{row['pull']:+.1f} {row['whose']}",
        ]
        line += [f"{row[name] / ideal[name]:.3f}" for name in ("f1", "hits_per_electron")]
        line += [f"{row['electrons'] / row['registered']:.3f}"]
        told = "; ".join(" ".join(warning.split()[:WORDS]) for warning in row["warnings"])
        lines.append([*line, told or "none"])
    heads = [
        "row",
        "size",
        "seed",
        "distance",
        "floor",
        "ratio",
        "perfect",
        "worst beta",
        "worst pull",
        "F1",
        "hits per e",
        "electrons",
        "warnings",
    ]
    return tabulate(lines, headers=heads, disable_numparse=True, tablefmt="github")


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.detectors", __doc__)
    add = parser.add_argument
    add("--rows", choices=ROWS, nargs="+", default=list(ROWS), metavar="NAME", help="(default: all)")
    add("--frames", type=number(int, 100), default=3000, metavar="N", help="of each row (default %(default)s)")
    add("--bias", type=number(int, 0), metavar="N", help="frames that measure the finder's bias (default: the stage's)")
    add("--seeds", type=number(int, 1), default=1, metavar="N", help="repetitions (default %(default)s)")
    add("--first-seed", type=number(int, 0), default=0, metavar="S", help="(default %(default)s)")
    add("--sizes", choices=SIZES, nargs="+", default=["listed"], metavar="SIZE", help="half, listed, double")
    add("--workers", type=number(int, 1), default=1, metavar="N", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "detectors.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    rows = run(options)
    print(f"\n{options.frames} frames\n{table_of(rows, rows)}")


if __name__ == "__main__":
    run_program(main)
