"""Figures of an answer: distribution, model, pulls and PADs. All are readable in grey."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.map_model import MapModel
from util.fit.result import FitResult
from util.physics import pad
from util.physics.polar_map import PolarBins, places
from util.physics.sphere import Sphere
from util.report.saving import save
from util.runtime.value_with_error import shorthand

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
_ABREAST = 4  # spheres side by side in a figure
CELLS = 256  # of the maps shown, along each axis
STYLE = matplotlib.RcParams({"font.size": 9, "axes.titlesize": 10, "savefig.dpi": 130})


def expected_map(result: FitResult, detection: Detection, cells: int = CELLS) -> NDArray[np.float64]:
    """Return the electrons that the fit expects in each cell of the screen, shape (cells, cells); axis 0 is x."""
    fine = 4  # points per cell along each axis; a sphere's edge is about as wide as a cell
    axis = -1 + (np.arange(cells * fine) + 0.5) * 2 / (cells * fine)
    x, z = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    layout, bins = result.layout, PolarBins()
    geometry = layout.geometry_of(result.values)
    counts = MapModel(bins, layout, geometry).counts(layout.to_internal(result.values))
    area = np.diff(bins.rho**2)[:, None] / 2 * (np.pi / 2 / bins.n_angle)
    place = places(x, z, geometry, bins)
    density = np.where(place >= 0, (counts / area).ravel()[place], 0) * detection.at(x, z)
    return density.reshape(cells, fine, cells, fine).mean(axis=(1, 3)) * (2 / cells) ** 2


def draw_answer(
    path: Path,
    distribution: NDArray[np.float64],
    mean_square_weight: float,
    result: FitResult,
    truth: Sequence[Sphere] | None,
    detection: Detection = Detection(),  # noqa: B008 - frozen
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
    detection : Detection
        What the detector shows of the image.
    """
    with matplotlib.rc_context(STYLE):
        rows = len(panels(len(result.R)))
        figure = Figure(figsize=(12, 3.8 + 4.6 * rows), layout="constrained")
        maps, pads = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.2 * rows))[:, 0]
        draw_maps(maps, distribution, mean_square_weight, result, detection)
        draw_pads(pads, result, truth)
        save(figure, path)


def panels(spheres: int) -> list[range]:
    """Return which spheres stand side by side in each row of a figure."""
    return [range(first, min(first + _ABREAST, spheres)) for first in range(0, spheres, _ABREAST)]


def pairs_of_axes(figure: Figure | SubFigure, spheres: int) -> list[tuple[Axes, Axes]]:
    """Return an upper and a lower panel for each sphere."""
    rows = panels(spheres)
    axes = figure.subplots(2 * len(rows), len(rows[0]), squeeze=False, sharex=True, height_ratios=(1.6, 1) * len(rows))
    out = [
        (axes[2 * row, column], axes[2 * row + 1, column])
        for row, part in enumerate(rows)
        for column in range(len(part))
    ]
    for column in range(len(rows[-1]), len(rows[0])):
        axes[-2, column].set_visible(False)
        axes[-1, column].set_visible(False)
    return out


def draw_maps(
    figure: Figure | SubFigure,
    distribution: NDArray[np.float64],
    mean_square_weight: float,
    result: FitResult,
    detection: Detection,
) -> None:
    """Draw what was found, what the fit expects, and the pulls; parameters as in `draw_answer`."""
    block = distribution.shape[0] // CELLS
    found = distribution.reshape(CELLS, block, CELLS, block).sum(axis=(1, 3), dtype=float)
    model = expected_map(result, detection)
    camera = detection.noise * (2 / CELLS) ** 2
    pulls = (found - model) / np.sqrt(np.maximum(model, 0.5) * mean_square_weight + camera)
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
    few = len(result.R) <= 2  # panels wide enough for legends
    # Both ends of an order-24 series move within 1/24 of the poles: points uniform in theta.
    c = np.cos(np.linspace(np.pi, 0, 801))
    # I(c) is linear in beta: its derivatives are the Legendre polynomials.
    slopes = pad.polynomials(result.beta.shape[1], c)
    for s, (upper, lower) in enumerate(pairs_of_axes(figure, len(result.R))):
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
        named = what if truth is not None else "error" if few else "error: 1 and 2\nstandard deviations"
        lower.set(xlabel="cos θ", ylabel=named, ylim=(-reach, reach))
        radius = shorthand(result.R[s], result.errors[result.layout.R[s]])
        upper.set(title=f"{'PAD of sphere ' if few else ''}{s + 1}: R = {radius}", ylabel="I(cos θ)", xlim=(-1, 1))
        upper.set_ylim(bottom=min(0, value.min()))
        if few:
            upper.legend(frameon=False)
            lower.legend(frameon=False, fontsize=7, ncols=3, loc="lower center")
