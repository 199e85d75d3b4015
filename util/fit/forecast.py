"""How many frames a measurement takes until a parameter is known as well as is wanted."""

import numpy as np
from numpy.typing import NDArray

from util.fit.result import FitResult


def frames_until(result: FitResult, frames: int, error: float, *, degree: int = 2) -> NDArray[np.float64]:
    """Return after how many frames the beta of one degree of each sphere (S,) will have a standard error.

    The covariance of a fit to so many times as many electrons is that much smaller: errors fall as 1 / sqrt(frames).
    What more electrons do not make smaller, such as a bias of the finder, is not in it.

    Parameters
    ----------
    result : FitResult
        Of `frames` frames.
    frames : int
    error : float
        The one that is wanted, above 0.
    degree : int
        One of the layout's.
    """
    found = result.errors[result.layout.beta[:, result.layout.degrees.index(degree)]]
    return frames * (found / error) ** 2
