"""From electrons to counts: each imperfection of a detector does what its number says, and an ideal one nothing."""

import dataclasses
import math

import numpy as np
import pytest

from support import truth
from util.camera.detector import Detector
from util.camera.exposure import Screen, Spots, camera_noise, counts, moffat_parts, register, take_frame
from util.camera.imperfections import Imperfections, Term, smooth_map
from util.camera.phosphor import Normal, PhosphorRecipe, draw_spots, mean_flux, render
from util.runtime import settings

RECIPE = settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml")
SMALL = dataclasses.replace(RECIPE, frame_shape=(128, 128), sigma=Normal(0.05, 0.0))  # 3.2 pixels
MANY = 100_000


def detector_with(recipe=SMALL, **imperfections):
    return dataclasses.replace(Detector.of_recipe(recipe), imperfections=Imperfections(**imperfections))


def one_spot(x=0.1, z=-0.05, A=100.0, sigma=0.05, rho=0.0):
    return Spots(*(np.array([value]) for value in (x, z, A, sigma, rho)))


def everywhere(rng):
    return rng.uniform(-1, 1, (2, MANY))


def profile(detector, spot, shape):
    """Return the light of one spot as ``shape(u)`` says, u = r^2 / (2 sigma^2), by a plain loop over the samples."""
    samples = 5
    rows, columns = (
        ((np.arange(pixels * samples) / samples) * detector.pitch - detector.pitch * pixels / 2)
        for pixels in detector.frame_shape
    )
    aspect = detector.imperfections.aspect
    dx, dz = (rows[:, None] - spot.x) / math.sqrt(aspect), (columns - spot.z) * math.sqrt(aspect)
    fine = spot.A * shape((dx**2 + dz**2 + 2 * spot.rho * dx * dz) / (2 * spot.sigma**2))
    height, width = detector.frame_shape
    return fine.reshape(height, samples, width, samples).mean(axis=(1, 3))


def test_an_ideal_detector_takes_the_frames_of_the_recipe():
    noisy = dataclasses.replace(RECIPE, frame_shape=(128, 128), camera_noise=1.5)
    x, z = np.random.default_rng(1).uniform(-1, 1, (2, 20))
    frame = take_frame(Detector.of_recipe(noisy), x, z, rng=np.random.default_rng(2))
    rng = np.random.default_rng(2)
    assert np.array_equal(frame, render(noisy, x, z, *draw_spots(noisy, 20, rng=rng), rng=rng))


def test_electrons_are_registered_where_the_plate_is_efficient():
    rng = np.random.default_rng(3)
    x, z = everywhere(rng)
    registered, spots = register(detector_with(efficiency=(Term(0, 1, 0.5),)), x, z, rng=rng)
    assert np.array_equal(spots.x, x[registered])
    assert registered.mean() == pytest.approx(1 / 1.5, abs=0.01)  # the best place registers all
    assert np.mean(z[registered]) == pytest.approx(0.5 / 3, abs=0.01)


def test_pulse_heights_follow_their_law_the_gain_and_the_threshold():
    rng = np.random.default_rng(4)
    x, z = everywhere(rng)
    broad = dataclasses.replace(SMALL, A=Normal(100.0, 100.0))
    _, spots = register(detector_with(broad, pulse_heights="gamma"), x, z, rng=rng)
    assert spots.A.mean() == pytest.approx(100, rel=0.02)
    assert np.mean(spots.A > 100) == pytest.approx(math.exp(-1), abs=0.01)
    unseen = detector_with(broad, pulse_heights="gamma", threshold=0.25)
    registered, spots = register(unseen, x, z, rng=rng)
    assert spots.A.min() >= 25
    assert registered.mean() == pytest.approx(math.exp(-0.25), abs=0.01)
    assert np.array_equal(spots.z, z[registered])
    _, spots = register(detector_with(gain=(Term(2, 0, 0.2),)), x, z, gain=1.5, rng=rng)
    assert np.polyfit(x**2, spots.A, 1) == pytest.approx([30, 150], abs=1)
    assert mean_flux(broad, pulse_heights="gamma") < mean_flux(broad)  # no height of a gamma law is below 0


def test_spots_grow_towards_the_edge_and_keep_their_light():
    rng = np.random.default_rng(5)
    x, z = np.array([0.0, 0.8]), np.array([0.0, 0.0])
    sharp = dataclasses.replace(SMALL, A=Normal(100.0, 0.0), rho=Normal(0.0, 0.0))
    _, spots = register(detector_with(sharp, growth=0.5), x, z, rng=rng)
    assert spots.sigma == pytest.approx([0.05, 0.05 * 1.32])
    assert spots.A * spots.sigma**2 == pytest.approx([0.25, 0.25])


@pytest.mark.parametrize("wings", [0.01, 0.2, 0.4, 0.8])
def test_gaussians_sum_to_a_profile_with_wings(wings):
    parts, widths = moffat_parts(wings)
    u = np.geomspace(0.01, 1000, 400)
    wanted = (1 + wings * u) ** (-1 / wings)
    assert parts @ np.exp(-u / widths[:, None] ** 2) == pytest.approx(wanted, abs=5e-4)
    assert parts.size <= 12


def test_a_spot_with_wings_shows_a_moffat_profile_and_all_its_light():
    detector = detector_with(wings=0.4)
    spot = one_spot(rho=0.2)
    seen = Screen(detector).show(spot)
    assert seen == pytest.approx(profile(detector, spot, lambda u: (1 + 0.4 * u) ** -2.5), abs=0.25)
    narrow = one_spot(sigma=0.01)
    flux = 2 * math.pi * 100 * 0.01**2 / 0.6
    assert Screen(detector).show(narrow).sum() * detector.pitch**2 == pytest.approx(flux, rel=0.02)


def test_elliptic_spots_are_wider_along_x_and_keep_their_light():
    detector, spot = detector_with(aspect=1.3), one_spot(rho=0.2)
    seen = Screen(detector).show(spot)
    wanted = profile(detector, spot, lambda u: np.exp(-u))
    assert seen[wanted > 1.2] == pytest.approx(wanted[wanted > 1.2], abs=1e-9)
    assert seen.sum() == pytest.approx(Screen(detector_with()).show(spot).sum(), rel=1e-3)


def test_the_screen_shows_parts_of_the_light_of_the_last_frames():
    detector = detector_with(afterglow=(0.3, 0.05))
    spots = [one_spot(x) for x in (-0.6, -0.2, 0.2, 0.6)]
    alone = [Screen(detector).show(spot) for spot in spots]
    screen = Screen(detector)
    shown = [screen.show(spot) for spot in spots]
    assert shown[1] == pytest.approx(alone[1] + 0.3 * alone[0])
    assert shown[3] == pytest.approx(alone[3] + 0.3 * alone[2] + 0.05 * alone[1])


def test_counts_rise_with_a_power_of_the_light_up_to_full_scale():
    detector = detector_with(gamma=0.8)
    screen = np.array([[0.0, 100.0, 255.0, 400.0]])
    assert counts(detector, screen, 0.0).tolist() == [[0, round(255 * (100 / 255) ** 0.8), 255, 255]]


def test_a_camera_of_many_bits_has_background_noise_and_counts_of_sixteen_bits():
    camera = {"sample_centre": 0.5, "saturation": 1000, "background": (12.0, 3.0, 0.0), "noise": 1.0}
    detector = dataclasses.replace(Detector.of_recipe(RECIPE), **camera)
    spots = Spots(np.array([0.25, -0.5]), np.zeros(2), np.array([900.0, 300.0]), np.full(2, 0.015), np.zeros(2))
    frame = counts(detector, Screen(detector).show(spots), camera_noise(detector, rng=np.random.default_rng(82)))
    peak = np.unravel_index(frame.argmax(), frame.shape)
    assert frame.dtype == np.uint16
    assert np.array(peak) == pytest.approx([0.25 * 512 + 511.5, 511.5], abs=1)
    assert frame.max() == pytest.approx(912, abs=8)
    assert np.median(frame[-40:]) == pytest.approx(15, abs=1)


def test_a_turned_detector_takes_the_turned_frame():
    imperfections = {"gain": (Term(1, 0, 0.2), Term(2, 1, 0.1)), "aspect": 1.3, "efficiency": (Term(0, 1, 0.1),)}
    camera = {"frame_shape": (64, 96), "sample_centre": 0.5, "background": (12.0, 3.0, -1.0)}
    detector = dataclasses.replace(detector_with(**imperfections), **camera)
    spot = one_spot(0.3, 0.2, rho=0.2)._replace(sigma=np.array([0.1]))
    turned = Spots(-spot.z, spot.x, *spot[2:4], -spot.rho)
    bright = [
        Screen(seen).show(lit._replace(A=lit.A * smooth_map(seen.imperfections.gain, lit.x, lit.z)))
        for seen, lit in ((detector, spot), (detector.turned(), turned))
    ]
    frames = [counts(seen, light, 0.0) for seen, light in zip((detector, detector.turned()), bright, strict=True)]
    assert frames[0].std() > 5
    assert np.array_equal(frames[1], np.rot90(frames[0]))
    assert smooth_map(detector.turned().imperfections.efficiency, -0.2, 0.3) == pytest.approx(1 + 0.1 * 0.2)
