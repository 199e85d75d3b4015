"""How well betas can be known at all: the Cramer-Rao bound of whoever knows the shape of every line beforehand."""

import numpy as np
from numpy.typing import NDArray

from benchmark.spectra.truth import DEGREES, WINDOW, Truth
from util.physics import pad
from util.physics.polar_map import PolarBins, angular_factors, radial_factors

_BINS = PolarBins(500, 24)
_FAINT = 1e-9  # of the fullest bin: bins of less say nothing


def _maps(truth: Truth) -> NDArray[np.float64]:
    """Return what an electron of each line, and each of its betas, adds to the bins (lines, 3, bins)."""
    order = DEGREES[-1]
    to_power = pad.legendre_to_power(order // 2) * 0.5  # in the field's normalisation
    angular = angular_factors(_BINS, order).value
    radial = [radial_factors(_BINS, line.R, line.sigma, order).value for line in truth.lines]
    maps = np.einsum("lkr,ki,ka->lira", np.array(radial), to_power, angular, optimize=True)
    return maps.reshape(len(truth.lines), 1 + len(DEGREES), -1)


def least_beta_errors(truth: Truth) -> NDArray[np.float64]:
    """Return the rms (2,) over the resolved peaks of the least standard deviations of `mean_beta`; NaN for no peak.

    Of unbiased methods: one that draws betas together, or to 0, may come nearer, at the price of a bias. Lines of
    unknown shape make it harder.
    """
    maps, numbers = _maps(truth), truth.numbers
    beta = np.array([(1.0, *line.beta) for line in truth.lines])
    expected = np.einsum("l,li,lib->b", numbers, beta, maps)
    seen = expected > _FAINT * expected.max()
    flat = maps[:, :, seen].reshape(-1, seen.sum())
    covariance = np.linalg.inv((flat / expected[seen]) @ flat.T)
    variances = []
    for peak in truth.peaks():
        r = peak.R + peak.sigma * np.linspace(-WINDOW, WINDOW, 121)
        pull = (r - np.array([[line.R] for line in truth.lines])) / np.array([[line.sigma] for line in truth.lines])
        inside = np.exp(-(pull**2) / 2).sum(axis=1) / [line.sigma for line in truth.lines]
        total = inside @ numbers
        mean = (inside * numbers) @ beta / total
        for k in range(1, 1 + len(DEGREES)):
            gradient = np.zeros(beta.shape)
            gradient[:, 0], gradient[:, k] = -inside * mean[k] / total, inside / total
            variances.append(gradient.ravel() @ covariance @ gradient.ravel())
    if not variances:
        return np.full(len(DEGREES), np.nan)
    return np.sqrt(np.reshape(variances, (-1, len(DEGREES))).mean(axis=0))
