"""What every step of the answer stage returns."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from util.answer.tables import Table
from util.fit.result import FitResult


@dataclass(frozen=True)
class Step:
    """An answer after a step, and what the step has to say of it.

    Attributes
    ----------
    answer : FitResult
        The one that the step was given, unless it changed it.
    lines : tuple of str
        For standard output.
    warnings : tuple of str
        For standard error, and for `Warnings` of final.h5.
    tables : mapping of a dataset's name to its table
        For final.h5.
    facts : mapping of a field of `util.answer.made_by.MadeBy` to its value
    details : tuple of str
        For standard output where every number and test is asked for.
    """

    answer: FitResult
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    details: tuple[str, ...] = ()


def join(steps: Sequence[Step]) -> Step:
    """Return what all steps said, in their order, with the answer of the last; at least one step."""
    return Step(
        steps[-1].answer,
        tuple(itertools.chain.from_iterable(step.lines for step in steps)),
        tuple(itertools.chain.from_iterable(step.warnings for step in steps)),
        {name: table for step in steps for name, table in step.tables.items()},
        {name: fact for step in steps for name, fact in step.facts.items()},
        tuple(itertools.chain.from_iterable(step.details for step in steps)),
    )
