"""A centre that drifts is measured and followed; one that does not is left alone."""

import re

import numpy as np
import pytest

from support import truth
from util.fit.detection import Detection
from util.fit.drift import follow_centre, measure_drift
from util.fit.likelihood import fit
from util.fit.map_data import Hits

START = [(s.R, s.sigma_R) for s in truth.DESIGN]
SIZE = 80_000


def taken(drift):
    """Return hits in the order in which they came, the centre along x drifting by so much from first to last."""
    rng = np.random.default_rng(170)
    x, z = truth.hits(truth.DESIGN, (SIZE // 2, SIZE // 2), rng=rng)[:, rng.permutation(SIZE)]
    return Hits(x + drift * np.linspace(-0.5, 0.5, SIZE), z, np.ones(SIZE), None)


def answer_of(hits):
    return fit(hits.x, hits.z, hits.weight, start=START)


def test_a_steady_image_has_no_drift():
    hits = taken(0.0)
    drift = measure_drift(hits, answer_of(hits), Detection())
    found = [drift.variance_of(name) for name in ("centre_x", "centre_z", "R_1", "R_2")]
    assert min(p for *_, p in found) > 0.01
    assert np.array([variance / error for variance, error, _ in found]) == pytest.approx(0, abs=3)
    assert drift.warnings == ()
    assert drift.blocks.sum(axis=0) == pytest.approx(0, abs=1e-6)
    assert (np.abs(drift.done) < 0.4 * drift.result.errors)[drift.result.layout.shape].all()


def test_a_drift_is_measured_told_and_followed():
    hits, steady = taken(0.03), answer_of(taken(0.0))
    answer = answer_of(hits)
    drift = measure_drift(hits, answer, Detection())
    variance, _, p = drift.variance_of("centre_x")
    assert p < 1e-12 and drift.variance_of("centre_z")[2] > 1e-3
    assert np.sqrt(variance) == pytest.approx(0.03 / np.sqrt(12), rel=0.25)
    assert "centre_x 0.00" in drift.line
    (warning,) = drift.warnings
    assert warning.startswith("the centre of the image drifts by 0.00") and warning.endswith(": --follow-drift")
    width = steady.layout.sigma_R
    pulls = (answer.values - steady.values)[width] / steady.errors[width]
    assert pulls.max() > 5
    assert float(re.search(r"moves sigma_R_[12] by (\S+) errors", warning)[1]) == pytest.approx(pulls.max(), rel=0.4)
    followed = answer_of(follow_centre(hits, answer, Detection()))
    left = (followed.values - steady.values) / steady.errors
    assert np.abs(left).max() < 0.6
    assert measure_drift(follow_centre(hits, answer, Detection()), followed, Detection()).warnings == ()
