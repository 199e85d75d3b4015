"""From the lines of a fit to curves and their errors."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.spectrum.spectrum import Lines

_CLEAR = 3.0  # errors of the intensity, below which it has no anisotropy to tell


def line_shapes(r: NDArray[np.float64], lines: Lines) -> NDArray[np.float64]:
    """Return the density (n, J) of each line at radii (n,), per detector unit."""
    scale = 1 / (lines.widths * np.sqrt(2 * np.pi))
    near, folded = ((r[:, None] - sign * lines.radii) / lines.widths for sign in (1, -1))
    return scale * (np.exp(-(near**2) / 2) + np.exp(-(folded**2) / 2))


class Curves(NamedTuple):
    """Intensity (n,) with errors, and betas (degrees, n) with errors, NaN where there are no electrons."""

    intensity: NDArray[np.float64]
    intensity_error: NDArray[np.float64]
    beta: NDArray[np.float64]
    beta_error: NDArray[np.float64]


def weighted(weights: NDArray[np.float64], lines: Lines) -> Curves:
    """Return what weighted sums of the lines hold, and their anisotropy.

    Parameters
    ----------
    weights : (n, J)
        Of each line in each sum: their shapes at r, or the part of each that lies in a peak.
    lines : Lines
    """
    J, K = lines.terms.shape
    covariance = lines.covariance.reshape(J, K, J, K)
    values = weights @ lines.terms
    intensity = values[:, 0]

    def product(a: int, b: int) -> NDArray[np.float64]:
        return np.einsum("rj,rj->r", weights @ covariance[:, a, :, b], weights)

    variance = product(0, 0)
    clear = (intensity > 0) & (intensity**2 > _CLEAR**2 * variance)
    safe = np.where(clear, intensity, 1.0)
    beta, error = np.full((2, K - 1, weights.shape[0]), np.nan)
    for k in range(1, K):
        ratio = values[:, k] / safe
        spread = product(k, k) - 2 * ratio * product(0, k) + ratio**2 * variance
        beta[k - 1] = np.where(clear, ratio, np.nan)
        error[k - 1] = np.where(clear, np.sqrt(np.maximum(spread, 0)) / safe, np.nan)
    return Curves(intensity, np.sqrt(np.maximum(variance, 0)), beta, error)
