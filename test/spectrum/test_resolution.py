"""The width of lines: the narrowest that electrons held out do not speak against, and no more fits than that takes."""

import numpy as np

from support import truth
from util.fit.detection import Detection
from util.fit.map_data import Hits, fold_hits
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins
from util.physics.sphere import Sphere
from util.spectrum.polar_counts import polar_counts
from util.spectrum.resolution import choose_width, narrowest_of

BINS = PolarBins(200, 6)
SIGMA = 0.02


def chosen(seed, electrons):
    rng = np.random.default_rng(seed)
    spheres = (Sphere(0.3, SIGMA, 1, (0.4,)), Sphere(0.7, SIGMA, 1, (-0.3,)))
    x, z = truth.hits(spheres, (electrons // 3, electrons - electrons // 3), rng=rng)
    data = fold_hits(Hits(x, z, np.ones(x.size), None), ImageGeometry(), BINS, Detection())
    counts = polar_counts(data, odd=False)
    return choose_width(counts, (0, 2), narrowest=narrowest_of(BINS), rng=rng)


def test_the_width_is_near_that_of_the_electrons_though_they_are_few():
    widths = np.array([chosen(seed, 600).width for seed in range(4)])
    assert (widths > 0.45 * SIGMA).all()
    assert (widths < 1.1 * SIGMA).all()


def test_each_width_is_tried_on_the_next_part_until_it_is_clearly_worse():
    found = chosen(1, 20_000)
    wide = found.tried > 1.2 * SIGMA
    assert wide.sum() > 1
    assert 0.45 * SIGMA < found.width < 1.1 * SIGMA
    assert (found.parts[wide] == 1).all()
    (at,) = np.flatnonzero(found.tried == found.width)
    assert found.parts[at] == found.parts.max() > 1
    assert found.held_out[at] == 0
    assert (found.held_out[wide] < -10).all()
