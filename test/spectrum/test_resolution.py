"""The width of lines: the narrowest that electrons held out do not speak against, and no more fits than that takes."""

import numpy as np

from support import truth
from util.fit.detection import Detection
from util.fit.map_data import Hits, fold_hits
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins
from util.physics.sphere import Sphere
from util.spectrum.line_widths import STEEPEST
from util.spectrum.polar_counts import polar_counts
from util.spectrum.resolution import choose_widths, narrowest_of

BINS = PolarBins(200, 6)
SIGMA = 0.02


SPHERES = (Sphere(0.3, SIGMA, 1, (0.4,)), Sphere(0.7, SIGMA, 1, (-0.3,)))
SHARP, BROAD = 0.01, 0.07
KNOTS = np.linspace(0, 1, 21)


def chosen(seed, electrons, spheres=SPHERES):
    rng = np.random.default_rng(seed)
    x, z = truth.hits(spheres, (electrons // 3, electrons - electrons // 3), rng=rng)
    data = fold_hits(Hits(x, z, np.ones(x.size), None), ImageGeometry(), BINS, Detection())
    counts = polar_counts(data, odd=False)
    return choose_widths(counts, (0, 2), narrowest=narrowest_of(BINS), rng=rng)


def test_the_width_is_near_that_of_the_electrons_though_they_are_few():
    widths = np.array([chosen(seed, 600).widths.at(np.array([0.3, 0.7])) for seed in range(4)])
    assert (widths > 0.45 * SIGMA).all()
    assert (widths < 1.1 * SIGMA).all()


def test_each_width_is_tried_on_the_next_part_until_it_is_clearly_worse():
    found = chosen(1, 20_000)
    wide = found.tried > 1.2 * SIGMA
    assert wide.sum() > 1
    (at,) = np.flatnonzero(found.held_out == 0)
    assert 0.45 * SIGMA < found.tried[at] < 1.1 * SIGMA
    assert (found.parts[wide] <= found.parts[at]).all()
    assert found.parts[at] > 1
    assert (found.held_out[wide] < -10).all()


def test_lines_are_narrow_where_a_ring_is_sharp_and_wide_where_the_spectrum_is_smooth():
    found = chosen(1, 60_000, (Sphere(0.25, SHARP, 1, (0.4,)), Sphere(0.6, BROAD, 1, (-0.3,))))
    assert 0.4 * SHARP < found.widths.at(0.25) < 1.1 * SHARP
    assert (found.widths.at(np.linspace(0.5, 0.8, 7)) > 1.5 * SHARP).all()
    assert (np.abs(np.diff(found.widths.at(KNOTS))) < 1.001 * STEEPEST * (KNOTS[1] - KNOTS[0])).all()
    (at,) = np.flatnonzero(found.held_out == 0)
    assert found.tried[at] == found.winner < 1.1 * SHARP


def test_rings_of_one_width_are_described_by_lines_of_one_width():
    widths = [chosen(seed, 20_000).widths for seed in range(4)]
    near = np.array([width.at(np.array([0.3, 0.7])) for width in widths])
    assert (near.max(axis=1) < 1.6 * near.min(axis=1)).all()
