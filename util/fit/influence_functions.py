"""How far each hit moves an answer: the fit, linearised about its result (Hampel 1974, J. Am. Stat. Assoc. 69, 383).

Summed over groups of hits (the electrons of one frame, of one block of frames) it shows how the answer scatters, alone
and together with another answer from the same frames, without fitting again.
"""

import numpy as np
from numpy.typing import NDArray

from util.fit.fisher_scoring import inverse_information
from util.fit.map_model import MapModel, expected_variance
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins


class Influence:
    """Influence functions of an answer's P parameters.

    Parameters
    ----------
    result : FitResult
        Only its layout and values are used.
    bins : PolarBins
    """

    def __init__(self, result: FitResult, bins: PolarBins = PolarBins()) -> None:  # noqa: B008 - frozen
        layout = result.layout
        model, q = MapModel(bins, layout), layout.to_internal(result.values)
        variance = expected_variance(model.counts(q))
        weighted = model.jacobian(q).reshape(layout.folded.size, -1) / variance.ravel()
        inverse, _ = inverse_information((weighted * variance.ravel()) @ weighted.T)
        by_q = layout.to_public(q)[1][np.ix_(layout.folded, layout.folded)]
        shift = model.shift(q)
        self._bins, self._layout, self._centre = bins, layout, result.centre
        self._even = by_q @ inverse @ weighted
        self._odd = (shift / variance / (shift**2 / variance).sum(axis=(1, 2))[:, None, None]).reshape(2, -1)

    def by_group(
        self,
        x: NDArray[np.float64],
        z: NDArray[np.float64],
        weight: NDArray[np.float64],
        group: NDArray[np.integer],
        groups: int,
    ) -> NDArray[np.float64]:
        """Sum over the hits of each group.

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
        bins = self._bins
        dx, dz = x - self._centre[0], z - self._centre[1]
        row = (np.hypot(dx, dz) * (bins.n_rho / bins.rho_max)).astype(np.int64)
        column = (np.arctan2(np.abs(dx), np.abs(dz)) * (bins.n_angle / (np.pi / 2))).astype(np.int64)
        inside = row < bins.n_rho
        place = row[inside] * bins.n_angle + np.minimum(column[inside], bins.n_angle - 1)
        group, weight = group[inside], weight[inside]
        sums = np.empty((groups, self._layout.size))
        for index, moved in zip(self._layout.folded, self._even, strict=True):
            sums[:, index] = np.bincount(group, moved[place] * weight, groups)
        for index, moved, offset in zip(self._layout.centre, self._odd, (dx, dz), strict=True):
            sums[:, index] = np.bincount(group, moved[place] * weight * np.sign(offset[inside]), groups)
        return sums
