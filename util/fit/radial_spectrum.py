"""How many electrons there are of each speed, roughly: where spheres may be.

The image is described by narrow spheres, one beside the other, each with a PAD of low order, by weighted least squares
with a penalty on roughness, which keeps the noise in bounds: pBasex (Garcia, Nahon & Powis 2004) with Tikhonov's
regularisation. Its peaks are where a fit of spheres may start.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from util.physics import pad
from util.physics.polar_map import PolarBins, angular_factors, radial_factors

BINS = PolarBins(250, 12)
_STEP = 0.005
_RADII = np.arange(0.02, 0.99, _STEP)
_WIDTH = 0.005
_WIDEST = 0.03  # sigma_R of a sphere that a peak may stand for; a wider one holds several
_ORDER = 6
_DEGREES = _ORDER // 2 + 1
_SMOOTH = 0.03  # penalty of roughness to begin with, of the mean squared weight of a function
_ROUGHNESS = 100.0  # then: second differences are about a tenth of the highest peak
_CLEAR = 6.0  # errors by which a peak stands above the higher of the valleys beside it


@functools.cache
def _basis() -> NDArray[np.float64]:
    """Return maps (radii * degrees + 1, bins) of one electron each; the last is spread evenly over the disc."""
    to_power = pad.legendre_to_power(_ORDER // 2) * ([0.5] + [1.0] * (_ORDER // 2))
    angular = angular_factors(BINS, _ORDER).value
    maps = []
    for R in _RADII:
        radial = radial_factors(BINS, float(R), _WIDTH, _ORDER).value
        maps.append(np.einsum("kr,ki,ka->ira", radial, to_power, angular, optimize=True))
    even = np.repeat(np.diff(BINS.rho**2) / BINS.n_angle, BINS.n_angle)
    return np.concatenate((np.array(maps).reshape(_RADII.size * _DEGREES, -1), even[None]))


def peaks(
    weight: NDArray[np.float64], variance: NDArray[np.float64], exposure: NDArray[np.float64] | float
) -> list[tuple[float, float, float]]:
    """Return the peaks of the spectrum of an image.

    Parameters
    ----------
    weight, variance : arrays (250, 12)
        Folded hits in `BINS`, and their variance.
    exposure : array (250, 12) or float
        Mean exposure of each bin.

    Returns
    -------
    list of (R, sigma_R, clearness), the clearest first
        Clearness: by how many errors the peak stands above the higher of the valleys beside it.
    """
    basis = _basis()
    per_electron = float(variance.sum() / weight.sum())
    spread = np.sqrt(np.maximum(variance, per_electron)).ravel()
    seen = np.broadcast_to(exposure, weight.shape).ravel()
    design = basis * (seen / spread)
    system, right = design @ design.T, design @ (weight.ravel() / spread)
    # Neighbours in radius are alike, degree by degree.
    second = np.diff(np.eye(_RADII.size), 2, axis=0)
    rough = np.zeros((len(basis), len(basis)))
    rough[:-1, :-1] = np.kron(second.T @ second, np.eye(_DEGREES))
    # The more electrons, the finer the detail: roughness is weighed against the highest peak, found with much of it.
    penalty = _SMOOTH * np.diag(system).mean()
    for _ in range(2):
        factor = linalg.cho_factor(system + penalty * rough + 1e-9 * np.diag(np.diag(system)))
        electrons = linalg.cho_solve(factor, right)[:-1:_DEGREES]
        penalty = _ROUGHNESS / electrons.max() ** 2
    inverse = linalg.cho_solve(factor, np.eye(len(system)))
    error = np.sqrt(np.einsum("ij,ij->i", inverse @ system, inverse))[:-1:_DEGREES]
    padded = np.concatenate(([0], electrons, [0]))
    from scipy import signal  # takes a third of a second, also where spheres are known

    places, found = signal.find_peaks(padded, prominence=0, width=0, rel_height=0.5)
    at = places - 1
    clearness = found["prominences"] / error[at]
    sigma = np.sqrt(np.clip((found["widths"] * _STEP / 2.355) ** 2 - _WIDTH**2, 0.003**2, _WIDEST**2))
    keep = clearness > _CLEAR
    order = np.argsort(clearness[keep])[::-1]
    rows = np.stack((_RADII[at], sigma, clearness), axis=1)[keep][order]
    return [tuple(row) for row in rows.tolist()]
