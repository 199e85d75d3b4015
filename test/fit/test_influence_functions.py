"""The linearised fit: what groups of hits do to an answer, against fitting without them and against its covariance."""

import numpy as np
import pytest

from support import truth
from util.fit.influence_functions import Influence
from util.fit.likelihood import fit
from util.physics.polar_map import PolarBins

BINS = PolarBins(500, 96)  # coarser ones move an answer by what an interpolated influence does not see
START = [(s.R, s.sigma_R) for s in truth.DESIGN]
GROUPS = 400


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(190)
    x, z = truth.hits(truth.DESIGN, (60_000, 60_000), rng=rng) + np.array([[0.003], [-0.002]])
    weight = rng.normal(1, 0.17, x.size)
    return x, z, weight, rng.integers(0, GROUPS, x.size)


def test_leaving_a_group_out_moves_the_answer_by_its_influence(measured):
    x, z, weight, group = measured
    whole = fit(x, z, weight, start=START, bins=BINS)
    kept = group >= 40  # all but a tenth
    without = fit(x[kept], z[kept], weight[kept], start=START, bins=BINS)
    moved = Influence(whole, BINS).by_group(x, z, weight, group, GROUPS)
    promised = (moved.mean(axis=0) * 40 - moved[:40].sum(axis=0)) / 0.9
    # Numbers fall with the electrons left out; everything else only by the group's peculiarity.
    kept = np.append(whole.layout.shape, whole.layout.centre)
    found = ((without.values - whole.values) / whole.errors)[kept]
    left = found - (promised / whole.errors)[kept]
    assert np.std(left) < 0.15 * np.std(found)


def test_groups_scatter_as_the_covariance_says(measured):
    x, z, weight, group = measured
    whole = fit(x, z, weight, start=START, bins=BINS)
    moved = Influence(whole, BINS).by_group(x, z, weight, group, GROUPS)
    errors = moved.std(axis=0, ddof=1) * np.sqrt(GROUPS)
    # 400 groups know a standard deviation to 3.5 %.
    assert errors / whole.errors == pytest.approx(np.ones(len(errors)), abs=0.13)
    assert np.mean(errors / whole.errors) == pytest.approx(1, abs=0.03)
