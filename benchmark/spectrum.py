"""Spectra of known truth from simulated electrons: this project's fit beside PyAbel's methods, on the same events.

usage: .venv/bin/python -m benchmark.spectrum [--spectra eight pair continuum weak] [--draw SEED ..]
           [--electrons 1e3 1e4 1e5 1e6 1e7] [--repeats 1] [--seed 0] [--peers METHOD ..] [--figure FILE] [--json FILE]
       .venv/bin/python -m benchmark.spectrum --bands [200] [--electrons 1e5] [--workers 1] [--json FILE]
       .venv/bin/python -m benchmark.spectrum --images FOLDER [--figure FILE] [--json FILE]

The first form prints, per spectrum and number of electrons, the relative error of the intensity, the rms errors of
beta_2 and beta_4 of the resolved peaks (benchmark/spectra/truth.py says how they are measured), and seconds; rms over
the repeats. `--draw` takes spectra drawn at random, on which nothing was developed. What is in the peers' favour
(benchmark/spectra/inversions.py): they are told the centre, which the fit has to find, and it lies in the middle of a
pixel; and in each column a peer stands with whichever of its strengths comes nearest to the truth there, which no user
can know ("one strength": in all columns with that whose intensity comes nearest). "Peaks" are the fit's own numbers of
its peaks, judged by the same truth; "least possible" is the bound of benchmark/spectra/limit.py.

The second form asks how often the fit's errors cover the truth, and how often it sees a peak where there is none; the
third reads two of PyAbel's example images from FOLDER. Seconds are of this machine, one process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmark.shared.electrons import hits_at
from benchmark.shared.results import machine, write_json
from benchmark.spectra.bands import measure_bands
from benchmark.spectra.figures import Shown, draw
from benchmark.spectra.images import measure_images
from benchmark.spectra.inversions import METHODS, by_peers, by_us, image_of, judged
from benchmark.spectra.limit import least_beta_errors
from benchmark.spectra.truth import DEGREES, NAMED, Curves, Truth, beta_errors, drawn, intensity_error, peak_errors
from util.fit.detection import Detection
from util.report.answer_figures import FIGURE_SUFFIXES
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number

ROOT = Path(__file__).resolve().parents[1]
CENTRE = np.array([[0.004], [-0.003]])
ELECTRONS = (1e3, 1e4, 1e5, 1e6, 1e7)
COLUMNS = ("intensity", *(f"beta_{degree}" for degree in DEGREES), "seconds")
OURS, PEAKS = "fit", "fit, Peaks"


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    spectra: tuple[str, ...]
    draw: tuple[int, ...]
    electrons: tuple[float, ...]
    repeats: int
    seed: int
    peers: tuple[str, ...]
    bands: int
    images: Path | None
    workers: int
    figure: Path | None
    json: Path

    def __post_init__(self) -> None:
        if self.bands and self.images:
            raise ValueError("--bands and --images are two runs; leave one out")
        if self.bands and self.figure:
            raise ValueError("--bands draws no figure; leave --figure out")
        if self.figure and self.figure.suffix not in FIGURE_SUFFIXES:
            raise ValueError(f"--figure: expected a name in {', '.join(FIGURE_SUFFIXES)}, found {self.figure}")


@dataclass(frozen=True)
class Row:
    """How far one method at one setting is off, and its seconds."""

    method: str
    strength: str
    intensity: float
    beta_2: float
    beta_4: float
    seconds: float


def row_of(method: str, strength: str, found: Curves, truth: Truth, seconds: float) -> Row:
    """Judge curves."""
    beta_2, beta_4 = beta_errors(found, truth).tolist()
    return Row(method, strength, intensity_error(found, truth), beta_2, beta_4, seconds)


def measure(truth: Truth, seed: int, peers: Sequence[str]) -> tuple[list[Row], Shown]:
    """Simulate the electrons of a spectrum and give them to all methods."""
    at = truth.sample(np.random.default_rng([932, seed]))
    shown, rows = Shown(truth), []
    try:
        spectrum, curves, seconds = by_us(hits_at(at + CENTRE), Detection(), seed)
        rows.append(row_of(OURS, "", curves, truth, seconds))
        betas = spectrum.peaks.beta[judged(spectrum.degrees)]
        beta_2, beta_4 = peak_errors(spectrum.peaks.R, betas, truth).tolist()
        rows.append(Row(PEAKS, "", np.nan, beta_2, beta_4, seconds))
        shown.fit = spectrum
    except InputError as error:
        print(f"{truth.name}, {truth.electrons:g} electrons, seed {seed}: not answered: {error}")
        rows += [Row(name, "", np.nan, np.nan, np.nan, np.nan) for name in (OURS, PEAKS)]
    nearest = np.inf
    for setting, curves, seconds in by_peers(image_of(at), peers):
        row = row_of(setting.method, setting.strength, curves, truth, seconds)
        rows.append(row)
        if row.intensity < nearest:
            nearest, shown.peer, shown.peer_name = row.intensity, curves, f"{row.method} {row.strength}".strip()
    return rows, shown


def as_json(values: Mapping[str, object]) -> dict[str, object]:
    """Return values for the JSON file, which knows no NaN."""
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in values.items()}


@dataclass(frozen=True)
class Summary:
    """A method over all repeats: its value in each of `COLUMNS`, the strength of each, and what one strength gives.

    That one is the best for the intensity.
    """

    method: str
    values: tuple[float, ...]
    strengths: tuple[str, ...]
    at_one_strength: tuple[float, ...]


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """Take the rms over repeats at each strength, then the best strength of each method for each column."""
    by_method: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        by_method.setdefault(row.method, {}).setdefault(row.strength, []).append(row)
    out = []
    for method, by_strength in by_method.items():
        off = np.array([[[getattr(row, name) for name in COLUMNS] for row in part] for part in by_strength.values()])
        rms = np.sqrt(np.mean(off**2, axis=1))
        best = np.where(np.isfinite(rms), rms, np.inf).argmin(axis=0)
        best[-1] = best[0]  # seconds are those of the setting that gave the best intensity
        rms[:, -1] = np.median(off[:, :, -1], axis=1)
        strengths = [list(by_strength)[index] for index in best]
        out.append(Summary(method, tuple(rms[best, range(len(best))]), tuple(strengths), tuple(rms[best[0]])))
    return out


def ratios(found: Sequence[Summary], *, at_one_strength: bool = False) -> dict[str, float]:
    """Return, for each of `COLUMNS`, the fit's value over that of the best peer; empty without peers."""
    ours = next(summary for summary in found if summary.method == OURS)
    peers = [summary for summary in found if summary.method not in (OURS, PEAKS)]
    if not peers:
        return {}
    values = [summary.at_one_strength if at_one_strength else summary.values for summary in peers]
    return dict(zip(COLUMNS, (np.array(ours.values) / np.nanmin(values, axis=0)).tolist(), strict=True))


def report(found: Sequence[Summary], limit: Sequence[float]) -> None:
    """Print the table of one spectrum and number of electrons; `limit` of the betas."""
    lines = []
    for summary in found:
        values = (f"{value:.3g}" for value in summary.values)
        told = "; ".join(dict.fromkeys(filter(None, summary.strengths)))
        lines.append((summary.method, *values, told))
    lines.append(("least possible", "", *(f"{value:.3g}" for value in limit), "", ""))
    for told, at_one_strength in (("fit / best peer", False), ("fit / best peer, one strength", True)):
        if over := ratios(found, at_one_strength=at_one_strength):
            lines.append((told, *(f"{value:.2f}" for value in over.values()), ""))
    print(tabulate(lines, headers=("method", *COLUMNS, "strengths"), tablefmt="plain", disable_numparse=True))


def run(options: Options) -> None:
    """Measure every spectrum at every number of electrons; write the JSON file after each."""
    spectra = {name: NAMED[name] for name in options.spectra} | {f"draw {seed}": drawn(seed) for seed in options.draw}
    done: list[dict[str, object]] = []
    worst = {name: (0.0, "") for name in COLUMNS}
    to_draw = []
    for name, lines in spectra.items():
        for electrons in options.electrons:
            truth = Truth(name, lines, electrons)
            parts = [measure(truth, options.seed + repeat, options.peers) for repeat in range(options.repeats)]
            rows = [row for part, _ in parts for row in part]
            found = summarise(rows)
            where = f"{name}, {electrons:g} electrons"
            print(f"\n== {where}, {len(truth.peaks())} resolved peaks")
            limit = least_beta_errors(truth).tolist()
            report(found, limit)
            over = ratios(found)
            worst = {column: max(worst[column], (over.get(column, 0.0), where)) for column in COLUMNS}
            known = {"ratios": as_json(over), "least_beta_errors": as_json(dict(zip(COLUMNS[1:], limit, strict=False)))}
            told = [as_json(vars(row)) for row in rows]
            done.append({"spectrum": name, "electrons": electrons, **known, "rows": told})
            write_json(options.json, {"machine": machine(), "repeats": options.repeats, "cases": done})
        to_draw.append(parts[0][1])
    if options.figure:
        draw(options.figure, to_draw)
    if options.peers:
        at_worst = (f"{column} {value:.2f} ({where})" for column, (value, where) in worst.items())
        print(f"\nworst, fit / best peer: {', '.join(at_worst)}")


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.spectrum", __doc__)
    add = parser.add_argument
    names = ", ".join(NAMED)
    add("--spectra", nargs="*", choices=NAMED, metavar="NAME", help=f"of {names} (default: all, but with --draw none)")
    add("--draw", nargs="+", type=number(int, 0), default=[], metavar="SEED", help="spectra drawn at random")
    add("--electrons", nargs="+", type=number(float, 100), metavar="N", help="(default: 1e3 .. 1e7; --bands: 1e5)")
    add("--repeats", type=number(int, 1), default=1, metavar="N", help="seeds of each (default %(default)s)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="first seed (default %(default)s)")
    add("--peers", nargs="*", choices=METHODS, default=METHODS, metavar="METHOD", help=f"of {', '.join(METHODS)}")
    add("--bands", type=number(int, 2), nargs="?", const=200, default=0, metavar="N", help="spectra (default 200)")
    add("--images", type=Path, metavar="FOLDER", help="which holds PyAbel's example images")
    add("--workers", type=number(int, 1), default=1, metavar="N", help="of --bands (default %(default)s)")
    add("--figure", type=Path, metavar="FILE", help="draw the first repeat of the last of --electrons")
    add("--json", type=Path, metavar="FILE", help="(default: data/benchmark/spectrum.json, .._bands or .._images)")
    args = parser.parse_args(argv)
    if args.spectra is None:
        args.spectra = [] if args.draw else list(NAMED)
    args.electrons = args.electrons or ([1e5] if args.bands else list(ELECTRONS))
    kind = "_bands" if args.bands else "_images" if args.images else ""
    args.json = args.json or ROOT / "data" / "benchmark" / f"spectrum{kind}.json"
    return as_options(Options, parser, vars(args))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    print(", ".join(filter(None, machine().values())))
    if not options.bands and not options.images:
        run(options)
        return
    if options.images:
        done = measure_images(options.images, options.figure)
    else:
        done = measure_bands(options.bands, options.electrons, options.seed, options.workers)
    write_json(options.json, {"machine": machine(), "cases": done})


if __name__ == "__main__":
    run_program(main)
