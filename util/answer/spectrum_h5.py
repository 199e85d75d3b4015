"""spectrum.h5 and its CSV: curves, peaks, lines with their covariance, and how they came about."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from util.answer.final_h5 import read_spectrum_made_by, read_tables
from util.answer.tables import Axis, Table, named_rows
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.spectrum.energy import INVERSE_CM_PER_EV, Calibration
from util.spectrum.merge import EnergySpectrum, MergedSpectrum, energy_spectrum
from util.spectrum.spectrum import Spectrum

_UNITS = {
    "r": "half the longer side of the screen",
    "intensity": "electrons a unit of r",
    "blur": "electrons a unit of r",
    "resolution": "sigma, in units of r",
    "energy": "eV",
    "intensity_of_energy": "electrons an eV",
    "binding_energy": "eV",
    "wavenumber": "cm^-1",
    "R": "half the longer side of the screen",
    "sigma_R": "half the longer side of the screen",
    "electrons": "electrons",
    "overlap": "height at the higher end over that at the top",
    "width": "eV",
    "resolution_of_energy": "sigma, in eV",
    "axis_error": "eV",
    "spectra": "number of them",
    "sigma": "half the longer side of the screen",
    "parts": "number of them held out",
    "held_out_log_likelihood": "over that of the single width that won",
}
_OF_BETAS = "1"
_OF_NUISANCES = {"": "electrons", "centre": "half the longer side of the screen", "rotation": "rad"}


def _rows(columns: dict[str, NDArray[np.float64]]) -> NDArray[np.void]:
    rows = np.zeros(len(next(iter(columns.values()))), [(name, "<f8") for name in columns])
    for name, values in columns.items():
        rows[name] = values
    return rows


def _betas(degrees: tuple[int, ...], beta: NDArray[np.float64], error: NDArray[np.float64]) -> dict[str, Any]:
    pairs = zip(degrees, beta, error, strict=True)
    return {name: part for degree, *both in pairs for name, part in zip(_names(degree), both, strict=True)}


def _names(degree: int) -> tuple[str, str]:
    return f"beta_{degree}", f"beta_{degree}_error"


def _energies(
    calibration: Calibration | None, r: NDArray[np.float64], r_error: NDArray[np.float64] | float
) -> dict[str, NDArray[np.float64]]:
    """Return the columns of energies at radii (n,) that a calibration allows."""
    if calibration is None:
        return {}
    energy = calibration.energy(r)
    columns = {"energy": energy, "energy_error": calibration.energy_error(r, r_error)}
    if calibration.photon_energy is not None:
        columns["binding_energy"] = calibration.binding_energy(r)
        columns["binding_energy_error"] = calibration.binding_energy_error(r, r_error)
    columns["wavenumber"] = energy * INVERSE_CM_PER_EV
    return columns


def curve_rows(spectrum: Spectrum, calibration: Calibration | None) -> NDArray[np.void]:
    """Return rows (n,) of `Spectrum`: radius, intensity and betas with errors, resolution, and energies."""
    columns = {"r": spectrum.r, "intensity": spectrum.intensity, "intensity_error": spectrum.intensity_error}
    columns |= _betas(spectrum.degrees, spectrum.beta, spectrum.beta_error)
    columns |= {"blur": spectrum.blur, "resolution": spectrum.resolution, **_energies(calibration, spectrum.r, 0.0)}
    if calibration is not None:
        per_ev = calibration.intensity(spectrum.r, spectrum.intensity, spectrum.intensity_error)
        columns |= dict(zip(("intensity_of_energy", "intensity_of_energy_error"), per_ev, strict=True))
    return _rows(columns)


def peak_rows(spectrum: Spectrum, calibration: Calibration | None) -> NDArray[np.void]:
    """Return rows (p,) of `Peaks`: position, width, electrons and betas with errors, overlap, and energies."""
    peaks = spectrum.peaks
    columns = {
        "R": peaks.R,
        "R_error": peaks.R_error,
        "sigma_R": peaks.sigma_R,
        "sigma_R_error": peaks.sigma_R_error,
        "electrons": peaks.electrons,
        "electrons_error": peaks.electrons_error,
    }
    columns |= _betas(spectrum.degrees, peaks.beta, peaks.beta_error)
    return _rows(columns | {"overlap": peaks.overlap, **_energies(calibration, peaks.R, peaks.R_error)})


def _described(rows: NDArray[np.void], text: str, axis: Axis, attributes: Mapping[str, object] | None = None) -> Table:
    units = "; ".join(f"{name}: {_unit(name)}" for name in rows.dtype.names or ())
    return Table(rows, text, units, (axis,), attributes or {})


def _numbered(name: str, n: int) -> Axis:
    return Axis(name, np.arange(1, n + 1, dtype=np.int32))


def _unit(name: str) -> str:
    """Return the unit of a column: an error has that of its value, and betas have none."""
    name = name.removesuffix("_error") if name not in _UNITS else name
    name = "electrons" if name.startswith("electrons_beta") else name
    return _UNITS.get(name, _OF_BETAS)


def spectrum_tables(
    spectrum: Spectrum, calibration: Calibration | None, merged: MergedSpectrum | None
) -> dict[str, Table]:
    """Return the datasets of spectrum.h5.

    ``Spectrum`` and ``Peaks`` as in `curve_rows` and `peak_rows`; ``Lines`` are the Gaussian lines of which the curves
    consist, ``Covariance`` that of their terms, line by line; ``Nuisances`` names what was fitted besides;
    ``Resolution`` are the widths of lines that were tried; ``Calibration`` and ``Merged`` where they were asked for.
    """
    lines, geometry = spectrum.lines, spectrum.geometry_errors
    names = ("background", *geometry)
    values = [spectrum.background, *(getattr(spectrum.geometry, name) for name in geometry)]
    errors = [spectrum.background_error, *geometry.values()]
    terms = {"R": lines.radii, "sigma": lines.widths, "electrons": lines.terms[:, 0]}
    terms |= {f"electrons_beta_{degree}": lines.terms[:, k + 1] for k, degree in enumerate(spectrum.degrees)}
    of_terms = tuple(f"{name}_{k + 1}" for k in range(lines.radii.size) for name in [*terms][2:])
    tried = {"sigma": spectrum.tried, "parts": spectrum.parts.astype(float)}
    tried |= {"held_out_log_likelihood": spectrum.held_out}
    tables = {
        "Spectrum": _described(
            curve_rows(spectrum, calibration),
            "electrons against speed, as the radius at which it lands; betas: I(c) ~ 1 + sum beta_l P_l(c), NaN where "
            "there are no electrons; errors: one standard deviation, each point by itself",
            Axis("r", spectrum.r),
        ),
        "Peaks": _described(
            peak_rows(spectrum, calibration),
            "what rises clearly above the valleys beside it",
            _numbered("peak", spectrum.peaks.R.size),
        ),
        "Lines": _described(
            _rows(terms),
            "Gaussian lines of which the curves consist",
            _numbered("line", lines.radii.size),
        ),
        "Covariance": Table(
            lines.covariance,
            "covariance of the terms of Lines; electrons_beta_2_7: of line 7",
            "electrons^2",
            (Axis("term", of_terms), Axis("term_2", of_terms)),
        ),
        "Nuisances": Table(
            named_rows(names, Value=np.array(values), Error=np.array(errors)),
            "what was fitted besides the lines",
            [_OF_NUISANCES.get(name.rpartition("_")[0], "1") for name in names],
            (Axis("nuisance", names),),
        ),
        "Resolution": _described(
            _rows(tried),
            "single widths that were tried for all lines, each on so many fifths of them; empty where it was told",
            _numbered("width_tried", spectrum.tried.size),
        ),
        "Fit": Table(
            np.array([spectrum.gap]),
            "duality gap, in log likelihood; gain_error: relative error that all numbers of electrons share",
            "1",
            attributes={"converged": spectrum.converged, "gain_error": spectrum.gain_error},
        ),
    }
    if calibration is not None:
        tables["Calibration"] = _calibration_table(calibration)
    if merged is not None:
        tables |= _merged_tables(merged)
    return tables


def _calibration_table(calibration: Calibration) -> Table:
    told = {
        "covariance": calibration.covariance,
        "photon_energy": np.nan if calibration.photon_energy is None else calibration.photon_energy,
        "photon_energy_error": calibration.photon_energy_error,
    }
    coefficients = Axis("coefficient", ("a", "b"))
    text = "kinetic energy [eV] = a r^2 + b r^4; covariance: of a and b; photon_energy [eV]: NaN where it is not told"
    return Table(np.array([calibration.a, calibration.b]), text, "eV", (coefficients,), told)


def _merged_tables(merged: MergedSpectrum) -> dict[str, Table]:
    columns = {
        "binding_energy": merged.binding_energy,
        "width": merged.width,
        "intensity_of_energy": merged.intensity,
        "intensity_of_energy_error": merged.error,
        "resolution_of_energy": merged.resolution,
        "axis_error": merged.axis_error,
        "spectra": merged.spectra.astype(float),
    }
    axes = Axis("binding_energy", merged.binding_energy), Axis("binding_energy_2", merged.binding_energy)
    return {
        "Merged": _described(_rows(columns), "this spectrum and those of --merge on one axis", axes[0]),
        "MergedCovariance": Table(
            merged.covariance, "covariance of intensity_of_energy of Merged", "(electrons an eV)^2", axes
        ),
    }


def write_csv(path: Path, rows: NDArray[np.void], comments: tuple[str, ...]) -> None:
    """Write rows as CSV with a line of names, comments first; what is not known is left empty."""
    text = io.StringIO()
    text.writelines(f"# {comment}\n" for comment in comments)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.dtype.names or ())
    for row in rows.tolist():
        writer.writerow(["" if np.isnan(number) else repr(number) for number in row])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def check_others(folder: Path, checksums: Mapping[str, str], others: Sequence[Path]) -> None:
    """Check that spectra that are to be merged hold different electrons, however their files are called.

    Parameters
    ----------
    folder : Path
        Of the shards of the spectrum that is made.
    checksums : mapping
        Of these shards, by name.
    others : sequence of Path
        Files of the other spectra.

    Raises
    ------
    InputError
        A shard is in two of them.
    """
    seen = dict.fromkeys(checksums.values(), folder)
    for path in others:
        shards = read_spectrum_made_by(path).shards.values()
        if twice := [seen[checksum] for checksum in shards if checksum in seen]:
            raise InputError(
                f"{path}: expected other electrons than those of {twice[0]}, found shards that are the same; these "
                "would count twice: leave it out"
            )
        seen |= dict.fromkeys(shards, path)


def read_for_merging(path: Path) -> EnergySpectrum:
    """Read the spectrum of a spectrum.h5 against energy.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, not a spectrum, or one without a calibration that tells the photon energy.
    """
    tables = read_tables(path)
    remedy = "make it with script/gen_spectrum.sh --calibration FILE"
    try:
        rows, lines = tables["Spectrum"].array, tables["Lines"].array
        r, intensity, error_of = (rows[name] for name in ("r", "intensity", "intensity_error"))
        width = np.interp(r, lines["R"], lines["sigma"])
        (a, b), known = tables["Calibration"].array.tolist(), tables["Calibration"].attributes
        photon = float(known["photon_energy"])  # type: ignore[arg-type]
        calibration = Calibration(
            a,
            b,
            np.asarray(known["covariance"], dtype=np.float64).reshape(2, 2),
            photon if np.isfinite(photon) else None,
            float(known["photon_energy_error"]),  # type: ignore[arg-type]
        )
    except (KeyError, ValueError, TypeError) as error:
        found = ", ".join(tables) or "an empty file"
        raise InputError(
            f"{path}: expected a spectrum with its calibration ({error}), found {found}; {remedy}"
        ) from None
    return energy_spectrum(calibration, r, intensity, error_of, width, name=str(path))
