"""The axis of the polarisation is told where the image tells it, and never wrongly."""

import numpy as np
import pytest

from support.truth import hits
from util.entries.noise_law import NoiseLaw
from util.entries.polarisation_axis import fit_axes
from util.physics.sphere import Sphere

COUNTED = NoiseLaw(1.0, 1.0, 0.0, 1, True)


def image_of(*betas, electrons=100_000, size=300, seed=0):
    """Return an image whose polarisation lies along axis 1."""
    spheres = tuple(Sphere(0.4 + 0.3 * i, 0.01, 1, beta) for i, beta in enumerate(betas))
    positions = hits(spheres, (electrons,) * len(spheres), rng=np.random.default_rng(seed))
    image = np.zeros((size, size))
    np.add.at(image, tuple(((positions + 1) / 2 * size).astype(int)), 1)
    return image


@pytest.mark.parametrize("betas", [((0.5,),), ((0.9,), (0.3, 0.1)), ((0.5,), (-0.2,))])
def test_electrons_along_the_polarisation_tell_its_axis(betas):
    image = image_of(*betas)
    assert fit_axes(image, COUNTED).axis == 1
    assert fit_axes(image.T, COUNTED).axis == 0
    blind = image.copy()
    blind[:60, 100:130] = blind[200, 200] = np.nan
    assert fit_axes(blind, COUNTED).axis == 1


@pytest.mark.parametrize("beta", [(0.0,), (-0.4,), (-0.2, 0.1)])
@pytest.mark.parametrize("electrons", [20_000, 2_000_000])
def test_where_electrons_lie_evenly_or_about_the_equator_nothing_is_said(beta, electrons):
    image = image_of(beta, beta, electrons=electrons)
    assert fit_axes(image, COUNTED).axis is None
    assert fit_axes(image.T, COUNTED).axis is None


def test_an_image_too_small_to_compare_tells_nothing():
    assert fit_axes(image_of((0.9,), size=40), COUNTED).axis is None
