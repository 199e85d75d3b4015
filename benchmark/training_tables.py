"""How fast a training file of the second kind is read, and how well the spheres in it are fitted.

Usage: python -m benchmark.training_tables [--distributions 100] [--electrons 10000] [--fits 20]

Simulates a file, reads it and joins every detected electron to its sphere. Then fits spheres of the file, one by one,
to their detected electrons: the mean distance in units of the statistical floor is 1 for a perfect fit. Seconds are of
processor time.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src import simulate_finaltest
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.physics import pad
from util.simulation.training_tables import TrainingTables, read_tables

ROOT = Path(__file__).resolve().parents[1]


def ratios(tables: TrainingTables, fits: int) -> np.ndarray:
    """Distance over floor of the first `fits` spheres; nan where the fit fails."""
    found = np.full(fits, np.nan)
    for index in range(fits):
        x, z = tables.hits(index)
        result = fit(x, z, spheres=1)
        if result.converged:
            floor = floor_distance(result.beta_covariance(floor=True), 2000, np.random.default_rng(0), spheres=1)
            found[index] = float(pad.distance(result.beta, tables.parameters["beta"][index][None])) / floor
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distributions", type=int, default=100, help="spheres in the file")
    parser.add_argument("--electrons", type=int, default=10_000, help="of each sphere")
    parser.add_argument("--fits", type=int, default=20)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kind2.h5"
        options = ["--kind", "2", "--output", str(path), "--workers", "1", "--prior", f"{ROOT}/param/pretraining.toml"]
        sizes = ["--distributions", str(args.distributions), "--electrons", str(args.electrons)]
        begin = time.process_time()
        simulate_finaltest.main([*options, *sizes])
        print(f"simulated and written: {time.process_time() - begin:.2f} s")
        begin = time.process_time()
        tables = read_tables(path)
        seconds = time.process_time() - begin
    print(f"{len(tables.detected)} electrons read and joined: {seconds:.2f} s")
    found = ratios(tables, min(args.fits, args.distributions))
    print(f"distance over floor, mean of {np.isfinite(found).sum()} fits: {np.nanmean(found):.2f}")


if __name__ == "__main__":
    main()
