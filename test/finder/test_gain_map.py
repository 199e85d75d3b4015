"""Hits that stand alone tell the gain over the screen, though some are two electrons; an even gain is left alone."""

import numpy as np
import pytest

from support import truth
from util.camera.imperfections import Term, smooth_map
from util.finder.gain_map import Gain, crowd_at, fit_gain
from util.finder.weighting import lumps, weight_hits

SPREAD = 0.17
QUADRUPOLE = (Term(2, 0, 0.1), Term(0, 2, -0.1))
LENS = (Term(2, 0, -0.3), Term(0, 2, -0.3), Term(4, 0, 0.1), Term(2, 2, 0.2), Term(0, 4, 0.1))
SIDE = np.linspace(-0.7, 0.7, 29)


def lone_hits(terms, size, rng, doubles=0.0):
    """Return x, z and flux of hits that stand alone, a part of which are two electrons."""
    x, z = rng.uniform(-0.9, 0.9, (2, size))
    electrons = np.where(rng.random(size) < doubles, 2, 1)
    return x, z, smooth_map(terms, x, z) * rng.gamma(electrons / SPREAD**2, SPREAD**2)


@pytest.mark.parametrize("terms", [QUADRUPOLE, LENS, (Term(1, 0, 0.05),)])
def test_a_gain_that_changes_over_the_screen_is_found(terms):
    x, z, flux = lone_hits(terms, 100_000, np.random.default_rng(1), doubles=0.05)
    found = fit_gain(x, z, 1.02 * flux, SPREAD, fewest=2000)
    places = SIDE[:, None], SIDE
    assert found.at(*places) == pytest.approx(1.02 * smooth_map(terms, *places), rel=0.01)


def test_an_even_gain_is_left_alone_and_its_unit_is_found():
    rng = np.random.default_rng(2)
    found = [fit_gain(*lone_hits((), 5000, rng), SPREAD, fewest=2000) for _ in range(200)]
    assert not any(gain.terms for gain in found)
    units = np.array([gain.unit for gain in found])
    assert units.mean() == pytest.approx(1, abs=4 * SPREAD / np.sqrt(200 * 5000))
    assert units.std() == pytest.approx(SPREAD / np.sqrt(5000), rel=0.2)


def test_a_change_too_small_to_move_an_answer_is_left_alone_however_clear():
    x, z, _ = lone_hits((), 100_000, np.random.default_rng(3))
    assert fit_gain(x, z, smooth_map((Term(1, 0, 0.001),), x, z), 0.02, fewest=2000).terms == ()
    assert fit_gain(x, z, smooth_map((Term(1, 0, 0.004),), x, z), 0.02, fewest=2000).terms != ()


def test_few_hits_tell_nothing():
    x, z, flux = lone_hits(QUADRUPOLE, 1000, np.random.default_rng(4))
    assert fit_gain(x, z, 1.1 * flux, SPREAD, fewest=2000) == Gain()


def test_weights_count_electrons_where_the_gain_is_high_as_where_it_is_low():
    rng = np.random.default_rng(5)
    x, z, flux = lone_hits((Term(1, 0, 0.2),), 100_000, rng, doubles=0.05)
    hits = np.zeros(x.size, [("ImageId", "<i4"), ("x", "<f4"), ("z", "<f4"), ("flux", "<f4")])
    hits["ImageId"], hits["x"], hits["z"], hits["flux"] = np.arange(x.size), x, z, flux
    weight = weight_hits(hits, 0.015, SPREAD)
    for side in (x < -0.5, np.abs(x) < 0.2, x > 0.5):
        assert weight[side].mean() == pytest.approx(1.05, rel=0.005)


@pytest.mark.parametrize(("spread", "cut"), [(1.0, 0.2), (1.0, 0.4), (0.6, 0.4)])
def test_hits_of_a_broad_law_count_alike_all_over_the_screen_though_faint_ones_are_lost(spread, cut):
    rng = np.random.default_rng(6)
    x, z = rng.uniform(-0.9, 0.9, (2, 400_000))
    gain = smooth_map((Term(1, 0, 0.2), Term(2, 0, 0.1)), x, z)
    flux = gain * rng.gamma(spread**-2, spread**2, x.size)
    seen = flux > cut
    hits = np.zeros(seen.sum(), [("ImageId", "<i4"), ("x", "<f4"), ("z", "<f4"), ("flux", "<f4")])
    hits["ImageId"], hits["x"], hits["z"] = np.arange(hits.size), x[seen], z[seen]
    hits["flux"] = flux[seen] / flux[seen].mean()
    weight = weight_hits(hits, 0.015, spread)
    assert weight.sum() == pytest.approx(x.size, rel=0.02)
    parts = [(where[seen], where.sum()) for where in (x < -0.5, np.abs(x) < 0.2, x > 0.5)]
    shares = [weight[own].sum() / electrons / (weight.sum() / x.size) for own, electrons in parts]
    assert shares == pytest.approx([1, 1, 1], abs=0.012)
    # One for each hit, or one's flux, would not.
    ones = [own.sum() / electrons / (hits.size / x.size) for own, electrons in parts]
    assert max(ones) - min(ones) > 0.02
    # Its variance is that of fewer electrons, far from that of their flux.
    assert (weight**2).mean() / weight.mean() ** 2 < 1 + 0.7 * spread**2


def crowded_hits(terms, spread, rng):
    """Return x, z and flux of hits, crowded at the poles, where electrons near one another are taken for one.

    Those of 3,000 frames of 86 electrons, in their order.
    """
    x, z = truth.hits(truth.DESIGN, (129_000, 129_000), rng=rng)[:, rng.permutation(258_000)]
    flux = smooth_map(terms, x, z) * rng.gamma(spread**-2, spread**2, x.size)
    lump = lumps(np.arange(x.size) // 86, x, z, 0.022)
    first = lump == np.arange(x.size)
    return x[first], z[first], np.bincount(lump, flux, x.size)[first]


@pytest.mark.parametrize("terms", [(), (Term(2, 0, 0.02), Term(0, 2, -0.08))])
@pytest.mark.parametrize("spread", [0.36, 1.0])
def test_the_crowd_at_the_poles_is_not_taken_for_a_gain(terms, spread):
    x, z, flux = crowded_hits(terms, spread, np.random.default_rng(7))
    taken = fit_gain(x, z, flux, spread, fewest=2000, least=0.2)
    found = fit_gain(x, z, flux, spread, fewest=2000, least=0.2, crowd=crowd_at(x, z, 0.022))
    poles, sides = (0, 0.8), (0.8, 0)
    true, wrong, right = (
        np.divide(*(smooth_map(gain, *place) for place in (poles, sides))) for gain in (terms, taken.terms, found.terms)
    )
    assert wrong > true + 0.03
    assert right == pytest.approx(true, abs=0.012)
    assert bool(found.terms) == bool(terms)


def test_hits_of_a_broad_law_are_counted_from_the_same_brightness_in_a_crowd_as_apart():
    x, z, flux = crowded_hits((), 0.36, np.random.default_rng(8))
    hits = np.zeros(x.size, [("ImageId", "<i4"), ("x", "<f4"), ("z", "<f4"), ("flux", "<f4")])
    hits["ImageId"], hits["x"], hits["z"], hits["flux"] = np.arange(x.size) // 80, x, z, flux
    counted = weight_hits(hits, 0.015, 0.36) > 0
    crowded = np.abs(z) > 0.75
    faintest = [flux[counted & where].min() for where in (crowded, ~crowded & (np.abs(x) > 0.4))]
    assert faintest[0] == pytest.approx(faintest[1], rel=0.01)


@pytest.mark.parametrize("share", [0.0, 0.009, 0.02])
def test_false_hits_do_not_tell_from_what_brightness_electrons_are_found(share):
    rng = np.random.default_rng(9)
    x, z = rng.uniform(-0.9, 0.9, (2, 100_000))
    flux = rng.exponential(1, x.size)
    false = rng.random(x.size) < share
    flux[false] = rng.uniform(0.005, 0.02, false.sum())
    seen = false | (flux > 0.1)
    hits = np.zeros(seen.sum(), [("ImageId", "<i4"), ("x", "<f4"), ("z", "<f4"), ("flux", "<f4")])
    hits["ImageId"], hits["x"], hits["z"], hits["flux"] = np.arange(hits.size), x[seen], z[seen], flux[seen]
    weight = weight_hits(hits, 0.015, 1.0)
    assert flux[seen][weight > 0].min() == pytest.approx(0.165, abs=0.02)
    assert weight.sum() == pytest.approx(np.count_nonzero(~false), rel=0.01)
