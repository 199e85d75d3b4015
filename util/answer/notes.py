"""What an answer carries beside its numbers: what is printed, what is warned of, and what goes into final.h5."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from util.fit.result import FitResult


@dataclass
class Notes:
    """Collected step by step.

    Attributes
    ----------
    lines, warnings : lists of str
    datasets : dict of name to (array, attributes)
        For final.h5.
    facts : dict
        For its `util.answer.made_by.MadeBy`: fields by name.
    """

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    datasets: dict[str, tuple[NDArray, dict[str, object]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def keep(self, name: str, array: NDArray, **attributes: object) -> None:
        """Take an array for final.h5."""
        self.datasets[name] = (array, attributes)

    def keep_values(self, name: str, result: FitResult, **attributes: object) -> None:
        """Take names, values and errors of an answer for final.h5."""
        self.keep(name, named_rows(result.names, Value=result.values, Error=result.errors), **attributes)


def named_rows(names: tuple[str, ...], **columns: NDArray) -> NDArray:
    """Table of floats (P,), each row with its parameter's name."""
    rows = np.zeros(len(names), [("Name", "S16"), *((column, "<f8") for column in columns)])
    rows["Name"] = [name.encode() for name in names]
    for column, values in columns.items():
        rows[column] = values
    return rows
