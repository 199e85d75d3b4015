"""Where electrons are lost, and whether the weight makes up for it: close pairs, and groups in crowded frames.

usage: .venv/bin/python -m benchmark.pairs [--frames 40] [--json data/benchmark/pairs.json]
           [--figure data/benchmark/pairs.png]

Pairs: two electrons at a given separation and a random angle, far from all others. Found: the share of electrons with
a hit within two pixels. Flux: the hits' over the electrons' own. Weight: the hits' over the number of electrons.
Groups: the electrons of simulated frames, linked where nearer than three spot sizes; a hit belongs to the group of the
electron nearest to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree

from benchmark.shared.electrons import places_of, search_frame
from benchmark.shared.results import machine, write_json
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe, draw_spots, flux_of, mean_flux, render
from util.finder.finder import Finder, FinderSettings
from util.finder.matching import match
from util.physics.sampling import project, sample_sphere
from util.physics.sphere import Experiment
from util.report.answer_figures import FIGURE_SUFFIXES
from util.runtime.atomic_file import replacing
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load

ROOT = Path(__file__).resolve().parents[1]
SEPARATIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)  # spot sizes
GRID = 5  # pairs along each axis of a frame
GROUPS = ((1, 1), (2, 2), (3, 3), (4, 6), (7, 10), (11, 999))  # electrons
LINK = 3.0  # spot sizes
RADII = ((0.5, 0.8), (0.58, 0.66), (0.35, 0.43))
NUMBERS = ((43, 43), (26, 60), (60, 60))


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: int
    seed: int
    json: Path
    figure: Path

    def __post_init__(self) -> None:
        if self.figure.suffix not in FIGURE_SUFFIXES:
            raise ValueError(f"--figure: expected a name in {', '.join(FIGURE_SUFFIXES)}, found {self.figure}")


class Searched(NamedTuple):
    """Positions (n, 2) and fluxes (n,) of a frame's electrons; positions (m, 2) of its hits, and the hits."""

    electrons: NDArray[np.float64]
    fluxes: NDArray[np.float64]
    places: NDArray[np.float64]
    hits: NDArray[np.void]


def search(
    recipe: PhosphorRecipe, finder: Finder, x: NDArray[np.float64], z: NDArray[np.float64], rng: np.random.Generator
) -> Searched:
    """Render one frame and search it."""
    A, sigma, rho = draw_spots(recipe, x.size, rng=rng)
    flux = flux_of(A, sigma, rho) / mean_flux(recipe)
    hits = search_frame(finder, render(recipe, x, z, A, sigma, rho, rng=rng))
    return Searched(np.stack((x, z), axis=1), flux, places_of(hits), hits)


def measure_pairs(recipe: PhosphorRecipe, finder: Finder, separation: float, frames: int, seed: int) -> dict[str, Any]:
    """Measure the share found, flux and weight of pairs at one separation [spot sizes]."""
    rng = np.random.default_rng([seed, round(100 * separation)])
    middle = np.stack(np.meshgrid(*[(np.arange(GRID) - (GRID - 1) / 2) * 1.8 / GRID] * 2), axis=-1).reshape(-1, 2)
    found = weight = light = flux = 0.0
    for _ in range(frames):
        at = middle + rng.uniform(-0.5, 0.5, middle.shape) * recipe.pitch
        angle = rng.uniform(0, 2 * np.pi, len(at))
        half = 0.5 * separation * recipe.sigma.mean * np.stack((np.cos(angle), np.sin(angle)), axis=1)
        x, z = np.concatenate((at - half, at + half)).T
        electrons, fluxes, places, hits = search(recipe, finder, x, z, rng)
        found += match(places, electrons, 2 * recipe.pitch).hit.size
        weight += hits["weight"].sum(dtype=float)
        light += hits["flux"].sum(dtype=float)
        flux += fluxes.sum()
    number = 2 * frames * GRID**2
    shares = {"found": found / number, "flux": light / flux, "weight": weight / number}
    return {"separation": separation, "electrons": number} | shares


def measure_groups(recipe: PhosphorRecipe, finder: Finder, case: int, frames: int, seed: int) -> list[dict[str, Any]]:
    """Measure the share found, flux and weight of electrons in groups of each size."""
    spheres = load(Experiment, ROOT / "param" / "experiment.toml").spheres
    rng = np.random.default_rng([seed, case])
    counts = np.zeros((len(GROUPS), 5))  # electrons, found, their flux, the hits' flux and weight
    for _ in range(frames):
        parts = [
            project(*sample_sphere(np.array(sphere.beta), R, sphere.sigma_R, n, rng=rng), rng=rng)
            for R, sphere, n in zip(RADII[case], spheres, NUMBERS[case], strict=True)
        ]
        x, z = np.concatenate([np.asarray(part) for part in parts], axis=1)
        electrons, fluxes, places, hits = search(recipe, finder, x, z, rng)
        group = fcluster(linkage(electrons, "single"), LINK * recipe.sigma.mean, "distance")
        size = np.bincount(group)[group]
        seen = np.zeros(len(electrons), bool)
        seen[match(places, electrons, 2 * recipe.pitch).electron] = True
        hit_size = size[cKDTree(electrons).query(places)[1]]
        for row, (low, high) in zip(counts, GROUPS, strict=True):
            mine = (size >= low) & (size <= high)
            theirs = hits[(hit_size >= low) & (hit_size <= high)]
            light, weight = theirs["flux"].sum(dtype=float), theirs["weight"].sum(dtype=float)
            row += (mine.sum(), seen[mine].sum(), fluxes[mine].sum(), light, weight)
    return [
        {"smallest": low, "largest": high, "electrons": int(n), "found": found / n}
        | {"flux": light / flux, "weight": weight / n}
        for (low, high), (n, found, flux, light, weight) in zip(GROUPS, counts, strict=True)
        if n >= 30  # fewer tell no share
    ]


def draw(pairs: Sequence[dict[str, Any]], groups: Sequence[Sequence[dict[str, Any]]]) -> Figure:
    """Plot both, the share found on the left and the weight on the right."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots(2, 2)
    separation = [row["separation"] for row in pairs]
    for axis, key, label in (
        (axes[0, 0], "found", "electrons found"),
        (axes[0, 1], "weight", "weight per electron"),
    ):
        axis.plot(separation, [row[key] for row in pairs], "o-", color="black")
        axis.set(xlabel="separation of a pair [spot sizes]", ylabel=label)
    for mark, shade, case, (radii, numbers) in zip(
        "os^", ("black", "0.35", "0.6"), groups, zip(RADII, NUMBERS, strict=True), strict=True
    ):
        at = [GROUPS.index((row["smallest"], row["largest"])) for row in case]
        label = f"R {radii[0]}, {radii[1]}; {numbers[0]} + {numbers[1]} electrons"
        axes[1, 0].plot(at, [row["found"] for row in case], mark + "-", color=shade, label=label)
        axes[1, 1].plot(at, [row["weight"] for row in case], mark + "-", color=shade, label=label)
    names = [str(low) if low == high else f"{low}-{high}" if high < 999 else f"{low}+" for low, high in GROUPS]
    for axis, label in ((axes[1, 0], "electrons found"), (axes[1, 1], "weight per electron")):
        axis.set(xlabel="electrons in the group", ylabel=label)
        axis.set_xticks(range(len(names)), names)
    axes[1, 0].legend(fontsize=8)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        axis.axhline(1, color="black", linewidth=0.8, linestyle=":")
    for axis in axes[:, 1]:
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, 0.97), max(high, 1.03))
    return figure


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.pairs", __doc__)
    add = parser.add_argument
    each = "per separation, and ten times as many for the groups (default %(default)s)"
    add("--frames", type=number(int, 1), default=40, metavar="N", help=each)
    add("--seed", type=number(int, 0), default=1, metavar="S", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "pairs.json", metavar="FILE")
    add("--figure", type=Path, default=ROOT / "data" / "benchmark" / "pairs.png", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    recipe = load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    finder = Finder(Detector.of_recipe(recipe), load(FinderSettings, ROOT / "param" / "finder.toml"))
    pairs = [measure_pairs(recipe, finder, separation, options.frames, options.seed) for separation in SEPARATIONS]
    print(f"{'separation':>12}{'found':>9}{'flux':>9}{'weight':>9}   pairs [spot sizes]")
    for row in pairs:
        print(f"{row['separation']:>12.2f}{row['found']:>9.3f}{row['flux']:>9.4f}{row['weight']:>9.4f}")
    groups = [measure_groups(recipe, finder, case, 10 * options.frames, options.seed) for case in range(len(RADII))]
    for case, radii, numbers in zip(groups, RADII, NUMBERS, strict=True):
        print(f"\nR {radii}, {numbers} electrons per frame")
        print(f"{'group':>12}{'found':>9}{'flux':>9}{'weight':>9}{'electrons':>12}")
        for row in case:
            name = f"{row['smallest']}-{row['largest']}"
            print(f"{name:>12}{row['found']:>9.3f}{row['flux']:>9.4f}{row['weight']:>9.4f}{row['electrons']:>12}")
    write_json(options.json, {"frames": options.frames, "machine": machine(), "pairs": pairs, "groups": groups})
    figure = draw(pairs, groups)
    with replacing(options.figure) as temporary:
        figure.savefig(temporary, dpi=150)


if __name__ == "__main__":
    run_program(main)
