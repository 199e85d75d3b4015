"""Runs of one experiment joined: as the fit of all hits, with the detector's efficiency where one run was turned."""

from dataclasses import replace

import numpy as np
import pytest

from support import truth
from util.fit.joint_runs import Run, join_runs
from util.fit.likelihood import fit
from util.fit.systematics import PERCENT, systematics
from util.physics.polar_map import PolarBins
from util.runtime.errors import InputError

BETAS = (0.6, 0.2, 0.05, 0.0), (-0.2, 0.1, 0.0, 0.0)
SPHERES = tuple(replace(sphere, beta=beta) for sphere, beta in zip(truth.DESIGN, BETAS, strict=True))
START = [(s.R, s.sigma_R) for s in SPHERES]
BINS = PolarBins(500, 48)
UNEVEN = 0.05


def answered(x, z, order=8):
    return fit(x, z, start=START, order=order, bins=BINS)


def run_of(answer, name="another", *, turned=False):
    return Run(name, answer, (-1 if turned else 1) * systematics(answer).efficiency / PERCENT, turned)


def seen(x, z, uneven, rng):
    """Keep the electrons that a detector with a quadrupole of efficiency registers."""
    kept = rng.random(x.size) < (1 + uneven * (x**2 - z**2)) / (1 + abs(uneven))
    return x[kept], z[kept]


@pytest.fixture(scope="module")
def two_runs():
    rng = np.random.default_rng(160)
    return [truth.hits(SPHERES, (n, n), rng=rng) + offset for n, offset in ((60_000, 0.0), (20_000, 0.01))]


@pytest.fixture(scope="module")
def turned_runs():
    rng = np.random.default_rng(161)
    first, second = (truth.hits(SPHERES, (100_000, 100_000), rng=rng) for _ in range(2))
    # The second in its own axes: the detector's quadrupole lies across them.
    return [answered(*seen(*first, UNEVEN, rng)), answered(*seen(*second, -UNEVEN, rng))]


def deviation(answer):
    """Return the betas' deviations from the truth, in errors."""
    return (answer.beta - np.array(BETAS)) / answer.errors[answer.layout.beta]


def test_runs_with_centres_of_their_own_are_joined_as_a_fit_of_all_their_hits(two_runs):
    apart = [answered(*positions) for positions in two_runs]
    joined = join_runs([run_of(answer) for answer in apart])
    together = answered(*np.concatenate([two_runs[0], two_runs[1] - 0.01], axis=1))
    shape = together.layout.shape
    assert (joined.answer.values - together.values)[shape] / together.errors[shape] == pytest.approx(0, abs=0.15)
    assert joined.answer.errors[shape] == pytest.approx(together.errors[shape], rel=0.03)
    assert joined.answer.centre == pytest.approx(apart[0].centre, abs=2e-5)
    assert joined.quadrupole is None and joined.dof == shape.size
    assert 0.01 < joined.p < 0.99 and joined.answer.hits == 160_000


def test_a_run_that_was_turned_tells_the_efficiency_and_takes_it_out(turned_runs):
    one, other = turned_runs
    assert np.abs(deviation(one)).max() > 5
    joined = join_runs([run_of(one), run_of(other, turned=True)])
    q, error = joined.quadrupole
    assert q == pytest.approx(UNEVEN, abs=3 * error) and error < 0.008
    assert joined.p > 0.01
    assert np.abs(deviation(joined.answer)).max() < 3.5
    assert np.all(joined.answer.errors[one.layout.beta] < one.errors[one.layout.beta])


def test_runs_that_disagree_are_told_apart_by_name(turned_runs):
    one, other = turned_runs
    joined = join_runs([run_of(one), run_of(other, "the other run")])
    assert joined.p < 1e-6
    assert "DISAGREE" in joined.text() and joined.worst.startswith("beta_2_2 of the other run, by ")


def test_runs_of_other_degrees_are_refused(turned_runs, two_runs):
    lower = answered(*two_runs[1], order=6)
    with pytest.raises(InputError, match=r"^another: expected 2 spheres up to degree 8, .* found 2 up to 6; tell"):
        join_runs([run_of(turned_runs[0]), run_of(lower)])
