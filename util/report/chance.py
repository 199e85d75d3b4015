"""How large a deviation chance makes, for figures that show one: joint chi-squares and mean squares of pulls."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.chi_square import tail

FEWEST = 5.0  # electrons that a bin must expect; the pulls of fewer are far from normal
_RANK = 1e-10  # eigenvalues of a correlation matrix below this belong to what was not fitted


def told(p: float) -> str:
    """Return a probability as text of two digits, 0.80 as 0.80."""
    return f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"


class JointChiSquare(NamedTuple):
    """Chi-square of many deviations at once, degrees of freedom, and the probability of at least as much."""

    chi2: float
    dof: int
    p: float

    def __str__(self) -> str:
        return f"χ² = {self.chi2:.1f} for {self.dof}, p = {told(self.p)}"


def joint_chi_square(deviation: NDArray[np.float64], covariance: NDArray[np.float64]) -> JointChiSquare:
    """Return the chi-square of deviations (n,) whose errors are correlated, covariance (n, n).

    Each alone may be small and all on one side: where neighbours are correlated, that is no sign of a bias, and this
    says whether it is. What has no error was not fitted, and does not count.
    """
    error = np.sqrt(np.diag(covariance))
    free = error > 0
    pulls = deviation[free] / error[free]
    values, vectors = np.linalg.eigh(covariance[np.ix_(free, free)] / np.outer(error[free], error[free]))
    held = values > _RANK
    chi2 = float(((vectors[:, held].T @ pulls) ** 2 / values[held]).sum())
    dof = int(held.sum())
    return JointChiSquare(chi2, dof, tail(chi2, dof))


class MeanSquare(NamedTuple):
    """Mean square of pulls, the one to expect where the model is right (NaN: unknown), and how far chance moves it."""

    found: float
    expected: float
    error: float

    def __str__(self) -> str:
        if np.isnan(self.expected):
            return f"{self.found:.2f}"
        digits = max(2, int(np.ceil(-np.log10(self.error)))) if self.error > 0 else 2
        return f"{self.found:.{digits}f}, expected {self.expected:.{digits}f} ± {self.error:.{digits}f}"


def mean_square(
    found: NDArray[np.float64],
    model: NDArray[np.float64],
    variance: NDArray[np.float64],
    parameters: int,
    *,
    blurred: bool = False,
) -> MeanSquare:
    """Return the mean square of the pulls of bins that expect at least `FEWEST` electrons.

    Parameters
    ----------
    found, model, variance : arrays of one shape
        Electrons found in each bin and expected, and the variance of their difference. Sums of weights vary more than
        numbers of electrons do, by <w^2> / <w>.
    parameters : int
        Fitted to these bins, each of which takes 1 from the sum of squares.
    blurred : bool
        Whether an electron lies spread over several bins, as in an accumulated image, so that these scatter less than
        their variance says, by how much is not known.
    """
    held = model >= FEWEST
    bins = int(held.sum())
    if bins <= parameters:
        return MeanSquare(float("nan"), float("nan"), float("nan"))
    squares = (found[held] - model[held]) ** 2 / variance[held]
    # The square of a Poisson number's pull has the variance 2 + 1 / mean.
    spread = 2 + variance[held] / model[held] ** 2
    if blurred:
        return MeanSquare(float(squares.mean()), float("nan"), float("nan"))
    return MeanSquare(float(squares.mean()), 1 - parameters / bins, float(np.sqrt(spread.sum())) / bins)
