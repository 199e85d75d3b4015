"""Mean brightness of bins of several pixels (compiled)."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from util.finder.unsigned_range import indices


@njit(cache=True)
def bin_pixels(
    image: NDArray[np.unsignedinteger], factor: int, saturation: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean brightness of bins of factor x factor pixels, and whether any pixel of a bin was clipped.

    Pixels beyond the last whole bin are left out.
    """
    rows, columns = image.shape[0] // factor, image.shape[1] // factor
    data = np.empty((rows, columns))
    clipped = np.zeros((rows, columns), np.bool_)
    sums = np.empty(columns * factor, np.uint32)
    scale = 1.0 / (factor * factor)
    for r in range(rows):
        sums[:] = 0
        brightest = np.uint32(0)
        for i in range(r * factor, (r + 1) * factor):
            for j in indices(0, columns * factor):
                v = np.uint32(image[i, j])
                sums[j] += v
                brightest = max(brightest, v)
        for c in range(columns):
            total = 0
            for j in indices(c * factor, (c + 1) * factor):
                total += sums[j]
            data[r, c] = total * scale
        if brightest >= saturation:
            for i in range(r * factor, (r + 1) * factor):
                for j in range(columns * factor):
                    if image[i, j] >= saturation:
                        clipped[r, j // factor] = True
    return data, clipped
