"""Electrons in rings about any point, in narrow fans, with the area of each that the detector shows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.map_data import Hits

FANS = 96  # round the point
_SAMPLES = 6  # across a fan, of its area


class Rings(NamedTuple):
    """Electrons and seen area (96, n) of each fan and ring, and the middles (n,) of the rings [detector units].

    Fans begin at +z and go towards +x.
    """

    radius: NDArray[np.float64]
    counts: NDArray[np.float64]
    area: NDArray[np.float64]


class LightAbout:
    """What hits show in rings about any point.

    Parameters
    ----------
    hits : Hits
    detection : Detection
    pixel : float
        Pitch of the camera's pixels [detector units].
    """

    def __init__(self, hits: Hits, detection: Detection, pixel: float) -> None:
        self._hits, self._detection, self.pixel = hits.seen_by(detection), detection, pixel
        # From one corner of the camera to the other, for a point that lies off its middle.
        self.farthest = 1.5 * float(np.hypot(*detection.reach))
        squares = self._hits.weight**2 if self._hits.variance is None else self._hits.variance
        camera = detection.noise * 4 * detection.reach[0] * detection.reach[1]
        electrons = max(float(self._hits.weight.sum()), 1e-9)
        self.per_electron = max((float(squares.sum()) - camera) / electrons, 1e-9)

    def variance(self, electrons: NDArray[np.float64], area: NDArray[np.float64], dark: float) -> NDArray[np.float64]:
        """Return the variance of a sum over areas that hold these electrons besides those of the dark level."""
        return self.per_electron * (np.maximum(electrons, 0) + max(dark, 0.0) * area) + self._detection.noise * area

    def rings(self, centre: tuple[float, float], begin: float, step: float, number: int) -> Rings:
        """Return `number` rings about a point, the innermost from radius `begin` on, each `step` wide."""
        x, z = self._hits.x - centre[0], self._hits.z - centre[1]
        ring = np.floor((np.hypot(x, z) - begin) / step)
        inside = (ring >= 0) & (ring < number)
        fan = np.floor(np.arctan2(x[inside], z[inside]) * (FANS / (2 * np.pi))).astype(np.int64) % FANS
        counts = np.bincount(
            fan * number + ring[inside].astype(np.int64), self._hits.weight[inside], FANS * number
        ).reshape(FANS, number)
        radius = begin + step * (np.arange(number, dtype=np.float64) + 0.5)
        angle = (np.arange(FANS * _SAMPLES) + 0.5) * (2 * np.pi / (FANS * _SAMPLES))
        at = centre[0] + np.outer(np.sin(angle), radius), centre[1] + np.outer(np.cos(angle), radius)
        seen = (self._detection.at(*at) > 0).reshape(FANS, _SAMPLES, number).mean(axis=1)
        return Rings(radius, counts.astype(np.float64), seen * radius * step * (2 * np.pi / FANS))

    def dark_level(self, share: float) -> float:
        """Return the electrons per area in the outermost `share` of what the detector shows."""
        step = 8 * self.pixel
        rings = self.rings((0.0, 0.0), 0.0, step, int(np.ceil(self.farthest / step)))
        counts, area = rings.counts.sum(axis=0), rings.area.sum(axis=0)
        beyond = np.cumsum(area[::-1])[::-1]
        first = int(np.flatnonzero(beyond >= share * beyond[0])[-1])
        return float(counts[first:].sum() / area[first:].sum())
