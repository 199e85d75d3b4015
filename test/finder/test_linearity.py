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
from util.finder.linearity import FEWEST, Gamma, _counts, _Pair, learn_gamma
from util.finder.real_detector import learn_real_detector
from util.runtime import settings

RECIPE = dataclasses.replace(
    settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml"),
    frame_shape=(256, 256),
    sigma=Normal(0.03, 0.002),
)
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")


def frames_of(gamma, count=80, electrons=30, seed=0, wings=0.0, **camera):
    imperfections = Imperfections(gamma=gamma, wings=wings)
    detector = dataclasses.replace(Detector.of_recipe(RECIPE), imperfections=imperfections, **camera)
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


@pytest.mark.parametrize(("gamma", "sigma", "A"), [(0.9, 0.0314, 105.8), (1.0, 0.03, 100.0), (1.05, 0.0295, 97.0)])
def test_the_power_is_learnt_on_a_background_known_to_half_a_count(gamma, sigma, A):
    camera = {"noise": 1.0, "background": (10.0, 0.0, 0.0)}
    dark = 255 * (10 / 255) ** gamma
    seen = dataclasses.replace(seen_as(sigma, A), noise=1.0, background=(dark - 0.5, 0.0, 0.0))
    found = learn_gamma(frames_of(gamma, **camera), Finder(seen, FINDER))
    assert found.error < 0.006
    assert found.value == pytest.approx(gamma, abs=2 * found.error)


def test_wings_and_noise_are_no_power():
    camera = {"noise": 1.0, "background": (12.0, 0.0, 0.0)}
    frames = frames_of(1.0, count=60, wings=0.3, **camera)
    seen = dataclasses.replace(seen_as(0.03, 100.0), imperfections=Imperfections(wings=0.25), **camera)
    found = learn_gamma(frames, Finder(seen, FINDER))
    assert found.error < 0.008
    assert found.value == pytest.approx(1, abs=2 * found.error)


@pytest.mark.parametrize("gamma", [0.9, 1.0, 1.2])
@pytest.mark.parametrize("wings", [0.05, 0.4])
def test_counts_of_a_pair_have_the_derivatives_that_differences_give(gamma, wings):
    imperfections = Imperfections(wings=0.4, aspect=1.1)
    detector = dataclasses.replace(Detector.of_recipe(RECIPE), noise=2.0, imperfections=imperfections)
    at = np.array([100, 104, 103, 4, 0.1, 80, 112, 108, 3.5, -0.1, gamma, wings])
    x, z = (part.ravel().astype(float) for part in np.mgrid[90:125, 90:125])
    pair = _Pair(at[:-2], x, z, np.zeros(x.size), np.full(x.size, 3.0))
    finder = Finder(detector, FINDER)
    _, by_spots, by_common = _counts(at[:-2], pair, at[-2:], finder)
    for by, unit in zip((*by_spots, *by_common), 1e-5 * np.eye(12), strict=True):
        above, below = (_counts(p[:-2], pair, p[-2:], finder)[0] for p in (at + unit, at - unit))
        assert by == pytest.approx((above - below) / 2e-5, abs=1e-2)


def test_a_power_that_some_pairs_leave_in_doubt_is_known_from_more():
    finder = Finder(dataclasses.replace(seen_as(0.0303, 102.0), noise=1.0), FINDER)
    frames = frames_of(0.98, count=240, noise=1.0)
    some, more = (learn_gamma(frames, finder, enough=enough) for enough in (40, 400))
    assert some.doubtful and not some.clear
    assert more.clear and not more.doubtful
    assert more.value == pytest.approx(0.98, abs=2 * more.error)
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
