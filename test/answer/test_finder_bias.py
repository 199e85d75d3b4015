"""The finder's bias: measured on simulated frames, known as well as it says, subtracted; the bootstrap alike."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from support import truth
from util.answer import bootstrap as bootstrapping
from util.answer import finder_bias
from util.answer.bootstrap import bootstrap
from util.answer.finder_bias import FinderBias, measure_bias, scene_at, seen_in, subtract
from util.camera.detector import Detector
from util.camera.phosphor import Normal, PhosphorRecipe, mean_flux
from util.finder.finder import FinderSettings
from util.fit.likelihood import fit
from util.physics import pad
from util.physics.polar_map import PolarBins
from util.runtime import settings
from util.runtime.executor import open_executor
from util.simulation.virtual_experiment import ELECTRON, Played, Scene, VirtualExperiment

pytestmark = pytest.mark.slow

DETECTOR = Detector.of_recipe(settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml"))
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")
FRAMES = 200
# Half the resolution of the default each way: 1 % wider errors, a quarter of the time.
COARSE = partial(fit, bins=PolarBins(500, 96))


def scene():
    parts = zip(*((s.R, s.sigma_R, s.beta) for s in truth.DESIGN), strict=True)
    return Scene(*parts, (0.5, 0.5), (0.0, 0.0), (86,))


@pytest.fixture(scope="module", autouse=True)
def coarse_fits():
    """Fit all hits in coarse bins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrapping, "fit", COARSE)
        yield


@pytest.fixture(scope="module")
def experiment():
    with open_executor(1) as executor:
        yield VirtualExperiment(DETECTOR, FINDER, executor)


@pytest.fixture(scope="module")
def run(experiment):
    return experiment.play(scene(), FRAMES, seed=9)


@pytest.fixture(scope="module")
def answer(run):
    return COARSE(*(run.found[key] for key in ("x", "z", "weight")), start=[(s.R, s.sigma_R) for s in truth.DESIGN])


@pytest.fixture(scope="module")
def bias(experiment, run, answer):
    return measure_bias(answer, seen_in(run.found, run.found["weight"], FRAMES), FRAMES, experiment, seed=1)


def test_the_bias_is_small_beside_the_errors_and_is_subtracted(answer, bias):
    assert bias.frames == FRAMES and bias.layout == answer.layout
    betas = answer.layout.beta.ravel()
    assert np.abs(bias.bias[betas] / answer.errors[betas]).max() < 0.5
    assert np.all(bias.error[betas] > 0)
    assert bias.bias[0] == bias.bias[-1] == bias.error[0] == 0
    assert bias.unlike == () and bias.changes(answer) < 0.01  # so that it is measured once
    corrected = subtract(answer, bias)
    assert np.allclose(corrected.values + bias.bias, answer.values)
    assert np.array_equal(corrected.beta, corrected.values[answer.layout.beta])
    assert np.allclose(corrected.errors**2, answer.errors**2 + bias.error**2)


class Painted:
    """A virtual experiment whose finder is known: it blurs electrons, and takes two close to the equator for one."""

    detector = DETECTOR

    def __init__(self, blur, weight_spread=0.1, merged=0.0):
        self.blur, self.weight_spread, self.merged = blur, weight_spread, merged

    def where(self, electrons):
        return np.abs(electrons["z"]) < 0.2

    def play(self, scene, frames, *, seed):
        rng = np.random.default_rng(seed)
        crowd = round(np.mean(scene.crowd))
        electrons = np.zeros(crowd * frames, ELECTRON)
        electrons["ImageId"] = np.repeat(np.arange(frames), crowd)
        electrons["x"], electrons["z"] = scene.draw(electrons.size, rng=rng)
        electrons["flux"] = rng.normal(1, 0.17, electrons.size)
        found = np.zeros(electrons.size, [*ELECTRON.descr, ("A", "<f8"), ("sigma", "<f8"), ("weight", "<f8")])
        for name in ELECTRON.names:
            found[name] = electrons[name]
        for name in ("x", "z"):
            found[name] += rng.normal(0, self.blur, electrons.size)
        found["flux"] += rng.normal(0, self.weight_spread, electrons.size)
        found["A"] = rng.normal(100, 10, electrons.size)
        found["sigma"] = rng.normal(0.015, 0.001, electrons.size)
        # The flux of those that are lost is in those that stay.
        there = self.where(electrons)
        lost = there & (rng.random(electrons.size) < self.merged * crowd / 86)
        found["flux"][there] *= 1 / (1 - self.merged)
        found["weight"] = found["flux"]
        return Played(frames, electrons, found[~lost])


def test_no_bias_is_no_bias_within_its_errors_and_a_blur_is_found(run, answer):
    seen = seen_in(run.found, run.found["weight"], FRAMES)
    none = [measure_bias(answer, seen, 300, Painted(0.0), seed=seed) for seed in range(5)]
    moved = none[0].error > 0
    assert moved.sum() == 28
    pulls = np.array([(bias.bias / np.where(moved, bias.error, 1))[moved] for bias in none])
    # 5 x 28 correlated pulls.
    assert 0.8 < np.sqrt(np.mean(pulls**2)) < 1.2
    assert 0.02 < np.median([bias.p for bias in none]) < 0.98
    assert min(bias.p for bias in none) > 1e-3
    blurred = measure_bias(answer, seen, 300, Painted(0.004), seed=9)
    assert blurred.p < 1e-6 and blurred.clear
    # A blur of 0.004 in quadrature with 0.010.
    widening = blurred.bias[answer.layout.sigma_R[0]]
    assert widening == pytest.approx(np.hypot(answer.sigma_R[0], 0.004) - answer.sigma_R[0], rel=0.35)


def test_a_simulation_unlike_the_measurement_is_not_trusted(run, answer):
    bright = run.found.copy()
    bright["A"] *= 1.2
    bias = measure_bias(answer, seen_in(bright, bright["weight"], FRAMES), 300, Painted(0.004), seed=9)
    assert bias.p < 1e-6 and not bias.clear
    assert any("A " in sentence for sentence in bias.unlike)


def test_subtracting_nothing_changes_nothing(answer):
    zero = np.zeros(len(answer.names))
    none = FinderBias(answer.layout, zero, np.diag(zero), 0, 0)
    assert np.array_equal(subtract(answer, none).values, answer.values)


class Exponential(Painted):
    """A virtual experiment of exponential pulse heights, whose finder loses the faint and counts the bright."""

    detector = DETECTOR.with_spot(Normal(100, 100), DETECTOR.sigma, DETECTOR.rho)

    def play(self, scene, frames, *, seed):
        run = super().play(scene, frames, seed=seed)
        rng = np.random.default_rng(seed)
        run.true["flux"] = rng.exponential(1, run.true.size)
        found = run.found.copy()
        mean = mean_flux(self.detector) / self.detector.flux.mean
        found["flux"] = run.true["flux"] * mean * rng.normal(1, 0.02, found.size)
        found = found[found["flux"] > 0.2]
        found["weight"] = np.where(found["flux"] > 0.3, 1.3, 0.0)
        return Played(frames, run.true, found)


def test_what_is_too_faint_to_be_found_adds_no_noise_to_the_bias(answer, run):
    seen = seen_in(run.found, run.found["weight"], FRAMES)
    bias = measure_bias(answer, seen, 300, Exponential(0.0), seed=5)
    index = answer.layout.shape
    assert np.max(bias.error[index] / answer.errors[index]) < 0.3
    assert np.max(np.abs(bias.bias[index]) / bias.error[index]) < 4


class PartlyFound(Exponential):
    """The same, whose finder finds a part of the faint electrons near the poles."""

    def play(self, scene, frames, *, seed):
        run = super().play(scene, frames, seed=seed)
        faint = (run.found["flux"] < 0.5) & (np.abs(run.found["z"]) > 0.6)
        return replace(run, found=run.found[~faint | (np.random.default_rng(seed).random(faint.size) < 0.5)])


def test_electrons_fainter_than_those_that_count_in_the_measurement_do_not_count_in_the_simulation(answer, run):
    seen = seen_in(run.found, np.where(run.found["flux"] > 0.9, 1.0, 0.0), FRAMES)
    assert seen.least == pytest.approx(0.9, abs=0.001)
    pulls = {}
    for least in (0.0, 0.51):
        bias = measure_bias(answer, replace(seen, least=least), 300, PartlyFound(0.0), seed=5)
        index = answer.layout.shape[bias.error[answer.layout.shape] > 0]
        pulls[least] = np.max(np.abs(bias.bias[index]) / bias.error[index])
    assert pulls[0.0] > 10 and pulls[0.51] < 4


def test_an_error_far_smaller_than_a_bin_is_as_small_in_the_answer(run, answer):
    seen = seen_in(run.found, run.found["weight"], FRAMES)
    large, small = (
        measure_bias(answer, seen, 300, Painted(blur, weight_spread=0.0), seed=1).error for blur in (1e-4, 1e-5)
    )
    moved = large > 0
    # In proportion; counted by bins, as the root of it.
    assert small[moved] / large[moved] == pytest.approx(0.1, abs=0.03)


def test_unit_weights_are_biased_by_electrons_that_are_taken_for_one_and_flux_is_not(run, answer):
    seen = seen_in(run.found, run.found["weight"], FRAMES)
    merging = Painted(0.001, merged=0.2)
    unit, flux = (measure_bias(answer, seen, 300, merging, seed=3, hit_weights=weights) for weights in ("unit", "flux"))
    assert unit.p < 1e-6 and flux.p > 1e-3
    # Fewer hits at the equator: a beta_2 too large by many errors.
    beta_2 = answer.names.index("beta_2_1")
    assert unit.bias[beta_2] > 5 * unit.error[beta_2]
    assert abs(flux.bias[beta_2]) < 3 * flux.error[beta_2]
    # Where every electron is found, one each, the hits are the truth.
    assert np.all(measure_bias(answer, seen, 300, Painted(0.0), seed=3, hit_weights="unit").bias == 0)


class Hiding(Painted):
    """A virtual experiment whose finder loses electrons near the poles, the more often the more there are.

    `last` is what was played last.
    """

    def play(self, scene, frames, *, seed):
        self.last = super().play(scene, frames, seed=seed)
        return self.last

    def where(self, electrons):
        polar = np.abs(electrons["z"]) > 0.9 * np.hypot(electrons["x"], electrons["z"])
        return polar & (np.random.default_rng(1).random(polar.size) < polar.mean())


def test_a_bias_larger_than_the_errors_is_measured_where_it_is_not(answer):
    hiding = Hiding(1e-4, merged=0.25)

    def fitted(hits):
        return COARSE(hits["x"], hits["z"], np.ones(hits.size), start=[(s.R, s.sigma_R) for s in truth.DESIGN])

    played = hiding.play(scene(), 2000, seed=11)
    found = fitted(played.found)
    seen = replace(seen_in(played.found, np.ones(played.found.size), 2000), crowd=(round(played.found.size / 2000),))
    measure = partial(measure_bias, found, seen, 1000, hiding, seed=5, hit_weights="unit")
    bias = measure(most_frames=2000)
    # As two fits would tell it, which know that a large bias is more than linear: by 5 %.
    two = fitted(hiding.last.found).values - fitted(hiding.last.true).values
    betas = answer.layout.beta
    assert np.vdot(bias.bias[betas], two[betas]) == pytest.approx(np.vdot(two[betas], two[betas]), rel=0.015)
    # Measured once, at the biased answer, it is wrong by about as much as was expected.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder_bias, "_KNOWN", np.inf)
        once = measure()
    changed = np.abs(once.bias - bias.bias)[answer.layout.shape] / found.errors[answer.layout.shape]
    assert once.changes(found) == pytest.approx(changed.max(), rel=0.3)
    assert bias.frames in range(1000, 2001)
    corrected, layout = subtract(found, bias), answer.layout
    known = layout.known(*zip(*((s.R, s.sigma_R, s.beta) for s in truth.DESIGN), strict=True))
    pulls = ((corrected.values - known) / corrected.errors)[layout.beta[:, :4]]
    assert bias.changes(found) > 1
    assert np.abs(pulls).max() < 3.5
    assert corrected.electrons.sum() == pytest.approx(86 * 2000, rel=0.004)


def test_a_bootstrap_scatters_about_the_answer_by_its_errors(experiment, run, answer):
    values = bootstrap(answer, seen_in(run.found, run.found["weight"], FRAMES), FRAMES, 3, experiment, seed=2)
    assert values.shape == (3, len(answer.names))
    ratio = np.delete(values.std(axis=0, ddof=1) / answer.errors, answer.layout.N)
    assert 0.5 < np.sqrt((ratio**2).mean()) < 1.6


def test_the_scene_of_an_answer_is_a_density(answer):
    values = answer.values.copy()
    values[answer.layout.beta] += 3.0 * np.eye(2, 12, 1)
    steep = replace(answer, values=values)
    assert not pad.is_density(steep.beta).any()
    assert pad.is_density(np.array(scene_at(steep, (5,)).beta)).all()


def test_the_crowd_is_what_was_seen_and_frames_without_electrons_count(run):
    events = run.found[:4].copy()
    events["ImageId"], events["weight"] = [3, 3, 3, 7], 1.0
    assert sorted(seen_in(events, events["weight"], 4).crowd) == [0, 0, 1, 3]
