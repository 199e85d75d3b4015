"""The virtual experiment: what is drawn is what is asked for, and what is found does not depend on the workers."""

import dataclasses

import numpy as np
import pytest

from support import truth
from util.camera.detector import Detector
from util.camera.imperfections import Imperfections
from util.camera.phosphor import Normal, PhosphorRecipe
from util.finder.finder import FinderSettings
from util.runtime import settings
from util.runtime.executor import open_executor
from util.simulation.virtual_experiment import BLOCK, Scene, VirtualExperiment

DETECTOR = Detector.of_recipe(settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml"))
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")


def scene(crowd=(86,), share=(0.3, 0.7)):
    spheres = truth.DESIGN
    parts = zip(*((s.R, s.sigma_R, s.beta) for s in spheres), strict=True)
    return Scene(*parts, share, (0.01, -0.02), crowd)


def played(frames, workers=1, detector=DETECTOR, **options):
    with open_executor(workers) as executor:
        return VirtualExperiment(detector, FINDER, executor).play(scene(**options), frames, seed=3)


def test_electrons_fall_about_the_centre_in_the_shares_asked_for():
    x, z = scene().draw(200_000, rng=np.random.default_rng(80))
    assert x.mean() == pytest.approx(0.01, abs=0.004)
    assert z.mean() == pytest.approx(-0.02, abs=0.006)
    # No electron of the first sphere gets beyond 0.56.
    outer = np.hypot(x - 0.01, z + 0.02) > 0.56
    alone = scene(share=(0.0, 1.0)).draw(200_000, rng=np.random.default_rng(81))
    wanted = 0.7 * (np.hypot(alone[0] - 0.01, alone[1] + 0.02) > 0.56).mean()
    assert outer.mean() == pytest.approx(wanted, abs=0.005)


def test_frames_hold_the_crowd_and_are_nearly_all_found():
    run = played(40)
    assert run.frames == 40
    assert np.bincount(run.true["ImageId"]).tolist() == [86] * 40
    found, true = (np.bincount(hits["ImageId"], hits["flux"]) for hits in (run.found, run.true))
    assert found == pytest.approx(true, rel=0.03)
    assert true.sum() / run.true.size == pytest.approx(1, abs=0.02)
    # Weights are whole electrons wherever the flux can tell.
    assert np.bincount(run.found["ImageId"], run.found["weight"]).std() < 0.8 * found.std()
    assert run.found["weight"].sum() == pytest.approx(run.true.size, rel=0.002)


def test_the_result_does_not_depend_on_the_workers_nor_afterglow_on_where_a_block_begins():
    glowing = dataclasses.replace(
        DETECTOR, frame_shape=(256, 256), imperfections=Imperfections(afterglow=(0.3, 0.09, 0.03))
    )
    one, two = (played(BLOCK + 5, workers, detector=glowing, crowd=(3,)) for workers in (1, 2))
    assert np.array_equal(one.true, two.true)
    assert np.array_equal(one.found, two.found)
    hits = np.bincount(one.found["ImageId"])
    assert hits[[0, BLOCK]].sum() == pytest.approx(2 * hits.mean(), rel=0.25)


def test_a_scene_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="share"):
        scene(share=(0.5, 0.6))
    with pytest.raises(ValueError, match="at least one number of electrons"):
        scene(crowd=())


def test_a_camera_of_many_bits_with_background_is_played_and_searched_as_it_is():
    bright = DETECTOR.with_spot(Normal(400.0, 40.0), DETECTOR.sigma, DETECTOR.rho)
    camera = {"sample_centre": 0.5, "saturation": 1000, "background": (12.0, 3.0, 0.0), "noise": 1.0}
    detector = dataclasses.replace(bright, **camera)
    with open_executor(1) as executor:
        run = VirtualExperiment(detector, FINDER, executor).play(scene(crowd=(10,)), 10, seed=4)
    assert run.found["flux"].sum() == pytest.approx(run.true["flux"].sum(), rel=0.03)
    assert np.mean(run.found["x"]) == pytest.approx(np.mean(run.true["x"]), abs=2e-4)
