"""Tables that stand beside the answer in final.h5."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from util.fit.result import FitResult


@dataclass(frozen=True)
class Table:
    """An array, and the attributes of the dataset that it becomes."""

    array: NDArray[Any]
    attributes: Mapping[str, object] = field(default_factory=dict)


def named_rows(names: tuple[str, ...], **columns: NDArray[np.float64]) -> NDArray[np.void]:
    """Return rows (P,) of float64 `columns`, each array (P,), with the name of a parameter in field ``Name``."""
    rows = np.zeros(len(names), [("Name", "S16"), *((column, "<f8") for column in columns)])
    rows["Name"] = [name.encode() for name in names]
    for column, values in columns.items():
        rows[column] = values
    return rows


def value_rows(result: FitResult) -> NDArray[np.void]:
    """Return rows (P,) with name, value and error of every parameter of an answer."""
    return named_rows(result.names, Value=result.values, Error=result.errors)
