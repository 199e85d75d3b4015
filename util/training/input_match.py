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


def principal_pulls(measured: NDArray, simulated: NDArray, components: int) -> NDArray:
    """Deviations of inputs from simulated ones of the same spheres, along the directions in which those vary most.

    Elements of an input vary together; along these directions they do not, and pulls are independent normal numbers.
    One half of the simulated samples sets the directions, the other the mean and the spread along each.

    Parameters
    ----------
    measured : array (n, elements)
    simulated : array (k, elements)
    components : int
        Directions to look at, fewer than k / 2.

    Returns
    -------
    array (n, components)
        The spread of the mean of k / 2 samples is allowed for.
    """
    first, second = np.array_split(simulated, 2)
    scale = first.std(axis=0)
    scale[scale == 0] = 1
    directions = np.linalg.svd((first - first.mean(axis=0)) / scale, full_matrices=False)[2][:components].T
    along, wanted = (second / scale) @ directions, (measured / scale) @ directions
    return (wanted - along.mean(axis=0)) / (along.std(axis=0, ddof=1) * np.sqrt(1 + 1 / len(second)))
