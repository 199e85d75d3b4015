"""How fast a training file of the second kind is read, and how well the spheres in it are fitted.

usage: .venv/bin/python -m benchmark.training_tables [--distributions 100] [--electrons 10000] [--fits 20]

Simulates a file, reads it and joins every detected electron to its sphere. Then fits spheres of the file, one by one,
to their detected electrons: the mean distance in units of the statistical floor is 1 for a perfect fit. Seconds are of
processor time.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src import simulate_finaltest
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.physics import pad
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.simulation.training_tables import TrainingTables, read_tables

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    distributions: int
    electrons: int
    fits: int


def ratios(tables: TrainingTables, fits: int) -> NDArray[np.float64]:
    """Return the distance over the floor of the first `fits` spheres; nan where the fit fails."""
    found = np.full(fits, np.nan)
    for index in range(fits):
        x, z = tables.hits(index)
        result = fit(x, z, spheres=1)
        if result.converged:
            floor = floor_distance(result.beta_covariance(floor=True), 2000, np.random.default_rng(0), spheres=1)
            found[index] = float(pad.distance(result.beta, tables.parameters["beta"][index][None])) / floor
    return found


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.training_tables", __doc__)
    add = parser.add_argument
    add("--distributions", type=number(int, 1), default=100, metavar="N", help="in the file (default %(default)s)")
    add("--electrons", type=number(int, 1000), default=10_000, metavar="N", help="of each (default %(default)s)")
    add("--fits", type=number(int, 1), default=20, metavar="N", help="spheres to fit (default %(default)s)")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kind2.h5"
        kind = ["--kind", "2", "--output", str(path), "--workers", "1", "--prior", f"{ROOT}/param/pretraining.toml"]
        sizes = ["--distributions", str(options.distributions), "--electrons", str(options.electrons)]
        begin = time.process_time()
        simulate_finaltest.main([*kind, *sizes])
        print(f"simulated and written: {time.process_time() - begin:.2f} s")
        begin = time.process_time()
        tables = read_tables(path)
        seconds = time.process_time() - begin
    print(f"{len(tables.detected)} electrons read and joined: {seconds:.2f} s")
    found = ratios(tables, min(options.fits, options.distributions))
    print(f"distance over floor, mean of {np.isfinite(found).sum()} fits: {np.nanmean(found):.2f}")


if __name__ == "__main__":
    run_program(main)
