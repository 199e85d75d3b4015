"""Goodness of fit: calibrated where the model is right, and an alarm that names the fault where it is not."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from support import truth
from util.fit.circle_map import N_PHI, N_RHO, around
from util.fit.goodness import assess
from util.fit.likelihood import fit
from util.fit.parameters import PIECES
from util.physics.polar_map import PolarBins

BINS = PolarBins(500, 96)
NAMES = ("deviance", "radial profile", "angular profile", "worst region", *PIECES, "centre of 2")
START = [(sphere.R, sphere.sigma_R) for sphere in truth.DESIGN]
ELECTRONS = (100_000, 100_000)


def checked(x, z, seed=1, *, simulations=40, factor=1.0, **options):
    """Return the tests of hits with spread weights; `factor` falsifies the variance that the tests are told."""
    weight = np.random.default_rng([90, seed]).normal(1, 0.17, x.size)
    result = fit(x, z, weight, start=START, bins=BINS, **options)
    rng = np.random.default_rng([91, seed])
    return assess(x, z, weight, result, rng=rng, variance=factor * weight**2, simulations=simulations)


@pytest.fixture(scope="module")
def sound():
    """Return the position of electrons that the model describes, off centre."""
    x, z = truth.hits(truth.DESIGN, ELECTRONS, rng=np.random.default_rng(92))
    return x + 0.003, z - 0.002


def alarms(goodness):
    return {test.name for test in goodness.tests if test.p < 1e-3}


def named(goodness, name):
    return next(test for test in goodness.tests if test.name == name)


def p_values(factor):
    """P-values (20, 10) of experiments that the model describes."""
    out = []
    for seed in range(20):
        rng = np.random.default_rng([93, seed])
        x, z = truth.hits(truth.DESIGN, tuple(rng.poisson((20_000, 20_000))), rng=rng)
        tests = checked(x, z, seed, simulations=30, factor=factor).tests
        assert tuple(test.name for test in tests) == NAMES
        out.append([test.p for test in tests])
    return np.array(out)


@pytest.mark.slow
def test_p_values_are_uniform_where_the_model_is_right():
    p = p_values(1.0)
    assert p.shape == (20, len(NAMES))
    for name, column in zip(NAMES, p.T, strict=True):
        # The background's p is meant to err on the safe side, never on the other.
        side = "greater" if name in ("background", "blob") else "two-sided"
        assert stats.kstest(column, "uniform", alternative=side).pvalue > 1e-3, name
    # The negative control: a variance that is told 15 % too small shows.
    assert stats.kstest(p_values(0.85)[:, 0], "uniform").pvalue < 1e-3


def test_sound_data_raise_no_alarm(sound):
    assert not checked(*sound).warnings


def test_a_third_sphere_is_found_where_it_is(sound):
    third = truth.hits((replace(truth.DESIGN[0], R=0.3),), (3_000,), rng=np.random.default_rng(94))
    goodness = checked(*np.concatenate((sound, third), axis=1))
    assert {"worst region", "radial profile"} <= alarms(goodness)
    text = named(goodness, "worst region").text
    low, high = (float(text.split("radius ")[1].split()[i].strip(",:")) for i in (0, 2))
    assert text.startswith("more electrons") and low < 0.3 < high + 0.03
    assert any("worst" not in line and "more electrons" in line for line in goodness.warnings)


def test_a_background_is_measured(sound):
    rng = np.random.default_rng(95)
    goodness = checked(*np.concatenate((sound, rng.uniform(-1, 1, (2, 2_000))), axis=1))
    share = named(goodness, "background")
    assert "background" in alarms(goodness)
    # pi/4 of the 1 % falls into the disc that the fit sees.
    assert abs(share.value - 100 * np.pi / 4 * 2_000 / 200_000) < 5 * max(share.error, 0.03)


def test_a_fitted_background_is_no_fault(sound):
    rng = np.random.default_rng(95)
    goodness = checked(*np.concatenate((sound, rng.uniform(-1, 1, (2, 2_000))), axis=1), pieces=("background",))
    assert not goodness.warnings
    assert "background" not in {test.name for test in goodness.tests}


def test_what_a_background_moves_is_what_a_fit_of_it_takes_back(sound):
    extra = np.random.default_rng(95).uniform(-1, 1, (2, 2_000))
    x, z = np.concatenate((sound, extra), axis=1)
    weight = np.ones(x.size)
    without, beside = (fit(x, z, weight, start=START, bins=BINS, pieces=pieces) for pieces in ((), ("background",)))
    shared = np.array([beside.layout.index(name) for name in without.layout.names])
    pulls = np.abs((without.values - beside.values[shared]) / without.errors)[without.layout.shape]
    worst = without.layout.names[without.layout.shape[pulls.argmax()]]
    text = named(assess(x, z, weight, without, rng=np.random.default_rng(98), simulations=20), "background").text
    told = re.search(r"which moves (\S+) by about (\S+) of its errors: --fit background", text)
    assert told[1] == worst
    assert float(told[2]) == pytest.approx(pulls.max(), rel=0.25)


def test_a_rotation_is_measured(sound):
    a = np.radians(1.0)
    x, z = np.array(sound) - [[0.003], [-0.002]]
    goodness = checked(x * np.cos(a) + z * np.sin(a), z * np.cos(a) - x * np.sin(a))
    tilt = named(goodness, "rotation")
    assert {"rotation", "angular profile"} <= alarms(goodness)
    assert tilt.value == pytest.approx(1.0, abs=0.1 + 4 * tilt.error)
    assert any("turned by" in line for line in goodness.warnings)


def test_spheres_about_different_centres_are_told(sound):
    x, z = np.array(sound)
    x[ELECTRONS[0] :] += 0.002
    goodness = checked(x, z)
    assert "centre of 2" in alarms(goodness)
    assert not {"rotation", "background"} & alarms(goodness)


def test_a_wrong_centre_is_told(sound):
    weight = np.ones(sound[0].size)
    result = fit(*sound, weight, start=START, bins=BINS)
    wrong = replace(result, values=result.values + 0.01 * (np.arange(result.layout.size) == result.layout.centre[0]))
    goodness = assess(*sound, weight, wrong, rng=np.random.default_rng(96), simulations=40)
    assert {"deviance", "angular profile", "worst region"} & alarms(goodness)


def test_a_dead_patch_is_named(sound):
    x, z = np.array(sound)
    phi = np.degrees(np.arctan2(x - 0.003, z + 0.002))
    dead = (phi > 40) & (phi < 60) & (np.hypot(x, z) > 0.7) & (np.random.default_rng(97).random(x.size) < 0.25)
    goodness = checked(x[~dead], z[~dead])
    text = named(goodness, "worst region").text
    assert "worst region" in alarms(goodness)
    assert text.startswith("fewer") and "towards +x" in text


def test_quadrants_are_put_side_by_side_by_their_angle():
    # Each bin holds its own angle from +z towards +x.
    angle = np.broadcast_to((np.arange(N_PHI // 4) + 0.5) * 2 * np.pi / N_PHI, (N_RHO, N_PHI // 4))
    circle = around(np.stack((angle, -angle, np.pi - angle, angle - np.pi)))
    assert np.allclose(circle, (np.arange(N_PHI) + 0.5) * 2 * np.pi / N_PHI - np.pi)
