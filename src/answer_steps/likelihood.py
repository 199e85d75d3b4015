"""The fit to the hits, and the tests of the hits against what it found."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.answer_steps.step import Step
from util.answer.tables import Table
from util.electrons.hits import Hits
from util.fit.goodness import Goodness, assess
from util.fit.likelihood import fit
from util.runtime.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Fitted(Step):
    """The answer of the hits alone, and how well it describes them."""

    goodness: Goodness


def fit_hits(hits: Hits, shards: Path, *, spheres: int, order: int) -> Fitted:
    """Fit the spheres' parameters, up to Legendre degree `order`, and test the hits against them.

    Raises
    ------
    InputError
        Too few hits, or a fit that does not converge; it names `shards`.
    """
    try:
        found = fit(hits.x, hits.z, hits.weight, variance=hits.variance, spheres=spheres, order=order)
    except InputError as error:
        raise InputError(f"{shards}: {error}") from None
    if not found.converged:
        raise InputError(f"{shards}: the fit of {spheres} spheres did not converge; look at the distribution")
    goodness = assess(hits.x, hits.z, hits.weight, found, rng=np.random.default_rng(1), variance=hits.variance)
    return Fitted(
        found,
        lines=(goodness.table(),),
        warnings=tuple(goodness.warnings),
        tables={"Tests": Table(goodness.rows())},
        goodness=goodness,
    )
