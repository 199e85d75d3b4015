"""The geometry to begin with: what is not round is seen, and what is round is left alone."""

import numpy as np
import pytest

from support import truth
from util.fit.detection import Detection
from util.fit.map_data import Hits
from util.fit.starting_geometry import find_centre, find_ellipse
from util.physics.sphere import Sphere

SPHERES = (Sphere(0.4, 0.015, 1, (0.5,)), Sphere(0.8, 0.015, 1, (-0.3,)))


def ellipse_of(seed, electrons, ellipse_1, weight=1.0):
    x, z = truth.hits(SPHERES, (electrons // 2,) * 2, rng=np.random.default_rng(seed))
    stretch = 1 + ellipse_1 * np.cos(2 * np.arctan2(x, z))
    weights = np.full(electrons, weight)
    found = find_ellipse(x * stretch, z * stretch, weights, (0.0, 0.0), variance=weights**2)
    return found.ellipse_1, found.ellipse_2


@pytest.mark.parametrize("weight", [1.0, 50.0])
@pytest.mark.parametrize("electrons", [400, 6_000])
def test_noise_makes_no_round_image_an_ellipse(electrons, weight):
    assert [ellipse_of(seed, electrons, 0.0, weight) for seed in range(12)] == [(0.0, 0.0)] * 12


def test_a_clear_ellipse_is_found():
    found = np.array([ellipse_of(seed, 20_000, 0.03) for seed in range(4)])
    np.testing.assert_allclose(found, [(0.03, 0.0)] * 4, atol=0.006)


CENTRE = np.array([[0.011], [-0.007]])
# A quarter of the image is not seen: the mean is off by 0.13 there.
DETECTORS = {
    "all": Detection(),
    "three quarters": Detection(efficiency=np.kron([[1.0, 1.0], [0.0, 1.0]], np.ones((8, 8)))),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_the_centre_of_few_electrons_is_not_where_chance_makes_them_agree_with_their_reflection(name):
    detection = DETECTORS[name]
    for seed in range(8):
        positions = truth.hits(SPHERES, (250, 350), rng=np.random.default_rng(seed)) + CENTRE
        positions = positions[:, detection.at(*positions) > 0]
        hits = Hits(*positions, np.ones(positions.shape[1]), None)
        assert np.hypot(*(find_centre(hits, detection) - CENTRE[:, 0])) < 0.02
