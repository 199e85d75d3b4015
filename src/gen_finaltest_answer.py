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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from src.answer_steps import knowledge, network, summed_frames
from src.answer_steps.bias_and_bootstrap import check_errors, events_of, finder_of, without_bias
from src.answer_steps.command_line import add_options
from src.answer_steps.detection import detection_of
from src.answer_steps.drift import followed, tell_drift
from src.answer_steps.further_runs import read_further_runs, with_further_runs
from src.answer_steps.likelihood import fit_hits
from src.answer_steps.logged_warnings import collect_warnings
from src.answer_steps.options import Options
from src.answer_steps.outcome import frame_with_hits, say, verdict
from src.answer_steps.posterior import answer_with_prior, used_network
from src.answer_steps.step import Step, join
from src.answer_steps.truth import betas_of, distance_to, electrons_in, truth_of
from src.answer_steps.unseen import tell_unseen
from util.answer.export import write_all
from util.answer.final_h5 import answer_rows, answer_tables, table, write_answer, write_tables
from util.answer.posterior import known_spheres
from util.camera.phosphor import PhosphorRecipe
from util.electrons.hits import Hits, read_hits
from util.finder.finder import FinderSettings
from util.fit.result import with_gain_error
from util.report.answer_figures import draw_answer
from util.report.diagnostic_figures import Measured, draw_all
from util.report.frame_figure import ShownFrame
from util.runtime import settings
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options


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


def answer_by_hits(options: Options, logged: Sequence[str], aside: ThreadPoolExecutor) -> None:
    """Answer by the fit to the hits, with all that the options ask for; what it shows beside it is prepared aside."""
    hits = read_hits(options.shards, hit_weights=options.hit_weights, partial=options.partial)
    finaltest = options.finaltest if hits.search else None  # imported data have no frames
    spheres = None if options.model.spheres == "auto" else options.model.spheres
    truth = truth_of(finaltest, hits.dataset, hits.source, spheres)
    detection, told = detection_of(hits, options.model)
    simulation, weights, workers = options.simulation, options.hit_weights, options.workers
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
        print(f"the truth has {len(truth)} spheres, the answer {fitted.answer.layout.spheres}: not compared")
        truth = None
    if seen is None:  # which takes seconds, while other processes simulate
        shown = hits.x, hits.z, hits.weight
        glanced = aside.submit(network.glance, options.network, *shown, spheres=fitted.answer.layout.spheres)
    unbiased = without_bias(fitted.answer, hits, simulation, hit_weights=weights, workers=workers)
    drift = tell_drift(fitted.answer, hits, detection)
    steps: list[Step] = [replace(fitted, lines=(*told, *fitted.lines)), drift, unbiased]
    if frames is not None:
        steps.append(summed_frames.check(unbiased.answer, hits, frames, unbiased.further, workers=workers))
    if simulation.bootstrap:
        steps.append(check_errors(unbiased.answer, hits, simulation, hit_weights=weights, workers=workers))
    if options.further:
        steps.append(with_further_runs(options, hits, further, detection, unbiased))
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
    print(f"{options.output}: {hits.count} hits, {hits.weight.sum():.0f} electrons")
    bias = unbiased.bias
    known_bias = None if bias is None else (bias.bias, bias.error)
    print(table(result, truth, bias=known_bias, systematics=unseen.systematics))
    if seen is None:
        beside = network.compare(glanced.result(), answer_rows(result.R, result.beta)["beta"])
    else:
        beside = network.Comparison(network.describe(seen), {"network": seen.beta})
    if beside:
        print(beside.text)
    say(done)
    spread = hits.variance.sum() / hits.weight.sum()
    if options.figure:
        draw_answer(options.figure, hits.distribution, spread, result, truth, detection, blurred=hits.blurred)
        print(f"figure {options.figure}")
    if options.details:
        frame = shown_frame(finaltest, hits)
        measured = Measured(fitted.goodness, hits.distribution, spread, frame, detection, hits.blurred)
        draw_all(options.details, result, measured, truth=truth, others=beside.betas if beside else {})
        write_all(options.details, result, warnings, unseen.systematics)
        print(f"figures, CSV and JSON in {options.details}")
    print(verdict(result, truth))


def answer_by_sum(options: Options, logged: Sequence[str]) -> None:
    """Answer from the summed frames alone."""
    recipe = settings.load(PhosphorRecipe, options.phosphor)
    finder = settings.load(FinderSettings, options.finder)
    frames, source, learned = summed_frames.learn_frames(
        options.finaltest, options.dataset, options.frame_axis, recipe, finder
    )
    print(learned.report())
    truth = truth_of(options.finaltest, frames.dataset, source, options.few_spheres)

    fitted = summed_frames.fit(
        frames, spheres=options.few_spheres, order=options.model.highest_order, workers=options.workers
    )
    done = knowledge.apply(fitted, options.knowledge)

    warnings, result = (*logged, *done.warnings), done.answer
    made_by = replace(options.made_by(source), **done.facts)
    write_answer(options.output, result, made_by, done.tables, warnings)
    print(f"{options.output}: {result.hits} electrons in the summed frames")
    print(table(result, truth))
    say(done)
    if options.details:
        draw_all(options.details, result, truth=truth)
        write_all(options.details, result, warnings)
        print(f"figures, CSV and JSON in {options.details}")
    print(verdict(result, truth))


def read_by_network(options: Options, logged: Sequence[str]) -> None:
    """Answer with what the network reads, and nothing else."""
    hits = read_hits(options.shards, hit_weights=options.hit_weights, partial=options.partial)
    truth = truth_of(options.finaltest if hits.search else None, hits.dataset, hits.source, options.few_spheres)
    seen = look(options, hits)
    made_by = replace(options.made_by(hits.source, hits.checksums), **used_network(seen))
    write_tables(options.output, answer_tables(seen.R, seen.beta), made_by, logged)
    print(f"{options.output}: {hits.count} hits, {hits.weight.sum():.0f} electrons")
    print(network.describe(seen))
    print(network.table(seen, truth=None if truth is None else betas_of(truth)))
    if truth is not None:
        print(f"distance {distance_to(truth, seen.R, seen.beta):.4f}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    if options.method == "resnet" and options.network is None:
        raise InputError("--method resnet: expected weights, found none; name them, or their folder, with --network")
    with collect_warnings() as logged, ThreadPoolExecutor(1) as aside:
        if options.method == "integrated":
            answer_by_sum(options, logged)
        elif options.raw:
            read_by_network(options, logged)
        else:
            answer_by_hits(options, logged, aside)


if __name__ == "__main__":
    run_program(main)
