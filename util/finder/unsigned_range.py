"""Ranges for compiled loops."""

import numpy as np
from numba import njit


@njit(inline="always")
def indices(first: int, last: int) -> range:
    """Return the range from `first` to `last` as unsigned numbers.

    For all the compiler knows, a signed index may be negative and count from the end: it then checks every access and
    vectorises nothing. Sums over a few dozen elements take five times as long.
    """
    return range(np.uint64(first), np.uint64(last))
