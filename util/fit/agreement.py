"""Whether two answers from the same electrons agree.

Their errors have much in common, so the difference scatters by less than the two errors suggest. How much less is
estimated from blocks of frames: each block moves both answers, and how the moves of their difference scatter is known.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from util.fit.result import FitResult
from util.runtime.value_with_error import shorthand

DISAGREE = 1e-3  # p below which two answers do not agree


@dataclass(frozen=True)
class Agreement:
    """Difference of two answers in R, sigma_R and beta.

    Attributes
    ----------
    names : tuple of k str
    difference, error : arrays (k,)
    chi2 : float
        Hotelling's statistic, about k where they agree.
    p : float
        Probability of a statistic at least as large where they do.
    """

    names: tuple[str, ...]
    difference: NDArray[np.float64]
    error: NDArray[np.float64]
    chi2: float
    p: float

    def text(self) -> str:
        """Return a summary in one line."""
        verdict = "they agree" if self.p >= DISAGREE else "they DISAGREE"
        worst = int(np.abs(self.difference / self.error).argmax())
        return (
            f"{verdict}: chi-square {self.chi2:.1f} of {len(self.names)} parameters, p = {self.p:.2g}; farthest apart: "
            f"{self.names[worst]}, by {shorthand(self.difference[worst], self.error[worst], sign=True)}"
        )


def compare(first: FitResult, second: FitResult, moved: NDArray[np.float64], further: NDArray[np.float64]) -> Agreement:
    """Compare two answers of the same parameters.

    Parameters
    ----------
    first, second : FitResult
    moved : array (B, P)
        How far each of B > P blocks of frames moves the difference of the two.
    further : array (P, P)
        Covariance of the difference that blocks do not show.

    Raises
    ------
    ValueError
        Answers of different parameters, or too few blocks.
    """
    layout = first.layout
    if layout != second.layout or moved.shape[1:] != (layout.size,):
        raise ValueError("expected two answers of the same parameters, and as many columns of blocks")
    index = layout.shape
    blocks, k = len(moved), index.size
    if blocks <= k + 1:
        raise ValueError(f"expected more than {k + 1} blocks, found {blocks}")
    covariance = (np.cov(moved, rowvar=False) * blocks + further)[np.ix_(index, index)]
    difference, error = (first.values - second.values)[index], np.sqrt(np.diag(covariance))
    chi2, p = hotelling(difference, covariance, blocks)
    return Agreement(tuple(layout.names[i] for i in index), difference, error, chi2, p)


def hotelling(difference: NDArray[np.float64], covariance: NDArray[np.float64], samples: int) -> tuple[float, float]:
    """Return chi-square and p of a difference (k,) whose covariance (k, k) comes from the scatter of `samples`.

    Hotelling 1931, Ann. Math. Statist. 2, 360.
    """
    error = np.sqrt(np.diag(covariance))
    pulls, k = difference / error, difference.size
    value, vector = np.linalg.eigh(covariance / np.outer(error, error))
    # What does not scatter but for rounding cannot be told from no difference: it counts as if it scattered so little.
    along = vector.T @ pulls / np.sqrt(np.maximum(value, 1e-9 * value[-1]))
    chi2 = float(along @ along)
    return chi2, float(fdtrc(k, samples - k, chi2 * (samples - k) / (k * (samples - 1))))
