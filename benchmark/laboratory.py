"""What a laboratory's detector and data do to an answer, once each is found unaided and fitted.

usage: .venv/bin/python -m benchmark.laboratory CASE [--experiments 40] [--electrons N] [--workers 1] [--keep FILE]
           [--json FILE]

CASE  ideal, background, rotation, stretch, ellipse, dead, cut, blob, third, forward
              the two spheres of param/experiment.toml, and one effect each: the distance over the floor of the case,
              coverage of R, sigma_R and betas, and which pieces of the model were chosen
      image   an accumulated image of five spheres, 3.7 counts per electron over two pixels, camera noise
      drawn   an image of the eight spheres of PyAbel's VMI_art1, one count an electron: betas and their coverage
  ring    a sixth ring of 1 electron in 200: how often it is found
      smooth  spheres so wide that they make one smooth profile: how often a ring is invented
      speed   4.3 million electrons of 12 spheres with background, ellipse and rotation: seconds of one core

--keep writes the first image of `image` as NPY, the polarisation along axis 1, and does no more.

Nothing of the truth reaches the fit but, for an effect, that there are two spheres. Experiments that --json holds are
not done again.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tabulate import tabulate

from benchmark.shared.electrons import hits_at
from benchmark.shared.results import read_rows, write_json
from util.electrons.hits import hits_of_pixels
from util.entries.noise_law import learn_noise
from util.fit.coverage import coverage
from util.fit.detection import Detection
from util.fit.map_data import Hits
from util.fit.result import FitResult, floor_distance
from util.fit.selection import Wanted, fit_selected
from util.physics import pad
from util.physics.sampling import project, sample_sphere
from util.physics.sphere import Experiment, Sphere
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError, run_program
from util.runtime.executor import map_in_order, open_executor
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load

ROOT = Path(__file__).resolve().parents[1]
CENTRE = np.array([[0.004], [-0.003]])
# The field's usual PADs, three of them near the limits.
RINGS = tuple(
    Sphere(R, sigma_R, 1, beta)
    for R, sigma_R, beta in (
        (0.21, 0.007, (-0.3, 0.05)),
        (0.36, 0.006, (0.45, 0.1)),
        (0.5, 0.008, (0.9, 0.0)),
        (0.61, 0.006, (-0.45, 0.0)),
        (0.82, 0.007, (0.2, -0.2)),
    )
)
SHARES = (0.15, 0.3, 0.2, 0.1, 0.25)
FAINT = Sphere(0.7, 0.006, 1, (0.3, 0.0))
# VMI_art1's: radius [pixels of 514], electrons, and these times beta_2 and beta_4 in the field's normalisation.
_TABLE = (
    (38, 1.2, -0.4, 0.0),
    (70, 1.5, -1.0, 0.5),
    (90, 1.5, 1.0, 0.4),
    (134, 2.0, 1.0, 0.4),
    (138, 1.8, 0.5, 0.0),
    (143, 1.0, 0.5, 0.25),
    (196, 2.0, 1.0, -0.5),
    (230, 2.0, 1.0, -0.5),
)
DRAWN = tuple(Sphere(R / 257, 0.88 / 257, 1, (b2 / n / 2, b4 / n / 2)) for R, n, b2, b4 in _TABLE)
SMOOTH = tuple(Sphere(R, 0.05, 1, (0.2, 0.0)) for R in (0.3, 0.4, 0.5, 0.6, 0.7))
COUNTS, CAMERA, SPOT = 3.7, 1.2, 0.6  # of an electron; of a pixel's noise; pixels
Row = dict[str, Any]  # what one experiment says, as the JSON file has it
_NOT_SHOWN = ("case", "electrons", "seed", "pulls")


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    case: str
    experiments: int
    electrons: int
    workers: int
    keep: Path | None
    json: Path

    def __post_init__(self) -> None:
        if self.keep and self.case != "image":
            raise ValueError(f"--keep: expected the case image, found {self.case}; leave it out")


def design() -> tuple[Sphere, ...]:
    """Return the two spheres of param/experiment.toml."""
    return load(Experiment, ROOT / "param" / "experiment.toml").spheres


def drawn(
    spheres: Sequence[Sphere], numbers: Iterable[float], rng: np.random.Generator, forward: float = 0.0
) -> NDArray[np.float64]:
    """Return positions (2, n) of a Poisson number of electrons of each sphere, (1 + forward c) I(c)."""
    parts = []
    for sphere, expected in zip(spheres, numbers, strict=True):
        speed, cosine = sample_sphere(sphere.beta, sphere.R, sphere.sigma_R, int(rng.poisson(expected)), rng=rng)
        up = rng.random(cosine.size) < (1 + forward * np.abs(cosine)) / 2
        parts.append(project(speed, np.where(up, 1, -1) * np.abs(cosine), rng=rng))
    return np.concatenate(parts, axis=1)


def with_effect(case: str, electrons: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], Detection, int]:
    """Return positions (2, n), what the detector shows, and the number of spheres to ask for."""
    x, z = at = drawn(design(), (electrons / 2,) * 2, rng, forward=0.1 if case == "forward" else 0.0)
    angle, rho = np.arctan2(x, z), np.hypot(x, z)
    further = np.zeros((2, 0))
    detection, spheres = Detection(), 2
    if case == "background":
        further = rng.uniform(-1, 1, (2, int(rng.poisson(0.1 * electrons))))
    elif case == "rotation":
        at = rho * np.stack((np.sin(angle + np.radians(3)), np.cos(angle + np.radians(3))))
    elif case == "ellipse":
        at = at * (1 + 0.015 * np.cos(2 * (angle - 0.4)))
    elif case == "stretch":
        along = 0.03 * (x * np.sin(0.4) + z * np.cos(0.4))
        at = at + along * np.array([[np.sin(0.4)], [np.cos(0.4)]])
    elif case == "blob":
        n = int(rng.poisson(0.03 * electrons))
        further = np.stack(project(np.abs(rng.normal(0, 0.05, n)), rng.uniform(-1, 1, n), rng=rng))
    elif case == "third":
        further, spheres = drawn((Sphere(0.3, 0.01, 1, (0.1,)),), (0.05 * electrons,), rng), 3
    elif case == "dead":
        i, j = np.indices((1024, 1024)) / 512 - 1 + 1 / 1024
        detection = Detection(efficiency=(np.hypot(i - 0.45, j - 0.3) > 0.12).astype(float))
    elif case == "cut":
        detection = Detection(reach=(0.7, 1.0))
    at = np.concatenate((at, further), axis=1) + CENTRE
    return at[:, detection.at(*at) > 0], detection, spheres


def image_of(at: NDArray[np.float64], pixels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the accumulated image of positions (2, n): each adds `COUNTS`, spread by `SPOT`; the camera adds noise."""
    index = np.floor((at + 1) * (pixels / 2)).astype(int)
    index = index[:, ((index >= 0) & (index < pixels)).all(axis=0)]
    clean = np.bincount(index[0] * pixels + index[1], minlength=pixels**2).reshape(pixels, pixels).astype(float)
    spread = ndimage.gaussian_filter(clean * COUNTS, SPOT)
    return spread + rng.normal(0, CAMERA, spread.shape)


def simulated_image(electrons: int, seed: int) -> NDArray[np.float64]:
    """Return an accumulated image (1024, 1024) of `RINGS`, axis 0 is x, axis 1 is z."""
    rng = np.random.default_rng([910, seed])
    return image_of(drawn(RINGS, electrons * np.array(SHARES), rng) + CENTRE, 1024, rng)


def pulls_of(result: FitResult, spheres: Sequence[Sphere], *, of_radii: bool = True) -> dict[str, float]:
    """Return the pull of R and sigma_R, if `of_radii`, and of every beta of the spheres nearest to the true ones."""
    layout, out = result.layout, {}
    for number_, sphere in enumerate(spheres, 1):
        s = int(np.abs(result.R - sphere.R).argmin())
        beta = np.resize([*sphere.beta, *[0.0] * len(layout.degrees)], len(layout.degrees))
        first = 0 if of_radii else 2
        told = (sphere.R, sphere.sigma_R, *beta)
        for index, wanted in zip(layout.blocks[s][1 + first :], told[first:], strict=True):
            pull = (result.values[index] - wanted) / result.errors[index]
            out[f"{layout.names[index].rpartition('_')[0]}_{number_}"] = float(pull)
    return out


def row_of_effect(case: str, electrons: int, seed: int) -> Row:
    """Return what one experiment with an effect says."""
    rng = np.random.default_rng([900, seed])
    at, detection, spheres = with_effect(case, electrons, rng)
    result, chosen = fit_selected(hits_at(at), Wanted(spheres, 24), detection)
    index = result.layout.beta[-2:].ravel()
    floor = result.floor_covariance[np.ix_(index, index)]
    distance = float(pad.distance(result.beta[-2:], [sphere.beta for sphere in design()]))
    # Of a stretched image the mean radius is the image's own.
    pulls = pulls_of(result, design(), of_radii=case != "stretch")
    return {
        "floors": distance / floor_distance(floor, 1000, np.random.default_rng(0)),
        "chosen": list(chosen.pieces),
        "pulls": pulls,
    }


def row_of_image(electrons: int, seed: int) -> Row:
    """Return what one accumulated image says, of which nothing is told."""
    image = simulated_image(electrons, seed)
    law, _ = learn_noise(image, None)
    points = hits_of_pixels(image / law.counts_per_electron, law.variance_per_electron, law.pixel_noise)
    detection = Detection(noise=law.pixel_noise / (2 / 1024) ** 2)
    result, chosen = fit_selected(Hits(*points), Wanted(None, 4), detection)
    off = [float(np.abs(result.R - ring.R).min()) for ring in RINGS]
    # The widths of an image are those that it shows: the spot's is in them.
    shown = [replace(ring, sigma_R=math.hypot(ring.sigma_R, SPOT * 2 / 1024)) for ring in RINGS]
    return {"spheres": len(result.R), "off": off, "chosen": list(chosen.pieces), "pulls": pulls_of(result, shown)}


def row_of_drawn(electrons: int, seed: int) -> Row:
    """Return what one counted image of the spheres of VMI_art1 says, of which nothing is told."""
    parts = np.array([n for _, n, _, _ in _TABLE])
    at = drawn(DRAWN, electrons * parts / parts.sum(), np.random.default_rng([940, seed]))
    image = np.histogram2d(at[0], at[1], bins=514, range=[[-1, 1], [-1, 1]])[0]
    result, chosen = fit_selected(Hits(*hits_of_pixels(image, 1.0, 0.0)), Wanted(None, 4), Detection())
    pulls = pulls_of(result, DRAWN, of_radii=False)
    return {"spheres": len(result.R), "chosen": list(chosen.pieces), "pulls": pulls}


def row_of_rings(case: str, electrons: int, seed: int) -> Row:
    """Return how many spheres were found, and whether the faint one is among them."""
    rng = np.random.default_rng([920, seed])
    if case == "ring":
        at = drawn((*RINGS, FAINT), electrons * np.array((*SHARES, 1 / 200)), rng)
    else:
        at = drawn(SMOOTH, (electrons / len(SMOOTH),) * len(SMOOTH), rng)
    at = at + CENTRE
    try:
        result, chosen = fit_selected(hits_at(at), Wanted(None, 4), Detection())
    except InputError as error:
        return {"error": str(error)}
    near = np.abs(result.R - FAINT.R) < 0.01
    narrow = result.sigma_R < 0.02
    return {
        "spheres": len(result.R),
        "found": bool(near.any()),
        "narrow": int(narrow.sum()),
        "chosen": list(chosen.pieces),
    }


def row_of_speed(electrons: int, seed: int) -> Row:
    """Return the seconds of one fit."""
    rng = np.random.default_rng([930, seed])
    spheres = tuple(Sphere(R, 0.006, 1, (0.3, 0.1)) for R in np.linspace(0.15, 0.9, 12).tolist())
    x, z = drawn(spheres, (electrons / 12,) * 12, rng)
    angle, rho = np.arctan2(x, z), np.hypot(x, z)
    rho, angle = rho * (1 + 0.01 * np.cos(2 * angle)), angle + 0.03
    at = np.concatenate(
        (rho * np.stack((np.sin(angle), np.cos(angle))), rng.uniform(-1, 1, (2, electrons // 20))), axis=1
    )
    begin = time.perf_counter()
    wanted = Wanted(12, 4)
    result, chosen = fit_selected(hits_at(at + CENTRE), wanted, Detection())
    seconds = time.perf_counter() - begin
    off = float(np.abs(result.R - [sphere.R for sphere in spheres]).max())
    return {"seconds": seconds, "chosen": list(chosen.pieces), "off": off}


EFFECTS = ("ideal", "background", "rotation", "stretch", "ellipse", "dead", "cut", "blob", "third", "forward")
CASES: dict[str, Callable[[int, int], Row]] = {
    **{case: partial(row_of_effect, case) for case in EFFECTS},
    "image": row_of_image,
    "drawn": row_of_drawn,
    "ring": partial(row_of_rings, "ring"),
    "smooth": partial(row_of_rings, "smooth"),
    "speed": row_of_speed,
}


def one(task: tuple[str, int, int]) -> Row:
    """Do one experiment: case, electrons, seed."""
    case, electrons, seed = task
    return CASES[case](electrons, seed)


def run(options: Options) -> list[Row]:
    """Do what the JSON file does not hold yet."""
    rows = read_rows(options.json)
    wanted: list[Row] = [
        {"case": options.case, "electrons": options.electrons, "seed": seed} for seed in range(options.experiments)
    ]
    left = [each for each in wanted if not any(each.items() <= row.items() for row in rows)]
    tasks = [(options.case, options.electrons, each["seed"]) for each in left]
    with open_executor(options.workers) as executor:
        for each, row in zip(left, map_in_order(executor, one, tasks, in_flight=2 * options.workers), strict=True):
            rows.append({**each, **row})
            write_json(options.json, rows)
    return [row for each in wanted for row in rows if each.items() <= row.items()]


def report(case: str, rows: Sequence[Row]) -> None:
    """Print a line per kind of result."""
    pulls = [row["pulls"] for row in rows if "pulls" in row]
    if len(pulls) > 1:  # one tells no coverage
        names = tuple(pulls[0])
        found = coverage(names, np.array([[row[name] for name in names] for row in pulls]))
        print(f"{case}: {100 * found.pooled[0]:.1f} % and {100 * found.pooled[1]:.1f} % covered")
    columns: dict[str, list[Any]] = {key: [row.get(key) for row in rows] for key in rows[0] if key not in _NOT_SHOWN}
    for key, values in columns.items():
        if key == "off":
            worst = np.max([np.max(value) for value in values])
            print(f"{case}: radii off by {worst:.5f} at most")
        elif isinstance(values[0], float):
            print(f"{case}: {key} {np.mean(values):.3f} in the mean, {np.max(values):.3f} at most")
        else:
            kinds = sorted({str(value) for value in values})
            counted = [(kind, sum(str(value) == kind for value in values)) for kind in kinds]
            print(tabulate([(case, key, kind, count) for kind, count in counted], tablefmt="plain"))


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.laboratory", __doc__)
    add = parser.add_argument
    add("case", choices=CASES)
    add("--experiments", type=number(int, 1), default=40, metavar="N", help="(default %(default)s)")
    add("--electrons", type=number(int, 10_000), metavar="N", help="(default 400000; speed: 4300000)")
    add("--workers", type=number(int, 1), default=1, metavar="N", help="(default %(default)s)")
    add("--keep", type=Path, metavar="FILE", help="write the first image there, and do no more")
    add("--json", type=Path, metavar="FILE", help="(default: data/benchmark/laboratory_CASE.json)")
    args = parser.parse_args(argv)
    args.electrons = args.electrons or (4_300_000 if args.case == "speed" else 400_000)
    args.json = args.json or ROOT / "data" / "benchmark" / f"laboratory_{args.case}.json"
    return as_options(Options, parser, vars(args))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    if options.keep:
        with replacing(options.keep) as temporary, temporary.open("wb") as file:
            np.save(file, simulated_image(options.electrons, 0).astype(np.float32))
    else:
        report(options.case, run(options))


if __name__ == "__main__":
    run_program(main)
