"""Figure of the parameters of training files: their distributions, and the prior read off them."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from util.report.saving import save
from util.report.style import PAGE, SPHERES, STYLE
from util.training.prior_ranges import Ranges, Spheres
from util.training.priors import draw_betas

_DRAWS = 20_000
_COLUMNS = 4
_MOST_BINS = 24


def draw_ranges(folder: Path, groups: Sequence[Spheres], found: Sequence[Ranges], *, seed: int) -> None:
    """Write FOLDER/ranges.png and .pdf: a histogram of each parameter, under the density of the prior found.

    Parameters
    ----------
    folder : Path
    groups : sequence of Spheres
        For each sphere of the prior, those that it was estimated from; groups that are one and the same are drawn once.
    found : sequence of Ranges
        What was estimated from each group.
    seed : int
        For the draws that show the prior.
    """
    kinds = [i for i in range(len(groups)) if not any(groups[i] is groups[j] for j in range(i))]
    betas = groups[0].beta.shape[1]
    names = ["$R$", r"$\sigma_R$", "electrons", *(rf"$\beta_{{{2 * i + 2}}}$" for i in range(betas))]
    rows = -(-(len(names) + 1) // _COLUMNS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 1.4 * rows), layout="constrained")
        axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for ax in axes[len(names) :]:
            ax.set_axis_off()
        for index in kinds:
            group, prior = groups[index], found[index].prior
            draws = draw_betas(prior, _DRAWS, rng=np.random.default_rng(seed))
            label = "all spheres" if len(kinds) < len(groups) else f"sphere {index + 1}"
            values = [group.R, group.sigma_R, group.electrons, *group.beta.T]
            ranges = [prior.R, prior.sigma_R, prior.electrons, *prior.limits]
            samples = [None, None, None, *draws.T]
            for ax, column, limits, sample in zip(axes, values, ranges, samples, strict=False):
                _panel(ax, column, limits, sample, SPHERES[index % len(SPHERES)], label)
        for ax, name in zip(axes, names, strict=False):
            ax.set(xlabel=name, yticks=[])
            ax.ticklabel_format(axis="x", style="sci", scilimits=(-2, 4))
            ax.locator_params(axis="x", nbins=4)
        handles, labels = axes[len(names) - 1].get_legend_handles_labels()
        axes[-1].legend(handles, labels, loc="center")
        save(figure, folder / "ranges.png", folder / "ranges.pdf")


def _panel(
    ax: Axes,
    values: NDArray[np.float64],
    limits: tuple[float, float],
    sample: NDArray[np.float64] | None,
    colour: str,
    label: str,
) -> None:
    low, high = limits
    if not low < high:
        ax.axvline(low, color=colour)
        return
    edges = np.linspace(low, high, int(np.clip(np.sqrt(len(values)), 6, _MOST_BINS)) + 1).tolist()
    ax.hist(values, edges, density=True, color=colour, alpha=0.35, label=f"{label}, in the files")
    if sample is None:
        ax.hlines(1 / (high - low), low, high, color=colour, linewidth=1.5)
    else:
        ax.hist(
            sample, edges, density=True, histtype="step", color=colour, linewidth=1.5, label=f"{label}, prior found"
        )
    for edge in limits:
        ax.axvline(edge, color=colour, linestyle=":", linewidth=1)
