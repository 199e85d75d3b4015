"""Figures that show how far to trust an answer, each as PNG and as PDF."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from util.fit.circle_map import N_RHO
from util.fit.detection import Detection
from util.fit.goodness import Goodness
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, coarsen, expected
from util.physics.sphere import Sphere
from util.report.answer_figures import betas_of
from util.report.betas_figure import draw_betas
from util.report.captions import CAPTIONS
from util.report.chance import told
from util.report.frame_figure import ShownFrame, draw_frame
from util.report.maps import bar, draw_maps
from util.report.pads_figure import Compared, draw_pads, rows_of
from util.report.saving import save
from util.report.style import ANSWER, DIFFERENCE, PAGE, SMALLEST, SPHERES, STYLE, pull_axis
from util.runtime.executor import WorkerPool, map_in_order

_FINE = PolarBins(1000, 24)
_SUFFIXES = (".png", ".pdf")
_LEADING = (1, 3, 2, 4, 0)  # of a sphere's parameters: R, beta_2, sigma_R, beta_4, N
_NAMED = 28  # parameters whose names have room beside a matrix
_NUMBERS = 10  # leading parameters whose correlations are written as numbers


@dataclass(frozen=True)
class Measured:
    """What the figures show of the hits.

    Attributes
    ----------
    distribution : (1024, 1024)
        Sum of weights per pixel.
    mean_square_weight : float
        <w^2> / <w> of the hits.
    frame : ShownFrame or None
        A frame and what was found in it.
    detection : Detection
        What the detector shows of the image.
    blurred : bool
        Whether electrons lie spread over pixels, as in an accumulated image.
    """

    distribution: NDArray[np.float64]
    mean_square_weight: float
    frame: ShownFrame | None = None
    detection: Detection = Detection()  # noqa: RUF009 - frozen
    blurred: bool = False


def draw_all(
    folder: Path,
    result: FitResult,
    goodness: Goodness,
    measured: Measured | None = None,
    *,
    truth: Sequence[Sphere] | None = None,
    others: Mapping[str, NDArray[np.float64]] | None = None,
    executor: WorkerPool,
) -> list[Path]:
    """Draw every figure for which there is something to show, and remove those of an earlier answer.

    Parameters
    ----------
    folder : Path
    result : FitResult
    goodness : Goodness
        With the profiles that the figures show.
    measured : Measured or None
        None: an answer without hits.
    truth : sequence of Sphere or None
    others : mapping of a method's name to its betas (S, m)
        Other answers to show beside this one, with as many betas as each has.
    executor : WorkerPool
        Draws the figures side by side.

    Returns
    -------
    list of Path
        The files written.
    """
    height = rows_of(len(result.R))
    known = betas_of(truth, result.beta.shape[1])
    compared = Compared(result.layout, result.values, result.covariance, known, others or {})
    drawings = [
        _Drawing("correlations", (PAGE, 3.4), partial(_correlations, result=result)),
        _Drawing("pads", (PAGE, 2.5 * height), partial(draw_pads, compared=compared)),
        _Drawing("betas", (PAGE, 3.0 * height + 0.2), partial(draw_betas, compared=compared)),
        _Drawing("radial_spectrum", (PAGE, 3.2), partial(_radial, result=result, goodness=goodness)),
        _Drawing("angular_pulls", (PAGE, 1.9), partial(_angular, goodness=goodness)),
    ]
    if measured is not None:
        maps = partial(
            draw_maps,
            distribution=measured.distribution,
            mean_square_weight=measured.mean_square_weight,
            result=result,
            detection=measured.detection,
            blurred=measured.blurred,
        )
        drawings.append(_Drawing("distribution", (PAGE, 2.1), maps))
        if measured.frame is not None:
            drawings.append(_Drawing("frame", (PAGE, 3.5), partial(draw_frame, shown=measured.frame)))
    written = list(map_in_order(executor, partial(_draw, folder), drawings, in_flight=len(drawings)))
    for name in CAPTIONS.keys() - {drawing.name for drawing in drawings}:
        for suffix in _SUFFIXES:
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    return list(itertools.chain.from_iterable(written))


class _Drawing(NamedTuple):
    """A figure to draw; travels to the workers."""

    name: str
    size: tuple[float, float]  # inches
    draw: Callable[[Figure], None]


def _draw(folder: Path, drawing: _Drawing) -> list[Path]:
    """Draw a figure; return the files written."""
    files = [folder / f"{drawing.name}{suffix}" for suffix in _SUFFIXES]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=drawing.size, layout="constrained")
        drawing.draw(figure)
        save(figure, *files)
    return files


def load_figures() -> None:
    """Do nothing: a worker that was asked to has loaded what draws, which takes half a second."""


def _told(goodness: Goodness, name: str) -> str:
    """Return what a test found and its p; empty where it was not made."""
    found = (f"{test.text}, p = {told(test.p)}" for test in goodness.tests if test.name == name)
    return next(found, "").replace("+-", "±")


def _radial(figure: Figure, result: FitResult, goodness: Goodness) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    # Below the spheres, which it hides where only one of them has electrons.
    upper.plot(goodness.rho, goodness.radial_model, color="0.8", linewidth=3, label="fit, all together")
    upper.plot(goodness.rho, goodness.radial, ".", color=ANSWER, markersize=2, label="electrons found")
    for s, (R, sigma_R) in enumerate(zip(result.R, result.sigma_R, strict=True)):
        alone = expected(_FINE, result.beta[s], R, sigma_R) * result.electrons[s]
        ring = coarsen(alone, _FINE.n_rho // N_RHO, _FINE.n_angle)[:, 0]
        line, colour = ("--", ":", "-.")[s % 3], SPHERES[s % len(SPHERES)]
        upper.plot(goodness.rho, ring, line, color=colour, linewidth=1.2, label=f"sphere {s + 1}, R = {R:.4f}")
    upper.set(ylabel=f"electrons per ring of width {1 / N_RHO:g}")
    upper.set_title("electrons by their distance from the centre of the image")
    upper.set_ylim(bottom=0)
    upper.legend()
    # Rings where nothing is expected have no pull.
    shown = goodness.radial_model > 1
    pulls = (goodness.radial - goodness.radial_model)[shown] / goodness.radial_error[shown]
    lower.bar(goodness.rho[shown], pulls, 0.8 / N_RHO, color="0.35", zorder=2)
    pull_axis(lower, pulls)
    lower.set(xlabel="distance from the centre [half the screen]", ylabel="pull", xlim=(0, 1))
    lower.set_title(_told(goodness, "radial profile"))


def _angular(figure: Figure, goodness: Goodness) -> None:
    ax = figure.subplots()
    step = 360 / goodness.phi_rad.size
    shown = goodness.angular_model > 1
    pulls = (goodness.angular - goodness.angular_model)[shown] / goodness.angular_error[shown]
    ax.bar(np.degrees(goodness.phi_rad)[shown], pulls, 0.8 * step, color="0.35", zorder=2)
    pull_axis(ax, pulls)
    ax.set(
        xlabel=f"angle from +z towards +x [degrees], sectors of {step:g}",
        ylabel="pull",
        xlim=(-180, 180),
        xticks=range(-180, 181, 45),
        title=f"electrons against the fit, all radii together: {_told(goodness, 'angular profile')}",
    )


def _correlations(figure: Figure, result: FitResult) -> None:
    """Draw all correlations as colours, and those of the leading parameters as numbers."""
    free = result.errors > 0  # what was set to zero correlates with nothing
    scale = np.where(free, result.errors, 1)
    matrix = result.covariance / np.outer(scale, scale)
    every, few = figure.subplots(1, 2)
    _show_correlations(every, matrix, result.names)
    every.set_title(f"correlations of all errors (condition number {result.condition:.0f})")
    of_each = sorted(_LEADING[: max(1, _NUMBERS // len(result.R))])
    leading = result.layout.blocks[:_NUMBERS, of_each].ravel()
    numbers = matrix[np.ix_(leading, leading)]
    image = _show_correlations(few, numbers, [result.names[i] for i in leading])
    for (row, column), value in np.ndenumerate(numbers):
        text = f"{value:.2f}".replace("0.", ".").replace("-.00", ".00")
        if row != column:
            few.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=SMALLEST,
                color="white" if abs(value) > 0.6 else "black",
            )
    few.set_title("of the leading parameters")
    bar(few, image, "correlation")


def _show_correlations(ax: Axes, matrix: NDArray[np.float64], names: Sequence[str]) -> AxesImage:
    image = ax.imshow(matrix, cmap=DIFFERENCE, norm=Normalize(-1, 1))
    named = range(0, len(names), math.ceil(len(names) / _NAMED))
    ax.set_xticks(named, [names[i] for i in named], rotation=90, fontsize=SMALLEST)
    ax.set_yticks(named, [names[i] for i in named], fontsize=SMALLEST)
    return image
