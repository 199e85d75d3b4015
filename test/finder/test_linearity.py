"""Overlapping spots tell with what power of the light a camera's counts rise."""

import dataclasses

import numpy as np
import pytest

from support import truth
from support.memory_frames import MemoryFrames
from util.camera.detector import Detector
from util.camera.exposure import take_frame
from util.camera.imperfections import IDEAL, Imperfections
from util.camera.phosphor import Normal, PhosphorRecipe
from util.finder.finder import Finder, FinderSettings
from util.finder.linearity import FEWEST, Gamma, learn_gamma
from util.finder.real_detector import learn_real_detector
from util.runtime import settings

RECIPE = dataclasses.replace(
    settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml"),
    frame_shape=(256, 256),
    sigma=Normal(0.03, 0.002),
)
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")


def frames_of(gamma, count=80, electrons=30, seed=0, **camera):
    detector = dataclasses.replace(Detector.of_recipe(RECIPE), imperfections=Imperfections(gamma=gamma), **camera)
    rng = np.random.default_rng(seed)
    return [take_frame(detector, *rng.uniform(-0.9, 0.9, (2, electrons)), rng=rng) for _ in range(count)]


def seen_as(sigma, A):
    """Return the detector that frames of a bent response seem to have: spots of another size and height."""
    return dataclasses.replace(Detector.of_recipe(RECIPE), A=Normal(A, 10.0), sigma=Normal(sigma, 0.002))


def test_a_linear_camera_is_called_linear():
    found = learn_gamma(frames_of(1.0), Finder(Detector.of_recipe(RECIPE), FINDER))
    assert found.value == pytest.approx(1, abs=0.008)
    assert not found.clear


@pytest.mark.parametrize(("gamma", "A"), [(0.8, 120.0), (1.2, 83.0)])
def test_the_power_of_a_bent_response_is_learnt(gamma, A):
    finder = Finder(seen_as(0.03 / gamma**0.5, A), FINDER)
    found = learn_gamma(frames_of(gamma), finder)
    assert found.value == pytest.approx(gamma, abs=0.02)
    assert found.clear


def test_a_power_that_some_pairs_leave_in_doubt_is_known_from_more():
    finder = Finder(seen_as(0.0301, 101.0), FINDER)
    frames = frames_of(0.99, count=240)
    some, more = (learn_gamma(frames, finder, enough=enough) for enough in (40, 400))
    assert some.doubtful and not some.clear
    assert more.clear and not more.doubtful
    assert more.value == pytest.approx(0.99, abs=0.003)
    assert not Gamma(1.004, 0.001, 200).doubtful


def test_few_pairs_tell_nothing():
    found = learn_gamma(frames_of(0.8, count=5, electrons=4), Finder(Detector.of_recipe(RECIPE), FINDER))
    assert found.pairs < FEWEST
    assert not found.clear
    assert found.value == 1


def test_response_and_background_are_told_apart():
    camera = {"background": (12.0, 0.0, 0.0), "noise": 1.0}
    learned = learn_real_detector(MemoryFrames(frames_of(0.8, count=80, **camera)), RECIPE, FINDER)
    detector = learned.detector
    assert detector.imperfections.gamma == pytest.approx(0.8, abs=0.04)
    assert detector.background[0] == pytest.approx(12, abs=2.5)  # 22 as it stands
    assert detector.A.mean == pytest.approx(100, abs=3)
    assert "! response: 0.8" in learned.report()


def test_a_detector_without_fault_is_learnt_as_ideal():
    learned = learn_real_detector(MemoryFrames(frames_of(1.0, count=60)), RECIPE, FINDER)
    assert learned.detector.imperfections == IDEAL
