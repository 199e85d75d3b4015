"""How wide the lines of a spectrum are at each radius, and where they stand."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import integrate

SPACING = 0.8  # of the lines, in widths: where all are of one width their sum is even to 1e-5
STEEPEST = 0.25  # change of width over change of radius: by a fifth from one line to the next
_BEYOND = 2.0  # widths from the edge of the screen to the last line
_FINE = 4001  # radii at which lines are counted


@dataclass(frozen=True)
class LineWidths:
    """Widths of lines against radius.

    Attributes
    ----------
    sigma : tuple of float
        At equal steps from r = 0 to 1, straight lines between them [detector units]; a single one: everywhere.
    """

    sigma: tuple[float, ...]

    @classmethod
    def no_steeper(cls, sigma: NDArray[np.float64]) -> "LineWidths":
        """Return widths (n,) at equal steps, narrowed where they would change by more than lines side by side may."""
        r = np.linspace(0, 1, sigma.size)
        return cls(tuple((sigma + STEEPEST * np.abs(r[:, None] - r)).min(axis=1).tolist()))

    def narrower(self, ratio: float, least: float) -> "LineWidths":
        """Return widths divided by a ratio, where they are not below the least then [detector units]."""
        return LineWidths(tuple(min(sigma, max(sigma / ratio, least)) for sigma in self.sigma))

    def at(self, r: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return sigma at radii (n,)."""
        return np.asarray(np.interp(r, np.linspace(0, 1, len(self.sigma)), self.sigma), dtype=np.float64)

    def radii(self, rho_max: float) -> NDArray[np.float64]:
        """Return the middles (J,) of lines that fill the radii up to `rho_max`, and a little more."""
        r = np.linspace(0, rho_max + _BEYOND * float(self.at(rho_max)), _FINE)
        number = integrate.cumulative_trapezoid(1 / (SPACING * self.at(r)), r, initial=0)
        return np.interp(np.arange(int(number[-1])) + 0.5, number, r)
