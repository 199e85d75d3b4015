"""Ranges for compiled loops."""

import numpy as np
from numba import njit


@njit(inline="always")
def indices(first, last):
    """Give the range from `first` to `last` as unsigned numbers.

    A signed index may be negative and then counts from the end, for all that the compiler knows: it looks at every
    element anew and vectorises nothing. Sums over a few dozen elements take five times as long.
    """
    return range(np.uint64(first), np.uint64(last))
