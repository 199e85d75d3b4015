"""Along which axis of an accumulated image the polarisation lies, as far as the image tells.

Rings alone do not tell: whatever lies more at the poles of one axis lies more at the equator of the other. But what a
sphere throws inside its ring is tied to what lies on the ring. Electrons along the axis of their sphere (beta_2 > 0)
are, about the other axis, those of a sphere only if others inside hold fewer electrons than none. So the image is
fitted about either axis with shells of all radii whose angular distributions are nowhere negative, and a much better
fit tells the axis. The other way round nothing tells: electrons about the equator (beta_2 < 0) are, about the other
axis, those of a sphere and a ball of slow ones.
"""

from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from util.entries.noise_law import NoiseLaw
from util.entries.scatter import centre_of
from util.physics.polar_map import PolarBins, angular_factors, fold, radial_factors

_BINS = PolarBins(n_rho=96, n_angle=18)
_SHELLS = 64
_WIDTH = 0.6  # standard deviation of a shell, of the distance to the next
_ORDER = 8
_COVERED = 0.98  # of a bin's area that must be known
_FEWEST_BINS = 500
_CLEAR = 1.4  # ratio of the chi-squares
_CLEAR_DIFFERENCE = 100.0  # in units of the better fit's chi-square per bin


class AxisFit(NamedTuple):
    """Chi-square of an image as one of spheres about axis 0 and about axis 1, and the number of bins compared."""

    chi2: tuple[float, float]
    bins: int

    @property
    def axis(self) -> int | None:
        """The axis that describes the image better; None where neither clearly does."""
        best, other = sorted(self.chi2)
        clear = (
            self.bins >= _FEWEST_BINS
            and other > _CLEAR * best
            and other - best > _CLEAR_DIFFERENCE * max(1.0, best / self.bins)
        )
        return self.chi2.index(best) if clear else None


def fit_axes(image: NDArray[np.float64], law: NoiseLaw) -> AxisFit:
    """Fit an image (H, W) of counts, NaN where nothing is known, about both of its axes.

    An image too small or too far off its centre to be compared has no bins.
    """
    row, column = centre_of(image)
    reach = min(row + 0.5, column + 0.5, image.shape[0] - row - 0.5, image.shape[1] - column - 0.5)
    if reach < _BINS.n_rho / 2:
        return AxisFit((0.0, 0.0), 0)
    known = np.isfinite(image)
    offsets = np.array([-0.25, 0.25])
    i, j = np.nonzero(known)
    z = np.concatenate([(i - row + u) / reach for u in offsets for _ in offsets])
    x = np.concatenate([(j - column + v) / reach for _ in offsets for v in offsets])
    counts = np.tile(image[i, j] / 4, 4)
    folded = fold(x, z, counts, (0.0, 0.0), _BINS, variance=np.full(x.size, 0.25))
    area = np.diff(_BINS.rho**2)[:, None] * np.pi * reach**2 / _BINS.n_angle * np.ones(_BINS.n_angle)
    share = folded.variance / area  # known pixels, of those that there are
    seen = share > _COVERED
    data = folded.weight / np.maximum(share, _COVERED)
    variance = np.maximum(law.counts_per_electron * np.maximum(data, 0) + law.camera * area, 0)
    variance += 1e-3 * variance.mean()
    templates = _templates(area)
    chi2 = []
    for turned in (False, True):
        part = data[:, ::-1] if turned else data
        weight = np.where(seen, 1 / np.sqrt(variance), 0)
        weight = (weight[:, ::-1] if turned else weight).ravel()
        norm = nnls(templates * weight[:, None], part.ravel() * weight)[1]
        chi2.append(float(norm**2))
    return AxisFit((chi2[0], chi2[1]), int(seen.sum()))


def _positive(degree: int) -> NDArray[np.float64]:
    """Return the Bernstein polynomials in the squared cosine, which are nowhere negative: coefficients (n, powers)."""
    found = np.zeros((degree + 1, degree + 1))
    for j in range(degree + 1):
        for k in range(degree - j + 1):
            found[j, j + k] = comb(degree, j) * comb(degree - j, k) * (-1) ** k
    return found


def _templates(area: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each shell, of each angular distribution, and an even background throw into the bins (bins, n)."""
    step = _BINS.rho_max / _SHELLS
    angular = angular_factors(_BINS, _ORDER)[0]
    columns = [area / area.sum()]
    for number in range(_SHELLS):
        radial = radial_factors(_BINS, (number + 0.5) * step, _WIDTH * step, _ORDER)[0]
        columns += [radial.T @ (power[:, None] * angular) for power in _positive(_ORDER // 2)]
    return np.stack([column.ravel() for column in columns], axis=1)
