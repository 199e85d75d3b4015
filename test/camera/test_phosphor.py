"""The renderer against a plain loop over the published recipe, and the recipe's own limits."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from util.camera.phosphor import (
    CAMERA_MAXIMUM,
    Normal,
    PhosphorRecipe,
    detector_to_pixel,
    draw_spots,
    flux_of,
    light,
    mean_flux,
    pixel_to_detector,
    render,
)
from util.camera.spot_rendering import digitise
from util.runtime import settings

PUBLISHED = settings.load(PhosphorRecipe, Path(__file__).parents[2] / "param" / "phosphor.toml")


def small(shape=(96, 96), **changes):
    """Return the published recipe on a small frame, spots of 3.6 pixels at 96."""
    recipe = dataclasses.replace(PUBLISHED, frame_shape=shape, sigma=Normal(0.075, 0.005))
    return dataclasses.replace(recipe, **changes)


def plain_light(recipe, x, z, A, sigma, rho):
    """Draw the recipe sample for sample, in detector units."""
    height, width = recipe.frame_shape
    pitch, n = 2 / max(height, width), recipe.subsamples
    image = np.zeros((height, width))
    for x0, z0, peak, size, tilt in zip(x, z, A, sigma, rho, strict=True):
        if peak <= 1:
            continue
        reach = size * math.sqrt(2 * math.log(peak))
        for i in range(height):
            if not (pitch * (i + 1 - height / 2) > x0 - reach and pitch * (i - height / 2) <= x0 + reach):
                continue
            for k in range(width):
                if not (pitch * (k + 1 - width / 2) > z0 - reach and pitch * (k - width / 2) <= z0 + reach):
                    continue
                total = 0.0
                for a in range(n):
                    dx = pitch * (i - height / 2 + a / n) - x0
                    for b in range(n):
                        dz = pitch * (k - width / 2 + b / n) - z0
                        total += peak * math.exp(-(dx**2 + dz**2 + 2 * tilt * dx * dz) / (2 * size**2))
                image[i, k] += total / n**2
    return image


@pytest.mark.parametrize("shape", [(64, 64), (40, 61), (61, 40)])
@pytest.mark.parametrize("sigma_px", [1.0, 3.5, 12.0])
def test_light_agrees_with_a_plain_loop_over_the_samples(shape, sigma_px):
    rng = np.random.default_rng(1)
    recipe = small(shape)
    # Inside, on each edge, just off the screen, far off it.
    x = np.array([0.0, 0.1, 0.13, -1.0, 1.0, 0.7, -1.05, 9.0, -0.4])
    z = np.array([0.0, 0.1, 0.08, 0.3, -1.0, 1.0, 1.05, 0.0, 0.2])
    A = np.array([100.0, 90.0, 140.0, 110.0, 95.0, 100.0, 100.0, 100.0, 0.9])
    sigma = sigma_px * recipe.pitch * rng.uniform(0.9, 1.1, x.size)
    rho = np.array([0.0, 0.3, -0.3, 0.1, -0.1, 0.3, -1.0, 0.0, 0.0])
    expected = plain_light(recipe, x, z, A, sigma, rho)
    assert np.abs(light(recipe, x, z, A, sigma, rho) - expected).max() < 1e-9
    frame = render(recipe, x, z, A, sigma, rho)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, np.clip(np.rint(expected), 0, 255))


@pytest.mark.parametrize("subsamples", [1, 2, 4])
def test_light_agrees_with_a_plain_loop_for_any_number_of_samples(subsamples):
    recipe = small((40, 40), subsamples=subsamples)
    spots = [0.1, -0.3], [0.2, 0.9], [100.0, 80.0], [0.1, 0.08], [0.2, -0.2]
    assert np.abs(light(recipe, *spots) - plain_light(recipe, *spots)).max() < 1e-9


@pytest.mark.parametrize("aspect", [1.0, 1.4])
def test_one_sample_stands_for_the_mean_of_many_in_a_wide_spot(aspect):
    recipe = small()
    sizes = recipe.pitch * np.array([4.0, 8.0, 3.99])
    spots = np.array([0.1, -0.3, 0.5]), np.array([0.2, 0.31, -0.4]), np.full(3, 100.0), sizes, np.array([0.3, -1, 0.0])
    many, once = (light(recipe, *spots, aspect=aspect, smooth_px=size) for size in (math.inf, 4.0))
    assert 0 < np.abs(once - many).max() < 100 * 0.003 / 4**4
    assert np.array_equal(once > 0, many > 0)
    assert once.sum() == pytest.approx(many.sum(), rel=1e-6)


def test_published_frame_agrees_with_separable_exponentials_to_the_last_count():
    rng = np.random.default_rng(2)
    x, z = rng.uniform(-1, 1, (2, 86))
    A, sigma, rho = draw_spots(PUBLISHED, 86, rng=rng)
    reference = np.zeros((1024, 1024))
    samples = -1 + (2 / 1024) * (np.arange(1024)[:, None] + np.arange(5) / 5)
    for spot in zip(x, z, A, sigma, rho, strict=True):
        x0, z0, peak, size, tilt = spot
        reach = size * math.sqrt(2 * math.log(peak))
        edges = [
            np.clip([math.floor((c - reach + 1) * 512), math.floor((c + reach + 1) * 512) + 1], 0, 1024)
            for c in (x0, z0)
        ]
        dx, dz = samples[slice(*edges[0])] - x0, samples[slice(*edges[1])] - z0
        dx, dz = dx[:, :, None, None], dz[None, None]
        patch = peak * np.exp(-(dx**2 + dz**2 + 2 * tilt * dx * dz) / (2 * size**2))
        reference[slice(*edges[0]), slice(*edges[1])] += patch.mean(axis=(1, 3))
    image = light(PUBLISHED, x, z, A, sigma, rho)
    assert np.abs(image - reference).max() < 1e-9
    assert np.array_equal(render(PUBLISHED, x, z, A, sigma, rho), np.clip(np.rint(reference), 0, 255))


def test_overlapping_spots_add_before_the_camera_clips_them():
    spots = [0.0] * 3, [0.0] * 3, [100.0] * 3, [0.075] * 3, [0.0] * 3
    assert light(small(), *spots).max() == pytest.approx(300, abs=10)
    assert render(small(), *spots).max() == CAMERA_MAXIMUM


def test_counts_round_half_to_even_and_clip():
    image = np.array([-3.0, 0.5, 1.5, 2.5, 254.5, 255.5, 1e9])
    frame = np.empty(image.size, np.uint8)
    digitise(image, frame, 255.0)
    assert frame.tolist() == [0, 0, 2, 2, 254, 255, 255]


def test_faint_spots_and_no_spots_leave_the_frame_dark():
    assert not light(small(), [0.0], [0.0], [1.0], [0.075], [0.0]).any()
    assert not render(small(), [], [], [], [], []).any()


def test_spot_peaks_where_detector_to_pixel_says():
    recipe = small((96, 80))
    x, z = 0.123, -0.234
    image = light(recipe, [x], [z], [100.0], [0.075], [0.0])
    centroid = [(image.sum(axis=1 - axis) @ np.arange(image.shape[axis])) / image.sum() for axis in (0, 1)]
    # The square ends at whole pixels, so that one tail may be cut shorter: hence the tolerance of a percent.
    assert centroid[0] == pytest.approx(detector_to_pixel(recipe, x, 0), abs=0.03)
    assert centroid[1] == pytest.approx(detector_to_pixel(recipe, z, 1), abs=0.03)


def test_pixel_positions_of_the_published_frame_follow_the_convention():
    assert pixel_to_detector(PUBLISHED, 0) == pytest.approx(-1 + 0.4 * 2 / 1024)
    index = np.linspace(-1, 1025, 7)
    for axis in (0, 1):
        back = detector_to_pixel(PUBLISHED, pixel_to_detector(PUBLISHED, index, axis), axis)
        assert np.allclose(back, index, atol=1e-9)
    oblong = small((96, 48))  # square pixels, centred
    assert pixel_to_detector(oblong, 23.6, axis=1) == pytest.approx(0, abs=1e-12)


def test_camera_noise_has_its_width_and_comes_from_the_given_generator():
    recipe = small(camera_noise=2.0)
    bright = [0.0], [0.0], [120.0], [1.0], [0.0]
    frame = render(recipe, *bright, rng=np.random.default_rng(3))
    clean = light(recipe, *bright)
    middle = np.s_[30:60, 30:60]
    assert np.std(frame[middle] - clean[middle]) == pytest.approx(math.sqrt(4 + 1 / 12), rel=0.08)
    assert np.array_equal(frame, render(recipe, *bright, rng=np.random.default_rng(3)))
    assert not np.array_equal(frame, render(recipe, *bright, rng=np.random.default_rng(4)))
    with pytest.raises(ValueError, match="needs rng"):
        render(recipe, *bright)


def test_drawn_spots_follow_the_recipe_within_its_limits():
    rng = np.random.default_rng(5)
    A, sigma, rho = draw_spots(PUBLISHED, 100_000, rng=rng)
    for values, normal in ((A, PUBLISHED.A), (sigma, PUBLISHED.sigma), (rho, PUBLISHED.rho)):
        assert values.mean() == pytest.approx(normal.mean, abs=4 * normal.std / math.sqrt(values.size))
        assert values.std() == pytest.approx(normal.std, rel=0.01)
    wild = small(A=Normal(1.0, 10.0), sigma=Normal(0.075, 0.075), rho=Normal(0.0, 5.0))
    A, sigma, rho = draw_spots(wild, 1000, rng=rng)
    assert A.min() == 0
    assert sigma.min() > 0
    assert (rho.min(), rho.max()) == (-1, 1)
    x, z = rng.uniform(-1, 1, (2, 1000))
    assert np.isfinite(light(wild, x, z, A, sigma, rho)).all()


@pytest.mark.parametrize("recipe", [PUBLISHED, small(rho=Normal(0.2, 0.0)), small(A=Normal(20.0, 15.0))])
def test_mean_flux_is_the_mean_over_drawn_spots(recipe):
    A, sigma, rho = draw_spots(recipe, 400_000, rng=np.random.default_rng(6))
    flux = flux_of(A, sigma, rho)
    assert mean_flux(recipe) == pytest.approx(flux.mean(), abs=4 * flux.std() / math.sqrt(flux.size))


def test_light_of_a_frame_holds_the_mean_flux_but_for_the_tails_that_the_recipe_cuts():
    rng = np.random.default_rng(7)
    n = 2000
    spots = draw_spots(PUBLISHED, n, rng=rng)
    x, z = rng.uniform(-0.9, 0.9, (2, n))
    ratio = light(PUBLISHED, x, z, *spots).sum() * PUBLISHED.pitch**2 / (n * mean_flux(PUBLISHED))
    assert 0.99 < ratio < 1.005
    A, sigma, rho = spots
    exact = (2 * np.pi * A * sigma**2 / np.sqrt(1 - rho**2)).sum()
    assert light(PUBLISHED, x, z, *spots).sum() * PUBLISHED.pitch**2 / exact == pytest.approx(0.996, abs=0.001)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_shape": (0, 10)}, "expected frames of 1 to 32768 pixels"),
        ({"subsamples": 0}, "subsamples must be 1 to 100"),
        ({"camera_noise": -1.0}, "camera_noise must be"),
        ({"camera_noise": math.nan}, "camera_noise must be"),
        ({"A": Normal(0.0, 1.0)}, "A.mean must be above 0"),
        ({"sigma": Normal(0.0, 1.0)}, "sigma.mean must be at least 0.1 pixel"),
        ({"A": Normal(1e9, 1.0)}, "A.mean must be above 0 and at most 65535 counts, found 1000000000.0"),
        (
            {"sigma": Normal(1.9, 0.1)},
            "and at most 0.25 half screens, found 1.9",
        ),
        ({"sigma": Normal(0.015, 1.0)}, "and sigma.std, and at most .*, found 0.015 with std 1.0"),
        ({"rho": Normal(1.0, 0.1)}, "rho.mean must lie between"),
    ],
)
def test_recipe_out_of_range_is_refused_in_a_sentence(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PUBLISHED, **change)


@pytest.mark.parametrize(("mean", "std"), [(math.inf, 1.0), (0.0, -1.0), (0.0, math.nan)])
def test_normal_distribution_out_of_range_is_refused(mean, std):
    with pytest.raises(ValueError, match="must be a finite number"):
        Normal(mean, std)


@pytest.mark.parametrize(
    ("spots", "message"),
    [
        (([0.0, 0.1], [0.0], [100.0], [0.07], [0.0]), "one length"),
        (([math.nan], [0.0], [100.0], [0.07], [0.0]), "finite"),
        (([0.0], [0.0], [100.0], [0.0], [0.0]), "at least 0.1 pixel"),
        (([0.0], [0.0], [100.0], [0.07], [1.1]), "rho must lie within"),
    ],
)
def test_spots_that_cannot_be_drawn_are_refused(spots, message):
    with pytest.raises(ValueError, match=message):
        light(small(), *spots)
