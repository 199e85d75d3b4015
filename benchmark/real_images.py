"""Accumulated images of the field, answered unaided: radii, betas, errors and seconds, beside a peer.

usage: .venv/bin/python -m benchmark.real_images FOLDER [--images NAME ..] [--spheres N|auto] [--order 4] [--axis 0]
           [--peer] [--json data/benchmark/real_images.json]

Every image in FOLDER that script/import_image.sh reads (or those named) goes through the import and the answer, as its
user would have it: nothing is told but the axis of the polarisation. With --peer, PyAbel's rbasex inverts the same
image about the same centre in the same run (benchmark/requirements.txt), once for each of its regularisations at its
customary strength; its betas are the means over each line, weighted by intensity, out to three widths or half way to
the next ring. Betas are in the field's normalisation, 1 + sum beta P; radii in pixels. Seconds are of one core.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from benchmark.shared.results import machine, write_json
from src import import_image
from src.answer_steps.detection import detection_of
from src.answer_steps.options import Model
from util.electrons.hits import Hits, read_hits
from util.entries.image_file import read_image
from util.fit import map_data
from util.fit.goodness import assess
from util.fit.result import FitResult
from util.fit.selection import Wanted, fit_selected
from util.physics import pad
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = (".txt", ".csv", ".gz", ".bz2", ".npy", ".tif", ".tiff", ".png", ".h5", ".hdf5")
REGULARISATIONS: dict[str, Any] = {
    "none": None,
    "L2": ("L2", 100),
    "diff": ("diff", 100),
    "SVD": ("SVD", 0.05),
    "pos": "pos",
}
_LINE = 3.0  # widths from the radius of a line to its end


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    folder: Path
    images: tuple[str, ...]
    spheres: int | Literal["auto"]
    order: int
    axis: int
    peer: bool
    json: Path


@dataclass(frozen=True)
class Answer:
    """The answer to an image, how it was come by, and seconds by step."""

    result: FitResult
    hits: Hits
    said: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def answer(path: Path, options: Options) -> Answer:
    """Import an image and answer it, as the stages do."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        import_image.main([str(path), "--output", folder, "--axis", str(options.axis)])
        hits = read_hits(Path(folder), hit_weights="flux", partial=False)
        seconds = {"import": time.perf_counter() - begin}
    detection, of_detector, _ = detection_of(hits, Model())
    spheres = None if options.spheres == "auto" else options.spheres
    begin = time.perf_counter()
    points = map_data.Hits(hits.x, hits.z, hits.weight, hits.variance)
    result, chosen = fit_selected(points, Wanted(spheres, options.order), detection)
    seconds["fit"] = time.perf_counter() - begin
    begin = time.perf_counter()
    rng = np.random.default_rng(1)
    goodness = assess(*points[:3], result, rng=rng, variance=hits.variance, detection=detection)
    seconds["tests"] = time.perf_counter() - begin
    return Answer(result, hits, (*of_detector, *chosen.said), tuple(goodness.warnings), seconds)


def reaches(radii: NDArray[np.float64], widths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far from its radius (rings,), ascending, a line of that width goes: to half way to the next at most.

    The whole line: an image that is not quite round has other betas on either flank.
    """
    half = np.diff(radii, prepend=-np.inf, append=np.inf) / 2
    return np.minimum(_LINE * widths, np.minimum(half[:-1], half[1:]))


def by_peer(
    image: NDArray[np.float64],
    centre_px: tuple[float, float],
    radii_px: NDArray[np.float64],
    reach_px: NDArray[np.float64],
    order: int,
    how: object,
) -> tuple[NDArray[np.float64], float]:
    """Return the betas (rings, order/2), field normalisation, that rbasex gives about radii, and its seconds.

    Parameters
    ----------
    image : (H, W)
        Polarisation along axis 0.
    centre_px : (row, column)
    radii_px, reach_px : (rings,)
        Where the lines are, and how far from there they go.
    order : int
    how : object
        rbasex's ``reg``.
    """
    from abel.rbasex import rbasex_transform

    origin = tuple(round(place) for place in centre_px)
    begin = time.perf_counter()
    _, distribution = rbasex_transform(np.nan_to_num(image), origin=origin, rmax="MAX", order=order, reg=how, out=None)
    seconds = time.perf_counter() - begin
    r, intensity, *betas = distribution.rIbeta()
    out = []
    for radius, reach in zip(radii_px, reach_px, strict=True):
        near = np.abs(r - radius) <= reach
        weight = np.maximum(intensity[near], 0)
        out.append([np.average(beta[near], weights=weight) if weight.any() else np.nan for beta in betas])
    return np.array(out), seconds


def rows_of(answer: Answer, peers: dict[str, NDArray[np.float64]]) -> dict[str, list[object]]:
    """Return columns of the table: one row per ring."""
    result, scale = answer.result, max(answer.hits.pixels or (2, 2)) / 2
    layout, errors = result.layout, result.errors
    columns: dict[str, list[object]] = {
        "R [px]": [f"{value:.2f}" for value in scale * result.R],
        "error": [f"{value:.3f}" for value in scale * errors[layout.R]],
        "sigma_R": [f"{value:.2f}" for value in scale * result.sigma_R],
        "electrons": [f"{value:.0f}" for value in result.electrons],
    }
    for k, degree in enumerate(layout.degrees[:2]):
        columns[f"beta_{degree}"] = [f"{value:.3f}" for value in pad.to_field(result.beta[:, k])]
        columns[f"error_{degree}"] = [f"{value:.3f}" for value in pad.to_field(errors[layout.beta[:, k]])]
        for name, betas in peers.items():
            columns[f"{name} {degree}"] = [f"{value:.3f}" for value in betas[:, k]]
    return columns


def measure(path: Path, options: Options) -> dict[str, object]:
    """Answer one image, print what was found, and return it for the JSON file."""
    found = answer(path, options)
    result = found.result
    peers: dict[str, NDArray[np.float64]] = {}
    if options.peer:
        image = read_image(path)
        image = image if options.axis == 0 else image.T
        scale, (height, width) = max(image.shape) / 2, image.shape
        centre = height / 2 - 0.5 + scale * result.centre[1], width / 2 - 0.5 + scale * result.centre[0]
        lines = scale * result.R, scale * reaches(result.R, result.sigma_R)
        for name, how in REGULARISATIONS.items():
            peers[name], found.seconds[f"rbasex {name}"] = by_peer(image, centre, *lines, options.order, how)
    columns = rows_of(found, peers)
    print(tabulate(columns, headers="keys", tablefmt="plain", disable_numparse=True))
    for name in result.layout.nuisances:
        index = result.layout.index(name)
        print(f"{name} {result.values[index]:.5g} +- {result.errors[index]:.2g}")
    print(f"deviance {result.deviance:.0f} for {result.dof}; " + "; ".join((*found.said, *found.warnings)))
    print("seconds: " + ", ".join(f"{step} {seconds:.1f}" for step, seconds in found.seconds.items()) + "\n")
    return {"image": path.name, "rings": columns, "seconds": found.seconds, "said": [*found.said, *found.warnings]}


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.real_images", __doc__)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER")
    add("--images", nargs="+", default=(), metavar="NAME", help="files of FOLDER (default: all that are images)")
    add("--spheres", type=lambda text: text if text == "auto" else number(int, 1)(text), default="auto", metavar="N")
    add("--order", type=int, choices=range(2, 25, 2), default=4, metavar="L", help="(default %(default)s)")
    add("--axis", type=int, choices=(0, 1), default=0, help="of the polarisation (default %(default)s)")
    add("--peer", action="store_true", help="measure PyAbel's rbasex beside it")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "real_images.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    paths = [options.folder / name for name in options.images] or sorted(
        path for path in options.folder.iterdir() if path.suffix in SUFFIXES
    )
    if not paths:
        raise InputError(f"{options.folder}: expected images ({', '.join(SUFFIXES)}), found none; name another folder")
    rows = []
    for path in paths:
        print(f"== {path.name}")
        try:
            rows.append(measure(path, options))
        except InputError as error:
            print(f"not answered: {error}\n")
            rows.append({"image": path.name, "error": str(error)})
    write_json(options.json, {"machine": machine(), "images": rows})


if __name__ == "__main__":
    run_program(main)
