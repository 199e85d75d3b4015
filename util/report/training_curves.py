"""How a network's training went: its distance over the samples seen, beside what is best and what is nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from util.fit.floor import floor_at
from util.fit.parameters import Layout
from util.physics.polar_map import PolarBins
from util.report.style import ANSWER, BLUE, GREEN, PAGE, STYLE, log_axis
from util.runtime.facts import from_json
from util.runtime.input_file import read_whole
from util.training.course import Epoch, TrainingFacts
from util.training.priors import Prior, draw
from util.training.released import read_manifest

_FLOOR_BINS = PolarBins(250, 24)  # the floor rises by 2 %
_FLOOR_SPHERES = 3
_FLOOR, _NOTHING = "floor of fits, about", "predicting the mean"


@dataclass(frozen=True)
class Curve:
    """One training: its epochs, and distances to compare them with, by what they are."""

    epochs: tuple[Epoch, ...]
    levels: Mapping[str, float] = field(default_factory=dict)


def read_curves(data: Path, param: Path, facts_of: Callable[[Path], TrainingFacts] | None = None) -> dict[str, Curve]:
    """Return training curves by title: those of your own runs, where there are some, else the released weights'.

    Parameters
    ----------
    data : Path
        Folder with `train_loss/STAGE.jsonl` and `network/STAGE.weights.pt`, which script/run_model.sh writes.
    param : Path
        Folder with the manifest of the released weights.
    facts_of : function or None
        Reads from a file of weights how they were trained; None: curves of own runs come without levels.

    Raises
    ------
    InputError
        Lines of another program; no run, and no manifest.
    """
    own = sorted((data / "train_loss").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not own:
        manifest = read_manifest(param / "weights.json")
        return {
            f"released weights: {file.name.split('.')[0]}": Curve(file.curve, levels_of(file))
            for file in manifest.files
        }
    curves = {}
    for path in own:
        weights = data / "network" / f"{path.stem}.weights.pt"
        levels = levels_of(facts_of(weights)) if facts_of and weights.exists() else {}
        curves[f"your run: {path.stem}"] = Curve(_lines(path), levels)
    return curves


def _lines(path: Path) -> tuple[Epoch, ...]:
    lines = read_whole(path, "no such file").splitlines()
    remedy = "train anew with script/run_model.sh --restart"
    return tuple(from_json(Epoch, line, f"{path}:{number}", remedy=remedy) for number, line in enumerate(lines, 1))


def levels_of(facts: TrainingFacts) -> dict[str, float]:
    """Return what a network reaches that has learnt nothing, and the floor of fits without a prior, if it is known."""
    levels = {_NOTHING: facts.predicting_the_mean}
    if facts.prior is not None:
        levels[_FLOOR] = floor_of(facts.prior)
    return levels


def floor_of(prior: Prior) -> float:
    """Return the statistical floor of spheres of a prior: the median of a few draws, since close radii have no mean."""
    rng = np.random.default_rng(0)
    draws = draw(prior, _FLOOR_SPHERES, rng=rng)
    layout = Layout(len(prior.spheres), 2 * prior.betas)
    floors = []
    for N, R, sigma_R, beta in zip(draws.electrons, draws.R, draws.sigma_R, draws.beta, strict=True):
        values = np.zeros(layout.size)
        for index, drawn in ((layout.N, N), (layout.R, R), (layout.sigma_R, sigma_R), (layout.beta, beta)):
            values[index] = drawn
        floors.append(floor_at(layout, values, rng=rng, bins=_FLOOR_BINS))
    return float(np.median(floors))


def draw_curves(curves: Mapping[str, Curve]) -> Figure:
    """Draw the mean distance of training and validation samples after each epoch, between floor and knowing nothing."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.6), layout="constrained")
        axes = figure.subplots(1, max(len(curves), 1), squeeze=False, sharey=True)[0]
        for ax, (title, curve) in zip(axes, curves.items(), strict=False):
            _draw(ax, curve)
            ax.set(title=title, xlabel="samples seen", ylabel="distance")
            ax.label_outer()
        return figure


def _draw(ax: Axes, curve: Curve) -> None:
    samples = [line.samples for line in curve.epochs]
    mark = "." if len(samples) < 5 else None
    ax.plot(
        samples, [line.train[0] for line in curve.epochs], color="0.6", marker=mark, label="training, during the epoch"
    )
    ax.plot(samples, [line.valid[0] for line in curve.epochs], color=BLUE, marker=mark, label="validation, after it")
    for (name, level), (line, colour) in zip(curve.levels.items(), ((":", ANSWER), ("--", GREEN)), strict=False):
        ax.axhline(level, linestyle=line, color=colour, label=f"{name}: {level:.2g}")
    log_axis(ax)
    ax.xaxis.set_major_formatter(EngFormatter(sep=" "))
    ax.locator_params(axis="x", nbins=5)
    ax.legend()
