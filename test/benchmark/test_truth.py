"""Truth and measures of the benchmark of spectra: what they say of curves whose errors are known."""

import numpy as np
import pytest

from benchmark.spectra.inversions import judged
from benchmark.spectra.truth import (
    NAMED,
    RADII,
    Curves,
    Line,
    Truth,
    beta_errors,
    drawn,
    intensity_error,
    mean_beta,
    peak_errors,
)
from util.physics import pad

PEAK = Line(0.5, 0.01, 1.0, (0.8, -0.2))


def flat(intensity, beta):
    return Curves(RADII, np.full(RADII.size, intensity), np.tile(np.array(beta)[:, None], RADII.size))


@pytest.mark.parametrize("lines", [*NAMED.values(), drawn(0)], ids=[*NAMED, "drawn"])
def test_a_true_intensity_holds_all_its_electrons(lines):
    curves = Truth("", lines, 5000).curves(np.linspace(0, 1.2, 12_001))
    assert np.trapezoid(curves.intensity, curves.r) == pytest.approx(5000, rel=1e-6)


def test_sampled_electrons_have_the_betas_of_the_true_curves():
    truth = Truth("", (PEAK, Line(0.7, 0.02, 0.5, (-0.6, 0.1))), 400_000)
    x, z = truth.sample(np.random.default_rng(0))
    # The mean of cos^2 over a PAD is (1 + 2/5 beta_2) / 3; that of sin^2 cos^2(phi) is half of what is left.
    square = np.array([line.R**2 + line.sigma**2 for line in truth.lines])
    share = np.array([(1 + 0.4 * line.beta[0]) / 3 for line in truth.lines])
    assert (z**2).sum() == pytest.approx(truth.numbers @ (square * share), rel=0.01)
    assert (x**2).sum() == pytest.approx(truth.numbers @ (square * (1 - share) / 2), rel=0.01)


def test_drawn_spectra_are_possible_and_differ():
    spectra = [drawn(seed) for seed in range(60)]
    assert all(pad.is_density([np.array(line.beta) / 2 for line in lines]).all() for lines in spectra)
    assert len({lines[0] for lines in spectra}) == 60
    assert {sum(not line.is_continuum for line in lines) for lines in spectra} == set(range(2, 11))
    assert 15 < sum(line.is_continuum for lines in spectra for line in lines) < 45


def test_the_curves_of_the_truth_are_without_error():
    truth = Truth("", NAMED["continuum"], 1e5)
    found = truth.curves(np.linspace(0, 1, 4097))
    assert intensity_error(found, truth) < 1e-12
    assert beta_errors(found, truth).max() < 1e-3


def test_an_intensity_that_is_a_tenth_too_high_is_off_by_a_tenth():
    truth = Truth("", NAMED["eight"], 1e5)
    found = truth.curves(RADII)
    assert intensity_error(found._replace(intensity=1.1 * found.intensity), truth) == pytest.approx(0.1)


def test_a_mean_beta_is_weighted_by_the_intensity_found():
    half = np.where(RADII < 0.5, 1.0, 3.0)
    found = Curves(RADII, half, np.where(RADII < 0.5, 0.4, 0.8) * np.ones((2, 1)))
    assert mean_beta(found, PEAK) == pytest.approx([0.7, 0.7], abs=0.01)


def test_a_beta_of_no_electrons_counts_for_nothing():
    found = flat(1.0, (0.5, 0.1))
    gone = np.abs(RADII - 0.48) < 0.01
    found = Curves(found.r, np.where(gone, 0, found.intensity), np.where(gone, np.nan, found.beta))
    assert mean_beta(found, PEAK) == pytest.approx([0.5, 0.1])
    assert mean_beta(flat(0.0, (np.nan, np.nan)), PEAK).tolist() == [0, 0]


def test_an_impossible_beta_is_taken_for_the_nearest_possible_one():
    assert mean_beta(flat(1.0, (-40.0, 30.0)), PEAK).tolist() == [-2.5, 9]


def test_only_peaks_that_stand_apart_are_judged():
    truth = Truth("", NAMED["pair"], 1e5)
    assert [line.R for line in truth.peaks()] == [0.3, 0.8]
    assert truth.is_resolved(np.array([0.3, 0.47, 0.5, 0.515, 0.55])).tolist() == [True, True, False, False, True]
    assert [line.R for line in Truth("", NAMED["continuum"], 1e5).peaks()] == [0.35, 0.62]


def test_a_peak_that_is_not_listed_is_answered_by_0():
    truth = Truth("", (PEAK,), 1e5)
    assert peak_errors(np.array([0.505]), np.array([[0.9], [-0.2]]), truth) == pytest.approx([0.1, 0], abs=1e-9)
    assert peak_errors(np.array([0.6]), np.array([[0.9], [-0.2]]), truth) == pytest.approx([0.8, 0.2], abs=1e-9)


def test_the_betas_that_are_judged_are_found_among_those_of_a_higher_order():
    assert judged((2, 4)) == [0, 1]
    assert judged((1, 2, 3, 4, 5, 6)) == [1, 3]
