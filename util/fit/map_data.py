"""What a fit sees: folded hits, how much of each bin the detector shows, and the noise that is there without electrons.

A bin of one quadrant holds n electrons where the model expects exposure x f. What a camera adds by itself has a known
variance; it is treated as so many further electrons, n + pedestal where exposure x f + pedestal are expected, whose
counts have the right mean and variance (the shifted Poisson model, Snyder, Hammoud & White 1993, J. Opt. Soc. Am. A
10, 1014).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins, PolarMap, coarsen, fold


@dataclass(frozen=True)
class MapData:
    """Folded hits as they are fitted; arrays (4, n_rho, n_angle), by quadrant, or one number for all.

    Attributes
    ----------
    bins : PolarBins
    geometry : ImageGeometry
        About which the hits were folded.
    folded : PolarMap
        Nothing where the exposure is 0.
    exposure : array or float
        Share of the electrons of a bin that are detected.
    pedestal : array or float
        Variance of what the camera adds, in electrons.
    """

    bins: PolarBins
    geometry: ImageGeometry
    folded: PolarMap
    exposure: NDArray[np.float64] | float = 1.0
    pedestal: NDArray[np.float64] | float = 0.0

    @property
    def counts(self) -> NDArray[np.float64]:
        """Electrons found and pedestal (4, n_rho, n_angle)."""
        return self.folded.quadrants + self.pedestal

    @property
    def variance_per_electron(self) -> float:
        """What an electron adds to the variance of a sum of weights: 1 for hits of unit weight."""
        return float(self.folded.variance.sum() / self.counts.sum())

    def expected(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what `counts` expects (4, n_rho, n_angle) where a perfect detector would see these electrons."""
        return self.exposure * counts + self.pedestal

    def coarser(self, by_rho: int, by_angle: int) -> "MapData":
        """Return the same in bins that hold `by_rho` times `by_angle` of these each."""

        def merged(part: NDArray[np.float64] | float, size: int) -> NDArray[np.float64] | float:
            return part if isinstance(part, float) else coarsen(part, by_rho, by_angle) / size

        folded = PolarMap(
            coarsen(self.folded.quadrants, by_rho, by_angle), coarsen(self.folded.variance, by_rho, by_angle)
        )
        bins = self.bins.coarser(by_rho, by_angle)
        exposure, pedestal = merged(self.exposure, by_rho * by_angle), merged(self.pedestal, 1)
        return MapData(bins, self.geometry, folded, exposure, pedestal)


class Hits(NamedTuple):
    """Positions [detector units], weights, and what each adds to the variance of a sum of weights: arrays (n,)."""

    x: NDArray[np.float64]
    z: NDArray[np.float64]
    weight: NDArray[np.float64]
    variance: NDArray[np.float64] | None  # None: the square of the weight

    def seen_by(self, detection: Detection) -> "Hits":
        """Return the hits that do not lie where the detector is blind, as hot spots under a mask do."""
        if detection.efficiency is None and detection.plate is None:
            return self
        kept = detection.at(self.x, self.z) > 0
        variance = None if self.variance is None else self.variance[kept]
        return Hits(self.x[kept], self.z[kept], self.weight[kept], variance)

    def merged(self, pixels: int) -> "Hits":
        """Return these hits summed in `pixels` x `pixels` squares of [-1, 1] x [-1, 1], if that makes them fewer."""
        if self.x.size <= pixels**2:
            return self
        rows, columns = (np.floor((part + 1) * (pixels / 2)).astype(np.int64) for part in (self.x, self.z))
        inside = (rows >= 0) & (rows < pixels) & (columns >= 0) & (columns < pixels)
        place = rows[inside] * pixels + columns[inside]
        squares = self.weight**2 if self.variance is None else self.variance
        sums = (np.bincount(place, part[inside], pixels**2) for part in (self.weight, squares))
        weight, variance = (np.asarray(part, np.float64) for part in sums)
        filled = np.flatnonzero((weight != 0) | (variance != 0))
        x, z = (2 * (np.array(np.divmod(filled, pixels)) + 0.5) / pixels) - 1
        return Hits(x, z, weight[filled], variance[filled])


def fold_hits(hits: Hits, geometry: ImageGeometry, bins: PolarBins, detection: Detection) -> MapData:
    """Fold hits; leave out what lies where the detector is blind."""
    folded = fold(hits.x, hits.z, hits.weight, geometry, bins, variance=hits.variance)
    exposure, pedestal = detection.exposure(bins, geometry), detection.pedestal(bins, geometry)
    if not isinstance(exposure, float):
        blind = exposure == 0
        folded = PolarMap(np.where(blind, 0, folded.quadrants), np.where(blind.all(axis=0), 0, folded.variance))
    return MapData(bins, geometry, folded, exposure, pedestal)
