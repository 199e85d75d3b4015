"""What the fit of a spectrum sees: hits folded into polar bins, with how much of each the detector shows.

Where all Legendre degrees are even the four quadrants expect the same, and their sum says all; with odd ones the two
halves along the polarisation are kept apart, as further columns of the angle.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from util.fit.map_data import MapData
from util.physics import thin_shells
from util.physics.polar_map import PolarBins

_NOTHING = 1e-200


@dataclass(frozen=True, eq=False)
class PolarCounts:
    """Electrons in polar bins; arrays (n_rho, n_angle), of the two halves side by side where odd degrees are asked for.

    Attributes
    ----------
    bins : PolarBins
    halves : int
        1, or 2.
    counts : array
        Electrons and pedestal, in units of the variance that one adds: they scatter as Poisson numbers do.
    exposure : array
        Share of the electrons of a bin that are detected.
    pedestal : array
        Variance of what the camera adds.
    per_count : float
        Electrons that a count stands for.
    light : float
        Counts of even light that are part of the pedestal.
    """

    bins: PolarBins
    halves: int
    counts: NDArray[np.float64]
    exposure: NDArray[np.float64]
    pedestal: NDArray[np.float64]
    per_count: float
    light: float = 0.0

    def angular(self, degrees: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the integrals (K, n_angle) of P_m(cos(alpha)) over the angles that a bin holds."""
        quarter = thin_shells.angular_integrals(self.bins.angle_rad, degrees)
        if self.halves == 1:
            return 4 * quarter
        return 2 * np.concatenate((quarter, (-1.0) ** np.array(degrees)[:, None] * quarter), axis=1)

    def seen(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is expected where a perfect detector would see these counts; above 0 even where all is blind."""
        return np.maximum(self.exposure * counts + self.pedestal, _NOTHING)

    def slope(self, mu: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative of minus the log likelihood in each expected count.

        Where noise leaves less than nothing, the likelihood has no maximum: its derivative there is what it is at the
        pedestal, for as little is expected.
        """
        return 1 - np.where(self.counts >= 0, self.counts / mu, self.counts / self._least)

    def curvature(self, mu: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the second derivative of minus the log likelihood in each expected count."""
        return np.maximum(self.counts, 0) / mu / mu

    @property
    def _least(self) -> NDArray[np.float64]:
        return np.maximum(self.pedestal, 0.25)

    def log_likelihood(self, mu: NDArray[np.float64]) -> float:
        """Return the log likelihood of expected counts, up to a constant."""
        fitted = np.where(self.counts >= 0, self.counts * np.log(mu), self.counts * mu / self._least)
        return float((fitted - mu).sum())

    def over(self, light: float) -> "PolarCounts":
        """Return the same over so many counts of even light, which is expected like a pedestal from then on."""
        area = np.diff(self.bins.rho**2)[:, None] / self.bins.rho_max**2
        even = light * area / self.counts.shape[1]
        return replace(self, pedestal=self.pedestal + self.exposure * even, light=self.light + light)

    def split(self, kept: float, rng: np.random.Generator) -> tuple["PolarCounts", "PolarCounts"]:
        """Return a part of the electrons and the rest, which are independent.

        Counts that are no whole numbers are split with noise of the same variance (Leiner, Duan, Wasserman & Ramdas
        2023, J. Am. Stat. Assoc., data fission).
        """
        whole = np.maximum(np.rint(self.counts), 0)
        if np.abs(self.counts - whole).max() < 1e-9:
            first = rng.binomial(whole.astype(np.int64), kept).astype(float)
        else:
            scatter = np.sqrt(kept * (1 - kept) * np.maximum(self.counts, self.pedestal))
            first = kept * self.counts + scatter * rng.standard_normal(self.counts.shape)
        return self._part(first, kept), self._part(self.counts - first, 1 - kept)

    def folds(self, number: int, rng: np.random.Generator) -> list[tuple["PolarCounts", "PolarCounts"]]:
        """Return the electrons cut into so many equal parts, in turn with each held out: the others, and the one."""
        left, parts = self, []
        for remaining in range(number, 1, -1):
            part, left = left.split(1 / remaining, rng)
            parts.append(part)
        return [(self._part(self.counts - part.counts, 1 - 1 / number), part) for part in (*parts, left)]

    def _part(self, counts: NDArray[np.float64], share: float) -> "PolarCounts":
        exposure, pedestal = share * self.exposure, share * self.pedestal
        return replace(self, counts=counts, exposure=exposure, pedestal=pedestal)


def polar_counts(data: MapData, *, odd: bool) -> PolarCounts:
    """Return the hits of a folded map, the quadrants merged that expect the same."""
    shape = (4, data.bins.n_rho, data.bins.n_angle)
    counts, exposure, pedestal = (
        np.broadcast_to(part, shape) for part in (data.folded.quadrants, data.exposure, data.pedestal)
    )
    per_count = data.variance_per_electron

    def merged(part: NDArray[np.float64]) -> NDArray[np.float64]:
        halves = part.reshape(2, 2, *part.shape[1:]).sum(axis=1)  # the first two quadrants lie along +z
        return np.concatenate(halves, axis=1) if odd else halves.sum(axis=0)

    own = merged(pedestal) / per_count
    return PolarCounts(
        data.bins,
        2 if odd else 1,
        merged(counts) / per_count + own,
        merged(exposure) / (2 if odd else 4),
        own,
        per_count,
    )
