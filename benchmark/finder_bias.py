"""Whether subtracting the finder's bias, measured by simulation at the answer, helps.

Usage: nice python -m benchmark.finder_bias [--frames 10000] [--workers 1] [--json data/benchmark/finder_bias.json]

Four truths that nothing was developed on, two of them strongly peaked at the poles. Each is simulated, searched and
fitted; the fit to its true electrons, weighted by their true flux, says what the finder really added. The correction
is simulated at the answer, with other random numbers. Lengths are distances in statistical floors of 50,000 frames:
`bias` before, `left` after subtracting; R and sigma_R in standard errors of 50,000 frames. Resumes by truths.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.polynomial import legendre

from util import pad, settings
from util.atomic_file import replacing
from util.chain import Scene, play
from util.executor import open_executor
from util.finder import FinderSettings
from util.finder_bias import answer_of, measure_bias, subtract
from util.likelihood import fit, floor_distance
from util.phosphor import PhosphorRecipe

ROOT = Path(__file__).resolve().parents[1]
FULL = 50_000


def mixed(flat: float, power: int) -> tuple[float, ...]:
    """Twelve betas of `flat` parts of 1/2 and the rest c^power, normalised."""
    series = np.zeros(25)
    series[0] = flat / 2
    series[power] = (1 - flat) * (power + 1) / 2
    return tuple(legendre.poly2leg(series)[2:25:2].tolist() + [0.0] * 12)[:12]


TRUTHS = {
    "mild, apart": Scene((0.42, 0.71), (0.009, 0.008), (mixed(0.6, 2), mixed(0.4, 4)), (0.5, 0.5), (0, 0), (86,)),
    "mild, close": Scene((0.62, 0.71), (0.008, 0.010), (mixed(0.3, 4), mixed(0.5, 2)), (0.4, 0.6), (0, 0), (86,)),
    "peaked c^12": Scene((0.47, 0.77), (0.010, 0.009), (mixed(0.2, 12), mixed(0.2, 10)), (0.5, 0.5), (0, 0), (86,)),
    "peaked c^20": Scene((0.55, 0.84), (0.009, 0.011), (mixed(0.1, 16), mixed(0.1, 20)), (0.5, 0.5), (0, 0), (86,)),
}


def measure(name: str, frames: int, seed: int, workers: int) -> dict[str, object]:
    """Bias of one truth, and what is left of it."""
    recipe = settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    finder = settings.load(FinderSettings, ROOT / "param" / "finder.toml")
    scene = TRUTHS[name]
    with open_executor(workers) as executor:
        run = play(scene, frames, recipe, finder, seed=seed, executor=executor, in_flight=2 * workers)
        found = fit(*(run.found[key].astype(float) for key in ("x", "z", "weight")))
        bias = measure_bias(
            found, scene.crowd, frames, recipe, finder, seed=seed + 1000, executor=executor, in_flight=2 * workers
        )
    true = answer_of(*run.true, found)
    corrected = subtract(found, bias)
    scale = np.sqrt(frames / FULL)
    floor = scale * floor_distance(found.beta_covariance(floor=True), 4000, np.random.default_rng(0))
    errors = scale * found.errors
    radii = [i for i, key in enumerate(found.names) if key.startswith(("R_", "sigma_R_"))]
    truth = np.array(scene.beta)
    own_floor = floor / scale
    return {
        "truth": name,
        "frames": frames,
        "bias": float(pad.distance(found.beta, true.beta)) / floor,
        "left": float(pad.distance(corrected.beta, true.beta)) / floor,
        "distance": float(pad.distance(found.beta, truth)) / own_floor,
        "distance_corrected": float(pad.distance(corrected.beta, truth)) / own_floor,
        "uncertainty": float(
            floor_distance(np.diag(bias.error[found.beta_index.ravel()] ** 2), 4000, np.random.default_rng(1))
        )
        / floor,
        "radii": {found.names[i]: float((found.values - true.values)[i] / errors[i]) for i in radii},
        "radii_left": {found.names[i]: float((corrected.values - true.values)[i] / errors[i]) for i in radii},
    }


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="The finder's bias, and what is left after subtracting it.")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, default=ROOT / "data" / "benchmark" / "finder_bias.json")
    args = parser.parse_args(argv)
    if args.frames < 400 or args.workers < 1:
        parser.error("expected at least 400 frames and 1 worker")
    rows = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else []
    rows = [row for row in rows if row["frames"] == args.frames]
    for seed, name in enumerate(TRUTHS):
        if name in {row["truth"] for row in rows}:
            continue
        rows.append(measure(name, args.frames, seed, args.workers))
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"{'truth':<14}{'bias':>8}{'left':>8}{'known to':>10}{'distance':>10}{'corrected':>11}  bias -> left")
    for row in rows:
        pairs = zip(row["radii"].items(), row["radii_left"].values(), strict=True)
        radii = ", ".join(f"{key} {a:+.2f} -> {b:+.2f}" for (key, a), b in pairs)
        print(
            f"{row['truth']:<14}{row['bias']:>8.3f}{row['left']:>8.3f}{row['uncertainty']:>10.3f}{row['distance']:>10.3f}"
            f"{row['distance_corrected']:>11.3f}  {radii}"
        )


if __name__ == "__main__":
    main()
