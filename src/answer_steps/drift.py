"""A drift of the image while it is taken: told always, followed where that is asked for."""

from dataclasses import replace

from src.answer_steps.step import Step
from util.electrons.hits import Hits
from util.fit import map_data
from util.fit.detection import Detection
from util.fit.drift import follow_centre, measure_drift
from util.fit.result import FitResult
from util.runtime.errors import InputError


def tell_drift(answer: FitResult, hits: Hits, detection: Detection) -> Step:
    """Say how far the image drifts, where it is known what came when."""
    if not _ordered(hits):
        return Step(answer)
    drift = measure_drift(_in_order(hits), answer, detection)
    return Step(answer, warnings=drift.warnings, details=(drift.line,))


def followed(hits: Hits, answer: FitResult, detection: Detection) -> Hits:
    """Return the hits without the drift of the centre.

    Raises
    ------
    InputError
        Hits without the order in which they came.
    """
    if not _ordered(hits):
        raise InputError(
            "--follow-drift: expected shards of frames that were searched, with events, found others, which do not "
            "tell what came when; leave it out"
        )
    moved = follow_centre(_in_order(hits), answer, detection)
    return replace(hits, x=moved.x, z=moved.z)


def _ordered(hits: Hits) -> bool:
    """Return whether the hits lie in the order in which they came: imported ones may lie in any."""
    return hits.events is not None and hits.search is not None


def _in_order(hits: Hits) -> map_data.Hits:
    return map_data.Hits(hits.x, hits.z, hits.weight, hits.variance)
