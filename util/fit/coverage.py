"""Whether reported errors are true: how often intervals cover the truth, and whether pulls are standard normal.

A pull is (estimate - truth) / reported error. Correct errors make pulls N(0, 1), so that 68.27 % of them lie within
+-1 and 95 % within +-1.96.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

LEVELS = (0.6827, 0.95)
# How far from its level coverage may lie, as the project promises.
TOLERANCES = (0.03, 0.015)


@dataclass(frozen=True)
class Coverage:
    """Coverage of P parameters in n experiments.

    Attributes
    ----------
    names : tuple of str
    experiments : int
    mean, spread : arrays (P,)
        Mean and standard deviation of the pulls.
    covered : array (2, P)
        Share of the experiments whose 68.27 % and 95 % intervals hold the truth.
    """

    names: tuple[str, ...]
    experiments: int
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    covered: NDArray[np.float64]

    @property
    def pooled(self) -> NDArray[np.float64]:
        """Coverage (2,) of all parameters together."""
        return self.covered.mean(axis=1)

    def within(self, *, each: bool = True) -> bool:
        """Return whether coverage lies within `TOLERANCES`, of every parameter or (each=False) of all together."""
        found = self.covered if each else self.pooled[:, None]
        return bool((np.abs(found - np.array(LEVELS)[:, None]) <= np.array(TOLERANCES)[:, None]).all())

    def table(self) -> str:
        """Return one line per parameter, the pooled line last."""
        spread = np.sqrt((self.spread**2).mean())
        rows = [
            *zip(self.names, self.mean, self.spread, *(100 * self.covered), strict=True),
            ("all", self.mean.mean(), spread, *(100 * self.pooled)),
        ]
        head, digits = ("parameter", "pull mean", "pull std", "68 %", "95 %"), ("", ".3f", ".3f", ".1f", ".1f")
        return tabulate(rows, headers=head, tablefmt="plain", floatfmt=digits)


def coverage(names: tuple[str, ...], pulls: NDArray[np.float64]) -> Coverage:
    """Count how often intervals cover the truth.

    Parameters
    ----------
    names : tuple of P str
    pulls : array (n, P)
        n >= 2 experiments.

    Raises
    ------
    ValueError
        Wrong shape, or pulls that are not finite.
    """
    pulls = np.asarray(pulls, dtype=float)
    if pulls.ndim != 2 or pulls.shape[0] < 2 or pulls.shape[1] != len(names):
        raise ValueError(f"expected pulls of shape (n >= 2, {len(names)}), found {pulls.shape}")
    if not np.isfinite(pulls).all():
        raise ValueError("some pulls are not finite; leave out experiments without a fit, and say how many those are")
    reach = stats.norm.isf((1 - np.array(LEVELS)) / 2)
    covered = (np.abs(pulls) <= reach[:, None, None]).mean(axis=1)
    return Coverage(names, len(pulls), pulls.mean(axis=0), pulls.std(axis=0, ddof=1), covered)
