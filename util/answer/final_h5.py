"""final.h5: the answer in the course's format, and beside it all that one needs to trust and reproduce it."""

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from util.answer.made_by import MadeBy, SpectrumMadeBy, root_attributes
from util.answer.tables import (
    Axis,
    Table,
    add_table,
    covariance_table,
    labels_axis,
    named_rows,
    parameter_table,
    told_by,
)
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.fit.systematics import Systematics
from util.physics import pad
from util.physics.sphere import Sphere
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.runtime.hdf5 import describe, reading_hdf5
from util.runtime.hdf5_stored import content_of

_REMEDY = "make it with script/gen_finaltest_answer.sh"
BETAS = 12  # of each sphere in `Answer`
# What the columns of a printed table are.
_COLUMNS = {
    "error": "one standard deviation",
    "floor": "the error of as many perfect hits",
    "finder": "what finding adds",
    "known to": "error of that",
    "1 % uneven": "what 1 % of quadrupole efficiency would add",
    "truth": "what was simulated",
    "pull": "(value - truth) / error",
}
ANSWER_DTYPE = np.dtype([("SphereId", "u1"), ("R", "<f8"), ("beta", "<f8", (BETAS,))])


def answer_rows(R: NDArray[np.float64], beta: NDArray[np.float64]) -> NDArray[np.void]:
    """Return rows of `Answer`, ascending in R.

    Parameters
    ----------
    R : (spheres,)
    beta : (spheres, n), n <= 12
        Of I(c) = 1/2 + sum beta P(c); betas that were not fitted become 0.
    """
    rows = np.zeros(len(R), ANSWER_DTYPE)
    order = np.argsort(R)
    rows["SphereId"] = np.arange(len(R))
    rows["R"] = np.asarray(R)[order]
    rows["beta"][:, : beta.shape[1]] = np.asarray(beta)[order]
    return rows


def answer_tables(R: NDArray[np.float64], beta: NDArray[np.float64]) -> dict[str, Table]:
    """Return `Answer` and `AnswerField`, which repeats it in the field's normalisation; arguments as `answer_rows`."""
    field = pad.to_field(beta)
    return {
        "Answer": sphere_table(R, beta, "the answer, in the course's format", "I(c) = 1/2 + sum beta_2i P_2i(c)"),
        "AnswerField": sphere_table(
            R, field, "the answer, in the field's normalisation", "I(c) proportional to 1 + sum beta P(c)"
        ),
    }


def sphere_table(R: NDArray[np.float64], beta: NDArray[np.float64], description: str, convention: str) -> Table:
    """Return `answer_rows` as a table; its axis counts the spheres from 1, as the names of parameters do."""
    rows = answer_rows(R, beta)
    return Table(
        rows,
        f"{description}: one row a sphere, smaller R first; beta: beta_2, beta_4 .. beta_{2 * BETAS}",
        "R: half screens; beta: 1",
        (Axis("sphere", np.arange(1, len(rows) + 1, dtype=np.int32)),),
        {
            "convention": f"{convention}, c = cos(theta) to the laser polarisation",
            "SphereId": "counted from 0, as the course does: SphereId 0 is sphere 1 of the names R_1, beta_2_1 ..",
        },
    )


def write_answer(
    path: Path,
    result: FitResult,
    made_by: MadeBy,
    tables: Mapping[str, Table] | None = None,
    warnings: Sequence[str] = (),
) -> None:
    """Write final.h5.

    ``Answer`` holds what the course asks for. ``AnswerField`` repeats it in the field's normalisation. ``Parameters``
    names every parameter of the fit, with its value, its error and the error that perfect hits would have left;
    ``Nuisances`` repeats those that are neither a sphere's nor the centre;
    ``Covariance`` and ``FloorCovariance`` (P, P) are in that order. ``Centre`` (2,) is the image of the laser focus.
    ``Goodness`` holds deviance, degrees of freedom and the condition number; ``Warnings`` holds what speaks against
    the answer; ``MadeBy`` is the JSON text of `util.answer.made_by.MadeBy`.

    Parameters
    ----------
    path : Path
    result : FitResult
    made_by : MadeBy
    tables : mapping of a dataset's name to its table, or None
        Written beside the rest.
    warnings : sequence of str
    """
    floor, layout = np.sqrt(np.diag(result.floor_covariance)), result.layout
    goodness = np.array(
        [(result.deviance, result.dof, result.condition)],
        [("Deviance", "<f8"), ("DegreesOfFreedom", "<i8"), ("Condition", "<f8")],
    )
    index = [layout.index(name) for name in layout.nuisances]
    nuisances = named_rows(layout.nuisances, Value=result.values[index], Error=result.errors[index])
    columns = {"Value": result.values, "Error": result.errors, "Floor": floor}
    own = {
        "Parameters": parameter_table(
            layout,
            columns,
            "every parameter of the fit; Error: one standard deviation, 0: fixed; Floor: the error that as many "
            "perfect hits would leave; NAME_1: of sphere 1, the one of the smallest R",
        ),
        "Nuisances": Table(
            nuisances,
            "those of Parameters that are neither a sphere's nor the centre's",
            [layout.units[i] for i in index],
            (Axis("nuisance", layout.nuisances),),
        ),
        "Covariance": covariance_table(result.covariance, layout, "covariance of Parameters"),
        "FloorCovariance": covariance_table(
            result.floor_covariance, layout, "covariance that as many perfect hits would leave"
        ),
        "Centre": Table(
            result.centre, "the image of the laser focus (x, z)", "half screens", (Axis("direction", ("x", "z")),)
        ),
        "Goodness": Table(goodness, "how well the fit describes the image; Condition: of the information matrix", "1"),
    }
    write_tables(path, {**answer_tables(result.R, result.beta), **own, **(tables or {})}, made_by, warnings)


def write_tables(
    path: Path, tables: Mapping[str, Table], made_by: MadeBy | SpectrumMadeBy, warnings: Sequence[str]
) -> None:
    """Write tables, `Warnings` and `MadeBy` into a file, whole or not at all."""
    # In memory first: HDF5, once it meets a full disk, cannot even close its file.
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs.update(root_attributes(made_by))
        texts = np.array(warnings, dtype=h5py.string_dtype())
        told = {"Warnings": Table(texts, "what speaks against the result, as standard error told it")}
        for name, kept in {**tables, **told}.items():
            add_table(file, name, kept)
        made = file.create_dataset("MadeBy", data=made_by.to_json(), dtype=h5py.string_dtype())
        made.attrs["description"] = "JSON: settings, versions, checksums of the shards, fingerprint of the frames"
    with replacing(path) as temporary:
        temporary.write_bytes(image.getbuffer())


def read_answer(path: Path) -> NDArray[np.void]:
    """Return the rows of `Answer`, dtype `ANSWER_DTYPE`.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, or without an `Answer` of that type.
    """
    with _opened(path) as file:
        found = _dataset(path, file, "Answer")
        if found.dtype != ANSWER_DTYPE or found.ndim != 1:
            raise InputError(
                f"{path}: Answer: expected rows of {ANSWER_DTYPE}, found shape {found.shape} of {found.dtype}; "
                f"{_REMEDY}"
            )
        return content_of(found)


def read_made_by(path: Path) -> MadeBy:
    """Read what an answer was made by.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, or without a `MadeBy` of that kind.
    """
    return MadeBy.from_json(_made_by(path), path)


def read_spectrum_made_by(path: Path) -> SpectrumMadeBy:
    """Read what a spectrum was made by; errors as in `read_made_by`."""
    return SpectrumMadeBy.from_json(_made_by(path), path)


def _made_by(path: Path) -> Any:
    with _opened(path) as file:
        found = _dataset(path, file, "MadeBy")
        if found.shape != () or h5py.check_string_dtype(found.dtype) is None:
            raise InputError(f"{path}: MadeBy: expected a text, found shape {found.shape} of {found.dtype}; {_REMEDY}")
        return content_of(found)


def read_parameters(path: Path) -> tuple[Layout, NDArray[np.float64], NDArray[np.float64]]:
    """Return the layout, the values (P,) and the errors (P,) of `Parameters`.

    Raises
    ------
    InputError
        Missing, not HDF5, damaged, or an answer without errors, as the network gives it.
    """
    remedy = "make it with METHOD=likelihood script/gen_finaltest_answer.sh"
    with _opened(path, remedy) as file:
        found = _dataset(path, file, "Parameters", remedy)
        if not {"Name", "Value", "Error"} <= set(found.dtype.names or ()):
            kind = describe(found.dtype)
            raise InputError(f"{path}: Parameters: expected Name, Value and Error, found {kind}; {remedy}")
        rows = content_of(found)
    try:
        return Layout.from_names([name.decode() for name in rows["Name"]]), rows["Value"], rows["Error"]
    except ValueError as error:
        raise InputError(f"{path}: Parameters: {error}; {remedy}") from None


def read_tables(path: Path) -> dict[str, Table]:
    """Return all that `write_tables` wrote but `MadeBy`, by name, with all that each says of itself as attributes.

    Raises
    ------
    InputError
        Missing, not HDF5 or damaged.
    """
    with _opened(path) as file:
        found = [_dataset(path, file, name) for name in file if name != "MadeBy"]
        tables = {
            dataset.name[1:]: Table(content_of(dataset), attributes=told_by(dataset))
            for dataset in found
            if not labels_axis(dataset)
        }
    for name, kept in tables.items():
        _check_texts(path, name, kept.array)
    return tables


def _check_texts(path: Path, table: str, array: NDArray[Any]) -> None:
    """Raise InputError for a table whose texts are none."""
    columns = [array[name] for name in array.dtype.names] if array.dtype.names else [array]
    try:
        for column in columns:
            for text in column.ravel().tolist() if column.dtype.kind in "SO" else ():
                text.decode()
    except (AttributeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {table}: expected text, found bytes that are none ({error}); {_REMEDY}") from None


def _opened(path: Path, remedy: str = _REMEDY) -> AbstractContextManager[h5py.File]:
    return reading_hdf5(path, f"no such file; {remedy}", remedy)


def _dataset(path: Path, file: h5py.File, name: str, remedy: str = _REMEDY) -> h5py.Dataset:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{path}: expected a dataset {name}, found {', '.join(file) or 'an empty file'}; {remedy}")
    return found


def table(
    result: FitResult,
    truth: Sequence[Sphere] | None,
    *,
    bias: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    systematics: Systematics | None = None,
) -> str:
    """Return every parameter with its error, the error that perfect hits would have left, and the truth if known.

    The last line says what the columns are.

    Parameters
    ----------
    result : FitResult
    truth : sequence of Sphere, or None
        Ascending in R.
    bias : two arrays (P,), or None
        The finder's bias and its error, to stand beside the statistical error.
    systematics : Systematics or None
        What a percent of quadrupole efficiency moves, to stand there too.
    """
    layout = result.layout
    digits = np.full(layout.size, 6)
    digits[layout.numbers] = 0
    errors = np.where(result.errors > 0, result.errors, np.nan)
    columns = {
        "parameter": list(result.names),
        "value": _texts(result.values, digits),
        "error": _texts(errors, digits, missing="fixed"),
        "floor": _texts(np.sqrt(np.diag(result.floor_covariance)), digits),
    }
    if bias is not None:
        # Numbers and centre have none that a simulation could tell.
        told = np.where(bias[1] > 0, bias, np.nan)
        columns["finder"], columns["known to"] = (_texts(part, digits, missing="-") for part in told)
    if systematics is not None and systematics.efficiency is not None:
        columns["1 % uneven"] = _texts(np.where(errors > 0, systematics.efficiency, np.nan), digits, missing="-")
    if truth is not None:
        known = layout.known(*zip(*((sphere.R, sphere.sigma_R, sphere.beta) for sphere in truth), strict=True))
        columns["truth"] = _texts(known, digits)
        columns["pull"] = _texts((result.values - known) / errors, np.full(layout.size, 2))
    align = ("left", *["right"] * (len(columns) - 1))
    text = tabulate(columns, headers="keys", tablefmt="plain", colalign=align, disable_numparse=True)
    legend = "; ".join(f"{name}: {what}" for name, what in _COLUMNS.items() if name in columns)
    return f"{text}\n{legend}"


def describe_fit(result: FitResult) -> str:
    """Say how well the fit describes its bins, and how well these tell its parameters apart."""
    return f"deviance {result.deviance:.0f} for {result.dof} degrees of freedom; condition {result.condition:.0f}"


def _texts(values: NDArray[np.float64], digits: NDArray[np.int64], missing: str = "") -> list[str]:
    """Write numbers (P,), each to so many digits (P,); `missing` where there is none (nan)."""
    return [missing if np.isnan(value) else f"{value:.{n}f}" for value, n in zip(values, digits, strict=True)]
