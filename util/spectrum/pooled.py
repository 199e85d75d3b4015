"""Groups of lines as one: the electrons and the anisotropy of a peak as a whole.

The lines of a peak share one distribution of angles. With their relative intensities kept as they were fitted, each
group has no more parameters than a sphere; fitted to the image anew, all groups together, they weigh each part of it by
what it tells, where the sum of lines that were fitted one by one does not.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.spectrum.interior_point import Solution, climb
from util.spectrum.shell_model import ShellModel

_CLEAR = 3.0  # errors of the electrons of a group that is there
_NEXT_TO_NOTHING = 1e-9  # counts, so that an empty group has a shape


class Pooled(NamedTuple):
    """Terms of groups (G, K), in counts, and their covariance (G * K, G * K)."""

    terms: NDArray[np.float64]
    covariance: NDArray[np.float64]


def pool(
    solution: Solution, parts: NDArray[np.float64], common: NDArray[np.float64], *, sure: int, barrier: float
) -> Pooled:
    """Fit groups of lines; those that hold no electrons to speak of are left out.

    Parameters
    ----------
    solution : Solution
        The lines at their likeliest.
    parts : (G, J)
        Which part of each line belongs to each group; together 1 at most.
    common : (P, P)
        Covariance of the lines' parameters by what the counts do not tell, such as the geometry.
    sure : int
        How many groups, the first ones, are there in any case. Lines that may not be negative hold a few electrons of
        noise each, which are missing elsewhere.
    barrier : float
        At which the errors are taken.

    Returns
    -------
    Pooled
        Zeros for groups that were left out.
    """
    K = len(solution.model.degrees)
    every = _grouped(solution, parts)
    covariance = climb(every, solution.data, barrier=barrier).system.inverse()
    electrons = every.terms(climb(every, solution.data).q)[:, 0]
    clear = electrons > _CLEAR * np.sqrt(np.diag(covariance)[:-1:K])
    kept = clear | (np.arange(len(parts)) < sure)
    groups = _grouped(solution, parts[kept])
    terms, covariance = np.zeros((len(parts), K)), np.zeros((len(parts) * K,) * 2)
    terms[kept] = groups.terms(climb(groups, solution.data).q)
    summed = np.kron(parts[kept], np.eye(K))
    own = climb(groups, solution.data, barrier=barrier).system.inverse()[:-1, :-1]
    index = np.flatnonzero(np.repeat(kept, K))
    covariance[np.ix_(index, index)] = own + summed @ common[:-1, :-1] @ summed.T
    return Pooled(terms, covariance)


def _grouped(solution: Solution, parts: NDArray[np.float64]) -> ShellModel:
    """Return a model of which each line is a group, of lines whose relative intensities stay as they are."""
    model, K = solution.model, len(solution.model.degrees)
    shape = np.maximum(parts, _NEXT_TO_NOTHING) * (model.terms(solution.q)[:, 0] + _NEXT_TO_NOTHING)
    shape /= shape.sum(axis=1, keepdims=True)
    rows = model.design.shape[0]
    by_line = model.design[:, :, :-1].reshape(rows, K, model.lines, K)
    grouped = np.einsum("rmjk,gj->rmgk", by_line, shape, optimize=True).reshape(rows, K, -1)
    design = np.concatenate((grouped, model.design[:, :, -1:]), axis=2)
    return ShellModel(model.widths, shape @ model.radii, model.degrees, design, model.positivity)
