"""The errors of a fit, and what the hits alone say of what was weighed with them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.fisher_scoring import floor_of, inverse_of_free, is_free, narrowest_in, prior_of
from util.fit.map_data import MapData
from util.fit.map_model import MapModel
from util.fit.result import Evidence
from util.physics.polar_map import coarsen
from util.runtime.errors import InputError

FEWEST_PER_BLOCK = 25.0  # electrons
# In widths of the narrower: a sphere nearer than that to another is part of its line shape.
APART = 2.0
_ONE_LINE = 0.5  # the same: two that differ by less in R and in sigma_R are one line


def _variance_per_electron(data: MapData) -> NDArray[np.float64]:
    """Return the variance that weights add, over their sum, in the neighbourhood of each bin.

    A neighbourhood, because a bin without hits tells nothing of its own.
    """
    counts, variance = data.counts.sum(axis=0), data.folded.variance
    by_rho, by_angle = (next(d for d in (25, 20, 16, 10, 5, 1) if size % d == 0) for size in counts.shape)
    mean = variance.sum() / counts.sum()
    variance, electrons = (coarsen(part, by_rho, by_angle) for part in (variance, counts))
    ratio = (variance + FEWEST_PER_BLOCK * mean) / np.maximum(electrons + FEWEST_PER_BLOCK, 1)
    return ratio.repeat(by_rho, axis=0).repeat(by_angle, axis=1)


class Errors(NamedTuple):
    """Covariance and that of unit weights (P, P), of internal parameters; condition number; evidence, if asked for."""

    covariance: NDArray[np.float64]
    floor: NDArray[np.float64]
    condition: float
    evidence: Evidence | None


def errors_of(model: MapModel, data: MapData, q: NDArray[np.float64], mu: NDArray[np.float64]) -> Errors:
    """Find the errors of a fit, with the evidence of the hits where something was weighed with them.

    Parameters
    ----------
    model : MapModel
    data : MapData
    q : array (P,)
        Internal parameters at the best fit.
    mu : array (4, n_rho, n_angle)
        What the fit expects.

    Raises
    ------
    AlikeError
        Spheres that cannot be told apart.

    Notes
    -----
    The score is unbiased whatever the weights; they widen its variance, which is taken from the data: the sandwich
    (Huber 1967, Proc. Fifth Berkeley Symp. 1, 221; White 1980, Econometrica 48, 817).
    """
    slopes, free = model.slopes(q), is_free(model, q)
    variance, prior = np.maximum(mu, floor_of(data)), prior_of(model, data).precision
    inverse, singular = inverse_of_free(slopes.gram(data.exposure**2 / variance) + prior, free)
    if singular == np.inf:
        raise AlikeError(model, q, q[model.layout.N])
    # Where a PAD is zero nothing is seen, but what is expected there is known only to its error: take at least that.
    own = slopes.owner
    squares = ((inverse[np.ix_(own, own)] @ slopes.flat) * slopes.flat).sum(axis=0)
    known_to = np.sqrt(np.maximum(squares, 0)).reshape(mu.shape[1:]) / 4
    expected = np.maximum(mu, data.exposure * known_to)
    variance = np.maximum(variance, expected)
    information = slopes.gram(data.exposure**2 / variance)
    floor, condition = inverse_of_free(information + prior, free)
    if condition == np.inf:
        raise AlikeError(model, q, q[model.layout.N])
    meat = slopes.gram(data.exposure**2 * expected * _variance_per_electron(data) / variance**2)
    evidence = _evidence(model, data, q, information, meat) if model.known else None
    meat += prior * data.variance_per_electron
    return Errors(floor @ meat @ floor, floor, condition, evidence)


def _evidence(
    model: MapModel,
    data: MapData,
    q: NDArray[np.float64],
    information: NDArray[np.float64],
    meat: NDArray[np.float64],
) -> Evidence:
    """Return what the score of the hits says by its own variance, `meat`: at the fit it balances what was known."""
    assert model.known is not None
    free, per_electron = is_free(model, q), data.variance_per_electron
    known, own = model.known.prior(model.layout), np.diag(model.layout.prior[1]) * per_electron
    score = per_electron * known.precision @ (q - known.mean)
    inverse, singular = inverse_of_free(meat + own * per_electron, free)
    if singular == np.inf:
        raise AlikeError(model, q, q[model.layout.N])
    weighed = (information + own) @ inverse
    return Evidence(weighed @ score, weighed @ (information + own))


class AlikeError(InputError):
    """Spheres that hits do not tell apart.

    Attributes
    ----------
    others : list of (R, sigma_R)
        The spheres without the one that is told least, ascending in R.
    """

    def __init__(self, model: MapModel, q: NDArray[np.float64], clear: NDArray[np.float64]) -> None:
        """Say it of a fit with internal parameters (P,), of whose spheres the least of `clear` (S,) is told least."""
        layout, least = model.layout, int(clear.argmin())
        many = f"{layout.spheres} spheres cannot be told apart in these hits; ask for --spheres auto or fewer"
        one = "the only sphere cannot be told in these hits; say where it is with --start, or measure longer"
        super().__init__(many if layout.spheres > 1 else one)
        left = np.delete(layout.blocks[:, 1:3], least, axis=0)
        self.others = [(float(R), float(sigma_R)) for R, sigma_R in q[left]]


def clearness(model: MapModel, q: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far, in squared errors (S,), each sphere is from none.

    By its number of electrons, which two spheres that lie on each other do not tell. That of a faint one by itself is
    hardly known either, as its R and sigma_R are not, though beyond doubt there are some electrons: where no other
    sphere is within two widths, by its coefficients of P_0, P_2 and P_4, its own R and sigma_R held. A sphere too
    narrow for the bins is none; nor is, of two that differ by less than half a width in R and in sigma_R, the less
    clear: both are one line then, unless something was known of them before.

    Parameters
    ----------
    model : MapModel
    q : array (P,)
        Internal parameters, ascending in R.
    covariance : array (P, P)
    """
    layout = model.layout
    clear = q[layout.N] ** 2 / np.diag(covariance)[layout.N]
    R, width = q[layout.R], q[layout.sigma_R]
    narrower = np.minimum(width[:-1], width[1:])
    gap = np.diff(R) / narrower
    apart = np.minimum(np.append(gap, np.inf), np.append(np.inf, gap)) > APART
    for index in np.flatnonzero(apart).tolist():
        shape = [layout.R[index], layout.sigma_R[index]]
        linear = np.setdiff1d(layout.blocks[index], shape)[:3]
        across = covariance[np.ix_(shape, linear)]
        held = np.linalg.lstsq(covariance[np.ix_(shape, shape)], across)[0]
        left = covariance[np.ix_(linear, linear)] - across.T @ held
        clear[index] = q[linear] @ np.linalg.lstsq(left, q[linear])[0]
    if not model.known:
        # A ring may lie on a wide background of its own radius.
        one_line = np.maximum(gap, np.abs(np.diff(width)) / narrower) < _ONE_LINE
        for first in np.flatnonzero(one_line).tolist():
            clear[first + int(clear[first + 1] < clear[first])] = 0
    clear[width <= narrowest_in(model.bins)] = 0
    return clear
