"""What no image tells moves the answer as far as is said: against fits of electrons that it has happened to."""

import re

import numpy as np
import pytest

from support import truth
from util.fit.detection import Detection
from util.fit.likelihood import fit
from util.fit.systematics import systematics

START = [(s.R, s.sigma_R) for s in truth.DESIGN]
CENTRE = np.array([[0.01], [-0.02]])


@pytest.fixture(scope="module")
def measured():
    x, z = truth.hits(truth.DESIGN, (40_000, 40_000), rng=np.random.default_rng(150)) + CENTRE
    return x, z, fit(x, z, start=START, order=16)


def test_a_quadrupole_of_efficiency_moves_the_answer_as_is_said(measured):
    x, z, answer = measured
    uneven = fit(x, z, 1 + 0.02 * (x**2 - z**2), start=START, order=16)
    moved, told = (uneven.values - answer.values) / answer.errors, 2 * systematics(answer).efficiency / answer.errors
    assert np.abs(told).max() > 0.5
    assert told == pytest.approx(moved, abs=0.1)


def test_a_distortion_moves_the_answer_as_is_said(measured):
    x, z, answer = measured
    from_centre = np.stack((x, z)) - answer.centre[:, None]
    lie = answer.centre[:, None] + from_centre * (1 + 0.001 * (from_centre**2).sum(axis=0))
    distorted = fit(*lie, start=START, order=16)
    told = 0.1 * systematics(answer).distortion
    layout = answer.layout
    assert told[layout.R] == pytest.approx(0.001 * answer.R**3, rel=0.03)
    assert told / answer.errors == pytest.approx((distorted.values - answer.values) / answer.errors, abs=0.15)


def test_what_moves_an_answer_depends_on_where_the_detector_sees_and_not_on_how_well(measured):
    _, _, answer = measured
    shape = answer.layout.shape
    even = systematics(answer).efficiency[shape]
    half = np.full((64, 64), 0.5)
    assert systematics(answer, Detection(efficiency=half)).efficiency[shape] == pytest.approx(even, rel=1e-6, abs=1e-12)
    half[:16] = half[48:] = 0
    seen = systematics(answer, Detection(efficiency=half)).efficiency[shape]
    assert not np.allclose(seen, even, rtol=0.1)


def test_what_moves_most_is_told_and_a_known_efficiency_is_not(measured):
    _, _, answer = measured
    told = systematics(answer).told
    assert re.match(
        r"not in the errors: 1 % of quadrupole efficiency would move beta_\d+_[12] by .* = \d+\.\d errors;", told[0]
    )
    assert re.search(r"distortion would move R_[12] by 0\.00\d+ = \d+\.\d errors$", told[1])
    known = systematics(answer, efficiency_known=True)
    assert known.told == told[1:]
    assert list(known.per_percent) == ["distortion"]
