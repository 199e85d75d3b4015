"""From radii to energies: a calibration by known lines.

In velocity map imaging, electrons of one velocity arrive at one point, at a distance from the centre proportional to
the velocity (Eppink & Parker, Rev. Sci. Instrum. 68, 3477 (1997)), so that their kinetic energy is a r². Lenses keep
to that for slow electrons; symmetry leaves r⁴ as the next term, which is fitted where the lines show it. A file in
TOML names the lines::

    photon_energy = 2.3300            # eV, of this spectrum; of all photons together that one electron takes up
    photon_energy_error = 0.0002

    [[line]]
    peak_near = 0.31                  # the peak of this spectrum nearest to that radius, as fitted, with its error
    energy = 0.8689                   # kinetic energy in eV
    energy_error = 0.0002

    [[line]]
    radius = 0.4622                   # or a radius known otherwise, as from the image of another gas
    radius_error = 0.0003
    energy = 1.9240

Radii are in detector units (1 = half the longer side of the screen); in pixels, where the file gives the pixels of the
image's longer side as `longer_side_px`. In place of lines, the file may give a as `constant`, in eV a squared unit.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import constants

from util.runtime import settings
from util.runtime.errors import InputError
from util.runtime.value_with_error import shorthand
from util.spectrum.line_fit import Lines, fit_lines

Array = NDArray[np.float64]

# 8065.543937: exact since 2019, from e, h and c (CODATA 2018, Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021)).
INVERSE_CM_PER_EV = constants.e / (constants.h * constants.c) / 100

ASSUMED_RADIUS_ERROR = 0.001  # half a pixel of 1024: as one reads a ring off an image
_LARGEST_RADIUS = 1.5  # just beyond the corners of a square screen
_ENERGIES = (1e-9, 1e6)  # eV; far beyond what such an image can hold
_CLEAR = 3.0  # errors of a peak above the photon energy that are too many
_NEAR = 0.03  # detector units between `peak_near` and its peak at most


def _check_energy(name: str, value: float) -> None:
    low, high = _ENERGIES
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g} eV, found {value:g}; correct it")


def _check_error(name: str, error: float, value: float) -> None:
    if not 0 <= error <= abs(value):
        raise ValueError(f"{name} must be from 0 to what it is the error of, {value:g}, found {error:g}; correct it")


@dataclass(frozen=True)
class Line:
    """A line of known kinetic energy [eV], at a radius or at a peak of the spectrum; units as the file's.

    `energy_error` is 0 where it is not given, as tables know energies far better than images show radii. The error of
    a radius is 0.001 detector units where it is not given; that of a peak is the fit's.
    """

    energy: float
    energy_error: float = 0.0
    radius: float | None = None
    peak_near: float | None = None
    radius_error: float | None = None

    def __post_init__(self) -> None:
        if (self.radius is None) == (self.peak_near is None):
            found = "none" if self.radius is None else "both"
            raise ValueError(f"expected either radius or peak_near, found {found}; give one of them")
        _check_energy("energy", self.energy)
        _check_error("energy_error", self.energy_error, self.energy)
        _check_error("radius_error", self.radius_error or 0.0, self.radius or self.peak_near or 0.0)
        if self.radius_error == 0 == self.energy_error:
            raise ValueError("expected an error of radius or energy above 0, found none; give one")


@dataclass(frozen=True)
class CalibrationFile:
    """What a user knows of the energies; see the module's docstring."""

    line: tuple[Line, ...] = ()
    constant: float | None = None
    constant_error: float = 0.0
    photon_energy: float | None = None
    photon_energy_error: float = 0.0
    longer_side_px: int | None = None

    def __post_init__(self) -> None:
        if bool(self.line) == (self.constant is not None):
            found = "both" if self.line else "none"
            raise ValueError(f"expected either [[line]] tables or constant, found {found}; give one of them")
        if self.longer_side_px is not None and self.longer_side_px <= 0:
            raise ValueError(f"longer_side_px must be above 0, found {self.longer_side_px}; correct it")
        if self.constant is not None:
            _check_energy("constant, a squared half screen,", self.constant * self.unit**2)
        if self.photon_energy is not None:
            _check_energy("photon_energy", self.photon_energy)
        _check_error("constant_error", self.constant_error, self.constant or 0.0)
        _check_error("photon_energy_error", self.photon_energy_error, self.photon_energy or 0.0)
        for line in self.line:
            radius = line.peak_near or line.radius or 0.0  # a line has one of them
            if not 0 < radius / self.unit <= _LARGEST_RADIUS:
                raise ValueError(
                    f"expected radii from 0 to {_LARGEST_RADIUS * self.unit:g}, found {radius}; give them in detector "
                    "units (1 = half the longer side), or with longer_side_px in pixels"
                )
            if self.longer_side_px is not None and radius <= _LARGEST_RADIUS:
                raise ValueError(
                    f"expected radii in pixels, as there is longer_side_px = {self.longer_side_px}, found {radius}; "
                    "leave longer_side_px out where radii are in half screens"
                )

    @property
    def unit(self) -> float:
        """How many of the file's units of length one detector unit has."""
        return 1.0 if self.longer_side_px is None else self.longer_side_px / 2


@dataclass(frozen=True, eq=False)
class Calibration:
    """Kinetic energy eKE = a r² + b r⁴.

    Attributes
    ----------
    a, b : float
        eV; r in detector units. b is 0 where the lines do not show it.
    covariance : array (2, 2)
        Of a and b; zeros for b where b is 0, so that errors of energies leave out a bend that the lines cannot see.
    photon_energy, photon_energy_error : float or None, float
        eV.
    notes : tuple of str
        What was fitted and what was assumed, for people.
    """

    a: float
    b: float
    covariance: Array
    photon_energy: float | None = None
    photon_energy_error: float = 0.0
    notes: tuple[str, ...] = ()

    def energy(self, r: Array) -> Array:
        """Return kinetic energies [eV] at radii [detector units], any shape."""
        return self.a * r**2 + self.b * r**4

    def jacobian(self, r: Array) -> Array:
        """Return dE/dr [eV a detector unit]."""
        return 2 * self.a * r + 4 * self.b * r**3

    def energy_error(self, r: Array, r_error: Array | float = 0.0) -> Array:
        """Return standard errors [eV] of kinetic energies, from those of a, b and r.

        The part of a and b is common to all radii: it shifts and stretches the axis as a whole.
        """
        terms = np.stack((r**2, r**4))
        of_constants = np.einsum("i...,ij,j...->...", terms, self.covariance, terms)
        return np.sqrt(of_constants + (self.jacobian(r) * r_error) ** 2)

    def intensity(self, r: Array, per_unit: Array, per_unit_error: Array) -> tuple[Array, Array]:
        """Turn electrons a detector unit into electrons an eV, with their errors; NaN at r = 0.

        The slope's own error is common to all radii and left out.
        """
        slope = self.jacobian(r)
        slope = np.where(slope > 0, slope, np.nan)
        return per_unit / slope, per_unit_error / slope

    def binding_energy(self, r: Array) -> Array:
        """Return photon energy - kinetic energy [eV]; ValueError where the photon energy is unknown."""
        if self.photon_energy is None:
            raise ValueError("a calibration without photon_energy knows no binding energies")
        return self.photon_energy - self.energy(r)

    def binding_energy_error(self, r: Array, r_error: Array | float = 0.0) -> Array:
        """Return standard errors [eV] of binding energies; that of the photon energy is common to all."""
        return np.hypot(self.energy_error(r, r_error), self.photon_energy_error)


def check_calibration(path: Path, pixels: tuple[int, int] | None) -> None:
    """Check a calibration file before the spectrum is there: of itself, and against the camera's pixels, where known.

    Raises
    ------
    InputError
        A file that cannot be read or contradicts itself, or that counts other pixels than the camera has.
    """
    side = settings.load(CalibrationFile, path).longer_side_px
    if side is not None and pixels is not None and side != max(pixels):
        raise InputError(
            f"{path}: expected longer_side_px = {max(pixels)}, as the camera has {pixels[0]} x {pixels[1]} pixels, "
            f"found {side}; give radii in this camera's pixels, or leave it out and give them in half screens"
        )


def read_calibration(path: Path, r: Array, R: Array, R_error: Array) -> Calibration:
    """Read a calibration file and fit it to what a spectrum shows.

    Parameters
    ----------
    path : Path
        TOML, as in the module's docstring.
    r : array (n,)
        The spectrum's radii [detector units], ascending.
    R, R_error : arrays (p,)
        Radii of its peaks, and their errors.

    Raises
    ------
    InputError
        A file that cannot be read or contradicts itself; a `peak_near` without a peak; lines that contradict each other
        (p < 1e-4); energies that fall with radius; kinetic energies above the photon energy.
    """
    file = settings.load(CalibrationFile, path)
    photon = (file.photon_energy, file.photon_energy_error)
    if file.constant is not None:
        a, error = file.constant * file.unit**2, file.constant_error * file.unit**2
        notes: tuple[str, ...] = (f"eKE = {shorthand(a, error)} eV r^2, from the file's constant",)
        if error == 0:
            notes += ("constant without constant_error: taken as exact",)
        calibration = Calibration(a, 0.0, np.diag([error**2, 0.0]), *photon, notes)
    else:
        lines, assumed = _resolve(file, R, R_error, path)
        a, b, covariance, fitted = fit_lines(lines, path)
        calibration = Calibration(a, b, covariance, *photon, (*fitted, *assumed))
    _check_rising(calibration, float(r[-1]), path)
    _check_photon(calibration, R, R_error, path)
    return calibration


def _resolve(file: CalibrationFile, R: Array, R_error: Array, path: Path) -> tuple[Lines, list[str]]:
    """Return lines in detector units, and what was assumed of them."""
    rows, notes = [], []
    for number, line in enumerate(file.line, 1):
        error = None if line.radius_error is None else line.radius_error / file.unit
        if line.peak_near is not None:
            peak = _peak(line.peak_near / file.unit, R, f"{path}: line {number}")
            radius = float(R[peak])
            error = float(R_error[peak]) if error is None else error
            if not (np.isfinite(error) and max(error, line.energy_error) > 0):
                raise InputError(f"{path}: line {number}: its peak at r = {radius:.4f} has no error; give radius_error")
            notes.append(f"line {number}: the peak at r = {shorthand(radius, error)}")
        else:
            assert line.radius is not None
            radius = line.radius / file.unit
            if error is None:
                error = ASSUMED_RADIUS_ERROR
                notes.append(f"line {number}: no radius_error given, {error} detector units assumed")
        rows.append((radius, error, line.energy, line.energy_error))
    return Lines(*np.array(rows).T), notes


def _peak(near: float, R: Array, where: str) -> int:
    distance = np.abs(R - near)
    order = np.argsort(distance)
    shown = ", ".join(f"{radius:.4f}" for radius in R) or "none"
    if not R.size or distance[order[0]] > _NEAR:
        raise InputError(
            f"{where}: expected a peak within {_NEAR} detector units of peak_near = {near:g}, found peaks at {shown}; "
            "correct peak_near, or give radius"
        )
    if R.size > 1 and 2 * distance[order[0]] > distance[order[1]]:
        raise InputError(
            f"{where}: peak_near = {near:g} lies between peaks, found at {shown}; give the radius of the one meant"
        )
    return int(order[0])


def _check_rising(calibration: Calibration, end: float, path: Path) -> None:
    a, b = calibration.a, calibration.b
    if a > 0 and a + 2 * b * end**2 > 0:
        return
    where = f"turns at r = {np.sqrt(-a / (2 * b)):.3f}" if a * b < 0 else "falls"
    raise InputError(
        f"{path}: expected energies that rise up to the spectrum's end at r = {end:.3f}, found eKE = {a:.4g} r^2 "
        f"{b:+.4g} r^4 eV, which {where}; correct the lines, or add one near the end"
    )


def _check_photon(calibration: Calibration, R: Array, R_error: Array, path: Path) -> None:
    if calibration.photon_energy is None or not R.size:
        return
    energy = calibration.energy(R)
    above = energy - calibration.photon_energy - _CLEAR * calibration.binding_energy_error(R, np.nan_to_num(R_error))
    if above.max() <= 0:
        return
    worst = int(np.argmax(above))
    raise InputError(
        f"{path}: expected kinetic energies below photon_energy = {calibration.photon_energy:g} eV, found "
        f"{energy[worst]:.4g} eV at the peak r = {R[worst]:.4f}; correct photon_energy (of all photons together that "
        "one electron takes up) or the lines"
    )
