"""Whether measured inputs of the network look like the simulated ones that it was trained on."""

import numpy as np
from numpy.typing import NDArray


def map_pulls(
    measured: NDArray[np.floating], expected: NDArray[np.floating], weight_spread: float, least: float = 10.0
) -> NDArray[np.floating]:
    """Return how far a folded map lies from what the training simulator expects of the true spheres.

    Parameters
    ----------
    measured : array (n_rho, n_angle)
        Sums of weights.
    expected : array (n_rho, n_angle)
        Electrons, in any unit: scaled to the sum of `measured`.
    weight_spread : float
        Standard deviation of one electron's weight.
    least : float
        Bins that expect fewer electrons are left out: their pulls are not normally distributed.

    Returns
    -------
    array (n_rho, n_angle)
        In standard deviations; NaN where a bin was left out.
    """
    scaled = expected * (measured.sum() / expected.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        pulls = (measured - scaled) / np.sqrt(scaled * (1 + weight_spread**2))
    return np.where(scaled >= least, pulls, np.nan)


def principal_pulls(
    measured: NDArray[np.floating], simulated: NDArray[np.floating], components: int
) -> NDArray[np.floating]:
    """Return how far inputs lie from simulated ones of the same spheres, along the directions in which those vary most.

    Elements of an input are correlated; along these principal components (H. Hotelling, J. Educ. Psychol. 24, 417
    (1933)) they are not, and pulls are independent and normal. One half of the simulated samples sets the directions,
    the other the mean and the spread along each.

    Parameters
    ----------
    measured : array (n, elements)
    simulated : array (k, elements)
    components : int
        Directions to look at, fewer than k / 2.

    Returns
    -------
    array (n, components)
        In standard deviations; the error of the mean of k / 2 samples is allowed for.
    """
    first, second = np.array_split(simulated, 2)
    scale = first.std(axis=0)
    scale[scale == 0] = 1
    directions = np.linalg.svd((first - first.mean(axis=0)) / scale, full_matrices=False)[2][:components].T
    along, wanted = (second / scale) @ directions, (measured / scale) @ directions
    return (wanted - along.mean(axis=0)) / (along.std(axis=0, ddof=1) * np.sqrt(1 + 1 / len(second)))
