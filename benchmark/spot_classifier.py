"""How good the spot classifier is: on its own task, and as a finder of electrons beside the joint fit.

usage: .venv/bin/python -m benchmark.spot_classifier [--data data/gauss] [--finaltest FILE] [--frames 1000]
           [--json data/benchmark/spot_classifier.json]

Reads the weights that script/run_gauss_model.sh trained for both tasks, and $FINALTEST or --finaltest, the file that
the patches of `pixel` were cut from. Part one asks the joint fit the same questions as the network: is there an
electron in this very pixel? A finder whose places are off by a Gaussian error is the third to answer; its error is the
measured one of the joint fit, for all electrons and for those with no other within three spot sizes. Part two simulates
fresh frames. Milliseconds are of processor time on one core.
"""

import itertools
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import ndtr
from tqdm import tqdm

from benchmark.shared.electrons import by_frame, places_of, search_frame, true_electrons, true_spheres
from benchmark.shared.results import machine, write_json
from src import simulate_finaltest
from src.spot_classifier import finder
from src.spot_classifier.net import SpotNet, read_spot_net
from src.spot_classifier.patch_file import read_patches
from src.spot_classifier.patches import NEAR, POSITIVE, GaussSettings
from src.spot_classifier.training import answers, scores
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.finder.finder import Finder, FinderSettings
from util.finder.matching import match
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.frames.course_file import FrameFile
from util.physics import pad
from util.physics.sphere import Sphere
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load

ROOT = Path(__file__).resolve().parents[1]
PIXEL = 2 / 1024  # of the published camera, as the radius of a match, two of these
CALIBRATION = 60  # frames, apart from those that are measured
PAIR_WIDTHS = (0.0, 0.5, 1.0, 2.0)  # edges of the distances of pairs, in spot sizes


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    data: Path
    finaltest: Path
    frames: int
    seed: int
    json: Path


def joint_fit(shape: tuple[int, int]) -> Finder:
    """Return the finder of the stages."""
    recipe = load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    recipe = PhosphorRecipe(shape, recipe.subsamples, recipe.camera_noise, recipe.A, recipe.sigma, recipe.rho)
    return Finder(Detector.of_recipe(recipe), load(FinderSettings, ROOT / "param" / "finder.toml"))


def electrons_by_frame(path: Path, count: int) -> list[NDArray[np.float64]]:
    """Return the places (n, 2) of the electrons of each frame, in detector units."""
    table = true_electrons(path)
    return [places_of(table[own]) for own in by_frame(table["ImageId"], count)]


def in_pixels(places: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Convert detector units to pixels from the frame's corner."""
    return places / (2 / max(shape)) + np.array(shape) / 2


def best_with_error(
    std: float, reach: float, rows: NDArray[np.void], rng: np.random.Generator, n: int = 200_000
) -> dict[str, float]:
    """Return the accuracy of the best decision on these questions if places are known to `std` pixels along each axis.

    The electron lies anywhere in its pixel; the near negatives are the pixels within `reach`. Those anywhere are taken
    to be told apart without error. The decision compares the likelihoods of the measured place under both answers.
    """
    span = np.arange(-int(reach), int(reach) + 1)
    steps = np.stack(np.meshgrid(span, span), axis=-1).reshape(-1, 2)
    steps = steps[((steps**2).sum(axis=1) <= reach**2) & (steps != 0).any(axis=1)]
    positives, near = (np.count_nonzero(rows["Kind"] == kind) for kind in (POSITIVE, NEAR))

    def likelihood(place: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
        """Density of a measured place if the electron lies in the pixel at `step`."""
        gap = place - step
        return np.prod(ndtr((gap + 0.5) / std) - ndtr((gap - 0.5) / std), axis=-1)

    right = {}
    for name, step in (("electron", np.zeros((n, 2))), ("near", steps[rng.integers(len(steps), size=n)])):
        place = step + rng.uniform(-0.5, 0.5, (n, 2)) + std * rng.standard_normal((n, 2))
        here = positives * likelihood(place, np.zeros(2))
        there = near * np.mean([likelihood(place, s) for s in steps], axis=0)
        right[name] = float(np.mean((here > there) == (name == "electron")))
    total = positives * right["electron"] + near * right["near"] + (len(rows) - positives - near)
    return {"accuracy": total / len(rows), "accuracy_electron": right["electron"], "accuracy_near": right["near"]}


def measure_task(folder: Path, finaltest: Path) -> list[dict[str, Any]]:
    """Measure part one: the questions of the validation set of `pixel`, answered by each."""
    net, facts = read_spot_net(folder / "pixel.weights.pt")
    settings = facts.settings
    rows = read_patches(folder / "pixel_valid.h5", settings)
    found = [{"what": "network", **scores(answers(net, rows)[:, 0] > 0, rows["Kind"])}]
    found[0]["seconds_training"] = facts.seconds
    ids = np.unique(rows["ImageId"])
    with FrameFile(finaltest) as frames:
        joint, shape = joint_fit(frames.frame_shape), frames.frame_shape
        truth = electrons_by_frame(finaltest, frames.count)
        said = np.zeros(len(rows), bool)
        off, away = [], []
        for image_id in tqdm(ids, desc="joint fit", unit="frame"):
            hits = in_pixels(places_of(search_frame(joint, frames.read(int(image_id)))), shape)
            cells = {tuple(cell) for cell in np.floor(hits).astype(int).tolist()}
            mine = np.flatnonzero(rows["ImageId"] == image_id)
            said[mine] = [tuple(cell) in cells for cell in rows["Cell"][mine].tolist()]
            known = in_pixels(truth[image_id], shape)
            pairs = match(hits, known, 2.0)
            off.append(hits[pairs.hit] - known[pairs.electron])
            away.append(KDTree(known).query(known[pairs.electron], k=2)[0][:, 1] > 3 * 7.68)
    found.append({"what": "joint fit", **scores(said, rows["Kind"])})
    rng = np.random.default_rng(0)
    errors, alone = np.concatenate(off), np.concatenate(away)
    for what, part in (("all electrons", errors), ("electrons alone", errors[alone])):
        std = float(np.sqrt((part**2).mean()))
        bound = best_with_error(std, settings.reach, rows, rng)
        found.append({"what": f"places to {std:.3f} px per axis ({what})", **bound})
    return found


class Finders(NamedTuple):
    """What is compared: a name, and a function from a frame to places (n, 2) and weights (n,)."""

    name: str
    find: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float64], NDArray[np.float64]]]


def calibrate(
    net: SpotNet, settings: GaussSettings, images: Sequence[NDArray[np.uint8]], truth: Sequence[NDArray[np.float64]]
) -> dict[str, float]:
    """Return the threshold and the least distance with the best F1 on frames that are not measured."""
    best: tuple[float, dict[str, float]] = (-1.0, {})
    none = np.zeros(0)
    data = [finder.to_cells(image, none, none, settings.bin).data for image in images]
    said = [finder.answer_frame(net, cells, settings.half_width) for cells in data]
    for threshold, apart in itertools.product((-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5), (0.2, 0.4, 0.6, 0.8)):
        matched = total = 0
        for answer, cells, known in zip(said, data, truth, strict=True):
            places = finder.positions(answer, cells, settings, threshold=threshold, apart=apart)
            pairs = match(places * settings.bin, in_pixels(known, images[0].shape), 2.0)
            matched, total = matched + pairs.hit.size, total + pairs.hits + pairs.electrons
        best = max(best, (2 * matched / total, {"threshold": threshold, "apart": apart}), key=lambda item: item[0])
    return best[1]


def pair_completeness(
    truth: Sequence[NDArray[np.float64]], matched: Sequence[NDArray[np.int64]], size: float
) -> dict[str, float]:
    """Return the share of pairs of electrons of which both are found, by their distance in spot sizes."""
    gaps_by_frame, both_by_frame = [np.zeros(0)], [np.zeros(0, bool)]
    for known, indices in zip(truth, matched, strict=True):
        seen = np.zeros(len(known), bool)
        seen[indices] = True
        pairs = KDTree(known).query_pairs(PAIR_WIDTHS[-1] * size, output_type="ndarray")
        gaps_by_frame.append(np.linalg.norm(known[pairs[:, 0]] - known[pairs[:, 1]], axis=1) / size)
        both_by_frame.append(seen[pairs].all(axis=1))
    gaps, both = np.concatenate(gaps_by_frame), np.concatenate(both_by_frame)
    return {
        f"pairs_{low:g}_{high:g}": float(both[(gaps >= low) & (gaps < high)].mean())
        for low, high in itertools.pairwise(PAIR_WIDTHS)
    }


def distance_of(
    places: NDArray[np.float64], weight: NDArray[np.float64], truth: Sequence[Sphere]
) -> tuple[float, NDArray[np.float64], float]:
    """Return the distance of the fit to places (n, 2) from the truth, its betas, and the floor."""
    x, z = places.T
    result = fit(x, z, weight, spheres=len(truth))
    floor = floor_distance(result.beta_covariance(floor=True), 2000, np.random.default_rng(0), spheres=len(truth))
    return float(pad.distance(result.beta, np.array([s.beta for s in truth]))), result.beta, floor


def measure_frames(folder: Path, options: Sequence[str], frames: int, seed: int) -> list[dict[str, Any]]:
    """Measure part two: fresh frames, searched by the joint fit and by the network."""
    net, facts = read_spot_net(folder / "finder.weights.pt")
    settings = facts.settings
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "finaltest.h5"
        count = frames + CALIBRATION
        simulate_finaltest.main(
            ["--output", str(path), "--frames", str(count), "--seed", str(seed), "--workers", "1", *options]
        )
        spheres, truth = true_spheres(path), electrons_by_frame(path, count)
        with FrameFile(path) as file:
            images = [file.read(index) for index in range(count)]
    chosen = calibrate(net, settings, images[frames:], truth[frames:])
    joint = joint_fit(images[0].shape)

    def by_fit(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        events = search_frame(joint, image)
        return places_of(events), events["weight"].astype(float)

    def by_network(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        places = finder.find(net, image, settings, **chosen)
        return places, np.ones(len(places))

    true = np.concatenate(truth[:frames])
    _, perfect, floor = distance_of(true, np.ones(len(true)), spheres)
    rows = []
    for name, find in (("joint fit", by_fit), ("network", by_network)):
        find(images[-1])  # compiles
        begin = time.process_time()
        found = [find(image) for image in images[:frames]]
        ms = (time.process_time() - begin) / frames * 1e3
        matches = [match(places, known, 2 * PIXEL) for (places, _), known in zip(found, truth, strict=False)]
        hits, electrons = sum(m.hits for m in matches), sum(m.electrons for m in matches)
        matched = sum(m.hit.size for m in matches)
        row = {"what": name, "ms": ms, "f1": 2 * matched / (hits + electrons), "found": matched / electrons}
        row |= pair_completeness(truth[:frames], [m.electron for m in matches], 0.015)
        places = np.concatenate([part for part, _ in found])
        weights = np.concatenate([weight for _, weight in found])
        for kind, weight in (("flux", weights), ("unit", np.ones(len(weights)))):
            distance, beta, _ = distance_of(places, weight, spheres)
            row |= {f"distance_{kind}": distance, f"cost_{kind}": float(pad.distance(beta, perfect)) / floor}
        rows.append(row | {"floor": floor, **(chosen if name == "network" else {})})
    return rows


CASES = (
    ("R 0.5, 0.8; 43 + 43", ()),
    ("R 0.58, 0.66; 26 + 60", ("--radii", "0.58", "0.66", "--electrons", "26", "60")),
)


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.spot_classifier", __doc__)
    add = parser.add_argument
    data = "of gen_gauss_data.sh and run_gauss_model.sh"
    add("--data", type=Path, default=ROOT / "data" / "gauss", metavar="FOLDER", help=data)
    finaltest = Path(os.environ.get("FINALTEST", ROOT / "data" / "finaltest.h5"))
    add("--finaltest", type=Path, default=finaltest, metavar="FILE", help="that the patches were cut from")
    add("--frames", type=number(int, 1), default=1000, metavar="N", help="of each case (default %(default)s)")
    add("--seed", type=number(int, 0), default=300, metavar="S", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "spot_classifier.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    torch.set_num_threads(1)
    tasks = measure_task(options.data, options.finaltest)
    for row in tasks[:2]:
        row["half_half"] = (row["accuracy_electron"] + row["accuracy_anywhere"]) / 2
    names = ("accuracy", "accuracy_electron", "accuracy_anywhere", "accuracy_near", "f1", "half_half")
    heads = (name.removeprefix("accuracy_") for name in names)
    print(f"\n{'is there an electron in this very pixel?':<48}" + "".join(f"{name:>9}" for name in heads))
    for row in tasks:
        print(f"{row['what']:<48}" + "".join(f"{row[n]:>9.4f}" if n in row else f"{'':>9}" for n in names))
    rows = []
    for index, (name, simulated) in enumerate(CASES):
        found = measure_frames(options.data, simulated, options.frames, options.seed + index)
        rows += [{"case": name, **row} for row in found]
    columns = [key for key in rows[0] if key not in ("case", "what")]
    print(f"\n{options.frames} frames per case, {platform.processor() or platform.machine()}, one core")
    print(f"{'case':<24}{'finder':<12}" + "".join(f"{name:>15}" for name in columns))
    for row in rows:
        print(f"{row['case']:<24}{row['what']:<12}" + "".join(f"{row[name]:>15.4f}" for name in columns))
    write_json(options.json, {"machine": machine(), "frames": options.frames, "task": tasks, "rows": rows})


if __name__ == "__main__":
    run_program(main)
