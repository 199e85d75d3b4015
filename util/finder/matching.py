"""Hits against known positions: how many were found."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree


class Matching(NamedTuple):
    """Pairs of one hit and one electron each, as many as there can be within the radius.

    hit, electron: (matched,) indices. hits, electrons: how many there were.
    """

    hit: NDArray[np.int64]
    electron: NDArray[np.int64]
    hits: int
    electrons: int

    @property
    def f1(self) -> float:
        """Harmonic mean of the matched fractions of hits and of electrons; 1 where there were none of either."""
        total = self.hits + self.electrons
        return 2 * self.hit.size / total if total else 1.0


def match(hits: ArrayLike, electrons: ArrayLike, radius: float) -> Matching:
    """Match hits with electrons one to one, as many as possible, none farther apart than `radius`.

    A maximum matching by the algorithm of J. E. Hopcroft and R. M. Karp, SIAM J. Comput. 2, 225 (1973).

    Parameters
    ----------
    hits, electrons : (n, 2) and (m, 2)
        Positions.
    radius : float
        In the unit of the positions.
    """
    hits, electrons = np.reshape(hits, (-1, 2)), np.reshape(electrons, (-1, 2))
    none = np.zeros(0, np.int64)
    if not (len(hits) and len(electrons)):
        return Matching(none, none, len(hits), len(electrons))
    near = KDTree(electrons).query_ball_point(hits, radius)
    counts = [len(indices) for indices in near]
    columns = np.concatenate([np.asarray(indices, np.int64) for indices in near])
    graph = csr_array(
        (np.ones(columns.size, np.int8), columns, np.concatenate(([0], np.cumsum(counts)))),
        shape=(len(hits), len(electrons)),
    )
    partner = maximum_bipartite_matching(graph, perm_type="column")
    matched = np.flatnonzero(partner >= 0)
    return Matching(matched, partner[matched].astype(np.int64), len(hits), len(electrons))
