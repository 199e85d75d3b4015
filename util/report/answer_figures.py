"""The figure of an answer: electrons found, model, pulls and PADs."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.result import FitResult
from util.physics.sphere import Sphere
from util.report.maps import draw_maps
from util.report.pads_figure import Compared, draw_pads, rows_of
from util.report.saving import save
from util.report.style import PAGE, STYLE

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
_MAPS, _PADS = 2.1, 2.5  # heights [inch]: of the maps, and of a row of PADs


def betas_of(truth: Sequence[Sphere] | None, n: int) -> NDArray[np.float64] | None:
    """Return the betas (S, n) of spheres, those that a sphere lacks as 0; None for None."""
    return None if truth is None else np.array([np.resize([*sphere.beta, *[0.0] * n], n) for sphere in truth])


def draw_answer(
    path: Path,
    distribution: NDArray[np.float64],
    mean_square_weight: float,
    result: FitResult,
    truth: Sequence[Sphere] | None,
    detection: Detection = Detection(),  # noqa: B008 - frozen
    *,
    blurred: bool = False,
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
    blurred : bool
        Whether electrons lie spread over pixels, as in an accumulated image.
    """
    compared = Compared(result.layout, result.values, result.covariance, betas_of(truth, result.beta.shape[1]))
    with matplotlib.rc_context(STYLE):
        height = _PADS * rows_of(len(result.R))
        figure = Figure(figsize=(PAGE, _MAPS + height), layout="constrained")
        maps, pads = figure.subfigures(2, 1, squeeze=False, height_ratios=(_MAPS, height))[:, 0]
        draw_maps(maps, distribution, mean_square_weight, result, detection, blurred=blurred)
        draw_pads(pads, compared)
        save(figure, path)
