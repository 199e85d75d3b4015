"""What final.ipynb shows of electrons and answers: the distribution, two answers side by side, and their residuals."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from util.answer.final_h5 import read_answer, read_made_by, read_parameters, read_tables
from util.electrons.hits import Hits, read_hits
from util.fit.detection import Detection
from util.fit.map_model import MapModel
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins, fold, places
from util.report import pads_figure
from util.report.chance import FEWEST, MeanSquare, mean_square
from util.report.maps import CELLS, bar, show_electrons, summed
from util.report.style import COLUMN, DIFFERENCE, PAGE, PULL_LIMIT, STYLE

_BINS = PolarBins(100, 24)


def read_electrons(folder: Path, answer: Path) -> Hits | None:
    """Read the hits that an answer was made from, weighted as it weighted them; None where there are no shards."""
    if not any(folder.glob("final_*_*.npz")):
        return None
    return read_hits(folder, hit_weights=read_made_by(answer).settings.hit_weights, partial=True)


def draw_distribution(hits: Hits | None) -> Figure | None:
    """Draw the electrons found; None where there are none."""
    if hits is None:
        return None
    cells = summed(hits.distribution, CELLS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.3 * COLUMN, 3.1), layout="constrained")
        show_electrons(figure.subplots(), cells, float(np.percentile(cells, 99.5)), "electrons found")
        return figure


def draw_pads(likelihood: Path, network: Path) -> Figure | None:
    """Draw both PADs of each sphere, and their difference; None where there is no answer of the network."""
    if not network.exists():
        return None
    layout, values, _ = read_parameters(likelihood)
    covariance = read_tables(likelihood)["Covariance"].array
    others = {"network": read_answer(network)["beta"]}
    compared = pads_figure.Compared(layout, values, covariance, others=others, name="likelihood")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.5 * pads_figure.rows_of(layout.spheres)), layout="constrained")
        pads_figure.draw_pads(figure, compared)
        return figure


def residuals(hits: Hits, likelihood: Path, beta: NDArray[np.float64]) -> tuple[NDArray[np.float64], MeanSquare]:
    """Return the pulls of the folded map (n_rho, n_angle), 0 where little is expected, and their mean square.

    Parameters
    ----------
    hits : Hits
    likelihood : Path
        The final.h5 that gives all parameters but the betas.
    beta : (S, m)
        The betas that say what is expected.
    """
    layout, values, errors = read_parameters(likelihood)
    values = values.copy()
    shared = min(beta.shape[1], len(layout.degrees))
    values[layout.beta[:, :shared]] = beta[:, :shared]
    geometry = layout.geometry_of(values)
    found = fold(hits.x, hits.z, hits.weight, geometry, _BINS).weight
    seen = Detection(reach=hits.reach).exposure(_BINS, geometry)
    counts = MapModel(_BINS, layout, geometry).counts(layout.to_internal(values))
    model = (seen * counts).sum(axis=0)
    variance = model * _variance_left(hits, geometry) * hits.variance.sum() / hits.weight.sum()
    square = mean_square(found, model, variance, int((errors > 0).sum()), blurred=hits.blurred)
    pulls = np.divide(found - model, np.sqrt(variance), out=np.zeros_like(model), where=model >= FEWEST)
    return pulls, square


def _variance_left(hits: Hits, geometry: ImageGeometry) -> NDArray[np.float64] | float:
    """Return the share (n_rho, n_angle) of its variance that a bin keeps where pixels lie spread over several points.

    A pixel's n electrons of which it holds a share f add f^2 n to its variance, not f n, as hits in f n places would.
    """
    if hits.events is not None:
        return 1.0
    side, bins = hits.distribution.shape[0], _BINS.n_rho * _BINS.n_angle
    place = places(hits.x, hits.z, geometry, _BINS)
    seen = place >= 0
    column, row = (
        np.floor((part[seen] + 1) * side / 2).astype(np.int64).clip(0, side - 1) for part in (hits.x, hits.z)
    )
    shared, which = np.unique((column * side + row) * bins + place[seen] % bins, return_inverse=True)
    pixel, place = np.divmod(shared, bins)
    held = np.bincount(which, hits.weight[seen])
    whole = np.bincount(pixel, held, side**2)[pixel]
    # Next to nothing, spread with the slope of its neighbours, is in parts below 0.
    share = np.divide(held, whole, out=np.zeros_like(held), where=whole > 0).clip(0, 1)
    electrons, squares = (np.bincount(place, whole * share**power, bins) for power in (1, 2))
    left = np.divide(squares, electrons, out=np.ones(bins), where=electrons > 0)
    return left.reshape(_BINS.n_rho, _BINS.n_angle)


def draw_residuals(hits: Hits | None, likelihood: Path, network: Path) -> Figure | None:
    """Draw what both answers leave of the folded map, in standard errors; None where one of them is missing."""
    if hits is None or not network.exists():
        return None
    answers = {"likelihood": read_answer(likelihood)["beta"], "network": read_answer(network)["beta"]}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.4), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        norm = Normalize(-PULL_LIMIT, PULL_LIMIT)
        for ax, (name, beta) in zip(axes, answers.items(), strict=True):
            pulls, square = residuals(hits, likelihood, beta)
            extent = (0, 90, 0, 1)
            image = ax.imshow(pulls, origin="lower", aspect="auto", extent=extent, cmap=DIFFERENCE, norm=norm)
            ax.set(
                title=f"{name}: mean square {square}",
                xlabel="angle from z [degrees]",
                ylabel="distance from the centre",
                xticks=range(0, 91, 15),
            )
            ax.label_outer()
        bar(axes[-1], image, "(found - expected) / error")
        return figure
