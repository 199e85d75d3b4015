"""Figures of an answer."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from util import pad
from util.atomic_file import replacing
from util.likelihood import FitResult
from util.projection import density
from util.sphere import Sphere

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
CELLS = 256  # of the maps shown, along each axis
_STYLE = {"font.size": 9, "axes.titlesize": 10, "savefig.dpi": 130}


def expected_map(result: FitResult, cells: int = CELLS) -> NDArray:
    """Electrons that the fit expects in each cell of the screen, shape (cells, cells); axis 0 is x."""
    fine = 2  # points a cell along each axis; a sphere's edge is about as wide as a cell
    x = -1 + (np.arange(cells * fine) + 0.5) * 2 / (cells * fine)
    centre = tuple(result.centre)
    total = sum(
        N * density(x[:, None], x[None, :], beta, R, sigma_R, centre)
        for N, R, sigma_R, beta in zip(result.electrons, result.R, result.sigma_R, result.beta, strict=True)
    )
    return total.reshape(cells, fine, cells, fine).mean(axis=(1, 3)) * (2 / cells) ** 2


def draw_answer(
    path: Path, distribution: NDArray, mean_square_weight: float, result: FitResult, truth: Sequence[Sphere] | None
) -> None:
    """Draw distribution, model, pulls and PADs into one figure.

    Parameters
    ----------
    path : Path
        Its suffix, one of `FIGURE_SUFFIXES`, says the format.
    distribution : (1024, 1024)
        Sum of weights a pixel.
    mean_square_weight : float
        <w^2> / <w>: the variance of a cell in units of its content.
    result : FitResult
    truth : sequence of Sphere or None
        Drawn beside the answer where it is known.
    """
    block = distribution.shape[0] // CELLS
    found = distribution.reshape(CELLS, block, CELLS, block).sum(axis=(1, 3), dtype=float)
    model = expected_map(result)
    pulls = (found - model) / np.sqrt(np.maximum(model, 0.5) * mean_square_weight)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(12, 7.2), layout="constrained")
        maps = figure.subfigures(2, 1, height_ratios=(1, 0.95))
        axes = maps[0].subplots(1, 3)
        top = np.percentile(model, 99.5)
        for ax, values, title in zip(axes[:2], (found, model), ("electrons found", "model"), strict=True):
            _show(ax, np.sqrt(np.maximum(values, 0)), title + ", square root", maps[0], "cividis", (0, np.sqrt(top)))
        _show(axes[2], pulls, "pulls [standard deviations]", maps[0], "PuOr", (-5, 5))
        _draw_pads(maps[1].subplots(1, len(result.R), squeeze=False)[0], result, truth)
        with replacing(path) as temporary:
            figure.savefig(temporary)


def _show(ax: Axes, values: NDArray, title: str, figure: Figure, colours: str, limits: tuple[float, float]) -> None:
    # z, the laser polarisation, upwards
    image = ax.imshow(values.T, origin="lower", extent=(-1, 1, -1, 1), cmap=colours, vmin=limits[0], vmax=limits[1])
    ax.set(title=title, xlabel="x [half the screen]", ylabel="z (laser polarisation)")
    figure.colorbar(image, ax=ax, shrink=0.85)


def _draw_pads(axes: Sequence[Axes], result: FitResult, truth: Sequence[Sphere] | None) -> None:
    c = np.linspace(-1, 1, 801)
    # I(c) is linear in beta: its derivatives are the Legendre polynomials.
    orders = result.beta.shape[1]
    slopes = np.stack([pad.intensity(row, c) - 0.5 for row in np.eye(orders)])
    for number, ax in enumerate(axes):
        index = result.beta_index[number]
        covariance = result.covariance[np.ix_(index, index)]
        sigma = np.sqrt(np.einsum("ic,ij,jc->c", slopes, covariance, slopes))
        value = pad.intensity(result.beta[number], c)
        ax.fill_between(c, value - sigma, value + sigma, color="0.7", label="1 standard deviation", linewidth=0)
        ax.plot(c, value, color="black", linewidth=1, label="answer")
        if truth is not None:
            ax.plot(
                c, pad.intensity(np.array(truth[number].beta), c), "--", color="tab:red", linewidth=1, label="truth"
            )
        error = result.errors[index[0] - 2]
        ax.set(
            title=f"PAD of sphere {number + 1}: R = {result.R[number]:.5f} ± {error:.5f}",
            xlabel="cos θ",
            ylabel="I(cos θ)",
            xlim=(-1, 1),
        )
        ax.set_ylim(bottom=min(0, (value - sigma).min()))
        ax.legend(frameon=False)
