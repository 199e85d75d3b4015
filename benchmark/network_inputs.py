"""Whether inputs measured through frames and finder match those that the network is trained on.

usage: .venv/bin/python -m benchmark.network_inputs [--frames 3000] [--cases 4 | --run DIR]
           [--weights param/fine_tuning.weights.pt] [--figure data/benchmark/network_inputs.png]
           [--json data/benchmark/network_inputs.json]

The first case is param/experiment.toml, the others are draws of the prior that the weights were trained on, 43 + 43
electrons per frame. Frames are simulated, searched and folded as in the stages; --run takes a simulated run that was
searched already, DIR/finaltest.h5 and DIR/finaltest_npy, as the only case. Three maps of the same electrons are
compared with what the training simulator expects of the true spheres: that of the hits found, that of the true
positions with weights as in training, and one drawn by the training simulator itself. Then the network's inputs made
from them are compared with those of 2,000 simulated samples of the same spheres, in the 100 directions in which these
vary most, and so are the network's answers.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from benchmark.network import prior_of
from benchmark.shared.electrons import true_electrons, true_spheres
from benchmark.shared.results import machine, write_json
from src.answer_steps.network import fold_hits
from src.gen_finaltest_npy import main as find_main
from src.network.model import SphereNet
from src.network.weights import read_weights
from util.camera.phosphor import PhosphorRecipe
from util.electrons.hits import read_hits
from util.physics import pad
from util.physics.shell_maps import expected_maps, observe
from util.physics.sphere import Experiment, Sphere
from util.report.answer_figures import FIGURE_SUFFIXES
from util.report.style import STYLE
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError, run_program
from util.runtime.executor import available_cores
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.simulation.frames_file import simulate
from util.training.input_match import map_pulls, principal_pulls
from util.training.priors import Prior, draw

ROOT = Path(__file__).resolve().parents[1]
FRAMES, SHARDS = "finaltest.h5", "finaltest_npy"
KINDS = ("frames and finder", "true positions", "training simulator")
SIMULATED, COMPONENTS = 2000, 100
RINGS = 32


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: int
    cases: int
    run: Path | None
    weights: Path
    figure: Path
    json: Path

    def __post_init__(self) -> None:
        if self.figure.suffix not in FIGURE_SUFFIXES:
            raise ValueError(f"--figure: expected a name in {', '.join(FIGURE_SUFFIXES)}, found {self.figure}")


class Case(NamedTuple):
    """What one experiment gave: a line of numbers, and pulls of each kind of map."""

    row: dict[str, Any]
    of_map: dict[str, NDArray[np.floating]]
    of_rings: dict[str, NDArray[np.floating]]
    of_input: dict[str, NDArray[np.floating]]


def experiments(prior: Prior, frames: int, cases: int) -> list[Experiment]:
    """Return the design's experiment, and others drawn from the prior."""
    design = load(Experiment, ROOT / "param" / "experiment.toml").spheres
    draws = draw(prior, cases - 1, rng=np.random.default_rng(77))
    drawn = [
        tuple(
            Sphere(float(R), float(sigma), 43, tuple(beta.tolist()))
            for R, sigma, beta in zip(draws.R[i], draws.sigma_R[i], draws.beta[i], strict=True)
        )
        for i in range(cases - 1)
    ]
    return [Experiment(frames, spheres) for spheres in (design, *drawn)]


def play(folder: Path, experiment: Experiment, seed: int) -> None:
    """Simulate frames and find their electrons, as the stages do."""
    recipe = load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    path, workers = folder / FRAMES, available_cores()
    simulate(path, experiment, recipe, seed=seed, workers=workers)
    find_main(["--finaltest", str(path), "--output", str(folder / SHARDS), "--workers", str(workers)])


def maps_of(
    net: SphereNet, experiment: Experiment, run: Path, seed: int
) -> tuple[dict[str, NDArray[np.floating]], float, float]:
    """Return the maps of a run by kind, the electrons on the screen, and <w^2> / <w> of the hits."""
    rng = np.random.default_rng([seed, 1])
    spread = net.input_settings.weight_spread
    hits = read_hits(run / SHARDS, hit_weights="flux", partial=False)
    true = true_electrons(run / FRAMES)
    weight = 1 + spread * rng.standard_normal(len(true))
    expected = expected_of(net, experiment, len(true))
    maps = (
        fold_hits(net.input_settings.bins, hits.x, hits.z, hits.weight),
        fold_hits(net.input_settings.bins, true["x"], true["z"], weight),
        observe(expected, spread, rng=rng).astype(np.float32),
    )
    return dict(zip(KINDS, maps, strict=True)), float(len(true)), float(hits.variance.sum() / hits.weight.sum())


def expected_of(net: SphereNet, experiment: Experiment, electrons: float) -> NDArray[np.float64]:
    """Return the map that the training simulator expects."""
    spheres = experiment.spheres
    beta, R, sigma_R = (np.array([[getattr(s, name) for s in spheres]]) for name in ("beta", "R", "sigma_R"))
    share = np.array([[s.electrons_per_frame for s in spheres]], dtype=float)
    return expected_maps(net.input_settings.bins, beta, R, sigma_R, electrons * share / share.sum())[0]


@torch.no_grad()
def look(net: SphereNet, maps: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inputs (n, elements) and betas (n, S, m) of maps (n, n_rho, n_angle)."""
    electrons = torch.from_numpy(np.asarray(maps, np.float32))
    return net.image(electrons).flatten(1).numpy().astype(float), net(electrons).numpy().astype(float)


def measure(net: SphereNet, experiment: Experiment, run: Path, seed: int) -> Case:
    """Compare the maps of one run."""
    spread = net.input_settings.weight_spread
    maps, electrons, inflation = maps_of(net, experiment, run, seed)
    expected = expected_of(net, experiment, electrons)
    rng = np.random.default_rng([seed, 2])
    simulated = observe(np.broadcast_to(expected, (SIMULATED, *expected.shape)), spread, rng=rng)
    inputs, answers = look(net, simulated)
    truth = np.array([s.beta for s in experiment.spheres])
    distances = pad.distance(answers, np.broadcast_to(truth, answers.shape))
    # Rings sum what is too small to see in single bins.
    rings = [m.reshape(RINGS, -1).sum(axis=1, keepdims=True) for m in (expected, *maps.values())]
    of_rings = {kind: map_pulls(r, rings[0], spread)[:, 0] for kind, r in zip(KINDS, rings[1:], strict=True)}
    of_map, of_input = {}, {}
    row: dict[str, Any] = {"radii": [s.R for s in experiment.spheres]}
    found = {}
    for kind, m in maps.items():
        of_map[kind] = map_pulls(m, expected, spread)
        image, found[kind] = look(net, m[None])
        of_input[kind] = principal_pulls(image, inputs, COMPONENTS)[0]
        square = (of_input[kind] ** 2).sum()
        row[kind] = {
            "map_chi2_per_bin": float(np.nanmean(of_map[kind] ** 2)),
            "rings_chi2_per_ring": float(np.nanmean(of_rings[kind] ** 2)),
            "input_mean_square": float(square / COMPONENTS),
            "input_p": float(chi2.sf(square, COMPONENTS)),
            "distance": float(pad.distance(found[kind][0], truth)),
        }
    row |= {
        "electrons": electrons,
        "total": float(maps[KINDS[0]].sum()) / electrons - 1,
        "variance_per_weight": inflation,
        "distance_simulated": [float(distances.mean()), float(distances.std())],
        "moved_by_finding": float(pad.distance(found[KINDS[0]][0], found[KINDS[1]][0])),
    }
    return Case(row, of_map, of_rings, of_input)


def draw_figure(path: Path, cases: Sequence[Case]) -> None:
    """Draw pulls of bins, of rings and of inputs, and what the network makes of them."""
    pulls_shown = np.linspace(-4.5, 4.5, 181)
    styles = dict(zip(KINDS, (("C0", "-", "o"), ("C1", "--", "s"), ("0.4", ":", "^")), strict=True))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 7.6), layout="constrained")
        bins, rings, elements, answers = figure.subplots(2, 2).ravel()
        for axes, name, columns in ((bins, "of_map", 45), (elements, "of_input", 18)):
            edges = np.linspace(pulls_shown[0], pulls_shown[-1], columns + 1)
            for kind, (colour, line, _) in styles.items():
                values = np.concatenate([getattr(case, name)[kind].ravel() for case in cases])
                values = values[np.isfinite(values)]
                height, _ = np.histogram(values, edges, density=True)
                label = f"{kind}: {values.mean():+.3f} $\\pm$ {values.std():.3f}"
                axes.stairs(height, edges, color=colour, linestyle=line, label=label, linewidth=1.4)
            axes.plot(pulls_shown, norm.pdf(pulls_shown), "k", linewidth=0.7, label="normal")
            axes.set_ylim(0, 0.72)
            axes.legend(frameon=False, loc="upper left", fontsize=8)
        bins.set(
            xlabel="pull of a bin of the folded map", ylabel="density", title="Maps against the training simulator"
        )
        elements.set(
            xlabel="pull of a principal component of the network's input",
            ylabel="density",
            title="Inputs of the network",
        )
        rho = (np.arange(RINGS) + 0.5) / RINGS
        for kind, (colour, line, mark) in styles.items():
            pulls = np.array([case.of_rings[kind] for case in cases])
            rings.plot(
                rho,
                pulls.sum(axis=0) / np.sqrt(len(cases)),
                color=colour,
                linestyle=line,
                marker=mark,
                ms=3,
                label=kind,
            )
        rings.axhspan(-2, 2, color="0.92", zorder=0)
        rings.set(
            xlabel="radius on the detector",
            ylabel="pull of a ring, all cases together",
            title="Electrons in rings (grey: two standard deviations)",
        )
        rings.legend(frameon=False, fontsize=8)
        for i, case in enumerate(cases):
            mean, std = case.row["distance_simulated"]
            answers.errorbar(
                i, mean, std, color="0.4", capsize=4, label=f"{SIMULATED} simulated samples" if i == 0 else None
            )
            for shift, kind in ((-0.15, KINDS[1]), (0.15, KINDS[0])):
                colour, _, mark = styles[kind]
                once = kind if i == 0 else None
                answers.plot(i + shift, case.row[kind]["distance"], mark, color=colour, label=once)
        answers.set(ylim=(0, None), xlim=(-0.6, len(cases) - 0.4))
        radii = ["{:.3f}, {:.3f}".format(*case.row["radii"]) for case in cases]
        answers.set_xticks(range(len(cases)), radii)
        answers.set(xlabel="radii", ylabel="distance of the network", title="What it costs")
        answers.legend(frameon=False, fontsize=8)
        with replacing(path) as temporary:
            figure.savefig(temporary)


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.network_inputs", __doc__)
    folder = ROOT / "data" / "benchmark"
    parser.add_argument(
        "--frames", type=number(int, 100), default=3000, metavar="N", help="of each case (default %(default)s)"
    )
    parser.add_argument("--cases", type=number(int, 1), default=4, metavar="N", help="(default %(default)s)")
    parser.add_argument("--run", type=Path, metavar="DIR", help="compare this run; simulate none")
    parser.add_argument("--weights", type=Path, default=ROOT / "param" / "fine_tuning.weights.pt", metavar="FILE")
    parser.add_argument("--figure", type=Path, default=folder / "network_inputs.png", metavar="FILE")
    parser.add_argument("--json", type=Path, default=folder / "network_inputs.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    options = parse_args(argv)
    net, facts = read_weights(options.weights)
    if not isinstance(net, SphereNet):
        raise InputError(
            f"{options.weights}: expected weights of a network that sees windows, found others; use others"
        )
    net.eval()
    cases = []
    if options.run:
        spheres = true_spheres(options.run / FRAMES)
        cases.append(measure(net, Experiment(1, tuple(spheres)), options.run, 500))
    else:
        for i, experiment in enumerate(experiments(prior_of(options.weights, facts), options.frames, options.cases)):
            with tempfile.TemporaryDirectory() as folder:
                play(Path(folder), experiment, 500 + i)
                cases.append(measure(net, experiment, Path(folder), 500 + i))
    for case in cases:
        row = case.row
        print("radii {:.3f}, {:.3f}".format(*row["radii"]), end="; ")
        print(f"total {row['total']:+.2%}; variance per weight {row['variance_per_weight']:.4f}", end="; ")
        print("distance of simulated samples {:.4f} +- {:.4f}".format(*row["distance_simulated"]), end="; ")
        print(f"finding moves the answer by {row['moved_by_finding']:.4f}")
        for kind in KINDS:
            print(
                "  {:<20} chi2 per bin {map_chi2_per_bin:.3f}, per ring {rings_chi2_per_ring:.2f}; inputs: "
                "mean square pull {input_mean_square:.3f}, p {input_p:.3f}; distance {distance:.4f}".format(
                    kind, **row[kind]
                )
            )
    draw_figure(options.figure, cases)
    print(f"figure {options.figure}")
    told = [case.row for case in cases]
    write_json(options.json, {"frames": options.frames, "machine": machine(), "rows": told})


if __name__ == "__main__":
    run_program(main)
