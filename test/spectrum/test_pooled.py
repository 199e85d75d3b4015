"""Lines fitted as groups: alone they stay what they were, together they tell a beta better than their sum."""

import numpy as np

from support import truth
from util.fit.detection import Detection
from util.fit.map_data import Hits, fold_hits
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins
from util.physics.sphere import Sphere
from util.spectrum.interior_point import climb
from util.spectrum.line_widths import LineWidths
from util.spectrum.polar_counts import polar_counts
from util.spectrum.pooled import pool
from util.spectrum.shell_model import shell_model

BINS = PolarBins(100, 12)
MODEL = shell_model(BINS, (0, 2), LineWidths((0.025,)))
BARRIER = 0.01
SURE = 1


def fitted(seed):
    x, z = truth.hits((Sphere(0.5, 0.03, 1, (0.4,)),), (3_000,), rng=np.random.default_rng(seed))
    data = fold_hits(Hits(x, z, np.ones(x.size), None), ImageGeometry(), BINS, Detection())
    return climb(MODEL, polar_counts(data, odd=False))


def nothing():
    return np.zeros((MODEL.design.shape[2],) * 2)


def test_groups_of_one_line_are_the_lines():
    best = fitted(1)
    found = pool(best, np.eye(MODEL.lines), nothing(), sure=MODEL.lines, barrier=BARRIER)
    np.testing.assert_allclose(found.terms.sum(axis=0), MODEL.terms(best.q).sum(axis=0), rtol=1e-3)


def test_a_peak_as_one_has_the_beta_of_its_electrons_to_its_error():
    near = np.abs(MODEL.radii - 0.5) < 0.1
    parts = np.array([near, MODEL.radii < 0.4, MODEL.radii > 0.6], dtype=float)
    pulls, pooled, summed = [], [], []
    for seed in range(2, 42):
        best = fitted(seed)
        found = pool(best, parts, nothing(), sure=SURE, barrier=BARRIER)
        terms, covariance = found.terms[0], found.covariance[:2, :2]
        ratio = np.array([-terms[1] / terms[0], 1]) / terms[0]
        pulls.append((terms[1] / terms[0] - 0.8) / np.sqrt(ratio @ covariance @ ratio))
        pooled.append(terms[1] / terms[0])
        one_by_one = MODEL.terms(best.q)[near].sum(axis=0)
        summed.append(one_by_one[1] / one_by_one[0])
    assert abs(np.mean(pulls)) < 0.6
    assert 0.7 < np.std(pulls) < 1.35
    off = [np.sqrt(np.mean(np.square(np.array(part) - 0.8))) for part in (pooled, summed)]
    assert off[0] < 0.9 * off[1]


def test_what_is_not_known_of_the_lines_is_not_known_of_their_sum():
    best, common = fitted(1), nothing()
    common[0, 0] = 25.0
    parts = np.ones((1, MODEL.lines))
    plain = pool(best, parts, nothing(), sure=SURE, barrier=BARRIER).covariance
    np.testing.assert_allclose(pool(best, parts, common, sure=SURE, barrier=BARRIER).covariance[0, 0], plain[0, 0] + 25)
