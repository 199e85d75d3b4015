"""Masks that a user names: what is blind is told, and one that cannot be of these hits is refused."""

import dataclasses

import numpy as np
import pytest

from src.answer_steps.detection import detection_of
from src.answer_steps.options import Model
from util.electrons.hits import Hits
from util.entries.efficiency import read_mask
from util.runtime.errors import InputError

PIXELS = (64, 64)
AT = (np.indices(PIXELS) + 0.5) / 32 - 1
DISC = np.hypot(*AT) < 0.9


@pytest.fixture(scope="module")
def hits():
    """Return 4,000 hits within 0.8 half screens about the middle of the camera."""
    rng = np.random.default_rng(77)
    r, angle = 0.8 * np.sqrt(rng.random(4000)), 2 * np.pi * rng.random(4000)
    one = np.ones(r.size)
    x, z = r * np.cos(angle), r * np.sin(angle)
    return Hits(r.size, x, z, one, one, None, np.zeros((1024, 1024)), 1, "", None, {}, pixels=PIXELS)


def detection(hits, path, image):
    np.save(path, image)
    return detection_of(hits, Model(mask=path, plate="none"))


def test_how_much_of_the_screen_a_mask_blinds_is_told(hits, tmp_path):
    told = detection(hits, tmp_path / "disc.npy", 1 * DISC)
    assert told.lines == (f"mask {tmp_path / 'disc.npy'}: {100 * (1 - DISC.mean()):.0f} % of the screen is blind",)
    assert told.warnings == ()


def test_a_mask_that_hides_most_hits_is_refused_by_name(hits, tmp_path):
    with pytest.raises(InputError, match=r"turned\.npy: 100 % of the hits lie where the detector is blind by it"):
        detection(hits, tmp_path / "turned.npy", 1 * ~DISC)


def test_a_mask_that_leaves_next_to_nothing_to_see_is_refused(hits, tmp_path):
    near = dataclasses.replace(hits, x=hits.x / 10, z=hits.z / 10)
    with pytest.raises(InputError, match=r"spot\.npy: expected to leave at least 20 % of the camera, found .* %"):
        detection(near, tmp_path / "spot.npy", 1 * (np.hypot(*AT) < 0.2))


def test_hits_under_a_mask_are_warned_of(hits, tmp_path):
    (warning,) = detection(hits, tmp_path / "part.npy", 1 * ~((AT[0] > 0.3) & (AT[1] > 0.3))).warnings
    assert "% of the hits lie where the detector is blind by it and are left out" in warning


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.where(DISC, 250, 3), "found one that sees everywhere"),
        (np.where(DISC, 1, -1), "found values -1, 1"),
        (np.where(DISC, np.indices(PIXELS)[0], 0), "found values 0, 3, 4, .."),
        (np.zeros(PIXELS), "found one that is blind everywhere"),
        (np.ones(PIXELS), "found one that sees everywhere"),
    ],
)
def test_an_image_that_is_no_mask_is_refused(tmp_path, image, found):
    np.save(tmp_path / "mask.npy", image)
    with pytest.raises(InputError, match=rf"mask\.npy: expected .*{found}.*0") as caught:
        read_mask(tmp_path / "mask.npy", PIXELS, 1)
    assert "accumulated" not in str(caught.value)


def test_a_mask_may_be_dark_where_nothing_is_known_and_of_any_height(tmp_path):
    np.save(tmp_path / "mask.npy", np.where(DISC, 255.0, np.nan))
    assert (read_mask(tmp_path / "mask.npy", PIXELS, 1) == DISC).all()
