"""What a spectrum consists of: narrow shells side by side, and an even background.

The intensity at a speed r is a sum of Gaussian lines side by side, of widths that change slowly if at all; each has a
PAD of its own. Expected counts are linear in all of it. No line may be negative in any direction: its PAD is written in
Bernstein polynomials of a raised degree (Farouki 2012, Comput. Aided Geom. Des. 29, 379), none of whose coefficients
may be.
"""

import functools
import itertools
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from util.physics import thin_shells
from util.physics.polar_map import PolarBins
from util.spectrum.line_widths import LineWidths

_BANDS = 8  # blocks of rings of the image; more of them save little
_NOTHING = 1e-14  # part of a line
_RAISED = 2  # the degree of the Bernstein polynomials, over that of the PAD


@dataclass(frozen=True, eq=False)
class ShellModel:
    """Lines, and the background, in polar bins; K degrees, J lines, P = J K + 1 parameters.

    Parameters are, line by line, N / 2 and N times the coefficient of each further Legendre polynomial; then the
    electrons of the background.

    Attributes
    ----------
    widths : LineWidths
        sigma of the lines [detector units].
    radii : (J,)
        Their middles [detector units].
    degrees : tuple of int
        Legendre degrees, 0 first.
    design : (n_rho, K, P)
        Coefficient of P_m(cos(alpha)) in the bins of rho, of one unit of each parameter.
    positivity : (M, K)
        From the parameters of a line to what must not be negative.
    """

    widths: LineWidths
    radii: NDArray[np.float64]
    degrees: tuple[int, ...]
    design: NDArray[np.float64]
    positivity: NDArray[np.float64]

    @property
    def lines(self) -> int:
        """Number of lines J."""
        return self.radii.size

    @functools.cached_property
    def bands(self) -> tuple[tuple[slice, int], ...]:
        """Blocks of rows of rho, and the first parameter that adds to each: a line casts nothing beyond its radius."""
        edges = np.linspace(0, self.design.shape[0], _BANDS + 1).astype(int).tolist()
        rows = [slice(*ends) for ends in itertools.pairwise(edges)]
        return tuple((block, int(self.design[block].any(axis=(0, 1)).argmax())) for block in rows)

    def terms(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the parameters (P,) of the lines as an array (J, K)."""
        return q[:-1].reshape(self.lines, len(self.degrees))

    def constrained(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what must not be negative (J M + 1,), from parameters (P,) or steps of them."""
        return np.append(self.terms(q) @ self.positivity.T, q[-1])

    def pulled_back(self, force: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the transpose of `constrained`: from (J M + 1,) to (P,)."""
        return np.append((force[:-1].reshape(self.lines, -1) @ self.positivity).ravel(), force[-1])


def bernstein(degrees: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the matrix (M, K) from (1/2, beta ..) of these Legendre degrees to Bernstein coefficients.

    Of cos^2 where all degrees are even, else of (1 + cos) / 2. Where none is negative, neither is the PAD.
    """
    even = not any(degree % 2 for degree in degrees)
    highest = _RAISED * max(degrees[-1] // (2 if even else 1), 1)
    place = (1 - np.cos(np.pi * (np.arange(highest + 1) + 0.5) / (highest + 1))) / 2
    basis = np.array([comb(highest, k) * place**k * (1 - place) ** (highest - k) for k in range(highest + 1)]).T
    cosine = np.sqrt(place) if even else 2 * place - 1
    return np.asarray(np.linalg.solve(basis, thin_shells.polynomials(degrees, cosine).T), dtype=np.float64)


@functools.lru_cache(maxsize=16)
def shell_model(bins: PolarBins, degrees: tuple[int, ...], widths: LineWidths) -> ShellModel:
    """Return lines at all radii that the bins show, and just beyond.

    Parameters
    ----------
    bins : PolarBins
    degrees : tuple of int
        Legendre degrees, ascending, 0 first.
    widths : LineWidths
        At least 1.5 bins of rho.
    """
    radii = widths.radii(bins.rho_max)
    width = widths.at(radii)
    beyond = 4 * width[-1]
    step = bins.rho[1]
    edges = np.append(bins.rho, bins.rho_max + step * np.arange(1, 1 + np.ceil(2 * beyond / step)))
    r, weight = thin_shells.nodes_between(edges, degrees[-1])
    line = [np.exp(-(((r[:, None] - sign * radii) / width) ** 2) / 2) for sign in (1, -1)]
    lines = (line[0] + line[1]) * weight[:, None]
    lines /= lines.sum(axis=0)
    projected = thin_shells.project(bins.rho, r, sparse.csr_array(np.where(lines > _NOTHING, lines, 0)), degrees)
    K = len(degrees)
    design = np.zeros((bins.n_rho, K, radii.size * K + 1))
    design[:, :, :-1] = projected.reshape(bins.n_rho, K, -1)
    design[:, 0, -1] = np.diff(bins.rho**2) / bins.rho_max**2 / (2 * np.pi)
    return ShellModel(widths, radii, degrees, design, bernstein(degrees))
