"""Expected counts of a polar map and their derivatives in the parameters of the spheres and of all further pieces.

As in pBasex (Garcia, Nahon & Powis 2004, Rev. Sci. Instrum. 75, 4989) the image is a sum of Abel-projected Legendre
terms in polar bins. Here the radial part of a sphere is one Gaussian, so that the model is fitted, not inverted.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.fit.known_spheres import KnownSpheres
from util.fit.parameters import Layout
from util.fit.slopes import Slopes
from util.physics import pad
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import (
    EVEN,
    ODD_IN_Z,
    SIGNS,
    AngularFactors,
    PolarBins,
    RadialFactors,
    angular_factors,
    hermite_factors,
    radial_factors,
)

# A bin's variance is at least this times the mean count of a bin.
_FLOOR = 1e-3
_RING = 3.0  # R over sigma_R of a sphere that tells where the centre is
_BLOB = (0.05, 0.05)  # R and sigma_R to start from


_NONE = np.zeros(0, dtype=np.intp)


@dataclass(frozen=True)
class _Lobe:
    """A sphere, or the blob: indices of its N, R, sigma_R, N beta_2 ..; where fitted, N beta_1 .. and its line's."""

    N: np.intp
    R: np.intp
    sigma_R: np.intp
    betas: NDArray[np.intp]
    odd: NDArray[np.intp]
    line: NDArray[np.intp]

    @property
    def order(self) -> int:
        """Highest Legendre degree."""
        return 2 * self.betas.size

    @property
    def terms(self) -> NDArray[np.intp]:
        """Indices of N and N beta."""
        return np.append(self.N, self.betas)

    @property
    def to_power(self) -> NDArray[np.float64]:
        """Matrix (n + 1, n + 1) from these terms to the coefficients of the powers of the cosine."""
        return pad.legendre_to_power(self.betas.size) * ([0.5] + [1.0] * self.betas.size)

    @property
    def odd_to_power(self) -> NDArray[np.float64]:
        """Matrix (n, n) from N beta_1, N beta_3 .. to the coefficients of the odd powers of the cosine."""
        return pad.odd_legendre_to_power(self.odd.size)

    def power(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficients (n + 1, 1) of the even powers of the cosine."""
        return (self.to_power @ q[self.terms])[:, None]


class MapModel:
    """Expected counts of hits folded about an assumed geometry, in the internal parameters (P,) of a layout.

    Attributes
    ----------
    bins : PolarBins
    layout : Layout
    origin : ImageGeometry
        About which the hits were folded; what the parameters say beyond it enters to first order.
    known : KnownSpheres or None
        What is known of the spheres before any hit.
    background : (n_rho, n_angle)
        One electron spread evenly over the disc that the bins cover.
    """

    def __init__(
        self,
        bins: PolarBins,
        layout: Layout,
        origin: ImageGeometry = ImageGeometry(),  # noqa: B008 - frozen
        known: KnownSpheres | None = None,
    ) -> None:
        self.bins, self.layout, self.origin, self.known = bins, layout, origin, known
        own = zip(layout.N, layout.R, layout.sigma_R, layout.beta, layout.odd_beta, layout.line, strict=True)
        self._lobes = [_Lobe(*indices) for indices in own]
        if layout.blob.size:
            N, R, sigma_R, *beta = layout.blob
            self._lobes.append(_Lobe(N, R, sigma_R, np.array(beta), _NONE, _NONE))
        area = np.diff(bins.rho**2) / bins.rho_max**2
        self.background = np.repeat(area[:, None] / bins.n_angle, bins.n_angle, axis=1)

    def at(self, R: NDArray[np.float64], sigma_R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return parameters that are zero but for these R and sigma_R, arrays (S,), and an empty blob's."""
        q, layout = np.zeros(self.layout.size), self.layout
        q[layout.R], q[layout.sigma_R] = R, sigma_R
        q[layout.blob[1:3]] = _BLOB[: layout.blob[1:3].size]
        q[layout.geometry] = self.origin_values
        return q

    @property
    def widths(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of R and of sigma_R of all spheres and of the blob."""
        return np.array([lobe.R for lobe in self._lobes]), np.array([lobe.sigma_R for lobe in self._lobes])

    def linear(self) -> NDArray[np.intp]:
        """Return the indices of the parameters in which the counts are linear."""
        return np.setdiff1d(
            np.arange(self.layout.size), np.concatenate((*self.widths, self.layout.geometry, self.layout.line.ravel()))
        )

    @property
    def origin_values(self) -> NDArray[np.float64]:
        """The numbers of `origin` that are fitted, in the order of `Layout.geometry`."""
        return np.array([getattr(self.origin, self.layout.names[i]) for i in self.layout.geometry])

    def room_of_geometry(self, q: NDArray[np.float64], step: NDArray[np.float64]) -> float:
        """Return how many times a `step` (P,) from `q` leads to the end of what the first order describes.

        Where the image of a sphere moves by more than its width, or turns by a good part of an angle that its PAD
        resolves, the first order means little.
        """
        layout = self.layout
        narrow, far = q[layout.sigma_R].min(), max(q[layout.R].max(), 0.1)
        reach = {"centre": narrow / 2, "ellipse": narrow / far / 2, "rotation": 0.03, "shear": 0.5}
        limit = np.array([reach[layout.names[i].split("_")[0]] for i in layout.geometry])
        along, beyond = step[layout.geometry], q[layout.geometry] - self.origin_values
        left = np.maximum(limit - np.sign(along) * beyond, 0) / np.maximum(np.abs(along), 1e-300)
        return float(left.min())

    def _radial(self, q: NDArray[np.float64], lobe: _Lobe, *, odd: bool = False) -> RadialFactors:
        order = 2 * lobe.odd.size - 1 if odd else lobe.order
        radial = radial_factors(self.bins, q[lobe.R], q[lobe.sigma_R], order, odd=odd)
        if not lobe.line.size:
            return radial
        # The line's own shape, and its derivatives: d(g He_j)/dR = g He_(j + 1) / sigma_R, and so on.
        H = hermite_factors(self.bins, q[lobe.R], q[lobe.sigma_R], order, odd=odd)
        skewness, kurtosis, sigma_R = q[lobe.line[0]] / 6, q[lobe.line[1]] / 24, q[lobe.sigma_R]
        return radial._replace(
            value=H[0] + skewness * H[3] + kurtosis * H[4],
            by_R=(H[1] + skewness * H[4] + kurtosis * H[5]) / sigma_R,
            by_sigma_R=(H[2] + skewness * (3 * H[3] + H[5]) + kurtosis * (4 * H[4] + H[6])) / sigma_R,
        )

    def _by_line(self, q: NDArray[np.float64], lobe: _Lobe, *, odd: bool = False) -> list[NDArray[np.float64]]:
        """Return the radial factors' derivatives in skewness and kurtosis."""
        order = 2 * lobe.odd.size - 1 if odd else lobe.order
        H = hermite_factors(self.bins, q[lobe.R], q[lobe.sigma_R], order, odd=odd)
        return [H[3] / 6, H[4] / 24]

    def _angular(self, lobe: _Lobe, *, odd: bool = False) -> AngularFactors:
        return angular_factors(self.bins, 2 * lobe.odd.size - 1 if odd else lobe.order, odd=odd)

    def folded(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected counts by parity (4, n_rho, n_angle): their sum over the quadrants with `SIGNS`."""
        out = np.zeros((4, self.bins.n_rho, self.bins.n_angle))
        if "background" in self.layout.pieces:
            out[EVEN] += q[self.layout.index("background")] * self.background
        radial = np.concatenate([self._radial(q, lobe).value for lobe in self._lobes])
        out[EVEN] += radial.T @ np.concatenate([lobe.power(q) * self._angular(lobe).value for lobe in self._lobes])
        for lobe in self._lobes:
            if lobe.odd.size:
                odd = (lobe.odd_to_power @ q[lobe.odd])[:, None] * self._angular(lobe, odd=True).value
                out[ODD_IN_Z] += self._radial(q, lobe, odd=True).value.T @ odd
        beyond = q[self.layout.geometry] - self.origin_values
        for i, distance in zip(self.layout.geometry, beyond, strict=True):
            if distance:
                out[self.layout.parity[i]] += distance * self._move(q, self.layout.names[i])
        return out

    def counts(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected counts of each quadrant (4, n_rho, n_angle), in the order of `SIGNS`."""
        folded = self.folded(q)
        return (SIGNS.T @ folded.reshape(4, -1)).reshape(folded.shape) / 4

    def slopes(self, q: NDArray[np.float64]) -> Slopes:
        """Return the derivatives of the counts in all parameters."""
        layout = self.layout
        # Where odd betas are fitted, R and sigma_R change an even and an odd part of the image.
        lopsided = [lobe for lobe in self._lobes if lobe.odd.size]
        again = [i for lobe in lopsided for i in (lobe.R, lobe.sigma_R, *lobe.line)]
        owner = np.array([*range(layout.size), *again], dtype=np.intp)
        parity = np.concatenate((layout.parity, np.full(len(again), ODD_IN_Z)))
        out = np.zeros((owner.size, self.bins.n_rho, self.bins.n_angle))
        for lobe in self._lobes:
            radial, angular = self._radial(q, lobe), self._angular(lobe).value
            for power, row in zip(lobe.to_power.T, lobe.terms, strict=True):
                np.matmul(radial.value.T, power[:, None] * angular, out=out[row])
            shape = lobe.power(q) * angular
            np.matmul(radial.by_R.T, shape, out=out[lobe.R])
            np.matmul(radial.by_sigma_R.T, shape, out=out[lobe.sigma_R])
            for row, factor in zip(lobe.line, self._by_line(q, lobe) if lobe.line.size else (), strict=True):
                np.matmul(factor.T, shape, out=out[row])
        row_after = itertools.count(layout.size)
        for lobe in lopsided:
            radial, angular = self._radial(q, lobe, odd=True), self._angular(lobe, odd=True).value
            for power, row in zip(lobe.odd_to_power.T, lobe.odd, strict=True):
                np.matmul(radial.value.T, power[:, None] * angular, out=out[row])
            shape = (lobe.odd_to_power @ q[lobe.odd])[:, None] * angular
            line = self._by_line(q, lobe, odd=True) if lobe.line.size else []
            for factor in (radial.by_R, radial.by_sigma_R, *line):
                np.matmul(factor.T, shape, out=out[next(row_after)])
        if "background" in layout.pieces:
            out[layout.index("background")] = self.background
        for i in layout.geometry:
            out[i] = self._move(q, layout.names[i])
        return Slopes(out, parity, owner, layout.size)

    def _move(self, q: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """Return the derivative (n_rho, n_angle) of the even counts in one number of the geometry."""
        # An image that is brightest about its very centre is moved by less than a bin, which tells nothing.
        rings = [s for s, lobe in enumerate(self._lobes) if q[lobe.R] > _RING * q[lobe.sigma_R]]
        return self.move(q, name, rings or range(self.layout.spheres))

    def move(self, q: NDArray[np.float64], name: str, spheres: Sequence[int]) -> NDArray[np.float64]:
        """Return what a change of one number of `ImageGeometry` does to the even counts of some spheres."""
        terms = [term for s in spheres for term in self._terms_of_move(q, name, self._lobes[s])]
        radial, angular = (np.concatenate(part) for part in zip(*terms, strict=True))
        return -radial.T @ angular

    def _terms_of_move(
        self, q: NDArray[np.float64], name: str, lobe: _Lobe
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return radial and angular parts of what `move` returns, but for its sign."""
        radial, angular, a = self._radial(q, lobe), self._angular(lobe), lobe.power(q)
        if name in ("centre_x", "centre_z"):
            along, across = angular.by_x if name == "centre_x" else angular.by_z
            return [(radial.by_rho, a * along), (radial.across, a * across)]
        if name == "rotation_rad":
            return [(radial.value, a * angular.turned)]
        kind, number = name.split("_")
        part = int(number) - 1
        geometry = self.layout.geometry_of(q)
        if kind == "shear":
            return [(radial.value, (geometry.ellipse_1, geometry.ellipse_2)[part] * a * angular.sheared[part])]
        shear = (geometry.shear_1, geometry.shear_2)[part]
        return [(radial.stretched, a * angular.stretched[part]), (radial.value, shear * a * angular.sheared[part])]


def variance_floor(counts: NDArray[np.float64]) -> float:
    """Return the least variance of a bin, given the counts (or expected counts) of all bins."""
    return _FLOOR * max(float(counts.mean()), 1e-300)


def expected_variance(mu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of each bin that expects `mu` counts, not below `variance_floor`."""
    return np.maximum(mu, variance_floor(mu))
