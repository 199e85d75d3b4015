"""How bright one electron is over the screen: the plate's gain and the lens's vignetting, from hits that stand alone.

The flux of a lone hit is the local mean times a number drawn from one law. So the map is right where the lone hits'
mean over it, within a window that leaves out two electrons taken for one, is everywhere the law's within that window.
The window moves with the map: about one mean for all it would cut off what is sought.

The map is a polynomial of x and z. Terms are added, all of the next degrees at a time, where the hits call for them
beyond doubt and they are large enough to matter; an ideal detector gets none.

Of a broad law no window leaves out two electrons taken for one, nor shows faint ones that bright neighbours hide: lone
hits are the brighter, the more electrons crowd about them, by 5 % at the poles of a crowded ring, as if the plate were
better there. So their flux may also rise with the crowd, which changes within a ring's width, as no plate's gain does.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import chdtrc, gammainc

from util.camera.imperfections import SmoothMap, Term, smooth_map

DEGREES = (2, 4)  # of the polynomials that are tried, each with all terms below
UNCALLED = 1e-4  # p from which further terms are left out
NEGLIGIBLE = 0.001  # rms over the hits, of the mean flux, up to which further terms are left out
CELLS = 64  # along each axis of the screen; the map is taken as even in each
ORDINARY = 4.0  # spreads about the local mean within which a lone hit is one electron
_PER_TERM = 20  # hits, at least
_NARROWEST = 0.02  # relative spread of a law
_LOWEST = 0.2  # of a map, of its value in the middle: where there are no hits, a polynomial may do anything
_ROUNDS = 30
_SETTLED = 1e-5  # of the mean flux, by which a round may still move the map


@dataclass(frozen=True)
class Gain:
    """Mean flux of one electron over the screen.

    Attributes
    ----------
    unit : float
        In the middle.
    terms : SmoothMap
        How it changes from there; none where it is even.
    """

    unit: float = 1.0
    terms: SmoothMap = ()

    def at(self, x: NDArray[np.floating], z: NDArray[np.floating]) -> NDArray[np.float64] | float:
        """Return the mean flux at positions x, z (n,) [detector units]; one number where it is even."""
        return self.unit * smooth_map(self.terms, x, z) if self.terms else self.unit


class _Window(NamedTuple):
    """Fluxes over the local mean that count, from `low` to `high`, and the law's mean between them."""

    low: float
    high: float
    mean: float

    @classmethod
    def of(cls, spread: float, least: float) -> "_Window":
        """Return that of a gamma law of mean 1, from `least` on."""
        low, high = max(least, 1 - ORDINARY * spread), 1 + ORDINARY * spread
        shape = 1 / max(spread, _NARROWEST) ** 2
        share, part = (np.diff(gammainc(k, [shape * low, shape * high]))[0] for k in (shape, shape + 1))
        return cls(low, high, float(part / share))


class _Cells(NamedTuple):
    """Lone hits in the cells of the screen: `flux` and number of the `cell` of each hit (n,); middles x, z (cells,)."""

    flux: NDArray[np.float64]
    cell: NDArray[np.int64]
    x: NDArray[np.float64]
    z: NDArray[np.float64]

    @classmethod
    def of(cls, x: NDArray[np.floating], z: NDArray[np.floating], flux: NDArray[np.float64]) -> "_Cells":
        """Sort hits at x, z [detector units] into cells."""
        middle = (2 * np.arange(CELLS) + 1) / CELLS - 1
        return cls(flux, _cell_at(x, z), np.repeat(middle, CELLS), np.tile(middle, CELLS))

    def base(self, crowd: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return what is fitted whatever the gain (cells, 1 or 2): a constant, and the excess of the crowd if any."""
        ones = np.ones((self.x.size, 1))
        return ones if crowd is None else np.column_stack((ones, crowd / crowd[self.cell].mean() - 1))

    def excess(
        self, mean: NDArray[np.float64], window: _Window
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return by how much the hits of each cell exceed its mean (cells,), with precision and number."""
        over = self.flux / mean[self.cell]
        ordinary = (over > window.low) & (over < window.high)
        cell, part = self.cell[ordinary], over[ordinary] / window.mean - 1
        number = np.bincount(cell, minlength=self.x.size)
        total = np.bincount(cell, part, self.x.size)
        return mean * total / np.maximum(number, 1), number / (part.var() * mean**2), number


def _cell_at(x: NDArray[np.floating], z: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the number of the cell at positions x, z (n,) [detector units]."""
    row, column = (np.clip((at + 1) * (CELLS / 2), 0, CELLS - 1).astype(np.int64) for at in (x, z))
    return row * CELLS + column


def crowd_at(x: NDArray[np.floating], z: NDArray[np.floating], reach: float) -> NDArray[np.float64]:
    """Return how many of the hits at x, z (n,) lie about each cell (cells,), within a Gaussian of sigma `reach`."""
    number = np.bincount(_cell_at(x, z), minlength=CELLS * CELLS).reshape(CELLS, CELLS)
    return gaussian_filter(number.astype(float), reach * CELLS / 2, mode="constant").ravel()


def fit_gain(
    x: NDArray[np.floating],
    z: NDArray[np.floating],
    flux: NDArray[np.float64],
    spread: float,
    *,
    fewest: int,
    least: float = 0.0,
    crowd: NDArray[np.float64] | None = None,
) -> Gain:
    """Fit the mean flux of one electron over the screen to hits that stand alone.

    Parameters
    ----------
    x, z : arrays (n,)
        Positions [detector units].
    flux : array (n,)
        Of mean about 1.
    spread : float
        Relative spread of one electron's flux, which follows a gamma law.
    fewest : int
        Hits that look like one electron below which nothing is fitted, and the gain is 1.
    least : float
        Flux, over the local mean, of the faintest that are looked at: those of a broad law are not all found.
    crowd : array (cells,), optional
        From `crowd_at`, if the flux may rise with it; the gain's `unit` is that at the crowd about the mean lone hit.
    """
    window = _Window.of(spread, least)
    even = flux[(flux > window.low) & (flux < window.high)]
    if even.size < fewest:
        return Gain()
    cells = _Cells.of(x, z, flux)
    base = cells.base(crowd)
    size = np.append(even.mean() / window.mean, np.zeros(base.shape[1] - 1))
    for degree in DEGREES:
        larger = _further(cells, base, window, size, degree)
        if larger is None:
            break
        size = larger
    unit, *further = np.delete(size, np.arange(1, base.shape[1])).tolist()
    powers = _powers(DEGREES[-1])[1:]
    return Gain(unit, tuple(Term(*power, value / unit) for power, value in zip(powers, further, strict=False)))


def _powers(degree: int) -> list[tuple[int, int]]:
    """Return the powers of x and z of all terms up to a degree, lower degrees first; the first is the constant."""
    return [(total - j, j) for total in range(degree + 1) for j in range(total + 1)]


def _further(
    cells: _Cells, base: NDArray[np.float64], window: _Window, size: NDArray[np.float64], degree: int
) -> NDArray[np.float64] | None:
    """Return the sizes of all terms up to `degree`; None where the hits do not call for more than those of `size`."""
    powers = _powers(degree)[1:]
    design = np.column_stack((base, *(cells.x**i * cells.z**j for i, j in powers)))
    if cells.flux.size < _PER_TERM * design.shape[1]:
        return None
    fewer, added = size.size, design.shape[1] - size.size
    new = np.append(size, np.zeros(added))
    for turn in range(_ROUNDS):
        excess, precision, number = cells.excess(design @ new, window)
        step, chi2 = _solve(design, excess, precision)
        if turn == 0:
            without, chi2_without = _solve(design[:, :fewer], excess, precision)
            change = design @ step - design[:, :fewer] @ without
            rms = np.sqrt(np.cov(change, fweights=number)) / size[0]
            chi2 -= chi2_without
            if chdtrc(added, max(chi2, 0.0)) > UNCALLED or rms < NEGLIGIBLE:
                return None
        new += step
        if (design @ new).min() < _LOWEST * size[0]:
            return None
        if np.abs(design @ step)[number > 0].max() < _SETTLED * size[0]:
            break
    return new


def _solve(
    design: NDArray[np.float64], excess: NDArray[np.float64], precision: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the sizes that describe an excess best, and by how much chi-square falls with them."""
    weighted = design.T * precision
    slope = weighted @ excess
    step = np.asarray(np.linalg.lstsq(weighted @ design, slope)[0], np.float64)
    return step, float(step @ slope)
