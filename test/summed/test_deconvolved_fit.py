"""The answer from summed frames: the spot that it learns, and the spheres that it finds without finding electrons."""

from dataclasses import replace

import numpy as np
import pytest

from support import truth
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe, draw_spots, light, mean_flux, render
from util.finder.finder import Finder, FinderSettings
from util.physics.pad import distance
from util.runtime import settings
from util.runtime.errors import InputError
from util.summed.deconvolved_fit import fit_sum
from util.summed.restore import bin_frame, cell_of, restored
from util.summed.spot import Spot, learn_spot

RECIPE = settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml")
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")
BLOCKS, FRAMES = 60, 20
CENTRE = (0.004, -0.003)


@pytest.fixture(scope="module")
def measured():
    """Return sums of blocks of frames and a learnt spot."""
    rng = np.random.default_rng(160)
    blocks, some = np.zeros((BLOCKS, 256, 256), np.float32), []
    number = BLOCKS * FRAMES
    positions = truth.hits(truth.DESIGN, (43 * number, 43 * number), rng=rng) + np.array(CENTRE)[:, None]
    # Of each frame 43 electrons of each sphere, one sphere after the other.
    of_frames = iter(positions.reshape(2, 2, number, 43).transpose(2, 0, 1, 3).reshape(number, 2, 86))
    for block in blocks:
        for _ in range(FRAMES):
            x, z = next(of_frames)
            frame = render(RECIPE, x, z, *draw_spots(RECIPE, 86, rng=rng))
            block += bin_frame(frame, 4)
            if len(some) < 120:
                some.append(frame)
    return blocks, learn_spot(some, Finder(Detector.of_recipe(RECIPE), FINDER))


def test_bins_hold_all_the_light():
    frame = np.random.default_rng(161).integers(0, 256, (19, 22)).astype(np.uint8)
    plain = [[frame[i : i + 4, k : k + 4].sum() for k in range(0, 20, 4)] for i in range(0, 16, 4)]
    assert np.array_equal(bin_frame(frame, 4), plain)


@pytest.mark.slow
def test_the_spot_is_that_of_the_recipe(measured):
    spot = measured[1]
    assert spot.spots > 500
    assert spot.image.sum() * RECIPE.pitch**2 == pytest.approx(mean_flux(RECIPE), rel=0.015)
    m = spot.image.shape[0] // 2
    offset = np.arange(-m, m + 1)
    assert (spot.image.sum(axis=1) * offset**2).sum() / spot.image.sum() == pytest.approx(7.68**2, rel=0.05)
    assert np.array_equal(spot.image, spot.image[::-1, ::-1])


@pytest.mark.slow
def test_the_sum_of_frames_tells_the_spheres_within_its_errors(measured):
    # A start is given for speed only: a cold one takes 10 s more.
    found = fit_sum(*measured, RECIPE, start=[(s.R, s.sigma_R) for s in truth.DESIGN])
    result = found.result
    known = np.concatenate([[43 * BLOCKS * FRAMES, s.R, s.sigma_R, *s.beta] for s in truth.DESIGN] + [CENTRE])
    pulls = (result.values - known) / result.errors
    assert np.abs(np.delete(pulls, result.layout.N)).max() < 4.5
    # Numbers are as good as the mean spot's flux.
    assert result.electrons == pytest.approx([43 * BLOCKS * FRAMES] * 2, rel=0.05)
    worse = result.errors[result.layout.beta] / np.sqrt(np.diag(result.floor_covariance))[result.layout.beta]
    assert 0.85 < np.median(worse) < 1.15
    assert distance(result.beta, [s.beta for s in truth.DESIGN]) < 0.1
    scatter = np.cov(found.moved, rowvar=False) * BLOCKS
    assert np.allclose(np.diag(scatter + found.of_spot), result.errors**2, rtol=1e-6)
    # The spot, known from a tenth of the frames, matters to sigma_R, and not to R.
    share = np.sqrt(np.diag(found.of_spot)) / result.errors
    assert share[result.layout.sigma_R[1]] > 0.1
    assert share[result.layout.R[1]] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(600, 900), (350, 500)])
def test_an_odd_number_of_bins_is_no_obstacle(shape):
    recipe = replace(RECIPE, frame_shape=shape)
    rng = np.random.default_rng(162)
    spheres = [replace(sphere, R=R) for sphere, R in zip(truth.DESIGN, (0.3, 0.55), strict=True)]
    size = 2 * cell_of(recipe)
    blocks = np.zeros((40, *(pixels // size for pixels in shape)))
    assert any(bins % 2 for bins in blocks.shape[1:])
    for block in blocks:
        for _ in range(5):
            frame = render(recipe, *truth.hits(spheres, (25, 25), rng=rng), *draw_spots(recipe, 50, rng=rng))
            block += bin_frame(frame, size)
    offset = np.arange(-16, 17)
    image = 100 * np.exp(-np.add.outer(offset**2, offset**2) / (2 * (recipe.sigma.mean / recipe.pitch) ** 2))
    result = fit_sum(blocks, Spot(image, 1000, np.stack([image] * 8)), recipe, order=8).result
    assert result.R.tolist() == pytest.approx([0.3, 0.55], abs=0.003)


def test_light_that_clipped_pixels_lost_is_restored(monkeypatch):
    rng = np.random.default_rng(163)
    x, z = np.array([0.3, -0.2])[:, None] + rng.normal(0, 0.006, (2, 5))
    spots = draw_spots(RECIPE, 5, rng=rng)
    finder = Finder(Detector.of_recipe(RECIPE), FINDER)
    frame, whole = render(RECIPE, x, z, *spots), light(RECIPE, x, z, *spots)
    assert frame.max() == 255 and whole.max() > 350
    found = restored(frame, finder)
    assert np.array_equal(found[frame < 255], frame[frame < 255])
    assert frame.sum() < 0.93 * whole.sum()
    assert found.sum() == pytest.approx(whole.sum(), rel=0.02)
    # As narrow as they come, in the single precision of events.
    hit = finder.find(frame)[:1]
    hit["sigma"] = np.nextafter(np.float32(0.1 * RECIPE.pitch), np.float32(0))
    monkeypatch.setattr(finder, "find", lambda _: hit)
    assert np.isfinite(restored(frame, finder)).all()
    # A frame without any is handed on as it is.
    assert restored(np.minimum(frame, 254), finder).dtype == np.uint8


def test_what_a_camera_makes_of_negative_counts_is_taken_back():
    rng = np.random.default_rng(164)
    recipe = replace(RECIPE, camera_noise=3.0)
    finder = Finder(Detector.of_recipe(recipe), FINDER)
    lost, raised = 0.0, 0.0
    for _ in range(10):
        x, z = rng.uniform(-0.9, 0.9, (2, 40))
        spots = draw_spots(recipe, 40, rng=rng)
        frame, whole = render(recipe, x, z, *spots, rng=rng), light(recipe, x, z, *spots)
        lost += restored(frame, finder).mean() - whole.mean()
        raised += frame.mean() - whole.mean()
    # 1.2 counts where it is dark, of a mean light of 1.4.
    assert raised / 10 > 0.9
    assert abs(lost / 10) < 0.01
    # With a background far above its noise nothing is cut off, and nothing done.
    sound = Finder(replace(finder.detector, background=(30.0, 0.0, 0.0)), FINDER)
    assert restored(frame, sound) is frame


@pytest.mark.slow
def test_too_few_blocks_and_too_few_spots_are_refused(measured):
    blocks, spot = measured
    with pytest.raises(InputError, match="at least 40"):
        fit_sum(blocks[:10], spot, RECIPE)
    with pytest.raises(InputError, match="stand alone"):
        learn_spot([np.zeros((1024, 1024), np.uint8)], Finder(Detector.of_recipe(RECIPE), FINDER))
