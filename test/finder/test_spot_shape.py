"""Spots that are no round Gaussians of one brightness: what is learnt of them, and how many are found."""

import dataclasses

import numpy as np
import pytest

from support import truth
from util.camera.detector import Detector
from util.camera.exposure import take_frame
from util.camera.imperfections import Imperfections
from util.camera.phosphor import Normal, PhosphorRecipe
from util.finder.finder import Finder, FinderSettings
from util.finder.matching import match
from util.finder.pulse_heights import gamma_law
from util.finder.spot_shape import learn_growth, learn_shape
from util.runtime import settings

RECIPE = settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml")
SETTINGS = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")
IDEAL = Detector.of_recipe(dataclasses.replace(RECIPE, frame_shape=(512, 512), sigma=Normal(0.018, 0.0012)))


def frames_of(detector, count=6, electrons=45):
    rng = np.random.default_rng(4)
    positions = rng.uniform(-0.95, 0.95, (count, 2, electrons))
    return [take_frame(detector, *at, rng=rng) for at in positions], positions


def with_screen(**imperfections):
    return dataclasses.replace(IDEAL, imperfections=Imperfections(**imperfections))


def rough(detector):
    return dataclasses.replace(detector, imperfections=Imperfections())


@pytest.mark.parametrize(("aspect", "wings"), [(1.3, 0.0), (0.87, 0.0), (1.0, 0.4), (1.0, 0.2), (1.15, 0.2)])
def test_axis_ratio_and_wings_are_learnt_before_any_search(aspect, wings):
    detector = with_screen(aspect=aspect, wings=wings)
    learned, _ = learn_shape(frames_of(detector)[0], rough(detector))
    assert learned.imperfections.aspect == pytest.approx(aspect, rel=0.01)
    assert learned.imperfections.wings == pytest.approx(wings, abs=0.015)
    assert learned.sigma.mean == pytest.approx(IDEAL.sigma.mean, rel=0.03)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_an_ideal_detector_stays_ideal(noise):
    detector = dataclasses.replace(IDEAL, noise=noise)
    learned, known = learn_shape(frames_of(detector)[0], detector)
    assert learned is detector
    assert [number.name for number in known if number.clear] == []


@pytest.mark.parametrize(
    "imperfections", [{}, {"aspect": 1.3}, {"wings": 0.4}, {"growth": 0.3}], ids=lambda known: str(known)
)
def test_as_many_electrons_are_found_whatever_the_shape_of_their_spots(imperfections):
    detector = with_screen(**imperfections)
    images, positions = frames_of(detector, count=3, electrons=80)
    finder = Finder(detector, SETTINGS)
    found = []
    for image, electrons in zip(images, positions, strict=True):
        hits = finder.find(image)
        found.append(match(np.stack((hits["x"], hits["z"]), axis=1), electrons.T, 0.3 * IDEAL.sigma.mean))
    assert 2 * sum(m.hit.size for m in found) / sum(m.hits + m.electrons for m in found) > 0.985


def test_growth_is_learnt_from_the_sizes_of_hits():
    rng = np.random.default_rng(5)
    spots = np.zeros(400, [("x", "f4"), ("z", "f4"), ("sigma", "f4")])
    spots["x"], spots["z"] = rng.uniform(-0.9, 0.9, (2, 400))
    spots["sigma"] = rng.normal(0.015, 0.001, 400)
    assert not learn_growth(spots).clear
    spots["sigma"] *= 1 + 0.2 * (spots["x"] ** 2 + spots["z"] ** 2)
    growth = learn_growth(spots)
    assert abs(growth.value - 0.2) < 3 * growth.error
    assert growth.error < 0.02


@pytest.mark.parametrize(("spread", "threshold"), [(0.6, 0.0), (1.0, 0.0), (1.0, 0.15)])
def test_a_gamma_law_is_told_from_what_lies_above_its_faint_end(spread, threshold):
    rng = np.random.default_rng(6)
    heights = rng.gamma(1 / spread**2, 100 * spread**2, 8000)
    heights = heights[heights > max(100 * threshold, 5.0)]
    law, found = gamma_law(heights, limit=5.0)
    assert law.mean == pytest.approx(100, rel=0.04)
    assert law.std == pytest.approx(100 * spread, rel=0.06)
    assert found == pytest.approx(threshold, abs=0.02)
