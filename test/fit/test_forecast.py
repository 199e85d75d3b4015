"""How many frames it takes until a beta is known well enough, foretold and then fitted."""

import numpy as np
import pytest

from support import truth
from util.fit.forecast import frames_until
from util.fit.likelihood import fit

START = [(sphere.R, sphere.sigma_R) for sphere in truth.DESIGN]


def fitted(frames):
    """Return the fit of so many frames of 40 electrons of each sphere."""
    hits = truth.hits(truth.DESIGN, (40 * frames, 40 * frames), rng=np.random.default_rng(frames))
    return fit(*hits, start=START)


def test_the_error_that_was_foretold_is_reached_after_as_many_frames():
    few, many = fitted(200), fitted(3200)
    wanted = many.errors[many.layout.beta[:, 0]]
    for s in range(2):
        assert frames_until(few, 200, wanted[s])[s] == pytest.approx(3200, rel=0.1)
    assert frames_until(few, 200, wanted[0], degree=4)[0] != pytest.approx(3200, rel=0.1)


def test_the_error_that_is_there_takes_as_many_frames_as_there_were_and_half_of_it_four_times_as_many():
    found = fitted(200)
    error = found.errors[found.layout.index("beta_2_1")]
    assert frames_until(found, 200, error)[0] == pytest.approx(200)
    assert frames_until(found, 200, error / 2)[0] == pytest.approx(800)
