"""An image on the detector: how much larger each part of it is there."""

import numpy as np
import pytest

from util.physics.image_geometry import ImageGeometry


@pytest.mark.parametrize("shear", [0.0, 0.5, 1.0])
def test_areas_grow_as_the_places_of_their_corners_say(shear):
    geometry = ImageGeometry(0.1, -0.05, 0.2, 0.03, -0.02, shear, shear)
    angle, rho, step = np.linspace(-np.pi, np.pi, 37), 0.4, 1e-5

    def slope(by_rho, by_angle):
        ends = [np.array(geometry.onto_detector(rho + k * by_rho + 0 * angle, angle + k * by_angle)) for k in (-1, 1)]
        return (ends[1] - ends[0]) / (2 * step)

    along, across = slope(step, 0), slope(0, step)
    area = np.abs(along[0] * across[1] - along[1] * across[0]) / rho
    np.testing.assert_allclose(geometry.magnification(angle), area, rtol=1e-6)
    assert np.ptp(area) > 0.01 * (shear < 1)
