"""Frames whose afterglow and response are undone are those of an ideal screen and a linear camera."""

import dataclasses

import numpy as np
import pytest

from support import truth
from support.memory_frames import MemoryFrames
from util.camera.detector import Detector
from util.camera.exposure import Screen, camera_noise, counts, register
from util.camera.imperfections import IDEAL, Imperfections
from util.camera.phosphor import PhosphorRecipe
from util.finder.corrected_frames import CorrectedFrames, CorrectionInOrder, corrected, inverse_series
from util.frames.source import FrameSource
from util.runtime import settings
from util.runtime.errors import FrameError

RECIPE = dataclasses.replace(
    settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml"), frame_shape=(128, 128)
)
FORGETFUL = Imperfections(afterglow=(0.1,))  # half of what an exponential decay would leave of the frame before


def detector_with(imperfections, **camera):
    return dataclasses.replace(Detector.of_recipe(RECIPE), imperfections=imperfections, **camera)


def frames_of(detector, count=8, seed=1):
    """Return frames of the same electrons for every detector."""
    rng = np.random.default_rng(seed)
    screen, images = Screen(detector), []
    for _ in range(count):
        _, spots = register(detector, *rng.uniform(-0.8, 0.8, (2, 30)), rng=rng)
        images.append(counts(detector, screen.show(spots), camera_noise(detector, rng=np.random.default_rng(5))))
    return images


@pytest.mark.parametrize(
    "imperfections",
    [
        FORGETFUL,
        Imperfections(afterglow=(0.3, 0.09, 0.027, 0.008)),
        Imperfections(gamma=0.8),
        Imperfections(gamma=1.25, afterglow=(0.05, 0.03)),
    ],
    ids=str,
)
def test_corrected_frames_are_those_of_an_ideal_detector(imperfections):
    camera = {"background": (10.0, 2.0, 0.0)}
    seen = MemoryFrames(frames_of(detector_with(imperfections, **camera)))
    ideal = frames_of(detector_with(IDEAL, **camera))
    found = corrected(seen, detector_with(imperfections, **camera))
    for index in (7, 2, 3):
        image_id, frame = found.read_row(index)
        difference = frame.astype(int) - ideal[index]
        assert image_id == index
        assert np.abs(difference[ideal[index] < 220]).max() <= 2  # light beyond full scale is lost for good
        assert abs(difference[ideal[index] < 220].mean()) < 0.5  # counts are whole


@pytest.mark.parametrize("gamma", [0.8, 0.99, 1.25])
def test_the_mean_of_neighbouring_pixels_is_the_light_of_their_counts(gamma):
    detector = detector_with(Imperfections(gamma=gamma))
    for level in (1, 7, 40, 200):
        found = corrected(MemoryFrames([np.full((128, 128), level, np.uint8)]), detector).read(0)
        light = 255 * (level / 255) ** (1 / gamma)
        assert found[40:44, 60:64].mean() == pytest.approx(light, abs=1 / 12)


def test_frames_of_an_ideal_detector_are_left_alone():
    frames = MemoryFrames(frames_of(detector_with(IDEAL), count=2))
    assert corrected(frames, detector_with(IDEAL)) is frames
    assert CorrectionInOrder(detector_with(IDEAL), np.dtype(np.uint8)).next(frames.images[1]) is frames.images[1]


def test_frames_in_order_are_corrected_as_those_of_a_file():
    detector = detector_with(Imperfections(afterglow=(0.2, 0.1), gamma=0.9))
    images = frames_of(detector)
    in_order = CorrectionInOrder(detector, images[0].dtype)
    found = CorrectedFrames(MemoryFrames(images), detector)
    for index, image in enumerate(images):
        assert np.array_equal(in_order.next(image), found.read(index))


def test_a_frame_whose_predecessor_is_missing_or_damaged_follows_a_dark_one():
    detector = detector_with(FORGETFUL)
    images = frames_of(detector)
    gap = corrected(MemoryFrames(images, ids=[0, 1, 2, 9, 10, 11, 12, 13]), detector)
    assert np.array_equal(gap.read(3), images[3])
    assert not np.array_equal(gap.read(4), images[4])
    damaged = corrected(MemoryFrames(images, damaged={2}), detector)
    assert np.array_equal(damaged.read(3), images[3])
    with pytest.raises(FrameError):
        damaged.read(2)


def test_what_clipped_still_clips():
    detector = detector_with(FORGETFUL)
    bright = np.full((128, 128), 255, np.uint8)
    found = corrected(MemoryFrames([bright, bright]), detector)
    assert (found.read(1) == 255).all()


def test_other_members_are_those_of_the_file():
    frames = MemoryFrames(frames_of(detector_with(FORGETFUL), count=3), ids=[4, 5, 6])
    found = corrected(frames, detector_with(FORGETFUL))
    assert found.fingerprint() == frames.fingerprint()
    assert found.image_ids(1).tolist() == [5, 6]
    assert (found.count, found.frame_shape, found.bits) == (3, (128, 128), 8)
    found.close()
    assert frames.closed


def test_a_series_and_its_inverse_give_each_other():
    afterglow = (0.3, 0.05, 0.1)
    parts = inverse_series(afterglow, 40)
    assert -inverse_series(-parts, 3) == pytest.approx(afterglow)
    assert inverse_series((0.3, 0.09, 0.027), 3) == pytest.approx([0.3, 0, 0])


def test_the_corrected_file_offers_all_that_a_file_does():
    assert not CorrectedFrames.__abstractmethods__
    overridable = {name for name, value in vars(FrameSource).items() if callable(value) and not name.startswith("_")}
    taken_from_rows = {"read", "rows", "check_range", "spread_out"}
    assert overridable - taken_from_rows <= set(vars(CorrectedFrames))
