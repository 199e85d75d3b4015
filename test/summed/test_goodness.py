"""The tests of a fit to summed frames: quiet where the model is right, and an alarm that names what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from support import truth
from support.param import PARAM
from util.camera.phosphor import PhosphorRecipe
from util.physics.sphere import Sphere
from util.runtime.settings import load
from util.summed.deconvolved_fit import fit_sum
from util.summed.goodness import assess_sum
from util.summed.spot import Spot

SHAPE, SIZE_PX = (256, 256), 4.0
CAMERA = replace(load(PhosphorRecipe, PARAM / "phosphor.toml"), frame_shape=SHAPE)
SPHERES = (Sphere(0.4, 0.03, 1, (0.3, 0.1)), Sphere(0.7, 0.03, 1, (0.6, 0.2)))
BLOCKS, ELECTRONS = 80, 1000  # electrons of each sphere in a block
LEVEL = 0.02  # counts of a block's pixel that were not known to be dark


def light_of(x, z):
    """Return the light of electrons, each a round spot of height 1, in bins of two by two pixels."""
    edges = [np.linspace(-1, 1, pixels + 1) for pixels in SHAPE]
    light = gaussian_filter(np.histogram2d(x, z, edges)[0], SIZE_PX, mode="wrap") * 2 * np.pi * SIZE_PX**2
    return (light + LEVEL).reshape(SHAPE[0] // 2, 2, SHAPE[1] // 2, 2).sum(axis=(1, 3))


def goodness_of(change):
    """Return the tests of sums of electrons whose places (2, n) were changed."""
    rng = np.random.default_rng(170)
    parts = (truth.hits(SPHERES, (ELECTRONS, ELECTRONS), rng=rng) for _ in range(BLOCKS))
    blocks = np.array([light_of(*change(places, rng)) for places in parts])
    offset = np.arange(-20, 21)
    image = np.exp(-np.add.outer(offset**2, offset**2) / (2 * SIZE_PX**2))
    start = [(sphere.R, sphere.sigma_R) for sphere in SPHERES]
    fitted = fit_sum(blocks, Spot(image, 1000, np.stack([image] * 8)), CAMERA, order=8, start=start)
    return assess_sum(fitted, rng=np.random.default_rng(171), simulations=60)


def turned(places, _):
    angle = np.radians(3)
    x, z = places
    return x * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - x * np.sin(angle)


def stretched(places, _):
    return places * [[0.985], [1.015]]


def lit_everywhere(places, rng):
    r, phi = np.sqrt(rng.random(100)), rng.uniform(0, 2 * np.pi, 100)
    return np.append(places, [r * np.cos(phi), r * np.sin(phi)], axis=1)


def test_a_sum_that_the_model_describes_raises_no_alarm():
    goodness = goodness_of(lambda places, _: places)
    assert goodness.warnings == []
    names = {"deviance", "radial profile", "angular profile", "worst region", "background", "rotation", "centre of 2"}
    assert names <= {test.name for test in goodness.tests}
    for found, model, error in (
        (goodness.radial, goodness.radial_model, goodness.radial_error),
        (goodness.angular, goodness.angular_model, goodness.angular_error),
    ):
        lit = model > 0.01 * model.max()
        assert 0.6 < np.std((found - model)[lit] / error[lit]) < 1.4


@pytest.mark.parametrize(
    ("fault", "change", "size", "text", "moves"),
    [
        ("rotation", turned, 3.0, "the image is turned by ", "lowers betas of high degree"),
        ("ellipse", stretched, 3.0, "the image is an ellipse, one axis longer by ", " of its errors"),
        ("background", lit_everywhere, 100 * 100 / (2 * ELECTRONS), "an even background of ", " of its errors"),
    ],
)
def test_a_fault_is_named_with_what_it_moves_and_what_mends_it(fault, change, size, text, moves):
    goodness = goodness_of(change)
    (found,) = (test for test in goodness.tests if test.name == fault)
    assert found.value == pytest.approx(size, rel=0.25)
    (told,) = (warning for warning in goodness.warnings if text in warning)
    assert f"{moves}: answer with METHOD=likelihood --fit {fault}" in told
