"""The fit of a map that is folded already, as the network sees it: no hits, and no geometry to find."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from util.fit.fisher_scoring import score_map, solve_linear
from util.fit.known_spheres import KnownSpheres
from util.fit.likelihood import START_SIGMA, Settled, result_of
from util.fit.map_data import MapData
from util.fit.map_model import MapModel
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins, PolarMap
from util.runtime.errors import InputError


def fit_folded(
    weight: NDArray[np.floating],
    bins: PolarBins,
    tries: Sequence[Sequence[float]],
    *,
    order: int,
    variance_per_electron: float = 1.0,
    known: KnownSpheres | None = None,
) -> FitResult:
    """Fit spheres to a folded map.

    Parameters
    ----------
    weight : array (n_rho, n_angle)
        Sums of weights.
    bins : PolarBins
    tries : sequence of radii (S,)
        To start from, one after the other; the best fit is taken.
    order : int
        Highest Legendre degree.
    variance_per_electron : float
        What an electron adds to the variance of a sum of weights.
    known : KnownSpheres or None
        As in `util.fit.likelihood.fit`.

    Raises
    ------
    InputError
        No fit converged, or spheres that cannot be told apart.
    """
    quarter = np.asarray(weight, np.float64) / 4
    folded = PolarMap(np.repeat(quarter[None], 4, axis=0), 4 * variance_per_electron * quarter)
    data = MapData(bins, ImageGeometry(), folded)
    layout = Layout(len(tries[0]), order)
    model = MapModel(bins, layout, known=known)
    width = np.full(layout.spheres, START_SIGMA) if known is None else known.sigma_R
    starts = (solve_linear(model, data, model.at(np.array(radii), width)) for radii in tries)
    climbs = (score_map(model, data, q, known_geometry=True) for q in starts)
    best = max(climbs, key=lambda scored: (scored.converged, scored.objective))
    if not best.converged:
        raise InputError(f"the fit of {layout.spheres} spheres did not converge; name other radii")
    q = best.q[layout.ascending(best.q)]
    settled = Settled(model, data, q, best.objective, best.steps, best.converged)
    return result_of(settled, round(float(quarter.sum()) * 4))
