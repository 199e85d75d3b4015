"""Two answers from the same electrons: whether they agree, with what they have in common taken into account."""

import numpy as np
import pytest

from support import truth
from util.fit.agreement import compare
from util.fit.influence_functions import Influence
from util.fit.likelihood import fit
from util.physics.polar_map import PolarBins

BINS = PolarBins(250, 48)
START = [(s.R, s.sigma_R) for s in truth.DESIGN]
BLOCKS = 200


def two_answers(seed, *, blur=0.0, order=8):
    """Answers from the same electrons by weights that differ, the second's positions blurred."""
    rng = np.random.default_rng([200, seed])
    x, z = truth.hits(truth.DESIGN, (20_000, 20_000), rng=rng)
    block = rng.integers(0, BLOCKS, x.size)
    how = {"start": START, "bins": BINS, "order": order}
    hits = [(x, z, np.ones(x.size))]
    hits.append((x + rng.normal(0, blur, x.size), z + rng.normal(0, blur, x.size), rng.normal(1, 0.5, x.size)))
    results = [fit(*part, **how) for part in hits]
    moved = [Influence(r, BINS).by_group(*part, block, BLOCKS) for r, part in zip(results, hits, strict=True)]
    return *results, moved[0] - moved[1]


@pytest.mark.slow
def test_answers_from_the_same_electrons_agree_as_often_as_they_should():
    p = []
    for seed in range(40):
        first, second, moved = two_answers(seed)
        p.append(compare(first, second, moved, np.zeros((len(first.names),) * 2)).p)
    # Uniform: mean 0.5 +- 0.05; half of them below 0.5.
    assert np.mean(p) == pytest.approx(0.5, abs=0.16)
    assert 8 <= np.sum(np.array(p) < 0.5) <= 32
    # The negative control: errors taken as independent would make the two agree far too well.
    both = first.covariance + second.covariance
    naive = np.sqrt(np.diag(both))[first.layout.shape]
    assert np.median(compare(first, second, moved, 0 * both).error / naive) < 0.5


def test_a_blurred_answer_does_not_agree():
    first, second, moved = two_answers(3, blur=0.004)
    found = compare(first, second, moved, np.zeros((len(first.names),) * 2))
    assert found.p < 1e-6
    assert "DISAGREE" in found.text() and "sigma_R" in found.text()
    # Nothing to say against it where the error is that large.
    assert compare(first, second, moved, np.diag(np.full(len(first.names), 1e3))).p > 0.99


def test_answers_of_other_parameters_and_too_few_blocks_are_refused():
    first, second, moved = two_answers(4)
    with pytest.raises(ValueError, match="same parameters"):
        compare(first, two_answers(4, order=6)[0], moved, moved.T @ moved)
    with pytest.raises(ValueError, match="blocks"):
        compare(first, second, moved[:12], moved.T @ moved)
