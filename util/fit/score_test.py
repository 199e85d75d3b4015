"""What a fit lacks: by how much a further piece of the model would improve it, without fitting it.

A score test (Rao 1948, Proc. Camb. Phil. Soc. 44, 50): one step of a fit that allowed the piece, with everything else
fitted anew, tells its size, its error, and twice the gain in log likelihood.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from util.fit.fisher_scoring import by_parity, floor_of, gram, inverse_of_free, is_free, prior_of, score_of
from util.fit.map_data import MapData
from util.fit.map_model import MapModel
from util.fit.parameters import Layout, Piece

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
    """

    size: NDArray[np.float64]
    covariance: NDArray[np.float64]
    chi2: float
    dof: int

    @property
    def p(self) -> float:
        """Probability of as large a chi-square where the piece is not needed."""
        return float(stats.chi2.sf(self.chi2, self.dof))

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
    """

    def __init__(self, model: MapModel, data: MapData, q: NDArray[np.float64]) -> None:
        self._model, self._q = model, q
        mu = data.expected(model.counts(q))
        variance = np.maximum(mu, floor_of(data))
        self.residual = data.exposure * (data.counts - mu) / variance
        self.weight = data.exposure**2 / variance
        # Weights widen all variances alike; so does, to begin with, whatever the model does not describe (McCullagh &
        # Nelder 1989, section 9.2), which is no reason to call a small effect clear.
        self.scale = 1 / data.variance_per_electron
        self.scale /= max(1.0, self.scale * _dispersion(data, mu, variance) * data.counts.size / (data.counts.size - q.size))
        self.parity, self.jacobian = model.layout.parity, model.jacobian(q)
        mean, precision = prior_of(model, data)
        information = gram(self.jacobian, self.parity, self.weight) + np.diag(precision)
        self.inverse = inverse_of_free(information, is_free(model, q))[0]
        self.score = score_of(self.jacobian, self.parity, self.residual) - precision * (q - mean)

    def folded_weight(self, parity: int) -> NDArray[np.float64]:
        """Return the weight (bins,) of products of derivatives whose parities differ by this."""
        return by_parity(self.weight)[parity].ravel() / 16

    def folded_residual(self, parity: int) -> NDArray[np.float64]:
        """Return what derivatives (bins,) of this parity are to be multiplied by and summed for a score."""
        return by_parity(self.residual)[parity].ravel() / 4

    def of(self, rows: NDArray[np.float64], parity: NDArray[np.intp]) -> Lack | None:
        """Test further parameters.

        Parameters
        ----------
        rows : array (m, n_rho, n_angle)
            Folded derivatives in them.
        parity : int array (m,)

        Returns
        -------
        Lack, or None where the fitted parameters describe as much already
        """
        together = np.concatenate((self.jacobian, rows))
        own = len(self.jacobian)
        information = gram(together, np.concatenate((self.parity, parity)), self.weight)
        across, alone = information[own:, :own], information[own:, own:]
        left = alone - across @ self.inverse @ across.T
        score = score_of(rows, parity, self.residual) - across @ self.inverse @ self.score
        scale = np.sqrt(np.diag(alone))
        known = np.diag(left) > _ABSORBED * np.diag(alone)
        if not known.any():
            return None
        score, scale, left = score[known], scale[known], left[np.ix_(known, known)]
        inverse = np.linalg.pinv(left / np.outer(scale, scale), rcond=_ABSORBED, hermitian=True) / np.outer(scale, scale)
        size, covariance = np.zeros(len(rows)), np.zeros((len(rows), len(rows)))
        size[known] = inverse @ score
        covariance[np.ix_(known, known)] = inverse / self.scale
        return Lack(size, covariance, float(score @ inverse @ score) * self.scale, int(known.sum()))

    def of_piece(self, piece: Piece) -> Lack | None:
        """Test a piece that is not fitted; None where the fitted parameters describe as much already."""
        layout = self._model.layout
        wider = Layout(layout.spheres, layout.order, (*layout.pieces, piece))
        model = MapModel(self._model.bins, wider, self._model.origin)
        q = model.at(self._q[layout.R], self._q[layout.sigma_R])
        q[[wider.index(name) for name in layout.names]] = self._q
        new = np.setdiff1d(np.arange(wider.size), [wider.index(name) for name in layout.names])
        rows = model.jacobian(q)[new]
        # Without electrons, a blob has neither radius nor width to be told.
        felt = np.abs(rows).sum(axis=(1, 2)) > 0
        return self.of(rows[felt], wider.parity[new][felt])
