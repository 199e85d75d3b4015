"""What a fit lacks: by how much a further piece of the model would improve it, without fitting it.

A score test (Rao 1948, Proc. Camb. Phil. Soc. 44, 50): one step of a fit that allowed the piece, with everything else
fitted anew, tells its size, its error, and twice the gain in log likelihood.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.chi_square import tail
from util.fit.fisher_scoring import floor_of, inverse_of_free, is_free, prior_of
from util.fit.map_data import MapData
from util.fit.map_model import MapModel
from util.fit.parameters import Layout, Piece
from util.fit.slopes import Slopes, by_parity
from util.physics.polar_map import ODD_IN_X, ODD_IN_Z

# Less than this of a derivative that the fitted parameters cannot absorb is rounding.
_ABSORBED = 1e-7
_FULL = 5.0  # electrons


class Lack(NamedTuple):
    """What one step says of m further parameters.

    Attributes
    ----------
    size : (m,)
    covariance : (m, m)
    chi2 : float
        About `dof` where the piece is not needed.
    dof : int
    p : float
        Probability of as large a chi-square where the piece is not needed.
    moves : (P,)
        By how much the fitted, internal parameters are off without it.
    """

    size: NDArray[np.float64]
    covariance: NDArray[np.float64]
    chi2: float
    dof: int
    p: float
    moves: NDArray[np.float64]

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors (m,)."""
        return np.sqrt(np.diag(self.covariance))


def _dispersion(data: MapData, mu: NDArray[np.float64], variance: NDArray[np.float64]) -> float:
    """Return the mean squared residual of the bins that expect enough electrons, in units of their variance."""
    full = mu > _FULL
    return float(((data.counts - mu)[full] ** 2 / variance[full]).mean()) if full.any() else 0.0


class ScoreTest:
    """Tests at a fit.

    Parameters
    ----------
    model : MapModel
    data : MapData
        Folded about the model's `origin`.
    q : array (P,)
        Internal parameters of the best fit.
    dispersed : bool
        Whether what the model does not describe counts as noise (McCullagh & Nelder 1989, section 9.2): beside a large
        fault no small one is clear then.
    """

    def __init__(self, model: MapModel, data: MapData, q: NDArray[np.float64], *, dispersed: bool = False) -> None:
        self._model, self._q = model, q
        mu = data.expected(model.counts(q))
        variance = np.maximum(mu, floor_of(data))
        self.residual = data.exposure * (data.counts - mu) / variance
        self.weight = data.exposure**2 / variance
        # Weights widen all variances alike.
        self.scale = 1 / data.variance_per_electron
        if dispersed:
            freedom = 1 - q.size / data.counts.size
            self.scale /= max(1.0, self.scale * _dispersion(data, mu, variance) / freedom)
        self.slopes = model.slopes(q)
        prior = prior_of(model, data)
        information = self.slopes.gram(self.weight) + prior.precision
        self.inverse = inverse_of_free(information, is_free(model, q))[0]
        self.score = self.slopes.score(self.residual) - prior.precision @ (q - prior.mean)

    def folded_weight(self, parity: int) -> NDArray[np.float64]:
        """Return the weight (bins,) of products of derivatives whose parities differ by this."""
        return by_parity(self.weight)[parity].ravel() / 16

    def folded_residual(self, parity: int) -> NDArray[np.float64]:
        """Return what derivatives (bins,) of this parity are to be multiplied by and summed for a score."""
        return by_parity(self.residual)[parity].ravel() / 4

    def of(self, further: Slopes) -> Lack | None:
        """Test further parameters; None where the fitted ones describe as much already."""
        own = self.slopes.size
        information = self.slopes.beside(further).gram(self.weight)
        across, alone = information[own:, :own], information[own:, own:]
        left = alone - across @ self.inverse @ across.T
        score = further.score(self.residual) - across @ self.inverse @ self.score
        scale = np.sqrt(np.diag(alone))
        known = np.diag(left) > _ABSORBED * np.diag(alone)
        if not known.any():
            return None
        score, scale, left = score[known], scale[known], left[np.ix_(known, known)]
        inverse = np.linalg.pinv(left / np.outer(scale, scale), rcond=_ABSORBED, hermitian=True) / np.outer(
            scale, scale
        )
        size, covariance = np.zeros(further.size), np.zeros((further.size, further.size))
        size[known] = inverse @ score
        covariance[np.ix_(known, known)] = inverse / self.scale
        chi2, dof = float(score @ inverse @ score) * self.scale, int(known.sum())
        return Lack(size, covariance, chi2, dof, tail(chi2, dof), self.inverse @ across.T @ size)

    def of_centre(self, sphere: int) -> Lack | None:
        """Test whether one sphere, counted from 0, has a centre (x, z) of its own."""
        return self.of(slopes_of_centre(self._model, self._q, sphere))

    def of_piece(self, piece: Piece) -> Lack | None:
        """Test a piece that is not fitted; None where the fitted parameters describe as much already."""
        return self.of(slopes_of_piece(self._model, self._q, piece))


def slopes_of_centre(model: MapModel, q: NDArray[np.float64], sphere: int) -> Slopes:
    """Return the derivatives in a centre (x, z) that one sphere, counted from 0, would have of its own."""
    rows = np.array([model.move(q, name, [sphere]) for name in ("centre_x", "centre_z")])
    return Slopes(rows, np.array([ODD_IN_X, ODD_IN_Z]), np.arange(2), 2)


def slopes_of_piece(model: MapModel, q: NDArray[np.float64], piece: Piece) -> Slopes:
    """Return the derivatives in the parameters of a piece that is not fitted, those that do anything."""
    layout = model.layout
    wider = Layout(layout.spheres, layout.order, (*layout.pieces, piece))
    whole = MapModel(model.bins, wider, model.origin)
    there = [wider.index(name) for name in layout.names]
    at = whole.at(q[layout.R], q[layout.sigma_R])
    at[there] = q
    slopes = whole.slopes(at).of(np.setdiff1d(np.arange(wider.size), there))
    # Without electrons, a blob has neither radius nor width to be told.
    return slopes.of(np.unique(slopes.owner[np.abs(slopes.flat).sum(axis=1) > 0]))
