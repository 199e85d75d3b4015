"""Does the model describe the summed frames? The tests of `util.fit.goodness`, on the deconvolved sum.

Neighbouring places of a deconvolved sum go together, and spots are not alike, so that nothing is taken to be Poisson:
what the tests would give by chance follows from blocks of frames, drawn with replacement (Efron 1979, Ann. Statist. 7,
1; here with Poisson numbers, which are independent of each other), and from the jackknife of the spot.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from util.fit.agreement import hotelling
from util.fit.circle_map import BINS, N_RHO, QUARTER, around
from util.fit.goodness import SIMULATIONS, Goodness, Maps, goodness_of
from util.fit.map_model import MapModel, expected_variance
from util.fit.named_faults import named_faults
from util.fit.parameters import Layout, Piece
from util.fit.region_scan import sums_of
from util.fit.score_test import Lack, slopes_of_centre, slopes_of_piece
from util.fit.slopes import Slopes
from util.physics.polar_map import PolarBins, places
from util.summed.deconvolution import DIMMEST
from util.summed.deconvolved_fit import Residual, SumFit

_FINER = 2  # points of a map of the sum along each axis, in each of its bins, that are sorted into polar bins
_SLOPES = PolarBins(500, 96)  # in which derivatives are taken, finer than what a sum shows
_ABSORBED = 1e-4  # part of a derivative that the fitted parameters cannot absorb, less than which is rounding
_REMEDY = "answer with METHOD=likelihood --fit {}"


def assess_sum(fitted: SumFit, *, rng: np.random.Generator, simulations: int = SIMULATIONS) -> Goodness:
    """Test whether the fitted spheres describe the summed frames.

    Parameters
    ----------
    fitted : SumFit
    rng : numpy.random.Generator
        Draws what calibrates the tests.
    simulations : int
        How many to draw.
    """
    test = SumTest(fitted.residual, fitted.result.layout)
    return goodness_of(_maps_of(test, rng, simulations), named_faults(test, fitted.result, _REMEDY))


class SumTest:
    """Score tests of the residual of a sum.

    Parameters
    ----------
    residual : Residual
    layout : Layout
        Of its parameters.
    """

    def __init__(self, residual: Residual, layout: Layout) -> None:
        self.residual, self.layout = residual, layout
        self.geometry = layout.geometry_of(layout.to_public(residual.q)[0])
        self._slopes = residual.slopes.reshape(len(residual.slopes), -1)
        self._score = self._slopes / residual.variance.ravel()

    def left(self, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return maps (.., rows, columns) without what the fit would absorb of them."""
        flat = maps.reshape(-1, self._slopes.shape[1])
        return (flat - flat @ self._score.T @ self.residual.inverse.T @ self._slopes).reshape(maps.shape)

    def of_piece(self, piece: Piece) -> Lack | None:
        """Test a piece that is not fitted; None where the fitted parameters describe as much already."""
        return self._of(slopes_of_piece(self._model, self.residual.q, piece))

    def of_centre(self, sphere: int) -> Lack | None:
        """Test whether one sphere, counted from 0, has a centre (x, z) of its own."""
        return self._of(slopes_of_centre(self._model, self.residual.q, sphere))

    @property
    def _model(self) -> MapModel:
        return MapModel(_SLOPES, self.layout, self.geometry)

    def _of(self, further: Slopes) -> Lack | None:
        """Test further parameters by one step of a fit that allowed them."""
        residual, view = self.residual, self.residual.view
        area = np.diff(_SLOPES.rho**2)[:, None] / 2 * (np.pi / 2 / _SLOPES.n_angle)
        x, z = (part.ravel() for part in np.broadcast_arrays(view.x, view.z))
        place = places(x, z, self.geometry, _SLOPES)
        density = np.where(place >= 0, (further.quadrants() / area).reshape(further.size, -1)[:, place], 0)
        seen = np.array([view.see(row).ravel() for row in density.reshape(-1, view.x.size, view.z.size)])
        across = seen @ self._score.T
        own = seen - across @ residual.inverse @ self._slopes  # what the fit does not absorb
        weighted = own / residual.variance.ravel()
        information, alone = weighted @ seen.T, (seen**2 / residual.variance.ravel()).sum(axis=1)
        known = np.diag(information) > _ABSORBED * alone
        if not known.any():
            return None
        weighted, information = weighted[known], information[np.ix_(known, known)]
        score = weighted @ (residual.found - residual.expected).ravel()
        blocks, spots = (maps.reshape(len(maps), -1) @ weighted.T for maps in (residual.of_blocks, residual.of_spots))
        scatter = len(blocks) * np.atleast_2d(np.cov(blocks, rowvar=False))
        scatter += (len(spots) - 1) * np.atleast_2d(np.cov(spots, rowvar=False, bias=True))
        chi2, p = hotelling(score, scatter, len(blocks))
        inverse = np.linalg.pinv(information, hermitian=True)
        size, covariance = np.zeros(further.size), np.zeros((further.size, further.size))
        size[known] = inverse @ score
        covariance[np.ix_(known, known)] = inverse @ scatter @ inverse
        moves = (residual.inverse @ across.T @ size)[: self.layout.size]
        return Lack(size, covariance, chi2, int(known.sum()), p, moves)


def _maps_of(test: SumTest, rng: np.random.Generator, simulations: int) -> Maps:
    """Return the polar maps of what is found and expected, and what would be found by chance.

    Where next to nothing is expected, what is left of bright places nearby scatters more: some is expected anywhere.
    """
    residual = test.residual
    polar = _polar(test)
    least = DIMMEST * residual.expected.mean()
    mu = np.maximum(polar(residual.expected), least * polar(np.ones_like(residual.expected)))
    found = mu + polar(test.left(residual.found - residual.expected))
    blocks, spots = (np.array([polar(part) for part in test.left(maps)]) for maps in _scattered(residual))
    number = rng.poisson(1.0, (simulations, len(blocks))) - 1.0
    drawn = np.tensordot(number, blocks, 1) + np.tensordot(rng.standard_normal((simulations, len(spots))), spots, 1)
    # Variance per electron, of regions of the size where it is largest: neighbouring bins go together.
    regions = zip(sums_of(drawn), sums_of(mu), strict=True)
    s = max(float(scatter.var(axis=0).sum() / expected.sum()) for (_, scatter), (_, expected) in regions)
    return Maps(found, drawn + mu, mu, s * expected_variance(mu), s)


def _scattered(residual: Residual) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return maps whose sums, times numbers of mean 0 and variance 1, scatter as the sum does by blocks, by spots."""
    blocks, spots = residual.of_blocks, residual.of_spots
    share = math.sqrt(len(blocks) / (len(blocks) - 1))
    part = math.sqrt((len(spots) - 1) / len(spots))  # of the jackknife
    return share * blocks, part * (spots - spots.mean(axis=0))


def _polar(test: SumTest) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return what turns maps (rows, columns) of electrons into those around the centre (125, 96)."""
    view = test.residual.view
    x, z, _ = view.interpolated(test.residual.expected, _FINER)
    place = places(x, z, test.geometry, BINS)
    inside = place >= 0
    place, bins = place[inside], 4 * N_RHO * QUARTER

    def polar(data: NDArray[np.float64]) -> NDArray[np.float64]:
        _, _, values = view.interpolated(data, _FINER)
        return around(np.bincount(place, values[inside], bins).reshape(4, N_RHO, QUARTER).astype(np.float64))

    return polar
