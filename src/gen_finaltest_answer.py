"""From electrons to the answer: radius, width and anisotropy parameters of each Newton sphere.

usage: python -m src.gen_finaltest_answer --shards FOLDER --output final.h5 [--finaltest FILE] [--figure FILE]
           [--method likelihood|resnet|integrated] [--network DIR] [--details FOLDER] ...

Which method when:
    likelihood  the default: a fit to the hits, with errors and tests, which assumes nothing of the answer
    resnet      the most exact where the prior holds that the network was trained with: the hits and that prior
                together, from where the network looks; refuses hits that speak against it (--raw: its reading alone)
    integrated  the summed frames, without hits: where spots overlap too much to be told apart, or as an independent
                check (--check-integrated puts it beside the likelihood)

reads   FOLDER/final_START_STOP.npz; FILE to see that the shards are of it, to show a frame, to sum its frames where
        asked, and to score where it holds the truth; DIR/*.weights.pt: where there are any, the network's answer is
        printed beside the likelihood's
writes  final.h5: `Answer`, the full parameter vector with its covariance, and what the options add; a figure if asked
        for; with --details FOLDER figures of every aspect, and the answer as CSV and JSON

Nothing of the truth reaches the fit. The last line gives the distance, where it is known, and the statistical floor:
the mean distance of a fit to perfect hits of as many electrons.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.answer_steps import knowledge, network, summed_frames
from src.answer_steps.bias_and_bootstrap import Unbiased, check_errors, events_of, finder_of, without_bias
from src.answer_steps.command_line import add_options
from src.answer_steps.detection import detection_of
from src.answer_steps.drift import followed, tell_drift
from src.answer_steps.further_runs import read_further_runs, with_further_runs
from src.answer_steps.likelihood import fit_hits
from src.answer_steps.logged_warnings import collect_warnings
from src.answer_steps.options import Options
from src.answer_steps.outcome import frame_with_hits, open_after_answer, say, tell_replaced, verdict
from src.answer_steps.posterior import answer_with_prior, used_network
from src.answer_steps.step import Step, join
from src.answer_steps.truth import betas_of, distance_to, electrons_in, truth_of
from src.answer_steps.unseen import Unseen, tell_unseen
from util.answer.export import write_all
from util.answer.final_h5 import answer_rows, answer_tables, describe_fit, table, write_answer, write_tables
from util.answer.posterior import known_spheres
from util.camera.phosphor import PhosphorRecipe
from util.electrons.hits import Hits, read_hits
from util.electrons.shards import list_shards
from util.finder.finder import FinderSettings
from util.fit.result import FitResult, with_gain_error
from util.physics.sphere import Sphere
from util.report.answer_figures import draw_answer
from util.report.diagnostic_figures import Measured, draw_all, load_figures
from util.report.frame_figure import ShownFrame
from util.runtime import console, settings
from util.runtime.errors import InputError, run_program
from util.runtime.executor import WorkerPool, open_executor, open_helper, prepare, result_of
from util.runtime.options import Parser, as_options
from util.runtime.progress import working
from util.simulation.virtual_experiment import load_simulation


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_finaltest_answer.sh", __doc__)
    add_options(parser)
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def look(options: Options, hits: Hits) -> network.Look:
    """Let the network look at the hits.

    Raises
    ------
    InputError
        No weights, or none for such spheres.
    """
    paths = network.find_weights(options.network)
    seen = network.look(paths, hits.x, hits.z, hits.weight, spheres=options.few_spheres)
    if not options.raw and options.model.highest_order < 2 * seen.prior.betas:
        raise InputError(
            f"--order: expected {2 * seen.prior.betas}, up to which the prior of {seen.weights.name} goes, found "
            f"{options.model.highest_order}; leave it out, or answer with METHOD=likelihood"
        )
    return seen


def check_possible(options: Options, hits: Hits) -> None:
    """Refuse what cannot be simulated or checked before the fit is made.

    Raises
    ------
    InputError
        Frames that are to be simulated or summed of hits that have none.
    """
    simulated = options.simulation.bias or options.simulation.bootstrap
    if hits.search is None and (simulated or options.check_integrated):
        raise InputError(
            "--bias, --bootstrap, --check-integrated: imported data have no frames, which could be simulated and "
            "searched; leave these out"
        )
    if simulated:
        finder_of(hits)
        events_of(hits)


def shown_frame(path: Path | None, hits: Hits) -> ShownFrame | None:
    """Return a frame, its hits and, where the file tells, where its electrons truly were; None without frames."""
    found = frame_with_hits(path, hits)
    if path is None or found is None:
        return None
    image, in_it = found
    return ShownFrame(image, in_it, electrons_in(path, int(in_it["ImageId"][0])))


def answer_by_hits(options: Options, logged: Sequence[str], executor: WorkerPool, aside: Executor | None) -> None:
    """Answer by the fit to the hits, with all that the options ask for; the network looks aside, where there is one."""
    hits = read_hits(options.shards, hit_weights=options.hit_weights, partial=options.partial)
    finaltest = options.finaltest if hits.search else None  # imported data have no frames
    spheres = None if options.model.spheres == "auto" else options.model.spheres
    truth = truth_of(finaltest, hits.dataset, hits.source, spheres)
    detection, told, of_detection = detection_of(hits, options.model)
    simulation, weights = options.simulation, options.hit_weights
    check_possible(options, hits)
    further = read_further_runs(options, hits)
    frames = summed_frames.frames_of(hits, options.finaltest) if options.check_integrated else None

    seen = look(options, hits) if options.method == "resnet" else None
    known = None if seen is None else known_spheres(seen.prior, float(hits.weight.sum()))
    tries = () if seen is None else seen.tries
    fitted = fit_hits(hits, options.shards, options.model, detection, known=known, tries=tries)
    if options.follow_drift:
        hits = followed(hits, fitted.answer, detection)
        fitted = fit_hits(hits, options.shards, options.model, detection, known=known, tries=tries)
    if truth is not None and len(truth) != fitted.answer.layout.spheres:
        console.say(f"the truth has {len(truth)} spheres, the answer {fitted.answer.layout.spheres}: not compared")
        truth = None
    glanced = None
    if aside is not None:
        shown = hits.x, hits.z, hits.weight
        glanced = aside.submit(network.glance, options.network, *shown, spheres=fitted.answer.layout.spheres)
    unbiased = without_bias(fitted.answer, hits, simulation, hit_weights=weights, executor=executor)
    if options.details:
        prepare(executor, load_figures)
    drift = tell_drift(fitted.answer, hits, detection)
    steps: list[Step] = [Step(fitted.answer, told, of_detection), fitted, drift, unbiased]
    if frames is not None:
        steps.append(summed_frames.check(unbiased.answer, hits, frames, unbiased.further, executor))
    if simulation.bootstrap:
        steps.append(check_errors(unbiased.answer, hits, simulation, hit_weights=weights, executor=executor))
    if options.further:
        steps.append(with_further_runs(options, hits, further, detection, unbiased, executor))
    if seen is not None and known is not None:
        steps.append(answer_with_prior(fitted, seen, known, unbiased, seed=simulation.seed, force=options.force))
    else:
        steps.append(knowledge.apply(steps[-1].answer, options.knowledge))
    # At last: what all numbers of electrons share would hide how the spheres' own parameters depend on each other.
    steps.append(Step(with_gain_error(steps[-1].answer, hits.gain_error)))
    efficiency_known = options.model.efficiency is not None or options.turned == 90
    unseen = tell_unseen(steps[-1].answer, detection, efficiency_known=efficiency_known)
    steps.append(unseen)
    done = join(steps)

    warnings, result = (*logged, *done.warnings), done.answer
    made_by = replace(options.made_by(hits.source, hits.checksums), **done.facts)
    write_answer(options.output, result, made_by, done.tables, warnings)
    tell_numbers(options, hits, unbiased, unseen, result, truth)
    beside = tell_network(result, seen or glanced)
    say(done)
    spread = hits.variance.sum() / hits.weight.sum()
    if options.figure:
        draw_answer(options.figure, hits.distribution, spread, result, truth, detection, blurred=hits.blurred)
        console.say(f"figure {options.figure}")
    if options.details:
        frame = shown_frame(finaltest, hits)
        measured = Measured(hits.distribution, spread, frame, detection, hits.blurred)
        with working("drawing"):
            draw_all(options.details, result, fitted.goodness, measured, truth=truth, others=beside, executor=executor)
        write_all(options.details, result, warnings, unseen.systematics)
        console.say(open_after_answer(options.output, options.details))
    console.conclude(verdict(result, truth))


def tell_numbers(
    options: Options,
    hits: Hits,
    unbiased: Unbiased,
    unseen: Unseen,
    result: FitResult,
    truth: Sequence[Sphere] | None,
) -> None:
    """Print the electrons, and the table of all parameters."""
    spheres = ", ".join(f"{n:.0f} of sphere {s}" for s, n in enumerate(unbiased.answer.electrons, 1))
    console.say(f"{options.output}: {hits.count} hits, {hits.weight.sum():.0f} electrons: {spheres}")
    if console.chosen() is not console.Level.VERBOSE:
        console.say(table(result, truth))
        return
    bias = None if unbiased.bias is None else (unbiased.bias.bias, unbiased.bias.error)
    console.say(table(result, truth, bias=bias, systematics=unseen.systematics))
    console.say(describe_fit(result))


def tell_network(
    result: FitResult, seen: network.Look | Future[network.Look | str | None] | None
) -> dict[str, NDArray[np.float64]]:
    """Print what the network saw, or will have seen, beside the answer; return its betas by its name, if any."""
    if seen is None:
        return {}
    if isinstance(seen, network.Look):
        console.say(network.describe(seen))
        return {"network": seen.beta}
    with working("asking the network"):
        beside = network.compare(result_of(seen), answer_rows(result.R, result.beta)["beta"])
    if beside is None:
        return {}
    console.say(beside.text)
    if beside.details:
        console.detail(beside.details)
    return beside.betas


def answer_by_sum(options: Options, logged: Sequence[str], executor: WorkerPool) -> None:
    """Answer from the summed frames alone."""
    recipe = settings.load(PhosphorRecipe, options.phosphor)
    finder = settings.load(FinderSettings, options.finder)
    frames, source, learned = summed_frames.learn_frames(
        options.finaltest, options.dataset, options.frame_axis, recipe, finder
    )
    console.say(learned.report())
    truth = truth_of(options.finaltest, frames.dataset, source, options.few_spheres)

    fitted = summed_frames.fit(
        frames, spheres=options.few_spheres, order=options.model.highest_order, executor=executor
    )
    done = join([fitted, knowledge.apply(fitted.answer, options.knowledge)])

    warnings, result = (*logged, *done.warnings), done.answer
    made_by = replace(options.made_by(source), **done.facts)
    write_answer(options.output, result, made_by, done.tables, warnings)
    console.say(f"{options.output}: {result.hits} electrons in the summed frames")
    console.say(table(result, truth))
    say(done)
    if options.details:
        with working("drawing"):
            draw_all(options.details, result, fitted.goodness, truth=truth, executor=executor)
        write_all(options.details, result, warnings)
        console.say(open_after_answer(options.output, options.details))
    console.conclude(verdict(result, truth))


def read_by_network(options: Options, logged: Sequence[str]) -> None:
    """Answer with what the network reads, and nothing else."""
    hits = read_hits(options.shards, hit_weights=options.hit_weights, partial=options.partial)
    truth = truth_of(options.finaltest if hits.search else None, hits.dataset, hits.source, options.few_spheres)
    seen = look(options, hits)
    made_by = replace(options.made_by(hits.source, hits.checksums), **used_network(seen))
    write_tables(options.output, answer_tables(seen.R, seen.beta), made_by, logged)
    console.say(f"{options.output}: {hits.count} hits, {hits.weight.sum():.0f} electrons")
    console.say(network.describe(seen))
    console.say(network.table(seen, truth=None if truth is None else betas_of(truth)))
    if truth is None:
        console.conclude(f"{options.output}: what the network alone reads, without errors")
    else:
        console.conclude(f"distance {distance_to(truth, seen.R, seen.beta):.4f}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    if options.method == "resnet" and options.network is None:
        raise InputError("--method resnet: expected weights, found none; name them, or their folder, with --network")
    if options.method != "integrated":
        list_shards(options.shards)  # before processes are started for nothing
    tell_replaced(options.output, None if options.raw else options.details)
    with collect_warnings() as logged, ExitStack() as processes:
        if options.raw:
            read_by_network(options, logged)
            return
        executor = processes.enter_context(open_executor(options.workers))
        if options.method == "integrated":
            answer_by_sum(options, logged, executor)
            return
        aside, weights = None, network.find_weights(options.network)
        if weights and options.method == "likelihood":
            aside = processes.enter_context(open_helper())
            aside.submit(network.load, weights, spheres=options.few_spheres)
        if options.simulation.bias != 0:
            prepare(executor, load_simulation)
        answer_by_hits(options, logged, executor, aside)


if __name__ == "__main__":
    run_program(main)
