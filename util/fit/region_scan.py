"""The worst of all rings and sectors of many sizes, whole or folded: where a map differs most from what is expected."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from util.fit.circle_map import N_PHI, N_RHO, QUARTER

_LEAST = 0.3  # electrons that a region expects, at least; a stray hit is no catastrophe
_RINGS = (2, 4, 8, 16)  # widths of rings in bins of rho
_SECTORS = (6, 12, 24)  # widths of sectors in bins of phi, besides whole rings
# ((ring width, sector width, folded), sums over all such regions) of each size.
Sums = list[tuple[tuple[int, int, bool], NDArray[np.float64]]]


def signed_root(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the deviance residual of Poisson counts: about N(0, 1), and finite where nothing is expected.

    McCullagh & Nelder 1989, section 2.4.
    """
    wanted = np.maximum(wanted, _LEAST)
    found = np.maximum(found, 0)
    return np.sign(found - wanted) * np.sqrt(np.maximum(2 * (xlogy(found, found / wanted) - found + wanted), 0))


def sums_of(values: NDArray[np.float64]) -> Sums:
    """Sum a map over half-overlapping rings and sectors of all sizes."""
    folded = values[..., N_PHI // 2 :] + values[..., : N_PHI // 2][..., ::-1]
    folded = folded[..., :QUARTER] + folded[..., QUARTER:][..., ::-1]
    wrapped = np.concatenate((values, values[..., : max(_SECTORS)]), axis=-1)
    tables = ((_summed_area(folded), (4, 8, QUARTER), True), (_summed_area(wrapped), _SECTORS, False))
    out = []
    for width in _RINGS:
        rows = np.arange(0, N_RHO - width + 1, width // 2)
        for total, sectors, is_folded in tables:
            for sector in sectors:
                last = QUARTER - sector if is_folded else N_PHI - 1
                columns = np.arange(0, last + 1, sector // 2)
                out.append(((width, sector, is_folded), _rectangle_sums(total, rows, columns, width, sector)))
    return out


def _summed_area(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums over all bins below and left of each corner: a summed-area table."""
    total = np.zeros((*array.shape[:-2], array.shape[-2] + 1, array.shape[-1] + 1))
    total[..., 1:, 1:] = array.cumsum(axis=-2).cumsum(axis=-1)
    return total


def _rectangle_sums(
    total: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64], height: int, width: int
) -> NDArray[np.float64]:
    """Sum over rectangles of bins from a summed-area table (Crow 1984, Computer Graphics 18, 207)."""
    first, last = rows[:, None], rows[:, None] + height
    sums = total[..., last, columns + width] - total[..., first, columns + width]
    return sums - total[..., last, columns] + total[..., first, columns]


def worst_region(found: Sums, wanted: Sums) -> tuple[float, str]:
    """Return the largest |pull| of the scan and its region; of maps in units of effective counts."""
    best, where = 0.0, "none"
    for (shape, n), (_, m) in zip(found, wanted, strict=True):
        pulls = signed_root(n, m)
        top = np.unravel_index(np.abs(pulls).argmax(), pulls.shape)
        if abs(pulls[top]) > best:
            best, where = float(abs(pulls[top])), _region(shape, top, float(n[top] - m[top]))
    return best, where


def _region(shape: tuple[int, int, bool], index: tuple[np.intp, ...], excess: float) -> str:
    width, sector, folded = shape
    low = index[0] * (width // 2) / N_RHO
    start = index[1] * (sector // 2) * 360 / N_PHI
    stop = start + sector * 360 / N_PHI
    where = f"radius {low:.3f} to {low + width / N_RHO:.3f}"
    if folded and sector == QUARTER:
        where += ", all round" + (": another sphere?" if excess > 0 else "")
    elif folded:
        where += f", {start:.0f} to {stop:.0f} degrees from the z axis, all four quadrants together"
    else:
        where += f", {start - 180:.0f} to {stop - 180:.0f} degrees from +z towards +x"
    return f"{'more' if excess > 0 else 'fewer'} electrons than expected at {where}"
