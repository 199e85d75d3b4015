"""How far each hit moves an answer: the fit, linearised about its result (Hampel 1974, J. Am. Stat. Assoc. 69, 383).

Summed over groups of hits (the electrons of one frame, of one block of frames) it shows how the answer scatters, alone
and together with another answer from the same frames, without fitting again.
"""

import numpy as np
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.fisher_scoring import inverse_of_free, is_free
from util.fit.map_model import MapModel, expected_variance
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, neighbours

_AT_A_TIME = 1_000_000  # hits, which take 100 bytes each


class Influence:
    """Influence functions of an answer's P parameters.

    Parameters
    ----------
    result : FitResult
        Only its layout and values are used.
    bins : PolarBins
    detection : Detection
        What the detector shows of the image.

    Attributes
    ----------
    geometry : ImageGeometry
        How the image lies on the detector.
    expected : array (4, n_rho, n_angle)
        Electrons that the detector shows in each bin of each quadrant.
    """

    def __init__(
        self,
        result: FitResult,
        bins: PolarBins = PolarBins(),  # noqa: B008 - frozen
        detection: Detection = Detection(),  # noqa: B008 - frozen
    ) -> None:
        layout = result.layout
        self.geometry = layout.geometry_of(result.values)
        model, q = MapModel(bins, layout, self.geometry), layout.to_internal(result.values)
        exposure = detection.exposure(bins, self.geometry)
        self.expected = exposure * model.counts(q)
        variance = expected_variance(self.expected + detection.pedestal(bins, self.geometry))
        slopes = model.slopes(q)
        inverse, _ = inverse_of_free(slopes.gram(exposure**2 / variance), is_free(model, q))
        # A hit adds the slopes in its bin times this to the scores, which move the parameters.
        self._bins, self._slopes, self._share = bins, slopes, exposure / variance
        self._moved = layout.to_public(q)[1] @ inverse

    def of(self, more: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much so many more electrons in the bins (4, n_rho, n_angle) move the parameters (P,)."""
        return self._moved @ self._slopes.score(self._share * more.reshape(self._share.shape))

    def by_group(
        self,
        x: NDArray[np.float64],
        z: NDArray[np.float64],
        weight: NDArray[np.float64],
        group: NDArray[np.integer],
        groups: int,
    ) -> NDArray[np.float64]:
        """Sum over the hits of each group, their influence interpolated between the middles of the bins.

        So that of two positions of one electron, true and found, the difference is that of the influence alone: where
        one lies beyond the edge of a bin, a step would be counted in its place.

        Parameters
        ----------
        x, z, weight : arrays (n,)
        group : int array (n,)
            From 0 to `groups` - 1.
        groups : int

        Returns
        -------
        array (groups, P)
            In the order of `FitResult.names`.
        """
        scores = np.zeros((len(self._moved), groups))
        for first in range(0, x.size, _AT_A_TIME):
            some = slice(first, first + _AT_A_TIME)
            place, part = neighbours(x[some], z[some], self.geometry, self._bins)
            added = self._share.ravel()[place] * part * weight[some, None]
            scores += self._slopes.scores(place, added, group[some], groups)
        return scores.T @ self._moved.T
