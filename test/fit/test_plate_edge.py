"""The edge of a round plate is told from the ends of spheres, and what lies beyond it does no harm."""

from dataclasses import replace

import numpy as np
import pytest

from support import effects, truth
from util.fit.detection import Detection, Plate
from util.fit.map_data import Hits
from util.fit.plate_edge import find_plate
from util.fit.selection import Wanted, select
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins

PIXEL = 2 / 1024
CENTRE = np.array([[0.004], [-0.003]])
RINGS = tuple(
    replace(truth.DESIGN[0], R=R, sigma_R=0.006, beta=beta)
    for R, beta in ((0.2, (-0.4,)), (0.33, (0.3, 0.1)), (0.5, (0.8,)), (0.56, (-0.3,)), (0.8, (0.5, -0.2)))
)
FORWARD = tuple(replace(truth.DESIGN[0], R=R, sigma_R=0.01, beta=(1.0,)) for R in (0.5, 0.8))


def even(number, rng):
    return rng.uniform(-1, 1, (2, rng.poisson(number)))


def seen(at):
    return Hits(*at, np.ones(at.shape[1]), None)


def within(at, plate):
    return at[:, np.hypot(at[0] - plate.x, at[1] - plate.z) < plate.radius]


PLATES = {
    "background of 3 %, beyond all rings": (RINGS, 0.03, Plate(0.02, -0.03, 0.92), 0.0),
    "background of 30 % and a dark level": (RINGS, 0.3, Plate(0.05, 0.03, 0.9), 2000.0),
    "it cuts the outer ring": (RINGS, 0.1, Plate(-0.03, 0.02, 0.79), 0.0),
    "it cuts a forward ring, no background": (FORWARD, 0.0, Plate(0.02, 0.02, 0.8), 0.0),
    "small and off the centre": (RINGS[:3], 0.1, Plate(0.1, -0.05, 0.65), 0.0),
}


@pytest.mark.parametrize("name", PLATES)
def test_the_edge_of_a_plate_is_found_within_two_pixels(name):
    spheres, background, plate, dark = PLATES[name]
    rng = np.random.default_rng(470)
    at = truth.hits(spheres, (400_000 // len(spheres),) * len(spheres), rng=rng) + CENTRE
    at = within(np.concatenate((at, even(400_000 * background, rng)), axis=1), plate)
    found = find_plate(seen(np.concatenate((at, even(dark, rng)), axis=1)), Detection(), PIXEL)
    assert np.allclose(found, plate, atol=2 * PIXEL)


@pytest.mark.parametrize("background", [0.0, 0.1])
@pytest.mark.parametrize("spheres", [truth.DESIGN, RINGS, FORWARD])
def test_spheres_that_end_are_no_plate(spheres, background):
    for seed, electrons in enumerate((10_000, 100_000, 400_000)):
        rng = np.random.default_rng(480 + seed)
        at = truth.hits(spheres, (electrons // len(spheres),) * len(spheres), rng=rng) + CENTRE
        for image in (at, effects.stretched(*at, 0.03, 20.0)):
            hits = seen(np.concatenate((image, even(electrons * background, rng)), axis=1))
            assert find_plate(hits, Detection(), PIXEL) is None


def test_what_a_mask_or_the_camera_cuts_off_is_no_plate():
    rng = np.random.default_rng(490)
    at = np.concatenate((truth.hits(RINGS, (50_000,) * 5, rng=rng) + CENTRE, even(50_000, rng)), axis=1)
    x, z = (np.indices((1024, 1024)) + 0.5) * PIXEL - 1
    masked = Detection(efficiency=(np.hypot(x, z) < 0.9).astype(float))
    assert find_plate(seen(at), masked, PIXEL) is None
    narrow = Detection((0.75, 1.0))
    assert find_plate(seen(at[:, np.abs(at[0]) < 0.75]), narrow, PIXEL) is None


def test_a_plate_is_blind_beyond_its_edge():
    plate = Plate(0.1, 0.0, 0.5)
    detection = Detection(plate=plate)
    x = np.array([0.59, 0.61, -0.39, -0.41])
    assert detection.at(x, np.zeros(4)).tolist() == [1, 0, 1, 0]
    assert seen(np.stack((x, np.zeros(4)))).seen_by(detection).x.tolist() == [0.59, -0.39]
    bins = PolarBins(100, 8)
    exposure = detection.exposure(bins, ImageGeometry(0.1, 0.0))
    assert (exposure[:, :49] == 1).all() and (exposure[:, 51:] == 0).all()


@pytest.mark.slow
def test_a_plate_that_is_known_invents_no_sphere():
    rng = np.random.default_rng(491)
    plate = Plate(0.1, 0.05, 0.85)
    at = np.concatenate((truth.hits(truth.DESIGN, (50_000,) * 2, rng=rng) + CENTRE, even(1_000, rng)), axis=1)
    hits = seen(within(at, plate))
    known, unknown = (select(hits, Wanted(None, 4), detection) for detection in (Detection(plate=plate), Detection()))
    assert np.allclose([R for R, _ in known.start], [0.5, 0.8], atol=0.005)
    assert len(unknown.start) > 2 or "odd" in unknown.pieces
