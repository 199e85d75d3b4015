"""The degree that an image shows beyond a fit: seen where there is one, and nowhere else, whatever the lines."""

import numpy as np
import pytest

from support import effects, truth
from util.fit.detection import Detection
from util.fit.map_data import Hits, fold_hits
from util.physics.image_geometry import ImageGeometry
from util.physics.sphere import Sphere
from util.spectrum.cautions import cautions
from util.spectrum.fit import fit_spectrum
from util.spectrum.interior_point import climb
from util.spectrum.line_widths import LineWidths
from util.spectrum.order import beyond
from util.spectrum.polar_counts import polar_counts
from util.spectrum.settling import bins_of
from util.spectrum.shell_model import shell_model

PLAIN = (Sphere(0.45, 0.02, 1, (0.4, 0.15)), Sphere(0.8, 0.02, 1, (-0.2, 0.1)))
RICH = (PLAIN[0], Sphere(0.8, 0.02, 1, (-0.2, 0.1, 0.0, 0.15)))
NUMBERS = (10_000, 15_000)


def hits_of(x, z):
    return Hits(x, z, np.ones(x.size), None)


def hits(spheres, seed):
    return hits_of(*truth.hits(spheres, NUMBERS, rng=np.random.default_rng(seed)))


def left_out(these, degrees, width, odd=False):
    bins = bins_of(degrees[-1])
    data = fold_hits(these, ImageGeometry(), bins, Detection())
    return beyond(climb(shell_model(bins, degrees, LineWidths((width,))), polar_counts(data, odd=odd)))


@pytest.mark.parametrize("width", [0.015, 0.06])
def test_lines_of_any_width_leave_nothing_out_if_the_order_is_high_enough(width):
    assert [left_out(hits(PLAIN, seed), (0, 2, 4), width) for seed in range(4)] == [None] * 4
    assert left_out(hits(RICH, 5), (0, 2, 4, 6, 8), width) is None


@pytest.mark.parametrize("width", [0.015, 0.06])
def test_the_degree_that_is_left_out_is_named_with_its_ring(width):
    found = left_out(hits(RICH, 5), (0, 2, 4), width)
    assert found.degree == 8
    assert 0.7 <= found.r <= 0.8
    assert found.pull > 4.5
    assert left_out(hits(RICH, 5), (0,), width).degree == 8


def test_an_odd_degree_is_seen_where_the_halves_are_told_apart():
    ring = (Sphere(0.5, 0.02, 1, (0.0,)),)
    lopsided = hits_of(*effects.lopsided(ring, (10_000,), 0.2, rng=np.random.default_rng(9)))
    assert left_out(lopsided, (0,), 0.015, odd=True).degree % 2 == 1
    assert left_out(lopsided, (0,), 0.015) is None


def test_the_order_rises_to_what_the_image_shows():
    found = fit_spectrum(hits(RICH, 6), Detection(), resolution=0.015, geometry=ImageGeometry())
    assert found.degrees == (2, 4, 6, 8)
    assert found.raised.degree == 8
    assert found.missed is None
    wanted = 2 * np.array([[*sphere.beta, 0, 0][:4] for sphere in RICH]).T
    assert (np.abs(found.peaks.beta - wanted) < 4 * found.peaks.beta_error).all()


def test_an_order_that_is_told_stays_and_what_it_misses_is_said():
    found = fit_spectrum(hits(RICH, 6), Detection(), order=4, resolution=0.015, geometry=ImageGeometry())
    assert found.degrees == (2, 4)
    assert found.missed.degree == 8
    assert cautions(found)[0].startswith("the image shows degree 8, which the fit leaves out: by ")
    assert "--order 8 fits it" in cautions(found)[0]
