"""The noise of an accumulated image is learnt from its own scatter."""

import re

import numpy as np
import pytest

from support.images import accumulated, symmetrised
from util.entries.noise_law import NoiseLaw, count_copies, learn_noise
from util.entries.scatter import centre_of, measure_scatter
from util.runtime.errors import InputError

GAIN, CAMERA = 3.7, 1.2


@pytest.fixture(scope="module")
def bright():
    return accumulated(400_000, 1024, gain=GAIN, camera=CAMERA)


@pytest.fixture(scope="module")
def small():
    return accumulated(100_000, 384, gain=GAIN, camera=CAMERA)


def test_counts_per_electron_and_camera_are_found_where_an_electron_covers_two_pixels(bright):
    law, (line,) = learn_noise(bright, None)
    assert law.counts_per_electron == pytest.approx(GAIN, rel=0.04)
    assert law.camera == pytest.approx(CAMERA**2, rel=0.03)
    assert (law.variance_per_electron, law.copies, law.learnt) == (1, 1, True)
    assert law.pixel_noise == pytest.approx((CAMERA / GAIN) ** 2, rel=0.1)
    assert line.startswith("noise: 3.") and "camera 1.2" in line and "learnt from the scatter of" in line


def test_the_scatter_of_single_pixels_would_tell_less_than_half_of_it(bright):
    dim = bright[:, 1:] + bright[:, :-1]
    inside = dim > np.quantile(dim, 0.9)
    naive = ((bright[:, 1:] - bright[:, :-1])[inside] ** 2).sum() / dim[inside].sum()
    assert naive < GAIN / 2


def test_errors_of_the_law_are_as_large_as_its_scatter():
    found = [measure_scatter(accumulated(60_000, 256, gain=GAIN, camera=0.5, seed=seed)) for seed in range(10)]
    pulls = np.array([(one.gain - GAIN) / one.gain_error for one in found])
    assert 0.5 < np.sqrt(np.mean(pulls**2)) < 1.6
    assert abs(pulls.mean()) < 0.8


def test_an_image_that_counts_electrons_is_known_as_such():
    law, (line,) = learn_noise(accumulated(300_000, 512), None)
    assert law == NoiseLaw(1.0, 1.0, 0.0, 1, True)
    assert "electrons are counted" in line


def test_an_image_scaled_to_no_integers_is_not_taken_for_counted():
    law, _ = learn_noise(accumulated(300_000, 512) * 0.001, None)
    assert law.counts_per_electron == pytest.approx(0.001, rel=0.06)


@pytest.mark.parametrize("scale", [1e-99, 1e-12, 1e-9, 1e6, 1e12, 1e38, 1e95])
def test_the_unit_of_the_counts_does_not_matter(small, scale):
    law, (line,) = learn_noise(small, None)
    scaled, (told,) = learn_noise(small * scale, None)
    assert scaled.counts_per_electron == pytest.approx(law.counts_per_electron * scale, rel=1e-4)
    assert scaled.gain_error == pytest.approx(law.gain_error, rel=1e-3)
    assert scaled.pixel_noise == pytest.approx(law.pixel_noise, rel=1e-3)
    numbers, pattern = [], r"noise: (\S+) \+- (\S+) counts per electron, camera (\S+) counts"
    for text in (line, told):
        numbers.append([float(word) for word in re.match(pattern, text).groups()])
    np.testing.assert_allclose(numbers[1], np.array(numbers[0]) * scale, rtol=0.05)


@pytest.mark.parametrize(
    ("change", "counts_per_electron", "message"),
    [
        (lambda image: image * 1e-300, None, "highest is 1e-100 to 1e+100, found"),
        (lambda image: image * 1e200, 3.7, "highest is 1e-100 to 1e+100, found"),
        (lambda image: np.full(image.shape, 7.0), None, "found 7 in all of them"),
        (lambda image: np.full(image.shape, 7.0), 3.7, "found 7 in all of them"),
        (lambda image: image, 1e-300, "at most 2147483647 electrons in a pixel, found"),
        (lambda image: image, 1e300, "at least one electron, found"),
    ],
)
def test_counts_that_are_no_electrons_are_refused(small, change, counts_per_electron, message):
    with pytest.raises(InputError, match=re.escape(message)):
        learn_noise(change(small), counts_per_electron)


def test_a_symmetrised_image_says_so_and_its_sums_scatter_as_a_quarter_of_its_electrons(bright):
    law, lines = learn_noise(symmetrised(bright), None)
    assert law.copies == law.variance_per_electron == 4
    assert law.counts_per_electron == pytest.approx(GAIN, rel=0.1)
    # All pixels hold the sum of four, so that a pixel's own variance is four times the camera's.
    assert law.camera == pytest.approx(4 * CAMERA**2, rel=0.06)
    assert lines[1].startswith("the image shows the same 4 times (copies: 4)")


def test_areas_of_a_symmetrised_image_do_not_lie_across_a_mirror(small):
    across, apart = (measure_scatter(symmetrised(small), copies) for copies in (1, 4))
    assert 0.4 * across.cells < apart.cells < 0.95 * across.cells
    assert apart.gain_error > 1.5 * across.gain_error


def test_copies_are_counted_about_the_middle_or_a_pixel_beside_it(small):
    half = small + small[:, ::-1]
    assert [count_copies(image) for image in (small, half, half.T, symmetrised(small))] == [1, 2, 2, 4]
    odd = symmetrised(small[:-1, :-1])
    assert count_copies(np.pad(odd, ((1, 0), (1, 0)))) == 4
    with_holes = np.where(np.random.default_rng(0).random(small.shape) < 0.05, np.nan, symmetrised(small))
    assert count_copies(with_holes) == 4


def test_an_offset_does_not_disturb_the_law_and_is_told(small):
    plain, _ = learn_noise(small, None)
    law, lines = learn_noise(small + 100, None)
    assert law.counts_per_electron == pytest.approx(plain.counts_per_electron, rel=0.08)
    mean = 100 + GAIN
    expected = plain.camera + plain.counts_per_electron * (mean - 100)
    assert law.camera + law.counts_per_electron * mean == pytest.approx(expected, rel=0.15)
    assert re.fullmatch(r"where it is faint, the image holds (99\.9|100|100\.1)\d? counts per pixel, .*", lines[1])
    assert "on an offset of about" in lines[0]


def test_pixels_of_which_nothing_is_known_do_not_count(small):
    blind = small.copy()
    blind[100:150, 180:260] = np.nan
    dotted = np.where(np.random.default_rng(0).random(small.shape) < 0.01, np.nan, small)
    garbage = np.where(np.isnan(blind), 1e6, blind)
    plain, found, dots, spoilt = (measure_scatter(image) for image in (small, blind, dotted, garbage))
    assert found.gain == pytest.approx(plain.gain, rel=0.1)
    assert found.cells < 0.97 * plain.cells
    assert dots.gain == pytest.approx(plain.gain, rel=0.1)
    assert spoilt.gain != pytest.approx(plain.gain, rel=0.1)


def test_what_the_user_knows_takes_the_place_of_what_is_learnt(bright):
    law, (line,) = learn_noise(bright, 2.0)
    assert (law.counts_per_electron, law.learnt) == (2.0, False)
    assert law.variance_per_electron == pytest.approx(GAIN / 2, rel=0.05)
    assert "as told, its scatter is that of 3." in line
    assert learn_noise(bright, 5.0)[0].variance_per_electron == 1


def test_an_image_that_does_not_tell_needs_to_be_told():
    smooth = np.hypot(*np.mgrid[-100:100, -100:100]) < 80.0
    for image, why in (
        (smooth.astype(float) + 1, "do not scatter more where they are brighter"),
        (accumulated(1000, 40), "it is too small"),
    ):
        with pytest.raises(InputError, match=f"{why}; give it with --counts-per-electron"):
            learn_noise(image, None)
        law, _ = learn_noise(image, 3.0)
        assert law == NoiseLaw(3.0, law.copies, 0.0, law.copies, False)


def test_the_centre_is_found_within_a_pixel(small):
    moved = np.roll(small, (12, -7), (0, 1))
    assert centre_of(moved) == pytest.approx((191.5 + 12, 191.5 - 7), abs=1)
    large = np.kron(small, np.ones((4, 4)))
    assert centre_of(large) == pytest.approx((767.5, 767.5), abs=4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0, 1.0, 0.0, 1, True), "counts_per_electron above 0"),
        ((1.0, 0.5, 0.0, 1, True), "variance_per_electron of at least 1"),
        ((1.0, 3.0, 0.0, 3, True), "1, 2 or 4 copies"),
    ],
)
def test_a_law_that_no_image_has_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        NoiseLaw(*values)
