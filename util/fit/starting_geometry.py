"""Where the centre of the image is, and how far from round it is, to begin with.

Rings lie about the centre even where a part of the image is not seen, or where one side is brighter than the other:
the image and its reflection through a point agree best where that point is the centre. The convolution of the image
with itself shows it (PyAbel's ``center="convolution"``): of 2,000 electrons to 0.004, where their mean errs by 0.012.
An ellipse widens all rings: undone, it leaves the sharpest radial profile.
"""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from util.physics.image_geometry import ImageGeometry

_PIXELS = 512  # along each axis of [-1, 1]
_RING, _SMOOTH = 1.5, 12.0  # pixels: detail kept, and detail taken out
_CLEAR = 6.0  # standard deviations of the agreement at other points
_FARTHEST = 0.4  # from the middle of the screen
_RINGS = 250  # out to 1
_STEPS = (0.02, 0.01, 0.005, 0.0025, 0.00125)  # of the search for an ellipse, halved; it reaches 0.06 and more
_SHARPER = 1.05  # than the round image's
_BY_CHANCE = 2.5  # standard deviations, which none of 180 round images reached


def find_centre(x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Return x and z of the centre: the best point of reflection or, where none is clear, the mean position.

    Parameters
    ----------
    x, z, weight : arrays (n,)
        Detector units.
    """
    half = _PIXELS // 2
    rows, columns = (np.floor((part + 1) * half).astype(np.int64) for part in (x, z))
    inside = (rows >= 0) & (rows < _PIXELS) & (columns >= 0) & (columns < _PIXELS)
    image = np.bincount(rows[inside] * _PIXELS + columns[inside], weight[inside], _PIXELS**2)
    image = np.sqrt(np.maximum(image, 0)).reshape(_PIXELS, _PIXELS)
    rings = ndimage.gaussian_filter(image, _RING) - ndimage.gaussian_filter(image, _SMOOTH)
    size = fft.next_fast_len(2 * _PIXELS, real=True)
    agreement = fft.irfft2(fft.rfft2(rings, (size, size)) ** 2, (size, size))[: 2 * _PIXELS - 1, : 2 * _PIXELS - 1]
    # Place p stands for the centre (p + 1) / 2 pixels from the lower edge.
    window = slice(*(int(_PIXELS - 1 + sign * _FARTHEST * _PIXELS) for sign in (-1, 1)))
    seen = agreement[window, window]
    best = np.array(np.unravel_index(seen.argmax(), seen.shape)) + window.start
    scatter = 1.4826 * np.median(np.abs(seen - np.median(seen)))
    if agreement[tuple(best)] < _CLEAR * scatter:
        return float(weight @ x / weight.sum()), float(weight @ z / weight.sum())
    centre = [float((p + 1 + _vertex(agreement, best, axis)) / _PIXELS - 1) for axis, p in enumerate(best)]
    return centre[0], centre[1]


def _vertex(values: NDArray[np.float64], place: NDArray[np.int64], axis: int) -> float:
    """Return how far the vertex of the parabola through a place and its neighbours along an axis lies from it."""
    step = np.eye(2, dtype=int)[axis]
    left, middle, right = (float(values[tuple(place + k * step)]) for k in (-1, 0, 1))
    curvature = left - 2 * middle + right
    return 0.5 * (left - right) / curvature if curvature < 0 else 0.0


def find_ellipse(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64],
    centre: tuple[float, float],
    *,
    variance: NDArray[np.float64] | None = None,
) -> ImageGeometry:
    """Return centre and ellipse of the sharpest image; no ellipse where it is hardly sharper than the round one.

    Parameters
    ----------
    x, z, weight : arrays (n,)
        Detector units.
    centre : (x, z)
    variance : array (n,) or None
        That of the weights, which in parts of an image may be less than nothing: an ellipse that may be sharper by
        chance is none. None: that is left for others to ask.
    """
    x, z = x - centre[0], z - centre[1]
    rho, twice = np.hypot(x, z) * _RINGS, 2 * np.arctan2(x, z)
    cosine, sine = np.cos(twice), np.sin(twice)

    def rings(ellipse: tuple[float, float]) -> NDArray[np.int64]:
        return np.minimum(rho / (1 + ellipse[0] * cosine + ellipse[1] * sine), _RINGS).astype(np.int64)

    def slope(ring: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.diff(ndimage.gaussian_filter1d(np.bincount(ring, weight, _RINGS + 1)[:_RINGS], 1.0))

    def sharpness(ellipse: tuple[float, float]) -> float:
        return float(np.square(slope(rings(ellipse))).sum())

    def by_weight(ellipse: tuple[float, float]) -> NDArray[np.float64]:
        ring = rings(ellipse)
        by_ring = -2 * ndimage.gaussian_filter1d(np.diff(slope(ring), prepend=0, append=0), 1.0)
        return np.append(by_ring, 0.0)[ring]

    begin = best = sharpness((0.0, 0.0))
    at = (0.0, 0.0)
    for step in _STEPS:
        reach = range(-2, 3) if step == _STEPS[0] else range(-1, 2)
        around = [(at[0] + i * step, at[1] + j * step) for i, j in itertools.product(reach, repeat=2) if i or j]
        values = [sharpness(ellipse) for ellipse in around]
        if max(values) > best:
            best, at = max(values), around[int(np.argmax(values))]
    clear = best > _SHARPER * begin
    if clear and variance is not None:
        scatter = np.sqrt(max((variance * (by_weight(at) - by_weight((0.0, 0.0))) ** 2).sum(), 0.0))
        clear = best - begin > _BY_CHANCE * scatter
    return ImageGeometry(*centre, 0.0, *at) if clear else ImageGeometry(*centre)
