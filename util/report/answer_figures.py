"""Figures of an answer: distribution, model, pulls and PADs. All are readable in grey."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from util.fit.result import FitResult
from util.physics import pad
from util.physics.projection import density
from util.physics.sphere import Sphere
from util.runtime.atomic_file import replacing
from util.runtime.value_with_error import shorthand

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
CELLS = 256  # of the maps shown, along each axis
STYLE = matplotlib.RcParams({"font.size": 9, "axes.titlesize": 10, "savefig.dpi": 130})


def expected_map(result: FitResult, cells: int = CELLS) -> NDArray[np.float64]:
    """Return the electrons that the fit expects in each cell of the screen, shape (cells, cells); axis 0 is x."""
    fine = 2  # points per cell along each axis; a sphere's edge is about as wide as a cell
    x = -1 + (np.arange(cells * fine) + 0.5) * 2 / (cells * fine)
    centre = tuple(result.centre)
    total = sum(
        N * density(x[:, None], x[None, :], beta, R, sigma_R, centre)
        for N, R, sigma_R, beta in zip(result.electrons, result.R, result.sigma_R, result.beta, strict=True)
    )
    return total.reshape(cells, fine, cells, fine).mean(axis=(1, 3)) * (2 / cells) ** 2


def draw_answer(
    path: Path,
    distribution: NDArray[np.float64],
    mean_square_weight: float,
    result: FitResult,
    truth: Sequence[Sphere] | None,
) -> None:
    """Draw distribution, model, pulls and PADs into one figure.

    Parameters
    ----------
    path : Path
        Its suffix, one of `FIGURE_SUFFIXES`, sets the format.
    distribution : (1024, 1024)
        Sum of weights per pixel.
    mean_square_weight : float
        <w^2> / <w>: the variance of a cell in units of its content.
    result : FitResult
    truth : sequence of Sphere or None
        Drawn beside the answer where it is known.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12, 8.4), layout="constrained")
        maps, pads = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.2))[:, 0]
        draw_maps(maps, distribution, mean_square_weight, result)
        draw_pads(pads, result, truth)
        with replacing(path) as temporary:
            figure.savefig(temporary)


def draw_maps(
    figure: Figure | SubFigure, distribution: NDArray[np.float64], mean_square_weight: float, result: FitResult
) -> None:
    """Draw what was found, what the fit expects, and the pulls; parameters as in `draw_answer`."""
    block = distribution.shape[0] // CELLS
    found = distribution.reshape(CELLS, block, CELLS, block).sum(axis=(1, 3), dtype=float)
    model = expected_map(result)
    pulls = (found - model) / np.sqrt(np.maximum(model, 0.5) * mean_square_weight)
    axes = figure.subplots(1, 3)
    top = np.percentile(model, 99.5)
    for ax, values, title in zip(axes[:2], (found, model), ("electrons found", "model"), strict=True):
        _show(ax, np.sqrt(np.maximum(values, 0)), title + ", square root", figure, "cividis", (0, np.sqrt(top)))
    _show(axes[2], pulls, "pulls [standard deviations]", figure, "cividis", (-5, 5))


def _show(
    ax: Axes,
    values: NDArray[np.float64],
    title: str,
    figure: Figure | SubFigure,
    colours: str,
    limits: tuple[float, float],
) -> None:
    # z, the laser polarisation, upwards
    image = ax.imshow(values.T, origin="lower", extent=(-1, 1, -1, 1), cmap=colours, vmin=limits[0], vmax=limits[1])
    ax.set(title=title, xlabel="x [half the screen]", ylabel="z (laser polarisation)")
    figure.colorbar(image, ax=ax, shrink=0.85)


def draw_pads(figure: Figure | SubFigure, result: FitResult, truth: Sequence[Sphere] | None) -> None:
    """Draw the PAD of each sphere and, below it, the 1- and 2-sigma bands about the truth or about the answer."""
    axes = figure.subplots(2, len(result.R), squeeze=False, sharex=True, height_ratios=(1.6, 1))
    # Both ends of an order-24 series move within 1/24 of the poles: points uniform in theta.
    c = np.cos(np.linspace(np.pi, 0, 801))
    # I(c) is linear in beta: its derivatives are the Legendre polynomials.
    slopes = np.stack([pad.intensity(row, c) - 0.5 for row in np.eye(result.beta.shape[1])])
    for s, (upper, lower) in enumerate(axes.T):
        index = result.layout.beta[s]
        sigma = np.sqrt(np.einsum("ic,ij,jc->c", slopes, result.covariance[np.ix_(index, index)], slopes))
        value = pad.intensity(result.beta[s], c)
        upper.plot(c, value, color="black", linewidth=1, label="answer")
        middle, what = np.zeros(c.size), "answer"
        if truth is not None:
            known = pad.intensity(np.array(truth[s].beta), c)
            upper.plot(c, known, "--", color="tab:red", linewidth=1.5, label="truth")
            middle, what = value - known, "answer - truth"
        for width, grey in ((2, "0.85"), (1, "0.65")):
            band = (middle - width * sigma, middle + width * sigma)
            lower.fill_between(
                c, *band, color=grey, linewidth=0, label=f"{width} standard deviation{'s' * (width > 1)}"
            )
        lower.plot(c, middle, color="black", linewidth=1, label=what)
        lower.axhline(0, color="tab:red" if truth is not None else "black", linestyle="--", linewidth=0.8)
        # The errors at the very poles are several times those elsewhere and would hide these.
        reach = 1.3 * np.percentile(np.abs(middle) + 2 * sigma, 85)
        lower.set(xlabel="cos θ", ylabel=what if truth is not None else "error", ylim=(-reach, reach))
        radius = shorthand(result.R[s], result.errors[result.layout.R[s]])
        upper.set(title=f"PAD of sphere {s + 1}: R = {radius}", ylabel="I(cos θ)", xlim=(-1, 1))
        upper.set_ylim(bottom=min(0, value.min()))
        upper.legend(frameon=False)
        lower.legend(frameon=False, fontsize=7, ncols=3, loc="lower center")
