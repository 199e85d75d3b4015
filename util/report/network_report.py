"""What final.ipynb shows: training curves, the distribution, two answers side by side, and their residuals."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tabulate import tabulate

from util.answer.final_h5 import BETAS, read_answer, read_parameters
from util.electrons.shards import list_shards, read_shard
from util.fit.parameters import Layout
from util.physics import pad
from util.physics.polar_map import PolarBins, expected, fold
from util.report.answer_figures import STYLE
from util.runtime.facts import from_json
from util.runtime.input_file import read_whole
from util.training.course import Epoch
from util.training.released import read_manifest

_BINS = PolarBins(100, 24)


def read_curves(data: Path, param: Path) -> dict[str, tuple[Epoch, ...]]:
    """Return training curves by title: those of your own runs, where there are some, else the released weights'.

    Parameters
    ----------
    data : Path
        Folder with `train_loss/STAGE.jsonl`, which script/run_model.sh writes.
    param : Path
        Folder with the manifest of the released weights.

    Raises
    ------
    InputError
        Lines of another program; no run, and no manifest.
    """
    own = sorted((data / "train_loss").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    if own:
        return {f"your run: {path.stem}": _lines(path) for path in own}
    manifest = read_manifest(param / "weights.json")
    return {f"released weights: {file.name.split('.')[0]}": file.curve for file in manifest.files}


def _lines(path: Path) -> tuple[Epoch, ...]:
    lines = read_whole(path, "no such file").splitlines()
    remedy = "train anew with script/run_model.sh --restart"
    return tuple(from_json(Epoch, line, f"{path}:{number}", remedy=remedy) for number, line in enumerate(lines, 1))


def read_distribution(folder: Path) -> NDArray[np.float64] | None:
    """Sum the distributions of all shards in a folder, (1024, 1024); None where there are no shards."""
    if not any(folder.glob("final_*_*.npz")):
        return None
    return np.sum([read_shard(path).distribution.astype(float) for path in list_shards(folder)], axis=0)


def draw_curves(curves: Mapping[str, Sequence[Epoch]]) -> Figure:
    """Draw the distance over the samples seen, training and validation."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.subplots(1, max(len(curves), 1), squeeze=False)[0]
        for ax, (name, curve) in zip(axes, curves.items(), strict=False):
            samples = [line.samples for line in curve]
            ax.plot(samples, [line.train[0] for line in curve], color="0.6", label="training")
            ax.plot(samples, [line.valid[0] for line in curve], color="tab:blue", label="validation")
            ax.set(title=name, xlabel="samples", ylabel="distance", yscale="log")
            ax.legend(frameon=False)
        return figure


def draw_distribution(distribution: NDArray[np.float64] | None) -> Figure | None:
    """Draw the square root of the electrons in blocks of 4 x 4 pixels; None where there is no distribution."""
    if distribution is None:
        return None
    cells = distribution.reshape(256, 4, 256, 4).sum(axis=(1, 3))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.6), layout="constrained")
        ax = figure.subplots()
        shown = np.sqrt(np.maximum(cells, 0))
        image = ax.imshow(
            shown.T, origin="lower", extent=(-1, 1, -1, 1), cmap="cividis", vmax=np.percentile(shown, 99.8)
        )
        ax.set(title="electrons found, square root", xlabel="x [half the screen]", ylabel="z (laser polarisation)")
        figure.colorbar(image, ax=ax)
        return figure


def compare(likelihood: Path, network: Path) -> str:
    """Return a table of both answers, with the likelihood's errors, and their distance; or say that one is missing."""
    if not network.exists():
        return f"No answer of the network here: ANSWER={network} METHOD=resnet bash script/gen_finaltest_answer.sh"
    one, two = read_answer(likelihood), read_answer(network)
    fitted, _, errors = read_parameters(likelihood)
    known, shown = dict(zip(fitted.names, errors, strict=True)), Layout(len(one), 2 * BETAS)
    names = [shown.names[i] for i in np.column_stack((shown.R, shown.beta)).ravel()]
    columns = {
        "parameter": names,
        "likelihood": np.column_stack((one["R"], one["beta"])).ravel(),
        "error": [known.get(name, np.nan) for name in names],
        "network": np.column_stack((two["R"], two["beta"])).ravel(),
    }
    text = tabulate(columns, headers="keys", tablefmt="plain", floatfmt=".5f", numalign="right")
    return f"{text}\ndistance between them {float(pad.distance(one['beta'], two['beta'])):.4f}"


def draw_pads(likelihood: Path, network: Path) -> Figure | None:
    """Draw both PADs of each sphere; None where there is no answer of the network."""
    if not network.exists():
        return None
    c = np.linspace(-1, 1, 401)
    one, two = read_answer(likelihood), read_answer(network)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3), layout="constrained")
        for ax, row, other in zip(figure.subplots(1, len(one), squeeze=False)[0], one, two, strict=True):
            ax.plot(c, pad.intensity(row["beta"], c), color="black", linewidth=1, label="likelihood")
            ax.plot(c, pad.intensity(other["beta"], c), "--", color="tab:red", linewidth=1, label="network")
            ax.set(title=f"R = {row['R']:.4f}", xlabel="cos θ", ylabel="I(cos θ)")
            ax.legend(frameon=False)
        return figure


def residuals(distribution: NDArray[np.float64], likelihood: Path, beta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pulls of the folded map: found minus expected over the root of expected; 0 where little is expected.

    Parameters
    ----------
    distribution : array (1024, 1024)
    likelihood : Path
        The final.h5 that gives electrons, radii, widths and centre.
    beta : array (S, m)
        The betas that say what is expected.
    """
    layout, values, _ = read_parameters(likelihood)
    pitch = 2 / distribution.shape[0]
    i, j = np.nonzero(distribution)
    # A pixel's electrons at nine points, or its edges would show in the bins.
    offsets = (np.arange(3) + 0.5) / 3
    x = (-1 + pitch * (i[:, None, None] + offsets[:, None])).repeat(3, axis=2).ravel()
    z = (-1 + pitch * (j[:, None, None] + offsets)).repeat(3, axis=1).ravel()
    weight = np.repeat(distribution[i, j] / 9, 9)
    found = fold(x, z, weight, layout.geometry_of(values), _BINS).weight
    spheres = zip(values[layout.N], values[layout.R], values[layout.sigma_R], beta, strict=True)
    model = sum(N * expected(_BINS, row, R, sigma_R) for N, R, sigma_R, row in spheres)
    return np.where(model > 5, (found - model) / np.sqrt(np.maximum(model, 5)), 0)


def draw_residuals(distribution: NDArray[np.float64] | None, likelihood: Path, network: Path) -> Figure | None:
    """Draw what both answers leave of the folded map, in standard deviations; None where one of them is missing."""
    if distribution is None or not network.exists():
        return None
    answers = {"likelihood": read_answer(likelihood)["beta"], "network": read_answer(network)["beta"]}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.subplots(1, 2)
        for ax, (name, beta) in zip(axes, answers.items(), strict=True):
            pulls = residuals(distribution, likelihood, beta)
            image = ax.imshow(pulls, origin="lower", aspect="auto", extent=(0, 90, 0, 1), cmap="PuOr", vmin=-4, vmax=4)
            ax.set(
                title=f"{name}: mean square {np.mean(pulls[pulls != 0] ** 2):.2f}",
                xlabel="angle from z [degrees]",
                ylabel="radius",
            )
        figure.colorbar(image, ax=axes, label="pull")
        return figure
