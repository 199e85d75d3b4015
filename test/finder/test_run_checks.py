"""Whether a run stays the same is told from a sample of its frames."""

import dataclasses

import numpy as np
import pytest

from support import truth
from support.memory_frames import MemoryFrames
from util.camera.detector import Detector
from util.camera.exposure import take_frame
from util.camera.phosphor import Normal, PhosphorRecipe
from util.finder.finder import FinderSettings
from util.finder.run_checks import check_run
from util.runtime import settings

RECIPE = dataclasses.replace(
    settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml"),
    frame_shape=(128, 128),
    sigma=Normal(0.03, 0.002),
)
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")
DETECTOR = Detector.of_recipe(RECIPE)


def frames_of(count=120, brighter=0.0, more=0.0, wander=0.0, seed=0):
    """Frames of a ring that change by as much from the first to the last."""
    rng = np.random.default_rng(seed)
    images = []
    for done in np.linspace(-0.5, 0.5, count):
        detector = dataclasses.replace(DETECTOR, A=Normal(DETECTOR.A.mean * (1 + brighter * done), DETECTOR.A.std))
        angle = rng.uniform(0, 2 * np.pi, rng.poisson(12 * (1 + more * done)))
        radius = rng.normal(0.6, 0.02, angle.size)
        x, z = radius * np.cos(angle) + wander * done, radius * np.sin(angle)
        images.append(take_frame(detector, x, z, rng=rng))
    return images


def clear(images, detector=DETECTOR, **how):
    return {
        finding.what: finding
        for finding in check_run(MemoryFrames(images, **how), detector, FINDER).findings
        if finding.clear
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_steady_run_raises_nothing(seed):
    assert clear(frames_of(seed=seed)) == {}


@pytest.mark.parametrize(
    ("change", "what", "rms", "remedy"),
    [
        ({"brighter": -0.3}, "drift of the brightness of hits", 30 / 12**0.5, "nothing to do"),
        ({"more": 1.0}, "drift of the rate of hits", 100 / 12**0.5, "nothing to do"),
        ({"wander": 0.06}, "drift of the centre along x", 0.06 * 64 / 12**0.5, "--follow-drift"),
    ],
)
def test_a_run_that_changes_is_told_by_what_changes(change, what, rms, remedy):
    found = clear(frames_of(**change))
    assert set(found) == {what}
    assert found[what].value == pytest.approx(rms, rel=0.35)
    assert remedy in str(found[what])


def test_frames_missing_and_out_of_order_are_told():
    images = frames_of(30)
    assert set(clear(images, ids=[*range(10), *range(17, 37)])) == {"gaps in ImageId"}
    assert clear(images, ids=[*range(10), *range(17, 37)])["gaps in ImageId"].value == 7
    assert "order of ImageId" in clear(images, ids=list(range(30))[::-1])
    assert clear(images, damaged={3, 4, 5}) == {}


def test_frames_that_a_camera_repeats_are_told():
    images = frames_of(30)
    found = clear([*images, *images[:7]])
    assert set(found) == {"repeated frames"}
    assert found["repeated frames"].value == 7
    assert "electrons count more than once" in str(found["repeated frames"])


def test_hits_that_clip_are_told():
    low = dataclasses.replace(DETECTOR, saturation=90)
    images = [np.minimum(image, 90) for image in frames_of(30)]
    assert clear(images, low)["clipping"].value > 50


def test_few_and_dark_frames_tell_nothing():
    dark = np.zeros((128, 128), np.uint8)
    findings = check_run(MemoryFrames([dark, dark]), DETECTOR, FINDER).findings
    assert not any(finding.clear for finding in findings)
    assert sum("these frames do not tell" in str(finding) for finding in findings) == 6
