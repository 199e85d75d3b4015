"""The fit to the hits, and the tests of the hits against what it found."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from src.answer_steps.options import Model
from src.answer_steps.step import Step
from util.answer.tables import Axis, Table
from util.electrons.hits import Hits
from util.fit import map_data
from util.fit.constraints import with_orders
from util.fit.detection import Detection
from util.fit.goodness import Goodness, assess
from util.fit.known_spheres import KnownSpheres
from util.fit.result import FitResult
from util.fit.selection import Wanted, fit_selected
from util.runtime.errors import InputError
from util.runtime.progress import working


@dataclass(frozen=True, kw_only=True)
class Fitted(Step):
    """The answer of the hits, or of the summed frames, alone, and how well it describes them."""

    goodness: Goodness


def fit_hits(
    hits: Hits,
    shards: Path,
    model: Model,
    detection: Detection,
    *,
    known: KnownSpheres | None = None,
    tries: tuple[tuple[float, ...], ...] = (),
) -> Fitted:
    """Choose what to fit, fit it, and test the hits against it.

    `known` and `tries` as in `util.fit.selection.Wanted`.

    Raises
    ------
    InputError
        Too few hits, or a fit that does not converge; it names `shards`.
    """
    spheres = None if model.spheres == "auto" else model.spheres
    wanted = Wanted(spheres, model.highest_order, model.start, model.pieces, model.optional, known, tries)
    try:
        with working("fitting"):
            found, chosen = fit_selected(map_data.Hits(hits.x, hits.z, hits.weight, hits.variance), wanted, detection)
    except InputError as error:
        raise InputError(f"{shards}: {error}") from None
    if not found.converged:
        raise InputError(f"{shards}: the fit of {len(chosen.start)} spheres did not converge; look at the distribution")
    if len(model.order) > 1:
        found = with_orders(found, model.order)
    rng = np.random.default_rng(1)
    goodness = assess(hits.x, hits.z, hits.weight, found, rng=rng, variance=hits.variance, detection=detection)
    fitted = tested(found, goodness)
    return replace(fitted, lines=(*chosen.said, *fitted.lines))


def tested(found: FitResult, goodness: Goodness) -> Fitted:
    """Return an answer with what its tests say."""
    return Fitted(
        found,
        lines=(goodness.summary(),),
        details=(goodness.table(),),
        warnings=tuple(goodness.warnings),
        tables={"Tests": table_of_tests(goodness)},
        goodness=goodness,
    )


def table_of_tests(goodness: Goodness) -> Table:
    """Return the tests of the hits against a fit as a table."""
    return Table(
        goodness.rows(),
        "whether the fit describes the hits; P: how often chance alone gives as much; Text: what was found, with its "
        "unit; Value and Error: the number of that text",
        axes=(Axis("test", tuple(test.name for test in goodness.tests)),),
    )
