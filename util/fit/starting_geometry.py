"""Where the centre of the image is, and how far from round it is, to begin with.

Rings lie about the centre even where a part of the image is not seen, or where one side is brighter than the other:
the image and its reflection through a point agree best where that point is the centre. The convolution of the image
with itself shows it (PyAbel's ``center="convolution"``): of 2,000 electrons to 0.004, where their mean errs by 0.012.
Of few electrons chance agrees best; then the centre is where rings about it make the electrons likeliest, sought from
that point and from the mean. An ellipse widens all rings: undone, it leaves the sharpest radial profile.
"""

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from util.fit.detection import Detection
from util.fit.map_data import Hits
from util.physics.image_geometry import ImageGeometry

_PIXELS = 512  # along each axis of [-1, 1]
_RING, _SMOOTH = 1.5, 12.0  # pixels: detail kept, and detail taken out
_CLEAR = 6.0  # standard deviations of the agreement at other points
_FARTHEST = 0.4  # from the middle of the screen
_FEW = 10_000  # electrons
_MERGED = 512  # pixels along an axis, of few electrons in many points
_AREA = 256  # points along an axis of [-1, 1], which tell the area of a ring that is seen
_BLUR = 2.0  # rings, of what few electrons say
_UPHILL = 10  # moves by a step
_RINGS = 250  # out to 1
_STEPS = (0.02, 0.01, 0.005, 0.0025, 0.00125)  # of a search, halved; that for an ellipse reaches 0.06 and more
_SHARPER = 1.05  # than the round image's
_BY_CHANCE = 2.5  # standard deviations, which none of 180 round images reached


def find_centre(hits: Hits, detection: Detection) -> tuple[float, float]:
    """Return x and z of the centre, as the best point of reflection tells it; of few electrons, the likeliest.

    Of 600 electrons on one ring to five the reflection is off by 0.015 and more in 5 to 28 of 40 images, the likeliest
    in none.
    """
    variance = hits.weight**2 if hits.variance is None else hits.variance
    reflection = _best_reflection(*hits[:3])
    electrons = float(hits.weight.sum())
    if electrons**2 >= _FEW * variance.sum():
        return reflection
    mean = float(hits.weight @ hits.x / electrons), float(hits.weight @ hits.z / electrons)
    likelihood = _likelihood(hits.merged(_MERGED), detection)
    return max((_highest(likelihood, start) for start in (reflection, mean)), key=likelihood)


def _likelihood(hits: Hits, detection: Detection) -> Callable[[tuple[float, float]], float]:
    """Return the log likelihood of a centre, were all light in blurred rings about it, over that of even light."""
    places = (np.arange(_AREA) + 0.5) / _AREA * 2 - 1
    grid = np.stack(np.meshgrid(places, places, indexing="ij")).reshape(2, -1)
    shown = detection.at(*grid)

    def rings(
        x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64], centre: tuple[float, float]
    ) -> NDArray[np.float64]:
        ring = (np.hypot(x - centre[0], z - centre[1]) * _RINGS).astype(np.int64)
        return np.asarray(np.bincount(ring, weight, 3 * _RINGS), np.float64)

    def likelihood(centre: tuple[float, float]) -> float:
        electrons, area = rings(hits.x, hits.z, hits.weight, centre), rings(grid[0], grid[1], shown, centre)
        light, seen = (ndimage.gaussian_filter1d(part, _BLUR) for part in (electrons, area))
        lit = (light > 0) & (seen > 0)
        return float(electrons[lit] @ np.log(light[lit] / seen[lit]))

    return likelihood


def _highest(height: Callable[[tuple[float, float]], float], begin: tuple[float, float]) -> tuple[float, float]:
    """Return the top of a hill near a place, found by ever smaller steps."""
    at, best = begin, height(begin)
    for step in _STEPS:
        for _ in range(_UPHILL):
            around = [
                (at[0] + i * step, at[1] + j * step) for i, j in itertools.product((-1, 0, 1), repeat=2) if i or j
            ]
            values = [height(place) for place in around]
            if max(values) <= best:
                break
            best, at = max(values), around[int(np.argmax(values))]
    return at


def _best_reflection(
    x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the best point of reflection or, where none is clear, the mean position."""
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
