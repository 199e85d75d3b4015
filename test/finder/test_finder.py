import dataclasses
from pathlib import Path

import numpy as np
import pytest

from support import truth
from util.camera.detector import Detector
from util.camera.imperfections import Imperfections, Term, smooth_map
from util.camera.phosphor import CAMERA_MAXIMUM, PhosphorRecipe, draw_spots, render
from util.finder.finder import EVENT, Finder, FinderSettings
from util.finder.matching import match
from util.runtime import settings

PARAM = Path(__file__).parents[2] / "param"
RECIPE = settings.load(PhosphorRecipe, PARAM / "phosphor.toml")
SETTINGS = settings.load(FinderSettings, PARAM / "finder.toml")
SIGMA = RECIPE.sigma.mean


@pytest.fixture(scope="module")
def finder():
    return Finder(Detector.of_recipe(RECIPE), SETTINGS)


def frame_of(positions, A=100.0, sigma=SIGMA, rho=0.0, recipe=RECIPE):
    x, z = np.reshape(positions, (-1, 2)).T
    return render(recipe, x, z, np.broadcast_to(A, x.shape), np.broadcast_to(sigma, x.shape), np.full(x.shape, rho))


def positions_of(events):
    return np.stack((events["x"], events["z"]), axis=1)


def random_frames(spheres, counts, frames, recipe, rng):
    for _ in range(frames):
        x, z = truth.hits(spheres, counts, rng=rng)
        yield render(recipe, x, z, *draw_spots(recipe, x.size, rng=rng), rng=rng), np.stack((x, z), axis=1)


def test_a_frame_without_light_holds_no_electrons(finder):
    events = finder.find(np.zeros(RECIPE.frame_shape, np.uint8))
    assert events.dtype == EVENT
    assert events.shape == (0,)


def test_a_single_spot_is_measured_to_a_small_part_of_a_pixel(finder):
    (event,) = finder.find(frame_of([0.1234, -0.5678], A=110.0, sigma=0.0160, rho=0.12))
    assert event["x"] == pytest.approx(0.1234, abs=0.02 * RECIPE.pitch)
    assert event["z"] == pytest.approx(-0.5678, abs=0.02 * RECIPE.pitch)
    assert event["A"] == pytest.approx(110.0, rel=0.005)
    assert event["sigma"] == pytest.approx(0.0160, rel=0.005)
    assert event["rho"] == pytest.approx(0.12, abs=0.005)
    # a flux of 1.1 x (16/15)^2 mean electrons, but for the mean of sigma^2 and of the root
    assert event["flux"] == pytest.approx(1.1 * (16 / 15) ** 2 / (1 + (1 / 15) ** 2), rel=0.01)
    assert event["weight"] == pytest.approx(1.0, abs=0.01)  # and one electron all the same


def test_a_spot_is_measured_as_seen_and_its_flux_is_over_the_gain_at_its_place():
    gain = (Term(1, 0, 0.6), Term(0, 2, -0.3))
    finder = Finder(dataclasses.replace(Detector.of_recipe(RECIPE), imperfections=Imperfections(gain=gain)), SETTINGS)
    there = np.array([[-0.5, 0.6], [0.5, 0.0]])
    found = np.sort(finder.find(frame_of(there, A=100 * smooth_map(gain, *there.T))), order="x")
    assert found["A"] == pytest.approx([59.2, 130.0], rel=0.005)
    assert found["flux"][0] == pytest.approx(found["flux"][1], rel=0.005)
    # Dividing by the gain displaces the first by 0.12 pixels.
    assert positions_of(found) == pytest.approx(there, abs=0.03 * RECIPE.pitch)


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4, np.pi / 2, 2.3])
@pytest.mark.parametrize("separation", [0.5, 1.0, 2.0])
def test_two_spots_are_told_apart_far_within_their_width(finder, separation, angle):
    middle = np.array([0.3017, 0.2003])
    half = 0.5 * separation * SIGMA * np.array([np.cos(angle), np.sin(angle)])
    electrons = np.stack((middle + half, middle - half))
    events = finder.find(frame_of(electrons))
    assert match(positions_of(events), electrons, RECIPE.pitch).f1 == 1.0
    assert events["weight"].sum() == pytest.approx(2.0, rel=0.02)


def test_two_spots_on_one_another_still_weigh_two_electrons(finder):
    events = finder.find(frame_of([[0.3, 0.2], [0.3, 0.2]]))
    assert events["weight"].sum() == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("side", [0.9, 1.5, 2.5])
def test_three_spots_in_a_triangle_are_found(finder, side):
    corners = np.exp(2j * np.pi * np.arange(3) / 3 + 0.3j) * side / np.sqrt(3) * SIGMA
    electrons = np.stack((0.1 + corners.real, -0.4 + corners.imag), axis=1)
    events = finder.find(frame_of(electrons))
    assert match(positions_of(events), electrons, RECIPE.pitch).f1 == 1.0


def test_clipped_light_of_three_spots_is_taken_for_what_it_was(finder):
    electrons = [[0.0, 0.0], [0.5 * SIGMA, 0.2 * SIGMA], [-0.3 * SIGMA, 0.5 * SIGMA]]
    frame = frame_of(electrons, A=110.0)
    assert np.count_nonzero(frame == CAMERA_MAXIMUM) > 50
    events = finder.find(frame)
    assert events["flux"].sum() == pytest.approx(3.3, rel=0.05)
    assert len(events) == 3


@pytest.mark.parametrize("electron", [[0.999, 0.1], [-0.999, 0.1], [0.1, 0.998], [0.1, -0.998], [0.996, -0.996]])
def test_a_spot_at_the_border_is_found_where_it_is(finder, electron):
    events = finder.find(frame_of([electron]))
    assert match(positions_of(events), [electron], 2 * RECIPE.pitch).f1 == 1.0
    assert events["weight"][0] == pytest.approx(1.0, abs=0.1)


def test_a_saturated_frame_is_refused_rather_than_guessed_at(finder):
    assert finder.find(np.full(RECIPE.frame_shape, CAMERA_MAXIMUM, np.uint8)) is None


@pytest.mark.parametrize(
    ("radii", "counts", "camera_noise", "f1"),
    [((0.5, 0.8), (43, 43), 0.0, 0.985), ((0.58, 0.66), (26, 60), 0.0, 0.97), ((0.5, 0.8), (43, 43), 2.0, 0.98)],
)
def test_nearly_every_electron_of_a_crowded_frame_is_found(radii, counts, camera_noise, f1):
    recipe = dataclasses.replace(RECIPE, camera_noise=camera_noise)
    finder = Finder(Detector.of_recipe(recipe), SETTINGS)
    spheres = [dataclasses.replace(sphere, R=R) for sphere, R in zip(truth.DESIGN, radii, strict=True)]
    found = []
    weight = flux = 0.0
    for frame, electrons in random_frames(spheres, counts, 40, recipe, np.random.default_rng(5)):
        events = finder.find(frame)
        found.append(match(positions_of(events), electrons, 2 * recipe.pitch))
        weight += events["weight"].sum(dtype=float)
        flux += events["flux"].sum(dtype=float)
    matched = sum(m.hit.size for m in found)
    assert 2 * matched / sum(m.hits + m.electrons for m in found) >= f1
    # The spread of one electron's flux, 0.17, over 40 frames: three standard errors.
    electrons = 40 * sum(counts)
    assert flux / electrons == pytest.approx(1.0, abs=3 * 0.17 / np.sqrt(electrons))
    # Rounded to electrons where that is safe, most of that spread is gone.
    assert weight / electrons == pytest.approx(1.0, abs=3 * 0.09 / np.sqrt(electrons))


@pytest.mark.parametrize("shape", [(512, 512), (2048, 2048), (700, 1000), (1023, 515)])
def test_frames_of_other_shapes_are_searched_as_well(shape):
    recipe = dataclasses.replace(RECIPE, frame_shape=shape)
    half = np.array(shape) / max(shape)
    electrons = np.random.default_rng(3).uniform(-0.95, 0.95, (30, 2)) * half
    events = Finder(Detector.of_recipe(recipe), SETTINGS).find(frame_of(electrons, recipe=recipe))
    assert match(positions_of(events), electrons, 2 * 2 / 1024).f1 >= 0.98
