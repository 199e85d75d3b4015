import dataclasses
import re

import numpy as np
import pytest

from support import truth
from util.camera.detector import Detector
from util.camera.phosphor import Normal, PhosphorRecipe, draw_spots, light, mean_flux
from util.finder.finder import Finder, FinderSettings
from util.runtime import settings
from util.runtime.facts import from_json, to_json

PARAM = truth.ROOT / "param"
RECIPE = settings.load(PhosphorRecipe, PARAM / "phosphor.toml")
SETTINGS = settings.load(FinderSettings, PARAM / "finder.toml")
DETECTOR = Detector.of_recipe(RECIPE)


def scene(rng, electrons=60, scale=1.0):
    """Light of electrons all over the screen, and their positions (n, 2)."""
    x, z = rng.uniform(-0.95, 0.95, (2, electrons))
    A, sigma, rho = draw_spots(RECIPE, electrons, rng=rng)
    return light(RECIPE, x, z, A * scale, sigma, rho), np.stack((x, z), axis=1)


def lone(events):
    """Mean flux of the hits that no other comes near."""
    at = np.stack((events["x"], events["z"]), axis=1)
    gap = np.hypot(*(at[:, None] - at).transpose(2, 0, 1)) + 9 * np.eye(len(at))
    return events["flux"][gap.min(axis=1) > 6 * RECIPE.sigma.mean].mean()


def test_a_detector_survives_its_facts_as_json():
    detector = dataclasses.replace(DETECTOR, noise=1.5, background=(3.0, -1.0, 0.5), hot_pixels=((3, 4), (5, 6)))
    assert from_json(Detector, to_json(detector), "here") == detector


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_shape": (0, 1024)}, "expected frames of 1 to 32768 pixels each way"),
        ({"sample_centre": 1.5}, "sample_centre must lie in the pixel"),
        ({"flux": Normal(0.0, 0.1)}, "flux.mean must be above 0, found 0.0"),
        ({"sigma": Normal(-0.01, 0.1)}, "sigma.mean must be above 0, found -0.01"),
        ({"noise": -1.0}, "noise must be a finite number not below 0"),
        ({"noise": float("nan")}, "noise must be a finite number not below 0"),
        ({"background": (0.0, float("inf"), 0.0)}, "background must be finite"),
        ({"saturation": 0}, "saturation must be 1 to 65535"),
        ({"hot_pixels": ((3, 4), (5, 1024))}, "hot_pixels must lie within (1024, 1024), found (5, 1024)"),
    ],
)
def test_what_no_camera_is_like_is_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(DETECTOR, **changes)


def test_a_recipes_detector_has_its_geometry_and_flux():
    assert DETECTOR.pitch == RECIPE.pitch
    assert DETECTOR.sample_centre == RECIPE.sample_centre
    assert DETECTOR.flux.mean == mean_flux(RECIPE)
    assert DETECTOR.flux_spread == pytest.approx(np.hypot(0.1, 2 / 15))


def test_a_sloping_background_is_taken_off():
    rng = np.random.default_rng(0)
    image, electrons = scene(rng)
    detector = dataclasses.replace(DETECTOR, background=(30.0, 12.0, -6.0))
    image += detector.background_at(np.arange(1024)[:, None], np.arange(1024))
    frame = np.rint(image).clip(0, 255).astype(np.uint8)
    assert lone(Finder(detector, SETTINGS).find(frame)) == pytest.approx(1.0, abs=0.08)
    # the same detector without its slopes takes the brighter half's background for light
    flat = dataclasses.replace(detector, background=(20.0, 0.0, 0.0))
    assert Finder(flat, SETTINGS).find(frame)["weight"].sum() > 1.2 * len(electrons)


@pytest.mark.parametrize(("background", "noise"), [(0.0, 2.0), (-1.5, 3.0), (1.0, 5.0), (30.0, 2.0), (12.0, 0.0)])
def test_what_a_dark_pixel_counts_knows_that_negative_counts_are_cut_off(background, noise):
    detector = dataclasses.replace(DETECTOR, background=(background, 0.0, 0.0), noise=noise)
    counts = np.rint(background + noise * np.random.default_rng(2).standard_normal(1_000_000)).clip(0)
    assert detector.dark_at(5, 7) == pytest.approx(counts.mean(), abs=0.01)
    assert detector.background_at(5, 7) == pytest.approx(background)


def test_hot_pixels_are_mended_and_the_frame_left_as_it_was():
    frame = np.zeros((1024, 1024), np.uint8)
    frame[100, 200] = frame[0, 0] = 255
    before = frame.copy()
    detector = dataclasses.replace(DETECTOR, hot_pixels=((100, 200), (0, 0)))
    assert not detector.without_hot_pixels(frame).any()
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize(("saturation", "scale"), [(4095, 16.0), (65535, 256.0)])
def test_frames_of_more_bits_are_searched_as_those_of_eight(saturation, scale):
    image, electrons = scene(np.random.default_rng(1))
    frame = np.rint(image * scale).clip(0, saturation).astype(np.uint16)
    A = dataclasses.replace(RECIPE.A, mean=RECIPE.A.mean * scale, std=RECIPE.A.std * scale)
    bright = DETECTOR.with_spot(A, RECIPE.sigma, RECIPE.rho)
    events = Finder(dataclasses.replace(bright, saturation=saturation), SETTINGS).find(frame)
    assert len(events) == pytest.approx(len(electrons), abs=1)
    assert lone(events) == pytest.approx(1.0, abs=0.08)
