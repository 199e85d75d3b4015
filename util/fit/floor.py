"""The statistical floor of spheres of which the truth is known: how far from it fits of perfect hits lie."""

import numpy as np
from numpy.typing import NDArray

from util.fit.map_model import MapModel, expected_variance
from util.fit.parameters import Layout
from util.fit.result import floor_distance
from util.physics.polar_map import PolarBins


def floor_at(
    layout: Layout,
    values: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    bins: PolarBins,
    variance_per_electron: float = 1.0,
    n_draws: int = 400,
) -> float:
    """Return the mean distance (`util.physics.pad.distance`) that the Cramér-Rao bound at some parameters allows.

    Parameters
    ----------
    layout : Layout
    values : (P,)
    rng : numpy.random.Generator
    bins : PolarBins
        Of the map that would be fitted.
    variance_per_electron : float
        <w^2> / <w> of the weights of hits.
    n_draws : int
    """
    model, q = MapModel(bins, layout), layout.to_internal(values)
    information = model.slopes(q).gram(1 / expected_variance(model.counts(q)))
    turn = layout.to_public(q)[1]
    covariance = turn @ np.linalg.inv(information) @ turn.T * variance_per_electron
    betas = layout.beta.ravel()
    return floor_distance(covariance[np.ix_(betas, betas)], n_draws, rng, spheres=layout.spheres)
