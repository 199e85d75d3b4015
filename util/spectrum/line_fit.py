"""Known lines into a relation between radius and energy: least squares, and whether the lines agree."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from util.runtime.errors import InputError
from util.runtime.value_with_error import shorthand

Array = NDArray[np.float64]

_CLEAR = 3.0  # errors of b above which r⁴ is kept: seen in 0.3 % of calibrations without it
_LEAST_P = 1e-4
_STEPS = 20


class Lines(NamedTuple):
    """Arrays (k,): radii and kinetic energies with errors, in detector units and eV."""

    r: Array
    r_error: Array
    energy: Array
    energy_error: Array


def fit_lines(lines: Lines, path: Path) -> tuple[float, float, Array, list[str]]:
    """Fit eKE = a r² (+ b r⁴) to lines by least squares, errors of radii included by the slope of the relation.

    r⁴ stays where at least three radii support it and b differs from 0 by more than 3 errors. Errors of the lines are
    taken as independent: of energies that share a photon energy they are not quite.

    Parameters
    ----------
    lines : Lines
    path : Path
        The file, named in messages.

    Returns
    -------
    a, b, covariance (2, 2), notes

    Raises
    ------
    InputError
        Chi-square has p < 1e-4.
    """
    count = lines.r.size
    coefficients, covariance = _least_squares(lines, 1)
    bend = "r^4 left out: it takes lines at three radii at least"
    if np.unique(lines.r).size >= 3:
        both, both_covariance = _least_squares(lines, 2)
        b, error = float(both[1]), float(np.sqrt(both_covariance[1, 1]))
        kept = abs(b) > _CLEAR * error
        bend = f"r^4 {'kept' if kept else 'left out'}: b = {shorthand(b, error)} eV is {abs(b) / error:.1f} errors"
        if kept:
            coefficients, covariance = both, both_covariance
    told = f"{_check_agreement(lines, coefficients, covariance, path)}, {count} line{'s' * (count > 1)}"
    absent = (0, 2 - coefficients.size)
    a, b = np.pad(coefficients, absent).tolist()
    return a, b, np.pad(covariance, absent), [told, bend]


def _spread(lines: Lines, coefficients: Array) -> Array:
    """Return errors of the lines' energies, those of the radii included."""
    powers = 2 * np.arange(1, coefficients.size + 1)
    slope = (coefficients * powers * lines.r[:, None] ** (powers - 1)).sum(axis=1)
    # Lines that contradict each other must not flatten the relation until one of them has no error left.
    steep = np.maximum(slope, lines.energy / lines.r)
    return np.hypot(lines.energy_error, steep * lines.r_error)


def _design(lines: Lines, terms: int) -> Array:
    return lines.r[:, None] ** (2 * np.arange(1, terms + 1))


def _least_squares(lines: Lines, terms: int) -> tuple[Array, Array]:
    coefficients: Array = np.pad([np.median(lines.energy / lines.r**2)], (0, terms - 1))
    for _ in range(_STEPS):  # the weights depend on the slope, slightly
        spread = _spread(lines, coefficients)
        weighted = _design(lines, terms) / spread[:, None]
        covariance = np.asarray(np.linalg.inv(weighted.T @ weighted), dtype=np.float64)
        coefficients = covariance @ weighted.T @ (lines.energy / spread)
    return coefficients, covariance


def _check_agreement(lines: Lines, coefficients: Array, covariance: Array, path: Path) -> str:
    """Describe a fit in a line, or raise InputError where its lines contradict each other."""
    design, spread = _design(lines, coefficients.size), _spread(lines, coefficients)
    residual = lines.energy - design @ coefficients
    errors = np.sqrt(np.diag(covariance))
    parts = [f"{shorthand(*pair)} eV r^{2 * k}" for k, pair in enumerate(zip(coefficients, errors, strict=True), 1)]
    told = f"eKE = {' + '.join(parts)}"
    degrees = residual.size - coefficients.size
    if degrees == 0:
        return f"{told}: nothing left to check it"
    chi2 = float(((residual / spread) ** 2).sum())
    p = float(stats.chi2.sf(chi2, degrees))
    if p >= _LEAST_P:
        return f"{told}: chi-square {chi2:.1f} of {degrees} (p = {p:.2g})"
    # What the others say of a line: its residual, freed of its own share in the fit.
    own = np.einsum("ki,ij,kj->k", design, covariance, design) / spread**2
    free = np.maximum(1 - own, 1e-9)
    pull = residual / spread / np.sqrt(free)
    worst = int(np.argmax(np.abs(pull)))
    expected = lines.energy[worst] - residual[worst] / free[worst]
    alone = "; with so few lines another one may be at fault" if degrees == 1 else ""
    remedy = ", or add a third line, which lets r^4 be fitted" if residual.size == 2 else ""
    raise InputError(
        f"{path}: lines contradict each other (chi-square {chi2:.1f} of {degrees}, p = {p:.1g}); farthest off is line "
        f"{worst + 1} at r = {lines.r[worst]:.4f}: expected {expected:.5g} eV by the others, found "
        f"{lines.energy[worst]:.5g} eV, {abs(pull[worst]):.1f} errors away{alone}; correct its energy or radius, or "
        f"give it a larger error{remedy}"
    )
