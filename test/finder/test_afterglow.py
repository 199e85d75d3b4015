"""The afterglow of a screen is learnt from frames that follow one another, and none of a screen without."""

import dataclasses

import numpy as np
import pytest

from support import truth
from support.memory_frames import MemoryFrames
from util.camera.detector import Detector
from util.camera.exposure import Screen, camera_noise, counts, register
from util.camera.imperfections import Imperfections
from util.camera.phosphor import Normal, PhosphorRecipe
from util.finder import afterglow
from util.finder.afterglow import FEWEST, LAGS, learn_afterglow
from util.runtime import settings

RECIPE = dataclasses.replace(
    settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml"),
    frame_shape=(256, 256),
    sigma=Normal(0.03, 0.002),
)


def frames_of(glow, count=36, seed=0, **camera):
    detector = dataclasses.replace(Detector.of_recipe(RECIPE), imperfections=Imperfections(afterglow=glow), **camera)
    rng = np.random.default_rng(seed)
    screen, images = Screen(detector), []
    for _ in range(count):
        _, spots = register(detector, *rng.uniform(-0.9, 0.9, (2, 25)), rng=rng)
        images.append(counts(detector, screen.show(spots), camera_noise(detector, rng=rng)))
    return images, detector


@pytest.mark.parametrize(
    ("glow", "camera"),
    [
        ((0.1, 0.01, 0.001), {}),
        ((0.1,), {}),
        ((0.3, 0.09, 0.027), {}),
        ((0.03,), {"noise": 1.5, "background": (12.0, 0.0, 0.0)}),
        ((0.2, 0.1, 0.05), {"noise": 3.0, "background": (20.0, 0.0, 0.0)}),
    ],
)
def test_the_afterglow_of_each_past_frame_is_learnt(glow, camera):
    images, detector = frames_of(glow, **camera)
    found = learn_afterglow(MemoryFrames(images), detector).parts
    wanted = np.zeros(LAGS)
    wanted[: len(glow)] = glow[:LAGS]
    assert found[:LAGS] == pytest.approx(wanted, abs=0.006)


@pytest.mark.parametrize("seed", range(6))
def test_a_screen_without_afterglow_shows_none(seed):
    images, detector = frames_of((), seed=seed, noise=1.0, background=(8.0, 0.0, 0.0))
    assert learn_afterglow(MemoryFrames(images), detector).parts == ()


def test_the_error_holds_that_of_what_is_feigned_as_well(monkeypatch):
    told = {-1: (0.02, 0.003), 1: (0.01, 0.004)}
    monkeypatch.setattr(afterglow, "_regress", lambda *_, direction: [np.full(LAGS, part) for part in told[direction]])
    found = learn_afterglow(MemoryFrames(frames_of(())[0]), Detector.of_recipe(RECIPE))
    assert (found.last, found.error) == pytest.approx((0.01, 0.005))


def test_frames_out_of_order_show_none():
    images, detector = frames_of((0.2,))
    order = np.random.default_rng(1).permutation(len(images))
    assert learn_afterglow(MemoryFrames([images[index] for index in order]), detector).parts == ()
    assert learn_afterglow(MemoryFrames(images, ids=[2 * index for index in range(len(images))]), detector).parts == ()


def test_too_few_frames_and_dark_ones_tell_nothing():
    images, detector = frames_of((0.2,))
    assert learn_afterglow(MemoryFrames(images[: FEWEST - 1]), detector).parts == ()
    assert learn_afterglow(MemoryFrames([np.zeros((256, 256), np.uint8)] * 20), detector).parts == ()
    assert learn_afterglow(MemoryFrames(images, damaged=set(range(0, 36, 4))), detector).parts == ()
