"""How many electrons the finder finds, and how fast, beside other ways of finding them in the same run.

usage: .venv/bin/python -m benchmark.finder [--frames 300] [--json data/benchmark/finder.json]

For each case frames are simulated, then read with a plain h5py loop, searched by the whole stage on one core (reading
and writing included; learning the detector, done once per file, is told apart), by a plain local-maximum finder and,
where it is installed (benchmark/requirements.txt), by trackpy. Milliseconds are of processor time, which other programs
on the machine disturb less than the clock.
"""

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from benchmark.shared.electrons import by_frame, found_electrons, places_of, true_electrons
from benchmark.shared.results import machine, write_json
from src import gen_finaltest_npy, simulate_finaltest
from util.camera.phosphor import PhosphorRecipe
from util.electrons.shards import list_shards
from util.finder.calibration import learn_detector
from util.finder.finder import FinderSettings
from util.finder.matching import match
from util.frames.course_file import FrameFile
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load

ROOT = Path(__file__).resolve().parents[1]
RADIUS = 2 * 2 / 1024  # two pixels of the published camera
PEER_FRAMES = 40  # enough for the peers, one of which takes half a second per frame


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: int
    seed: int
    json: Path


@dataclass(frozen=True)
class Row:
    """What one way of finding, or of reading, does on one case; milliseconds are of a frame, but those of learning."""

    case: str
    what: str
    ms: float
    times_reading: float
    f1: float | None = None
    completeness: float | None = None
    flux_total: float | None = None


class Case(NamedTuple):
    """Frames to simulate: a name and the options of the simulation."""

    name: str
    options: tuple[str, ...]


CASES = (
    Case("R 0.5, 0.8; 43 + 43", ()),
    Case("R 0.58, 0.66; 26 + 60", ("--radii", "0.58", "0.66", "--electrons", "26", "60")),
    Case("R 0.5, 0.8; camera noise 2", ("--camera-noise", "2")),
    Case("R 0.35, 0.43; 60 + 60", ("--radii", "0.35", "0.43", "--electrons", "60", "60")),
)


def local_maxima(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Find spots in the plainest way: maxima of the smoothed frame above a threshold; (n, 2) pixel indices."""
    smooth = gaussian_filter(frame.astype(np.float32), 2.0)
    peaks = (smooth == maximum_filter(smooth, 9)) & (smooth > 30)
    return np.argwhere(peaks).astype(float)


def trackpy_finder() -> Callable[[NDArray[np.uint8]], NDArray[np.float64]] | None:
    """Return trackpy's centroiding (Crocker and Grier 1996), or None where it is not installed."""
    try:
        import trackpy
    except ImportError:
        return None
    trackpy.quiet()

    def find(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        # diameter: the odd number next to 4 sigma; percentile and minmass as its manual advises for dark backgrounds
        found = trackpy.locate(frame, 31, minmass=8000, separation=8, percentile=90, engine="numba")
        return found[["y", "x"]].to_numpy()

    return find


def score(found: Sequence[NDArray[np.float64]], electrons: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    """Return F1 and completeness at two pixels over frames of positions (n, 2)."""
    matches = [match(hits, truth, RADIUS) for hits, truth in zip(found, electrons, strict=True)]
    matched = sum(m.hit.size for m in matches)
    hits, truth = sum(m.hits for m in matches), sum(m.electrons for m in matches)
    return {"f1": 2 * matched / (hits + truth), "completeness": matched / truth}


def search_by_peer(
    finder: Callable[[NDArray[np.uint8]], NDArray[np.float64]], images: Sequence[NDArray[np.uint8]]
) -> tuple[float, list[NDArray[np.float64]]]:
    """Return the milliseconds of an image, and the places (n, 2) found in each."""
    finder(images[0])
    begin = time.process_time()
    pixels = [finder(image) for image in images]
    ms = (time.process_time() - begin) / len(images) * 1e3
    # a spot at x peaks 0.4 pixels before its place (util.camera.phosphor)
    return ms, [(indices + 0.4) * 2 / images[0].shape[0] - 1 for indices in pixels]


def measure(case: Case, frames: int, seed: int, folder: Path) -> list[Row]:
    """Simulate one case and run every finder on it."""
    path = folder / "finaltest.h5"
    simulate = ["--output", str(path), "--frames", str(frames), "--seed", str(seed), "--overwrite", *case.options]
    simulate_finaltest.main(simulate)
    table = true_electrons(path)
    electrons = [places_of(table[own]) for own in by_frame(table["ImageId"], frames)]

    begin = time.process_time()
    with h5py.File(path) as file:
        for index in range(frames):
            file["FinalImage"][index]
    read_ms = (time.process_time() - begin) / frames * 1e3

    def told(what: str, ms: float, **scores: float) -> Row:
        return Row(case.name, what, ms, ms / read_ms, **scores)

    rows = [told("plain h5py loop, reading only", read_ms)]

    shards = folder / "shards"
    stage = ["--finaltest", str(path), "--output", str(shards), "--workers", "1", "--overwrite"]
    with FrameFile(path) as file:
        learn = (
            file,
            load(PhosphorRecipe, ROOT / "param/phosphor.toml"),
            load(FinderSettings, ROOT / "param/finder.toml"),
        )
        learn_detector(*learn)  # compiles, or loads what is compiled
        begin = time.process_time()
        learn_detector(*learn)
        learning = time.process_time() - begin
    rows.append(told("learning the detector, once", learning * 1e3))
    gen_finaltest_npy.main([*stage, "--range", "0", "1"])
    begin = time.process_time()
    gen_finaltest_npy.main([*stage, "--range", "0", str(frames)])
    stage_ms = (time.process_time() - begin - learning) / frames * 1e3
    events = found_electrons(list_shards(shards)[-1:])
    found = [places_of(events[own]) for own in by_frame(events["ImageId"], frames)]
    total = float(events["weight"].sum(dtype=float)) / len(table) - 1
    rows.append(told("this finder, whole stage", stage_ms, flux_total=total, **score(found, electrons)))

    with FrameFile(path) as file:
        images = [file.read(index) for index in range(min(frames, PEER_FRAMES))]
    for what, finder in (("plain local maxima", local_maxima), ("trackpy", trackpy_finder())):
        if finder is None:
            print(f"{what} is not installed: left out")
            continue
        ms, found = search_by_peer(finder, images)
        rows.append(told(what, ms, **score(found, electrons[: len(images)])))
    return rows


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.finder", __doc__)
    parser.add_argument(
        "--frames", type=number(int, 2), default=300, metavar="N", help="of each case (default %(default)s)"
    )
    parser.add_argument("--seed", type=number(int, 0), default=100, metavar="S", help="(default %(default)s)")
    parser.add_argument("--json", type=Path, default=ROOT / "data" / "benchmark" / "finder.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    rows = []
    for index, case in enumerate(CASES):
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(case, options.frames, options.seed + index, Path(folder))
    print(f"\n{options.frames} frames per case, {platform.processor() or platform.machine()}, one core")
    print(f"{'case':<28}{'what':<32}{'F1':>8}{'found':>8}{'total':>9}{'ms':>8}{'x read':>8}")
    for row in rows:
        f1, completeness = ("" if value is None else f"{value:.4f}" for value in (row.f1, row.completeness))
        total = "" if row.flux_total is None else f"{row.flux_total:+.3%}"
        print(f"{row.case:<28}{row.what:<32}{f1:>8}{completeness:>8}{total:>9}{row.ms:>8.2f}{row.times_reading:>8.2f}")
    write_json(options.json, {"frames": options.frames, "machine": machine(), "rows": rows})


if __name__ == "__main__":
    run_program(main)
