"""How the scatter of an accumulated image grows with its counts, over areas larger than an electron's spot.

Compared are neighbours along circles about the image's centre, where spheres vary slowly: the image is sampled on
bands of rings and summed in cells of b x b pixels, and of each cell what a cubic through its neighbours leaves is
taken. A spot that straddles the edge of a cell is shared, which lowers the variance the more the smaller the cells;
the law is fitted to cells of several sizes together, with electrons whose counts lie partly in single pixels, partly
in a Gaussian spot, and is so the one of large areas. Large cells alone would tell it without a spot, but they are too
few, and the spheres are not smooth over them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, correlate, map_coordinates, spline_filter
from scipy.optimize import least_squares
from scipy.special import erf

# Pixels along the sides of cells, and the cells in a row to which a cubic is fitted; twice and four times as large
# where spots are too wide for these. They divide a band.
_SIZES = {3: 13, 4: 9, 6: 7, 8: 5, 12: 5}
_BAND = 24
_FEWEST_IN_A_ROW = 5
_ARC_RAD = 0.4  # that the cells in a row may cover: over more, angular distributions are no cubic
_ENLARGED = (1, 2, 4)
# Mean and deviation of what cells alone tell badly: the share of an electron's variance that is in single pixels, and
# the standard deviation of its spot [pixels].
_USUAL = ((0.3, 0.3), (1.0, 1.0))
_SURE = 0.15  # relative error of a law from larger cells that replaces another
_UNSURE = 0.3  # the same of a law that is fitted again with the usual spot
_WIDEST_SPOT = 0.5  # standard deviation, of the smallest cell's side
_FEWEST_NEIGHBOURS = 6  # of eight that are known
_FEWEST_CELLS = 150
_LEVELS = 40  # of brightness, at which the variance is averaged
_FAINT = 0.05  # quantile
_SINGLE = 0.03  # spot of a single pixel's noise, which sampling spreads over its neighbours [pixels]
_NARROWEST = 0.05  # spot that is fitted [pixels]
_ABOVE = 3.0  # standard deviations from what is faint
_OUTLIER = 6.0  # standard deviations
_CENTRE_PIXELS = 512  # to which an image is merged before its centre is looked for


class Scatter(NamedTuple):
    """What the scatter of an image says.

    Attributes
    ----------
    gain, gain_error : float
        Counts per electron, of one copy.
    camera, camera_error : float
        Variance at 0 counts [counts^2 per pixel].
    level : float
        Counts of a pixel where the image is faint.
    misfit : float
        Chi-square of the law per degree of freedom.
    cells : int
        How many areas were compared.
    """

    gain: float
    gain_error: float
    camera: float
    camera_error: float
    level: float
    misfit: float
    cells: int


def centre_of(image: NDArray[np.float64]) -> tuple[float, float]:
    """Return the point (row, column) about which turning an image by half a turn changes it least [pixel indices]."""
    by = -(-max(image.shape) // _CENTRE_PIXELS)
    filled = np.where(np.isfinite(image), image, 0)
    height, width = (size // by * by for size in image.shape)
    merged = filled[:height, :width].reshape(height // by, by, width // by, by).sum(axis=(1, 3))
    merged = merged - merged.mean()
    from scipy.signal import fftconvolve  # takes a third of a second, also where no image is looked at

    peak = np.unravel_index(np.argmax(fftconvolve(merged, merged)), (2 * merged.shape[0] - 1, 2 * merged.shape[1] - 1))
    return tuple(float(by * (index / 2 + 0.5) - 0.5) for index in peak)  # type: ignore[return-value]


def measure_scatter(image: NDArray[np.float64], copies: int = 1) -> Scatter | None:
    """Measure how the scatter of an image grows with its counts; None where it is too small.

    Parameters
    ----------
    image : (H, W) float64
        Counts; NaN where nothing is known.
    copies : int
        How many times the image shows the same (`count_copies`); where it does, no area may lie across a mirror.
    """
    image = _mended(image)
    # Four pixels away, a spline does not feel the 0 in place of what is not known.
    blind = binary_dilation(~np.isfinite(image), iterations=4)
    spline = spline_filter(np.where(np.isfinite(image), image, 0), order=3)
    centre = centre_of(image)
    found = None
    for by in _ENLARGED:
        bands = list(_bands(spline, blind, centre, by * _BAND))
        cells = [part for size in _SIZES for part in _cells(bands, by * size, _SIZES[size], mirrored=copies > 1)]
        cells = [part for part in cells if part.counts.size >= _FEWEST_CELLS]
        if len({part.size for part in cells}) < 2:
            break
        more, spot = _fit(cells, copies, free=True)
        if found is not None and more.gain_error > _SURE * more.gain:
            break  # too few of the larger areas
        if more.gain_error > _UNSURE * more.gain:  # no spot describes it: take a usual one
            return _fit(cells, copies, free=False)[0]
        found = more
        if spot <= _WIDEST_SPOT * by * min(_SIZES):
            break
    return found


def _mended(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an image with the mean of the neighbours in pixels that alone are not known, or with one or two others."""
    known = np.isfinite(image)
    around = np.ones((3, 3))
    neighbours = correlate(known.astype(float), around, mode="constant")
    total = correlate(np.where(known, image, 0), around, mode="constant")
    return np.where(~known & (neighbours >= _FEWEST_NEIGHBOURS), total / np.maximum(neighbours, 1), image)


class _Band(NamedTuple):
    """A band of rings: mean radius, samples (width, n), NaN where blind, area of a sample of each ring (width,)."""

    radius: float  # [pixels]
    samples: NDArray[np.float64]
    area: NDArray[np.float64]


class _Cells(NamedTuple):
    """Cells of one size: squared residuals over their norm, mean counts about each and area in pixels, arrays (n,)."""

    size: int
    window: int
    square: NDArray[np.float64]
    counts: NDArray[np.float64]
    area: NDArray[np.float64]


def _bands(
    spline: NDArray[np.float64], blind: NDArray[np.bool_], centre: tuple[float, float], width: int
) -> Iterator[_Band]:
    """Yield the bands of rings that are `width` pixels wide, sampled about every pixel; not the innermost."""
    shape = np.array(spline.shape)
    reach = float(np.hypot(*np.maximum(centre, shape - 1 - np.array(centre))))
    for inner in range(width, int(reach) - width + 1, width):
        steps = width * int(2 * np.pi * (inner + width / 2) / width)
        radii, angle = inner + 0.5 + np.arange(width), 2 * np.pi / steps * np.arange(steps)
        row, column = centre[0] + radii[:, None] * np.cos(angle), centre[1] + radii[:, None] * np.sin(angle)
        inside = (row >= 0) & (row <= shape[0] - 1) & (column >= 0) & (column <= shape[1] - 1)
        if not inside.any():
            continue
        places = np.where(inside, row, 0), np.where(inside, column, 0)
        hidden = ~inside | blind[tuple(np.rint(place).astype(int) for place in places)]
        samples = map_coordinates(spline, places, order=3, prefilter=False, mode="mirror")
        yield _Band(inner + width / 2, np.where(hidden, np.nan, samples), radii * 2 * np.pi / steps)


def _residual(window: int) -> NDArray[np.float64]:
    """Return the weights (window,) of what a cubic through so many cells leaves of the middle one."""
    from scipy.signal import savgol_coeffs  # as above

    weights = -savgol_coeffs(window, 3)
    weights[window // 2] += 1
    return weights


def _cells(bands: list[_Band], size: int, longest: int, *, mirrored: bool) -> list[_Cells]:
    """Sum bands in cells of `size` x `size` pixels, and take what a cubic along the circle leaves of each.

    The cubic goes through at most `longest` cells, and fewer on the inner rings; return those of each length.
    """
    found: dict[int, list[NDArray[np.float64]]] = {}
    for band in bands:
        window = min(longest, int(_ARC_RAD * band.radius / size - 1) // 2 * 2 + 1)
        if window < _FEWEST_IN_A_ROW:
            continue
        weights, columns = _residual(window), found.setdefault(window, [])
        weighted = band.samples * band.area[:, None]
        for first in range(0, len(band.area), size):
            rows = slice(first, first + size)
            summed = weighted[rows].sum(axis=0).reshape(-1, size).sum(axis=1)
            if summed.size < window:
                continue
            row = np.stack([np.roll(summed, -shift) for shift in range(window)])
            square, counts = (weights @ row) ** 2 / (weights**2).sum(), row.mean(axis=0)
            seen = np.isfinite(square)
            if mirrored:
                first_cell, quarter = np.arange(summed.size), summed.size / 4
                seen &= (first_cell + window) / quarter <= first_cell // quarter + 1
            area = np.full(square.size, band.area[rows].sum() * size)
            columns.append(np.stack((square, counts, area))[:, seen])
    return [_Cells(size, window, *np.concatenate(columns, axis=1)) for window, columns in found.items() if columns]


def _kept(size: float, window: int, spot: float) -> float:
    """Return the share of the electrons' variance that is left in the residual of a cell.

    Parameters
    ----------
    size : float
        Of the cell [pixels].
    window : int
        Cells in a row.
    spot : float
        Standard deviation of an electron's Gaussian spot [pixels].
    """
    edge = size * np.arange(-1, window + 1)
    # Second antiderivative of the spot's autocorrelation, a Gaussian of variance 2 spot^2.
    twice = edge * erf(edge / (2 * spot)) / 2 + spot / np.sqrt(np.pi) * np.exp(-((edge / (2 * spot)) ** 2))
    shared = (twice[2:] - 2 * twice[1:-1] + twice[:-2]) / size  # by cells 0, 1, .. apart
    weights = _residual(window)
    overlap = np.correlate(weights, weights, "full")[window - 1 :]
    along = (overlap[0] * shared[0] + 2 * overlap[1:] @ shared[1:]) / overlap[0]
    return float(shared[0] * along)


def _fit(cells: list[_Cells], copies: int, *, free: bool) -> tuple[Scatter, float]:
    """Fit the law to cells of several sizes; return it and the standard deviation of a spot [pixels].

    The spot is free, or the usual one.
    """
    level, unit = _faint(cells[-1])[0], cells[0].size / min(_SIZES)
    levels = [(index, *level) for index, part in enumerate(cells) for level in _levels(part)]
    index, square, counts, area, number = np.array(levels).T
    repeats = np.array([_repeats(part.window) for part in cells])[index.astype(int)]
    spread = np.sqrt(2 * repeats * copies / number)

    single = np.array([_kept(part.size, part.window, _SINGLE) for part in cells])[index.astype(int)]

    def law(values: NDArray[np.float64]) -> NDArray[np.float64]:
        camera, grains, rest, spot = values
        kept = np.array([_kept(part.size, part.window, spot) for part in cells])[index.astype(int)]
        return single * camera * area + (single * grains + rest * kept) * (counts - faint * area)

    def unlikely(values: NDArray[np.float64]) -> NDArray[np.float64]:
        _, grains, rest, spot = values
        found = np.array([grains / max(grains + rest, 1e-300), spot / unit])
        spreads = np.array([spread for _, spread in _USUAL])
        return (found - [mean for mean, _ in _USUAL]) / (spreads if free else 1e-3 * spreads)

    above = np.maximum(counts - level * area, 0)
    guess = float((square * number).sum() / max((above * number).sum(), 1e-300))
    # Fitted in such electrons: a fit in counts would end early where these are large, and never where they are tiny.
    square, counts, faint = square / guess**2, counts / guess, level / guess
    scale = np.maximum(square, 1e-9 * square.max())
    values = np.array([0.0, 0.5, 0.5, unit])
    bounds = ([-np.inf, 0, 0, _NARROWEST], [np.inf, np.inf, np.inf, cells[-1].size / 3])
    for _ in range(8):  # the weights follow the law
        done = least_squares(
            lambda values, scale: np.append((square - law(values)) / (scale * spread), unlikely(values)),
            values,
            args=(scale,),
            bounds=bounds,
        )
        values = done.x
        scale = np.maximum(law(values), 1e-3 * np.median(square))
    misfit = float(2 * done.cost / max(index.size - 2, 1))
    covariance = np.linalg.pinv(done.jac.T @ done.jac) * max(1.0, misfit)
    camera, gain, spot = float(values[0]), float(values[1] + values[2]), float(values[3])
    sums = np.array([[0.0, 1.0, 1.0, 0.0], [1.0, -faint, -faint, 0.0]])  # the gain, and the variance at 0 counts
    errors = np.sqrt(np.diag(sums @ covariance @ sums.T)).tolist()
    return (
        Scatter(
            gain=gain * guess,
            gain_error=errors[0] * guess,
            camera=(camera - gain * faint) * guess**2,
            camera_error=errors[1] * guess**2,
            level=level,
            misfit=misfit,
            cells=sum(part.counts.size for part in cells if part.size == cells[0].size),
        ),
        spot,
    )


def _faint(cells: _Cells) -> tuple[float, float]:
    """Return the counts of a pixel where the image is faint, and how much noise scatters them over a window.

    The former is 0 where it does not stand out from the latter.
    """
    counts = cells.counts / cells.area
    faint = counts <= np.quantile(counts, _FAINT)
    level = float(counts[faint].mean())
    scatter = float(np.sqrt(np.mean(cells.square[faint]) / cells.window) / np.mean(cells.area[faint]))
    return (level if abs(level) > _OUTLIER * scatter else 0.0), scatter


def _repeats(window: int) -> float:
    """Return how many residuals of cells hold the knowledge of one: those that overlap repeat each other."""
    weights = _residual(window)
    return float((np.correlate(weights, weights, "full") ** 2).sum() / (weights**2).sum() ** 2)


def _levels(cells: _Cells) -> list[tuple[float, float, float, float]]:
    """Average cells of like brightness: square, counts, area and number at each level; outliers are left out."""
    counts = cells.counts / cells.area
    level, scatter = _faint(cells)
    # Ordered by their noise, cells without electrons would scatter alike at counts that differ.
    faint = counts < level + _ABOVE * scatter
    order = np.flatnonzero(~faint)[np.argsort(counts[~faint])]
    parts = np.array_split(order, min(_LEVELS, max(1, order.size // 50))) if order.size else []
    levels = []
    for part in [np.flatnonzero(faint), *parts]:
        if not part.size:
            continue
        square = cells.square[part]
        kept = np.ones(part.size, bool)
        for _ in range(3):
            kept = square <= _OUTLIER**2 * max(float(square[kept].mean()), 1e-300)
        part = part[kept]
        means = [float(values[part].mean()) for values in (cells.square, cells.counts, cells.area)]
        levels.append((means[0], means[1], means[2], float(part.size)))
    return levels
