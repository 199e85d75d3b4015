"""The answer for others: beta, errors and covariance as CSV and JSON, in both normalisations."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.fit.result import FitResult
from util.fit.systematics import Systematics
from util.physics import pad
from util.runtime.atomic_file import replacing

UNITS = "R, sigma_R, centre: half the screen; N: electrons; beta: none"
ERROR = "one standard deviation; 0: not fitted but fixed at 0"
NORMALISATIONS = {
    "project": "I(c) = 1/2 + sum_i beta_2i P_2i(c), c = cos(theta) to the laser polarisation z, integral 1",
    "field": "I(c) proportional to 1 + sum_i beta_field_2i P_2i(c); beta_field = 2 beta",
}


def scale_of(result: FitResult, normalisation: str) -> NDArray[np.float64]:
    """Return factors (P,) from the project's normalisation to another: 2 for each beta in the field's, else 1."""
    scale = np.ones(result.layout.size)
    if normalisation == "field":
        scale[result.layout.beta] = pad.to_field(1)
    return scale


def write_json(path: Path, result: FitResult, warnings: Sequence[str], systematics: Systematics | None = None) -> None:
    """Write names, values, errors and covariance in both normalisations, what no image tells, and the warnings."""
    content: dict[str, object] = {"units": UNITS, "error": ERROR, "warnings": list(warnings)}
    content["parameters"] = list(result.names)
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
    """Write one row per parameter: name, value, error, then its row of the covariance; comments first.

    Parameters
    ----------
    path : Path
    result : FitResult
    warnings : sequence of str
    normalisation : {"project", "field"}
    """
    scale = scale_of(result, normalisation)
    covariance = np.outer(scale, scale) * result.covariance
    text = io.StringIO()
    text.write(f"# {NORMALISATIONS[normalisation]}\n# {UNITS}\n")
    text.write(f"# error: {ERROR}; then the covariance with each parameter\n")
    text.writelines(f"# warning: {warning}\n" for warning in warnings)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["parameter", "value", "error", *(f"cov_{name}" for name in result.names)])
    for name, value, error, row in zip(
        result.names, scale * result.values, scale * result.errors, covariance, strict=True
    ):
        writer.writerow([name, *(repr(float(number)) for number in (value, error, *row))])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def write_all(
    folder: Path, result: FitResult, warnings: Sequence[str] = (), systematics: Systematics | None = None
) -> list[Path]:
    """Write answer.json, answer.csv and answer_field.csv into a folder; return their paths."""
    paths = [folder / name for name in ("answer.json", "answer.csv", "answer_field.csv")]
    write_json(paths[0], result, warnings, systematics)
    write_csv(paths[1], result, warnings, "project")
    write_csv(paths[2], result, warnings, "field")
    return paths
