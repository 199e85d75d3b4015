"""Derivatives of expected counts, and their sums over the bins of all four quadrants.

In the quadrants a derivative of one parity differs in its sign alone. So it is held once, and sums over quadrants, with
these signs, come before those over bins.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from util.physics.polar_map import SIGNS


def by_parity(quadrants: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over quadrants (4, ..) with the signs of each parity: (4, ..)."""
    return (SIGNS @ quadrants.reshape(4, -1)).reshape(quadrants.shape)


@dataclass(frozen=True)
class Slopes:
    """Derivatives in P parameters; one that is neither even nor odd has a row for each of its parts.

    Attributes
    ----------
    maps : array (rows, n_rho, n_angle)
        Folded: four times the derivative in each quadrant, but for its sign.
    parity : int array (rows,)
        As in `util.physics.polar_map.SIGNS`.
    owner : int array (rows,)
        To which parameter a row belongs.
    size : int
        P.
    """

    maps: NDArray[np.float64]
    parity: NDArray[np.intp]
    owner: NDArray[np.intp]
    size: int

    @property
    def flat(self) -> NDArray[np.float64]:
        """The maps (rows, bins)."""
        return self.maps.reshape(len(self.maps), -1)

    def of(self, index: NDArray[np.intp]) -> "Slopes":
        """Return the derivatives in some of the parameters, in ascending order."""
        place = np.full(self.size, -1)
        place[index] = np.arange(len(index))
        rows = place[self.owner] >= 0
        return Slopes(self.maps[rows], self.parity[rows], place[self.owner[rows]], len(index))

    def beside(self, further: "Slopes") -> "Slopes":
        """Return these and, after them, those in further parameters."""
        return Slopes(
            np.concatenate((self.maps, further.maps)),
            np.concatenate((self.parity, further.parity)),
            np.concatenate((self.owner, further.owner + self.size)),
            self.size + further.size,
        )

    def gram(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums (P, P) of products of derivatives, bins of the quadrants weighted by (4, n_rho, n_angle)."""
        signed = by_parity(weight).reshape(4, -1) / 16
        rows = {p: np.flatnonzero(self.parity == p) for p in np.unique(self.parity).tolist()}
        parts = {p: _rows(self.flat, index) for p, index in rows.items()}
        out = np.zeros((len(self.maps), len(self.maps)))
        for first, second in itertools.combinations_with_replacement(sorted(rows, key=lambda p: rows[p].size), 2):
            block = (parts[first] * signed[first ^ second]) @ parts[second].T
            out[np.ix_(rows[first], rows[second])] = block
            out[np.ix_(rows[second], rows[first])] = block.T
        return self._by_owner(self._by_owner(out).T)

    def score(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums (P,) of derivatives times weighted residuals (4, n_rho, n_angle)."""
        sums = self.flat @ by_parity(residual).reshape(4, -1).T / 4
        return self._by_owner(sums[np.arange(len(self.parity)), self.parity])

    def quadrants(self) -> NDArray[np.float64]:
        """Return the derivatives (P, 4, n_rho, n_angle) in the bins of each quadrant."""
        return self._by_owner(SIGNS[self.parity][:, :, None, None] * self.maps[:, None] / 4)

    def scores(
        self, place: NDArray[np.int64], residual: NDArray[np.float64], group: NDArray[np.integer], groups: int
    ) -> NDArray[np.float64]:
        """Return the sums (P, groups) over groups of hits, of derivatives times residuals.

        Parameters
        ----------
        place, residual : arrays (n, m)
            Bins of the quadrants, made flat, that a hit is spread over, and what it adds to each.
        group : int array (n,)
            From 0 to `groups` - 1.
        groups : int
        """
        quadrant, place = np.divmod(place, self.flat.shape[1])
        group = np.repeat(group, place.shape[1])
        out = np.zeros((len(self.maps), groups))
        for parity in np.unique(self.parity).tolist():
            rows = self.parity == parity
            signed = SIGNS[parity, quadrant] * residual / 4
            summed = coo_array((signed.ravel(), (group, place.ravel())), (groups, self.flat.shape[1])).tocsr()
            out[rows] = (summed @ self.flat[rows].T).T
        return self._by_owner(out)

    def _by_owner(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the rows of each parameter."""
        if len(rows) == self.size:
            return rows
        out = np.zeros((self.size, *rows.shape[1:]))
        np.add.at(out, self.owner, rows)
        return out


def _rows(array: NDArray[np.float64], index: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return rows of an array, without a copy where they lie side by side."""
    first, last = index[0], index[-1] + 1
    return array[first:last] if last - first == index.size else array[index]
