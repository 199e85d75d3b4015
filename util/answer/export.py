"""The answer for others: values, errors, units and covariance as CSV and JSON, in both normalisations."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.fit.result import FitResult
from util.fit.systematics import Systematics
from util.physics import pad
from util.runtime import program
from util.runtime.atomic_file import replacing

UNITS = "R, sigma_R, centre: half the screen; N: electrons; beta: none"
ERROR = "one standard deviation; 0: not fitted but fixed at 0"
NORMALISATIONS = {
    "project": "I(c) = 1/2 + sum_i beta_2i P_2i(c), c = cos(theta) to the laser polarisation z, integral 1",
    "field": "I(c) proportional to 1 + sum_i beta_field_2i P_2i(c); beta_field = 2 beta",
}
# What follows the name of a file in each normalisation.
_SUFFIX = {"project": "", "field": "_field"}


def scale_of(result: FitResult, normalisation: str) -> NDArray[np.float64]:
    """Return factors (P,) from the project's normalisation to another: 2 for each beta in the field's, else 1."""
    scale = np.ones(result.layout.size)
    if normalisation == "field":
        scale[result.layout.beta] = pad.to_field(1)
    return scale


def write_json(path: Path, result: FitResult, warnings: Sequence[str], systematics: Systematics | None = None) -> None:
    """Write names, units, values, errors and covariance in both normalisations, what no image tells, and the warnings.

    doc/answer.schema.json is the schema of the file.
    """
    content: dict[str, object] = {**program.told_of_file("the answer of final.h5", "gen_finaltest_answer")}
    content |= {"units": UNITS, "error": ERROR, "warnings": list(warnings)}
    content |= {"parameters": list(result.names), "unit": list(result.layout.units)}
    unseen = {} if systematics is None else systematics.per_percent
    for key, text in NORMALISATIONS.items():
        scale = scale_of(result, key)
        content[key] = {
            "normalisation": text,
            "value": (scale * result.values).tolist(),
            "error": (scale * result.errors).tolist(),
            "covariance": (np.outer(scale, scale) * result.covariance).tolist(),
            "per_percent": {what: (scale * moved).tolist() for what, moved in unseen.items()},
        }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_csv(path: Path, result: FitResult, warnings: Sequence[str], normalisation: str) -> None:
    """Write one row per parameter: name, value, error, unit; comments first.

    Parameters
    ----------
    path : Path
    result : FitResult
    warnings : sequence of str
    normalisation : {"project", "field"}
    """
    scale = scale_of(result, normalisation)
    columns = (scale * result.values).tolist(), (scale * result.errors).tolist()
    comments = (NORMALISATIONS[normalisation], f"error: {ERROR}", *(f"warning: {warning}" for warning in warnings))
    rows = zip(result.names, *columns, result.layout.units, strict=True)
    _write(path, comments, ("name", "value", "error", "unit"), rows)


def write_covariance(path: Path, result: FitResult, normalisation: str) -> None:
    """Write the covariance as CSV, the names of the parameters in the first row and the first column; comments first.

    Parameters
    ----------
    path : Path
    result : FitResult
    normalisation : {"project", "field"}
    """
    scale = scale_of(result, normalisation)
    matrix = (np.outer(scale, scale) * result.covariance).tolist()
    comments = (NORMALISATIONS[normalisation], "covariance, in the product of the units of the two parameters")
    rows = ((name, *row) for name, row in zip(result.names, matrix, strict=True))
    _write(path, comments, ("name", *result.names), rows)


def _write(path: Path, comments: Iterable[str], head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    text.writelines(f"# {comment}\n" for comment in comments)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def write_all(
    folder: Path, result: FitResult, warnings: Sequence[str] = (), systematics: Systematics | None = None
) -> list[Path]:
    """Write answer.json, and answer.csv and covariance.csv in both normalisations, into a folder; return their paths.

    Those in the field's normalisation are called answer_field.csv and covariance_field.csv.
    """
    paths = [folder / "answer.json"]
    write_json(paths[0], result, warnings, systematics)
    for normalisation, suffix in _SUFFIX.items():
        paths += [folder / f"answer{suffix}.csv", folder / f"covariance{suffix}.csv"]
        write_csv(paths[-2], result, warnings, normalisation)
        write_covariance(paths[-1], result, normalisation)
    return paths
