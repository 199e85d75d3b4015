"""Whether measured inputs of the network look as the simulated ones that it was trained on."""

import numpy as np
from numpy.typing import NDArray


def map_pulls(measured: NDArray, expected: NDArray, weight_spread: float, least: float = 10.0) -> NDArray:
    """Deviations of a folded map from what the training simulator expects of the true spheres, in standard deviations.

    Parameters
    ----------
    measured : array (n_rho, n_angle)
        Sums of weights.
    expected : array (n_rho, n_angle)
        Electrons, in any unit: scaled to the sum of the measured.
    weight_spread : float
        Standard deviation of one electron's weight.
    least : float
        Bins that expect fewer electrons are left out: their pulls are no normal numbers.

    Returns
    -------
    array (n_rho, n_angle)
        NaN where a bin was left out.
    """
    scaled = expected * (measured.sum() / expected.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        pulls = (measured - scaled) / np.sqrt(scaled * (1 + weight_spread**2))
    return np.where(scaled >= least, pulls, np.nan)


def element_pulls(measured: NDArray, simulated: NDArray) -> NDArray:
    """Deviations of inputs from the mean of simulated ones of the same spheres, in their standard deviations.

    Parameters
    ----------
    measured : array (..., n)
        Elements of the network's input.
    simulated : array (k, n)

    Returns
    -------
    array (..., n)
        The spread of the mean of the k is allowed for. NaN where all simulated ones are alike.
    """
    spread = simulated.std(axis=0, ddof=1) * np.sqrt(1 + 1 / len(simulated))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, (measured - simulated.mean(axis=0)) / spread, np.nan)
