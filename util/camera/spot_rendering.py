"""The light of spots on the pixels of a frame, and its counts (compiled); units are pixels and counts."""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def digitise(image, frame, maximum):
    """Fill `frame` (n,), unsigned, with the counts of `image` (n,), rounded half to even, clipped to 0 .. `maximum`."""
    for i in range(image.size):
        frame[i] = min(max(np.rint(image[i]), 0.0), maximum)


@njit(cache=True)
def add_spots(image, subsamples, first, x_px, z_px, A, sigma_px, rho, reach_px, aspect):
    """Add spots, arrays (n,), to `image`; positions in pixels from the frame's corner, sigma in pixels.

    A pixel's first sample lies `first` from its corner along both axes, the others 1 / `subsamples` apart. A spot
    is `aspect` times as wide along x as along z; its rectangle reaches `reach_px` (2, n) from its
    middle along x and z.

    The exponential of a sample factors into ``ex[j] ez[k] exp(-rho dx_j dz_k / sigma^2)``, and along x the last
    factor is a geometric progression, ``ratio[k]**j``. The samples of one pixel along x are therefore a polynomial in
    ratio[k] with coefficients ex (Horner's rule), so a spot needs exponentials on its edges only. Samples along z are
    stored phase by phase, pixels contiguous: every inner loop runs over neighbouring pixels of one image row.
    """
    height, width = image.shape
    step = 1.0 / subsamples
    share = step * step
    for spot in range(x_px.size):
        reach_x, reach_z = reach_px[0, spot], reach_px[1, spot]
        # Clipped as floats: a far electron must not overflow the integers.
        i0 = int(max(math.floor(x_px[spot] - reach_x), 0.0))
        i1 = int(min(math.floor(x_px[spot] + reach_x), height - 1.0)) + 1
        k0 = int(max(math.floor(z_px[spot] - reach_z), 0.0))
        k1 = int(min(math.floor(z_px[spot] + reach_z), width - 1.0)) + 1
        if i1 <= i0 or k1 <= k0:
            continue
        n = k1 - k0
        curve = 0.5 / sigma_px[spot] ** 2
        ratio = np.empty((subsamples, n))
        jump = np.empty((subsamples, n))
        along_z = np.empty((subsamples, n))
        first_dx = i0 + first - x_px[spot]
        for phase in range(subsamples):
            for m in range(n):
                dz = k0 + m + first + phase * step - z_px[spot]
                tilt = -2.0 * rho[spot] * curve * dz
                ratio[phase, m] = math.exp(tilt * step)
                jump[phase, m] = math.exp(tilt)
                along_z[phase, m] = math.exp(tilt * first_dx - curve * aspect[spot] * dz * dz)
        along_x = np.empty(subsamples)
        row = np.empty(n)
        horner = np.empty(n)
        for i in range(i0, i1):
            for phase in range(subsamples):
                dx = i + first + phase * step - x_px[spot]
                along_x[phase] = A[spot] * share * math.exp(-curve / aspect[spot] * dx * dx)
            row[:] = 0.0
            for phase in range(subsamples):
                t = ratio[phase]
                p = along_z[phase]
                q = jump[phase]
                horner[:] = along_x[subsamples - 1]
                for power in range(subsamples - 2, -1, -1):
                    c = along_x[power]
                    for m in range(n):
                        horner[m] = horner[m] * t[m] + c
                for m in range(n):
                    row[m] += p[m] * horner[m]
                    p[m] *= q[m]
            for m in range(n):
                image[i, k0 + m] += row[m]


def blurred(A, sigma, rho, aspect, variance):
    """Return A, sigma, rho and aspect, arrays (n,), of spots that a pixel averages over.

    The average is over a square whose variance along each axis is `variance`, in the units of sigma squared.
    """
    # Moments of exp(-(x^2 / aspect + aspect z^2 + 2 rho x z) / (2 sigma^2)); those of the square add to them.
    whole = sigma**2 / (1 - rho**2)
    along_x, along_z, mixed = whole * aspect + variance, whole / aspect + variance, -whole * rho
    seen = -mixed / np.sqrt(along_x * along_z)
    wide = np.sqrt(along_x * along_z) * (1 - seen**2)
    height = A * sigma**2 / wide * np.sqrt((1 - seen**2) / (1 - rho**2))  # of the same flux
    return height, np.sqrt(wide), seen, np.sqrt(along_x / along_z)
