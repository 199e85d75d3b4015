"""What the numbers of an answer do not tell by themselves: degeneracy, strong correlation, nearly empty spheres."""

import itertools

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from util.fit.constraints import ANGLES
from util.fit.result import FitResult
from util.physics import pad
from util.runtime.value_with_error import shorthand

_DEGENERATE = 0.99
_REACH = 5.0  # sigma_R from R to the outermost electrons


def cautions(result: FitResult) -> list[str]:
    """Return a sentence for each degeneracy, strong correlation, negative PAD, and for spheres that are no good.

    Those are nearly empty, overlap, or reach beyond the screen.
    """
    out = []
    for first, second in itertools.combinations(range(len(result.R)), 2):
        shared = _shared(result, first, second)
        if shared > _DEGENERATE:
            out.append(
                f"spheres {first + 1} and {second + 1} are nearly degenerate: what they share makes some combination "
                f"of their parameters {1 / np.sqrt(1 - shared**2):.0f} times as uncertain; fit one sphere fewer"
            )
    errors = np.sqrt(np.diag(result.covariance))
    free = errors > 0
    safe = np.where(free, errors, 1)
    correlation = np.abs(np.tril(result.covariance / np.outer(safe, safe), -1))
    first, second = np.unravel_index(correlation.argmax(), correlation.shape)
    if correlation[first, second] > 0.95:
        pair = f"{result.names[second]} and {result.names[first]}"
        out.append(f"{pair} are correlated by {correlation[first, second]:.2f}: quote them with their covariance")
    share = result.electrons / result.electrons.sum()
    for s, part in enumerate(share):
        if part < 0.04 / len(share):
            out.append(f"sphere {s + 1} holds only {100 * part:.1f} % of the electrons")
    out += _beyond_the_screen(result)
    for s, (gap, width) in enumerate(
        zip(np.diff(result.R), np.hypot(result.sigma_R[:-1], result.sigma_R[1:]), strict=True)
    ):
        if gap < 2 * width:
            out.append(f"spheres {s + 1} and {s + 2} overlap: their radii differ by {gap / width:.1f} widths")
    for s, beta in enumerate(result.beta):
        lowest = float(pad.minimum(beta))
        error = _error_of_lowest(result, s)
        if lowest < -pad.TOLERANCE - error:
            found = shorthand(lowest, error)
            out.append(f"I(c) of sphere {s + 1} falls to {found}, below zero: --nonnegative forbids that")
    return out


def _beyond_the_screen(result: FitResult) -> list[str]:
    """Return a sentence for each sphere that reaches beyond the edge, by more than the error of its reach."""
    reach = result.R + _REACH * result.sigma_R
    error = np.hypot(result.errors[result.layout.R], _REACH * result.errors[result.layout.sigma_R])
    return [
        f"sphere {s + 1} reaches beyond the screen: R + {_REACH:g} sigma_R is {reach[s]:.3f}, and at most 1 "
        "is answered for; take frames that show all of it"
        for s in np.flatnonzero(reach - error > 1)
    ]


def _shared(result: FitResult, first: int, second: int) -> float:
    """Return the largest canonical correlation of two spheres' parameters: 1 where one can stand for the other.

    Hotelling 1936, Biometrika 28, 321.
    """
    mine, others = (part[result.errors[part] > 0] for part in result.layout.blocks[[first, second]])
    # A trace on the diagonal: rounding may leave a nearly singular matrix with a negative eigenvalue.
    roots = [np.linalg.cholesky(_correlation(result, part, part) + 1e-9 * np.eye(part.size)) for part in (mine, others)]
    across = np.linalg.solve(roots[0], np.linalg.solve(roots[1], _correlation(result, others, mine)).T)
    return min(float(np.linalg.norm(across, 2)), 1 - 1e-12)


def _correlation(result: FitResult, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    return result.covariance[np.ix_(rows, columns)] / np.outer(result.errors[rows], result.errors[columns])


def _error_of_lowest(result: FitResult, sphere: int) -> float:
    """Return the error of I(c) of a sphere where it is lowest."""
    c = np.cos(np.linspace(0, np.pi / 2, ANGLES))
    lowest = c[pad.intensity(result.beta[sphere], c).argmin()]
    terms = legendre.legval(lowest, np.eye(2 * result.beta.shape[1] + 1)[:, 2::2])
    index = result.layout.beta[sphere]
    return float(np.sqrt(max(terms @ result.covariance[np.ix_(index, index)] @ terms, 0)))
