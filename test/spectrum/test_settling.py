"""Where the centre of an image is, and whether it is round: what chance and a mask must not decide."""

import dataclasses

import numpy as np

from support import truth
from util.fit.detection import Detection
from util.fit.map_data import Hits
from util.fit.starting_geometry import find_ellipse
from util.physics.sphere import Sphere
from util.spectrum.settling import settled_centre

NONE = Detection()
SPHERES = (Sphere(0.3, 0.02, 1, (0.4, -0.1)), Sphere(0.7, 0.02, 1, (-0.3, 0.05)))
UNLIKE = (Sphere(0.083, 0.006, 1, (-0.6, 0.15)), Sphere(0.216, 0.008, 1, (0.38, -0.65)))
CENTRE = np.array([[0.012], [-0.007]])


def electrons(seed, spheres=SPHERES, numbers=(12_000, 20_000)):
    return truth.hits(spheres, numbers, rng=np.random.default_rng(seed))


def as_hits(positions):
    return Hits(*positions, np.ones(positions.shape[1]), None)


def off_centre(x, z):
    return float(np.hypot(x - CENTRE[0, 0], z - CENTRE[1, 0]))


def test_the_centre_of_a_few_electrons_is_not_where_chance_makes_their_mirror_images_agree():
    hits = as_hits(electrons(5, numbers=(250, 350)) + CENTRE)
    found = settled_centre(hits, NONE, variance=hits.weight, order=4, is_round=False)
    assert off_centre(found.centre_x, found.centre_z) < 0.01


def test_the_centre_of_a_few_electrons_is_not_their_mean_where_a_part_is_not_seen():
    blind = np.ones((64, 64))
    blind[34:, :34] = 0
    masked = dataclasses.replace(NONE, efficiency=blind)
    positions = electrons(3, numbers=(1_500, 2_500)) + CENTRE
    hits = as_hits(positions[:, masked.at(*positions) > 0])
    assert off_centre(hits.x.mean(), hits.z.mean()) > 0.1
    found = settled_centre(hits, masked, variance=hits.weight, order=4, is_round=False)
    assert off_centre(found.centre_x, found.centre_z) < 0.01


def test_rings_of_unlike_pads_are_no_ellipse():
    # One is bright along x, the other at 45 degrees: a squeezed image would be a little sharper.
    hits = as_hits(electrons(4, UNLIKE, (74_000, 26_000)))
    assert find_ellipse(*hits[:3], (0.0, 0.0), variance=hits.weight).ellipse_1 != 0
    assert settled_centre(hits, NONE, variance=hits.weight, order=4, is_round=False).ellipse_1 == 0
