"""Maps of the screen: electrons found, what the fit expects, and the pulls."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.map_model import MapModel
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, places
from util.report.chance import MeanSquare, mean_square
from util.report.style import DIFFERENCE, ELECTRONS, PULL_LIMIT, SMALLEST, X_LABEL, Z_LABEL

CELLS = 256  # of a map of electrons, along each axis
PULLED = 128  # of a map of pulls: about as many electrons in each as make its pull normal
EVERYTHING = Detection()
_BRIGHTEST = 99.5  # percentile of the model that has the last colour


def expected_map(
    layout: Layout, values: NDArray[np.float64], detection: Detection = EVERYTHING, cells: int = CELLS
) -> NDArray[np.float64]:
    """Return the electrons that the fit expects in each cell of the screen, shape (cells, cells); axis 0 is x."""
    fine = 4  # points per cell along each axis; a sphere's edge is about as wide as a cell
    axis = -1 + (np.arange(cells * fine) + 0.5) * 2 / (cells * fine)
    x, z = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    bins, geometry = PolarBins(), layout.geometry_of(values)
    counts = MapModel(bins, layout, geometry).counts(layout.to_internal(values))
    area = np.diff(bins.rho**2)[:, None] / 2 * (np.pi / 2 / bins.n_angle)
    place = places(x, z, geometry, bins)
    density = np.where(place >= 0, (counts / area).ravel()[place], 0) * detection.at(x, z)
    return density.reshape(cells, fine, cells, fine).mean(axis=(1, 3)) * (2 / cells) ** 2


def summed(values: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Sum a map (n, n) into (cells, cells), n a multiple of `cells`."""
    block = values.shape[0] // cells
    return values.reshape(cells, block, cells, block).sum(axis=(1, 3), dtype=float)


def draw_maps(
    figure: Figure | SubFigure,
    distribution: NDArray[np.float64],
    mean_square_weight: float,
    result: FitResult,
    detection: Detection,
    *,
    blurred: bool = False,
) -> None:
    """Draw what was found, what the fit expects, and the pulls; parameters as in `answer_figures.draw_answer`."""
    fine = expected_map(result.layout, result.values, detection)
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    top = float(np.percentile(fine, _BRIGHTEST))
    show_electrons(axes[0], summed(distribution, CELLS), top, "electrons found")
    show_electrons(axes[1], fine, top, "electrons expected by the fit")
    found, model = summed(distribution, PULLED), summed(fine, PULLED)
    variance = np.maximum(model, 0.5) * mean_square_weight + detection.noise * (2 / PULLED) ** 2
    square = mean_square(found, model, variance, int((result.errors > 0).sum()), blurred=blurred)
    show_pulls(axes[2], (found - model) / np.sqrt(variance), square)
    for ax in axes:
        ax.label_outer()


def show_electrons(ax: Axes, cells: NDArray[np.float64], top: float, title: str) -> None:
    """Draw electrons per cell (n, n), axis 0 along x, on a square-root scale from 0 to `top`."""
    norm = PowerNorm(0.5, vmin=0, vmax=max(top, 1e-9))
    image = show_screen(ax, np.maximum(cells, 0), matplotlib.colormaps[ELECTRONS], norm, "white")
    side = 2 / cells.shape[0]
    bar(ax, image, f"per bin of {side:.4f} × {side:.4f},\nsquare-root scale", extend="max")
    ax.set_title(title)


def show_pulls(ax: Axes, pulls: NDArray[np.float64], square: MeanSquare) -> None:
    """Draw pulls of cells (n, n), axis 0 along x, and tell their mean square."""
    norm = Normalize(-PULL_LIMIT, PULL_LIMIT)
    image = show_screen(ax, pulls, matplotlib.colormaps[DIFFERENCE], norm, "black")
    side = 2 / pulls.shape[0]
    bar(ax, image, f"(found - expected) / error,\nbins of {side:.4f} × {side:.4f}", extend="both")
    ax.set_title("pulls; mean square " + str(square).replace(", ", "\n"))


def show_screen(
    ax: Axes,
    values: NDArray[Any],
    colours: matplotlib.colors.Colormap,
    norm: Normalize,
    arrow: str,
    extent: tuple[float, float, float, float] = (-1, 1, -1, 1),
) -> AxesImage:
    """Draw values of the screen, axis 0 along x, with z upwards, the laser polarisation as an arrow beside it."""
    image = ax.imshow(values.T, origin="lower", extent=extent, cmap=colours, norm=norm)
    ticks = np.arange(-1, 1.01, 0.5)
    ax.set(xlabel=X_LABEL, ylabel=Z_LABEL, xticks=ticks[np.abs(ticks) <= extent[1]], yticks=ticks)
    ax.set_yticks(ticks[np.abs(ticks) <= extent[3]])
    # In the corner, where no sphere reaches.
    between = {"arrowstyle": "<->", "color": arrow, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (0.045, 0.98), (0, -18), xycoords="axes fraction", textcoords="offset points", arrowprops=between)
    ax.text(0.08, 0.975, "polarisation", color=arrow, transform=ax.transAxes, va="top", fontsize=SMALLEST)
    return image


def bar(ax: Axes, image: AxesImage, label: str, *, extend: str = "neither") -> None:
    """Draw a colour bar exactly as tall as the panel that it belongs to."""
    beside = ax.inset_axes((1.03, 0, 0.05, 1))
    ax.figure.colorbar(image, cax=beside, label=label, extend=extend)
