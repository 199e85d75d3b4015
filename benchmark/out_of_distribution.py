"""What METHOD=resnet does with electrons that its network was not trained for: right, warned of, or refused.

usage: .venv/bin/python -m benchmark.out_of_distribution [--electrons 4300000] [--draws 1] [--workers 1] [--json FILE]
           [CASE ..]

Spheres are drawn from the prior of param/fine_tuning.weights.pt, positions of electrons from the spheres, and each CASE
does one thing to them (default: all). The list is imported and answered as by import_events.sh and
gen_finaltest_answer.sh. One row a case and draw: distance over the floor of a fit that knows no prior, and what was
said.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from benchmark.laboratory import drawn
from benchmark.network import prior_of
from benchmark.shared.results import write_json
from src import gen_finaltest_answer, import_events
from src.network.dataset import seeded
from src.network.weights import read_facts
from util.answer.final_h5 import read_answer
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.physics import pad
from util.physics.sphere import Sphere
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.training.priors import draw

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "param" / "fine_tuning.weights.pt"
SEED = 40_000
PIXELS = 1024
Positions = NDArray[np.float64]
Change = Callable[[Positions, np.random.Generator], Positions]


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    case: tuple[str, ...]
    electrons: int
    draws: int
    workers: int
    json: Path

    def __post_init__(self) -> None:
        if unknown := set(self.case) - set(CASES):
            raise ValueError(f"expected cases among {', '.join(CASES)}, found {', '.join(sorted(unknown))}")


def _background(at: Positions, rng: np.random.Generator) -> Positions:
    return np.concatenate((at, rng.uniform(-1, 1, (2, at.shape[1] // 20))), axis=1)


def _tilt(at: Positions, _: np.random.Generator) -> Positions:
    c, s = np.cos(np.radians(5)), np.sin(np.radians(5))
    return np.array([[c, s], [-s, c]]) @ at


def _third(at: Positions, rng: np.random.Generator) -> Positions:
    return np.concatenate((at, drawn((Sphere(0.65, 0.01, 1, (0.2, 0.1)),), (at.shape[1] / 20,), rng)), axis=1)


def _ellipse(at: Positions, _: np.random.Generator) -> Positions:
    return at * np.array([[1.01], [0.99]])


def _none(at: Positions, _: np.random.Generator) -> Positions:
    return at


# What is done to positions, and the sigma_R of the spheres; None: as drawn.
CASES: dict[str, tuple[Change, float | None]] = {
    "as trained": (_none, None),
    "background 5 %": (_background, None),
    "tilt 5 degrees": (_tilt, None),
    "ellipse 2 %": (_ellipse, None),
    "third sphere 5 %": (_third, None),
    "sigma_R 0.03": (_none, 0.03),
}


def measure(case: str, number_of_draw: int, options: Options) -> dict[str, object]:
    """Answer one list of electrons."""
    prior = prior_of(WEIGHTS, read_facts(WEIGHTS))
    beta, R, sigma_R, electrons = (
        values[number_of_draw].tolist() for values in draw(prior, options.draws, rng=seeded(SEED))
    )
    change, width = CASES[case]
    spheres = [Sphere(r, width or sigma, 1, tuple(b)) for r, sigma, b in zip(R, sigma_R, beta, strict=True)]
    rng = seeded(SEED, 1 + number_of_draw)
    shares = options.electrons * np.array(electrons) / sum(electrons)
    at = change(drawn(spheres, shares, rng), rng)
    plain = fit(*drawn(spheres, shares, rng))
    floor = floor_distance(plain.beta_covariance(floor=True), 2000, np.random.default_rng(0))
    said = StringIO()
    with tempfile.TemporaryDirectory() as name, redirect_stdout(StringIO()), redirect_stderr(said):
        folder = Path(name)
        np.save(folder / "events.npy", at.T)
        shards, final = str(folder / "shards"), str(folder / "final.h5")
        words = ["--pixels", str(PIXELS), str(PIXELS), "--units", "detector", "--columns", "0,1", "--output", shards]
        import_events.main([str(folder / "events.npy"), *words])
        words = ["--shards", shards, "--output", final, "--method", "resnet", "--network", str(WEIGHTS)]
        try:
            gen_finaltest_answer.main([*words, "--workers", str(options.workers)])
        except InputError as error:
            return {"case": case, "floors": None, "said": f"refused: {error}"}
        with h5py.File(final) as file:
            warnings = [text.decode() for text in file["Warnings"][()]]
        found = read_answer(folder / "final.h5")["beta"]
    floors = float(pad.distance(found, np.array(beta))) / floor
    return {"case": case, "floors": floors, "said": "; ".join(warnings) or "nothing"}


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.out_of_distribution", __doc__)
    add = parser.add_argument
    add("case", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)".replace("%", "%%"))
    add("--electrons", type=number(int, 10_000), default=4_300_000, metavar="N", help="(default %(default)s)")
    add("--draws", type=number(int, 1), default=1, metavar="N", help="of each case (default %(default)s)")
    add("--workers", type=number(int, 1), default=1, metavar="N", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "out_of_distribution.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse_args(argv)
    rows = [measure(case, i, options) for case in options.case or CASES for i in range(options.draws)]
    print(tabulate(rows, headers="keys", floatfmt=".2f", maxcolwidths=[None, None, 100]))
    write_json(options.json, rows)


if __name__ == "__main__":
    run_program(main)
