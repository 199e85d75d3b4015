"""Further runs of the same experiment: each is answered as the first is, and all are joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.answer_steps.bias_and_bootstrap import Unbiased, without_bias
from src.answer_steps.detection import detection_of
from src.answer_steps.drift import followed, tell_drift
from src.answer_steps.likelihood import fit_hits
from src.answer_steps.options import Options
from src.answer_steps.step import Step
from util.answer.tables import Axis, Table, value_table
from util.electrons.hits import Hits, read_hits
from util.fit.agreement import DISAGREE
from util.fit.detection import Detection
from util.fit.joint_runs import Run, join_runs
from util.fit.result import FitResult
from util.fit.systematics import PERCENT, systematics
from util.runtime.errors import InputError
from util.runtime.executor import WorkerPool

LINEAR = 0.15  # quadrupole efficiency up to which the answer moves in proportion; at 0.3 betas are off by 3 errors
RUN = np.dtype([("Shards", "S256"), ("Hits", "<i8"), ("Electrons", "<f8"), ("TurnedDegrees", "<i4")])


@dataclass(frozen=True, eq=False)
class _Answered:
    """A run, and what its own steps said."""

    run: Run
    hits: Hits
    warnings: tuple[str, ...] = ()


def read_further_runs(options: Options, first: Hits) -> list[Hits]:
    """Read the hits of the runs that the options name, turned so that all polarisations lie along z.

    Raises
    ------
    InputError
        Shards that cannot be read, were read before, or whose polarisation lies otherwise than was said.
    """
    runs = [first]
    for folder in options.further:
        hits = read_hits(folder, hit_weights=options.hit_weights, partial=options.partial)
        # Not by their checksums: the same frames may have been searched otherwise.
        if any(hits.source == run.source for run in runs):
            raise InputError(
                f"--with {folder}: expected shards of another run, found some of frames or events that were read "
                "already; name each run once"
            )
        if hits.search is not None:
            runs.append(hits.turned() if options.turned else hits)
            continue
        # Imported hits lie along z already, whatever the axis.
        axis = first.axis if options.turned == 0 else 1 - first.axis
        if hits.axis != axis:
            raise InputError(
                f"--with {folder}: expected data imported with --axis {axis} for --turned {options.turned}, found "
                f"--axis {hits.axis}; tell how the polarisation lies"
            )
        runs.append(hits)
    return runs[1:]


def with_further_runs(
    options: Options,
    hits: Hits,
    further: Sequence[Hits],
    detection: Detection,
    unbiased: Unbiased,
    executor: WorkerPool,
) -> Step:
    """Join the answer of the first run's hits with those of further runs.

    Raises
    ------
    InputError
        A run that cannot be answered with as many spheres.
    """
    runs = [_Answered(_run("the first run", unbiased.answer, detection, turned=False), hits)]
    for folder, more in zip(options.further, further, strict=True):
        runs.append(_answer(folder, more, options, unbiased.answer.layout.spheres, executor))
    joined = join_runs([each.run for each in runs])
    electrons = sum(float(each.hits.weight.sum()) for each in runs)
    lines = [f"{len(runs)} runs, {electrons:.0f} electrons: {joined.text()}"]
    attributes: dict[str, object] = {"chi2": joined.chi2, "dof": joined.dof, "p": joined.p}
    if joined.quadrupole is not None:
        q, error = (value / PERCENT for value in joined.quadrupole)
        lines.append(
            f"quadrupole efficiency of the detector, by runs with the polarisation turned: {q:.3f} +- {error:.3f} %, "
            "taken out"
        )
        attributes |= {"quadrupole_percent": q, "quadrupole_error_percent": error}
    warnings = [warning for each in runs for warning in each.warnings]
    if joined.quadrupole is not None and abs(joined.quadrupole[0]) > LINEAR:
        warnings.append(
            f"the detector's quadrupole efficiency, {100 * joined.quadrupole[0]:.0f} %, is too large to be taken out "
            "in first order; measure it (--efficiency FILE)"
        )
    if joined.p < DISAGREE:
        warnings.append(
            f"the runs disagree (p = {joined.p:.1g}), most in {joined.worst}: they are not of one experiment, or their "
            f"polarisations do not lie as --turned {options.turned} says"
        )
    rows = [
        (str(folder).encode()[-256:], each.hits.count, float(each.hits.weight.sum()), 90 * each.run.turned)
        for folder, each in zip((options.shards, *options.further), runs, strict=True)
    ]
    tables = {"Runs": _table_of_runs(np.array(rows, RUN), attributes)}
    tables |= {
        f"Run_{k}": value_table(each.run.answer, f"the answer of run {k} alone") for k, each in enumerate(runs, 1)
    }
    return Step(joined.answer, tuple(lines), tuple(warnings), tables)


def _table_of_runs(rows: NDArray[np.void], attributes: Mapping[str, object]) -> Table:
    text = (
        "the runs that were joined; chi2, dof, p: of their agreement; TurnedDegrees: of the polarisation, against the "
        "first run's"
    )
    axis = Axis("run", np.arange(1, len(rows) + 1, dtype=np.int32))
    return Table(rows, text, "Electrons: electrons; TurnedDegrees: degrees", (axis,), attributes)


def _answer(folder: Path, hits: Hits, options: Options, spheres: int, executor: WorkerPool) -> _Answered:
    """Answer a run as the first one is."""
    detection, _, of_detection = detection_of(hits, options.model)
    model = replace(options.model, spheres=spheres)
    fitted = fit_hits(hits, folder, model, detection)
    if options.follow_drift:
        hits = followed(hits, fitted.answer, detection)
        fitted = fit_hits(hits, folder, model, detection)
    unbiased = without_bias(fitted.answer, hits, options.simulation, hit_weights=options.hit_weights, executor=executor)
    drift = tell_drift(fitted.answer, hits, detection)
    said = (*of_detection, *fitted.warnings, *drift.warnings, *unbiased.warnings)
    warnings = tuple(f"{folder}: {warning}" for warning in said)
    return _Answered(_run(str(folder), unbiased.answer, detection, turned=options.turned == 90), hits, warnings)


def _run(name: str, answer: FitResult, detection: Detection, *, turned: bool) -> Run:
    efficiency = systematics(answer, detection).efficiency
    assert efficiency is not None
    return Run(name, answer, (-1 if turned else 1) * efficiency / PERCENT, turned)
