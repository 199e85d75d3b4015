"""Whether the reported errors are true, over many seeded experiments.

usage: nice .venv/bin/python -m benchmark.coverage CASE [--experiments N] [--workers N] [--json FILE]

CASE  design   sampled positions of the two spheres of param/experiment.toml, weights 1 +- 0.17
      zero     the same with PADs that are zero somewhere: I = 3/2 c^2, and I ~ c^20, zero over a broad range
      frames   through all stages: frames simulated, searched, fitted
      sums     without hits: frames simulated and summed, the sum fitted with the spot learnt from them

Resumes: experiments that data/benchmark/coverage_CASE.json already holds are not repeated. Prints mean and spread of
the pulls and the coverage of 68 % and 95 % intervals of every R, sigma_R and beta, of the PADs at some angles, and of
the negative control: the same errors shrunk by a tenth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from benchmark.shared.results import read_rows, write_json
from util.camera.detector import Detector
from util.camera.exposure import take_frame
from util.camera.phosphor import PhosphorRecipe
from util.finder.finder import Finder, FinderSettings
from util.fit.coverage import coverage
from util.fit.detection import Detection
from util.fit.likelihood import fit
from util.fit.map_data import Hits
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.fit.selection import Wanted, fit_selected
from util.physics.polar_map import PolarBins
from util.physics.sphere import Experiment
from util.runtime import settings
from util.runtime.errors import InputError, run_program
from util.runtime.executor import map_in_order, open_executor
from util.runtime.options import Parser, as_options, number
from util.simulation.virtual_experiment import Scene, VirtualExperiment
from util.summed.deconvolved_fit import fit_sum
from util.summed.restore import bin_frame, cell_of, restored
from util.summed.spot import learn_spot

ROOT = Path(__file__).resolve().parents[1]
BINS = PolarBins(500, 96)  # 1 % wider errors than the default's, a quarter of the time
ELECTRONS = 200_000  # expected of each experiment on positions
FRAMES = 600  # of each experiment through frames
BLOCKS = 200  # into which they are summed
WEIGHT_SPREAD = 0.17  # of one electron's flux
SAVE_EVERY = 20
COSINES = (0.0, 0.05, 0.1, 0.2, 0.5, 0.8, 1.0)
CASES = {"design": 2400, "zero": 1200, "frames": 120, "sums": 120}
_COSINE_SQUARED = (1.0, *(0.0,) * 11)
_PEAKED = (*legendre.poly2leg([0.0] * 20 + [10.5])[2::2].tolist(), 0.0, 0.0)


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    case: str
    experiments: int
    workers: int
    json: Path


def scene_of(case: str) -> Scene:
    """Return the spheres of a case."""
    spheres = settings.load(Experiment, ROOT / "param" / "experiment.toml").spheres
    betas = (_COSINE_SQUARED, _PEAKED) if case == "zero" else tuple(sphere.beta for sphere in spheres)
    numbers = np.array([sphere.electrons_per_frame for sphere in spheres])
    return Scene(
        tuple(sphere.R for sphere in spheres),
        tuple(sphere.sigma_R for sphere in spheres),
        betas,
        tuple((numbers / numbers.sum()).tolist()),
        (0.004, -0.003),
        (int(numbers.sum()),),
    )


def pulls_of(result: FitResult, scene: Scene) -> dict[str, float]:
    """Return the pull of every R, sigma_R and beta, and of I(c) of each sphere."""
    layout = result.layout
    off = (result.values - layout.known(scene.R, scene.sigma_R, scene.beta)) / result.errors
    pulls = {layout.names[i]: float(off[i]) for i in layout.shape}
    spheres, n = result.beta.shape
    covariance = result.beta_covariance().reshape(spheres, n, spheres, n)
    design = legendre.legval(COSINES, np.eye(2 * n + 1)[:, 2::2])
    for s, beta in enumerate(scene.beta):
        error = np.sqrt(np.einsum("ic,ij,jc->c", design, covariance[s, :, s], design))
        off = (result.beta[s] - beta) @ design / error
        pulls |= {f"I_{s + 1}({c})": float(value) for c, value in zip(COSINES, off, strict=True)}
    return pulls


def on_positions(task: tuple[str, int]) -> dict[str, float] | None:
    """Return the pulls of one experiment on sampled positions; None where the fit failed."""
    case, seed = task
    rng, scene = np.random.default_rng([600, seed]), scene_of(case)
    x, z = scene.draw(rng.poisson(ELECTRONS), rng=rng)
    weight = rng.normal(1, WEIGHT_SPREAD, x.size)
    # As the answer stage does: what the hits call for is fitted too, and found without being told.
    result, _ = fit_selected(Hits(x, z, weight, None), Wanted(len(scene.R), 24), Detection(), bins=BINS)
    return pulls_of(result, scene) if result.converged else None


def through_frames(task: tuple[str, int]) -> dict[str, float] | None:
    """Return the pulls of one experiment through frames; None where the fit failed."""
    case, seed = task
    scene = scene_of(case)
    with open_executor(1) as executor:
        found = VirtualExperiment(*_detector_and_finder(), executor).play(scene, FRAMES, seed=700_000 + seed).found
    result = fit(found["x"], found["z"], found["weight"], bins=BINS)
    return pulls_of(result, scene) if result.converged else None


def through_sums(task: tuple[str, int]) -> dict[str, float] | None:
    """Return the pulls of one experiment on summed frames; None where the fit failed."""
    case, seed = task
    rng, scene = np.random.default_rng([800, seed]), scene_of(case)
    detector, finder_settings = _detector_and_finder()
    finder = Finder(detector, finder_settings)
    size = 2 * cell_of(detector)
    blocks = np.zeros((BLOCKS, *(pixels // size for pixels in detector.frame_shape)))

    def frames() -> Iterator[NDArray[np.uint8]]:
        for index in range(FRAMES):
            x, z = scene.draw(scene.crowd[0], rng=rng)
            frame = take_frame(detector, x, z, rng=rng)
            blocks[index % BLOCKS] += bin_frame(restored(frame, finder), size)
            yield frame

    spot = learn_spot(frames(), finder)
    start = list(zip(scene.R, scene.sigma_R, strict=True))
    try:
        return pulls_of(fit_sum(blocks, spot, detector, start=start).result, scene)
    except InputError:
        return None


def _detector_and_finder() -> tuple[Detector, FinderSettings]:
    recipe = settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    return Detector.of_recipe(recipe), settings.load(FinderSettings, ROOT / "param" / "finder.toml")


def run(case: str, experiments: int, workers: int, path: Path) -> list[dict[str, float] | None]:
    """Do what `path` does not hold yet; return the pulls of all experiments."""
    rows = read_rows(path)
    one = {"frames": through_frames, "sums": through_sums}.get(case, on_positions)
    tasks = [(case, seed) for seed in range(len(rows), experiments)]
    with open_executor(workers) as executor:
        for row in map_in_order(executor, one, tasks, in_flight=2 * workers):
            rows.append(row)
            if len(rows) % SAVE_EVERY == 0 or len(rows) == experiments:
                write_json(path, rows)
    return rows[:experiments]


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.coverage", __doc__)
    parser.add_argument("case", choices=CASES)
    usual = ", ".join(f"{n} for {case}" for case, n in CASES.items())
    parser.add_argument("--experiments", type=number(int, 2), metavar="N", help=f"(default: {usual})")
    parser.add_argument("--workers", type=number(int, 1), default=1, metavar="N", help="(default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="(default: data/benchmark/coverage_CASE.json)")
    args = parser.parse_args(argv)
    args.experiments = args.experiments or CASES[args.case]
    args.json = args.json or ROOT / "data" / "benchmark" / f"coverage_{args.case}.json"
    return as_options(Options, parser, vars(args))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    rows = run(options.case, options.experiments, options.workers, options.json)
    fitted = [row for row in rows if row is not None]
    if len(fitted) < 2:
        raise InputError(f"{options.json}: expected two fits or more, found {len(fitted)}; ask for more --experiments")
    layout = Layout(len(scene_of(options.case).R))
    names, angles = (tuple(name for name in fitted[0] if (name in layout.names) == fits) for fits in (True, False))
    pulls, of_pads = (np.array([[row[name] for name in part] for row in fitted]) for part in (names, angles))
    found = coverage(names, pulls)
    print(f"{options.case}: {len(fitted)} experiments, {len(rows) - len(fitted)} fits failed")
    print(found.table())
    print(coverage(angles, of_pads).table())
    shrunk = coverage(names, pulls / 0.9)
    for what, table in (("reported errors", found), ("shrunk by a tenth", shrunk)):
        share = 100 * table.pooled
        print(
            f"{what}: {share[0]:.1f} % and {share[1]:.1f} % covered; within 68.3 +- 3 and 95 +- 1.5: "
            f"all together {table.within(each=False)}, each of {len(names)} parameters {table.within()}"
        )


if __name__ == "__main__":
    run_program(main)
