"""Several runs of one experiment as one answer: what they share, each weighed by its errors.

Runs share the spheres; each has its own electrons, centre, background and whatever else was fitted. Their answers are
joined by generalised least squares (Aitken 1935, Proc. R. Soc. Edinburgh 55, 42), which is to first order the joint fit
of all hits: the likelihood of each run is a parabola about its own answer.

A run whose polarisation lay along the detector's other axis shows what no single image can: an efficiency of the
detector, ``1 + q (x^2 - z^2)``, moves its answer the other way. q is then fitted too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.agreement import DISAGREE
from util.fit.chi_square import tail
from util.fit.result import FitResult
from util.runtime.errors import InputError
from util.runtime.value_with_error import shorthand


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes
    ----------
    name : str
        For messages.
    answer : FitResult
    uneven : array (P,)
        How far a detector that sees ``1 + (x^2 - z^2)``, in the first run's x and z, would move that answer.
    turned : bool
        Whether the polarisation lay along the other axis of the detector than in the first run.
    """

    name: str
    answer: FitResult
    uneven: NDArray[np.float64]
    turned: bool = False


@dataclass(frozen=True)
class Joined:
    """The answer of all runs.

    Attributes
    ----------
    answer : FitResult
        The first run's electrons, centre and whatever else was fitted, with the spheres of all.
    chi2, dof
        Of what the runs disagree by.
    worst : str
        The parameter, and the run, that lies farthest from the others.
    quadrupole : (value, error) or None
        Of the efficiency, q; None where no run was turned.
    """

    answer: FitResult
    chi2: float
    dof: int
    worst: str
    quadrupole: tuple[float, float] | None

    @property
    def p(self) -> float:
        """Probability that runs of one experiment disagree as much."""
        return tail(self.chi2, self.dof)

    def text(self) -> str:
        """Return a summary in one line."""
        verdict = "they agree" if self.p >= DISAGREE else "they DISAGREE"
        return f"{verdict}: chi-square {self.chi2:.1f} of {self.dof}, p = {self.p:.2g}; farthest apart: {self.worst}"


def join_runs(runs: Sequence[Run]) -> Joined:
    """Join the answers of two or more runs.

    Raises
    ------
    InputError
        Runs of other spheres or degrees than the first.
    """
    first = runs[0].answer
    layout = first.layout
    for run in runs[1:]:
        other = run.answer.layout
        if (other.spheres, other.order) != (layout.spheres, layout.order):
            raise InputError(
                f"{run.name}: expected {layout.spheres} spheres up to degree {layout.order}, as in the first run, "
                f"found {other.spheres} up to {other.order}; tell --spheres and --order, or leave the run out"
            )
    turned = any(run.turned for run in runs)
    joint, floor = (
        _solve([_estimate(run, first, errors) for run in runs], layout.size, turned=turned)
        for errors in ("covariance", "floor_covariance")
    )
    answer = replace(
        first,
        values=np.where(first.errors > 0, joint.values[: layout.size], first.values),
        covariance=joint.covariance[: layout.size, : layout.size],
        floor_covariance=floor.covariance[: layout.size, : layout.size],
        hits=sum(run.answer.hits for run in runs),
        evidence=None,
    )
    quadrupole = (float(joint.values[-1]), float(np.sqrt(joint.covariance[-1, -1]))) if turned else None
    return Joined(answer, joint.chi2, joint.dof, _worst(runs, joint.values[-1] if turned else 0.0), quadrupole)


class _Estimate(NamedTuple):
    """What one run says (k,), its covariance, of which parameters of the joint answer, and how q moves it."""

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    of: NDArray[np.intp]
    uneven: NDArray[np.float64]


class _Solution(NamedTuple):
    """Parameters (P + 1,), the last of which is q, their covariance, 0 of what is fixed, and the fit's chi-square."""

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    chi2: float
    dof: int


def _estimate(run: Run, first: FitResult, errors: Literal["covariance", "floor_covariance"]) -> _Estimate:
    answer = run.answer
    if answer is first:
        own = of = np.flatnonzero(first.errors > 0)
    else:
        free = (first.errors[first.layout.shape] > 0) & (answer.errors[answer.layout.shape] > 0)
        own, of = answer.layout.shape[free], first.layout.shape[free]
    return _Estimate(answer.values[own], getattr(answer, errors)[np.ix_(own, own)], of, run.uneven[own])


def _solve(estimates: Sequence[_Estimate], size: int, *, turned: bool) -> _Solution:
    scale = np.ones(size + 1)  # parameters differ by ten orders of magnitude
    scale[estimates[0].of] = np.sqrt(np.diag(estimates[0].covariance))
    information, slope = np.zeros((size + 1, size + 1)), np.zeros(size + 1)
    designs = []
    for told in estimates:
        design = np.zeros((told.of.size, size + 1))
        design[np.arange(told.of.size), told.of] = scale[told.of]
        design[:, -1] = told.uneven
        weighed = np.linalg.solve(told.covariance, design)
        information += weighed.T @ design
        slope += weighed.T @ told.values
        designs.append(design)
    fitted = np.append(estimates[0].of, [size] if turned else []).astype(np.intp)
    inverse = np.linalg.inv(information[np.ix_(fitted, fitted)])
    values, covariance = np.zeros(size + 1), np.zeros((size + 1, size + 1))
    values[fitted], covariance[np.ix_(fitted, fitted)] = inverse @ slope[fitted], inverse
    left = [told.values - design @ values for told, design in zip(estimates, designs, strict=True)]
    chi2 = sum(float(x @ np.linalg.solve(told.covariance, x)) for told, x in zip(estimates, left, strict=True))
    dof = sum(told.of.size for told in estimates) - fitted.size
    return _Solution(values * scale, covariance * np.outer(scale, scale), chi2, dof)


def _worst(runs: Sequence[Run], q: float) -> str:
    """Say which parameter of which run lies farthest from the first run, in errors of the difference."""
    first, most, said = runs[0], 0.0, "none"
    for run in runs[1:]:
        own, of = run.answer.layout.shape, first.answer.layout.shape
        difference = run.answer.values[own] - first.answer.values[of] - q * (run.uneven[own] - first.uneven[of])
        error = np.hypot(run.answer.errors[own], first.answer.errors[of])
        pulls = np.divide(np.abs(difference), error, out=np.zeros(own.size), where=error > 0)
        at = int(pulls.argmax())
        if pulls[at] > most:
            name = run.answer.names[own[at]]
            most, said = pulls[at], f"{name} of {run.name}, by {shorthand(difference[at], error[at], sign=True)}"
    return said
