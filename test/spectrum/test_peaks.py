"""Peaks of a spectrum: which there are, what is theirs, and which share their electrons."""

from typing import NamedTuple

import numpy as np
import pytest

from util.spectrum.curves import line_shapes, weighted
from util.spectrum.peaks import Place, clear_tops, peak_parts, shape_of
from util.spectrum.spectrum import Lines

R = np.linspace(0.001, 0.999, 500)
RADII = np.arange(0.004, 1, 0.008)


def lines_of(*peaks, floor=0.0, error=0.01):
    """Return lines of sigma 0.01 that hold Gaussian peaks (R, sigma, electrons, beta_2) over an even floor."""
    terms = np.zeros((RADII.size, 2))
    for place, sigma, electrons, beta in peaks:
        part = np.exp(-((RADII - place) ** 2) / (2 * (sigma**2 - 0.01**2)))
        terms += np.outer(electrons * part / part.sum(), (1, beta))
    terms[:, 0] += floor
    scatter = np.maximum(np.repeat(terms[:, 0], 2), 1) * error
    return Lines(np.full(RADII.size, 0.01), RADII, terms, np.diag(scatter**2))


class Found(NamedTuple):
    """Place, width and electrons of each peak, with the errors of the first two, and its overlap."""

    R: np.ndarray
    R_error: np.ndarray
    sigma_R: np.ndarray
    sigma_R_error: np.ndarray
    electrons: np.ndarray
    overlap: np.ndarray


def found_in(lines):
    curves = weighted(line_shapes(R, lines), lines)
    tops = clear_tops(curves.intensity, curves.intensity_error)
    shapes = [shape_of(top, R, curves.intensity, lines) for top in tops]
    parts = peak_parts(tops, shapes, R, lines)
    np.testing.assert_allclose(parts.sum(axis=0), 1)
    electrons = (parts @ lines.terms[:, 0])[: len(tops)]
    overlap = np.array([top.overlap for top in tops])
    return Found(*np.array([shape[:4] for shape in shapes]).reshape(-1, 4).T, electrons, overlap)


def test_a_peak_is_told_with_all_that_it_holds():
    peaks = found_in(lines_of((0.3, 0.02, 1000, 0.5), (0.7, 0.015, 300, -1)))
    np.testing.assert_allclose(peaks.R, (0.3, 0.7), atol=1e-4)
    np.testing.assert_allclose(peaks.sigma_R, (0.02, 0.015), rtol=0.01)
    np.testing.assert_allclose(peaks.electrons, (1000, 300), rtol=2e-3)
    assert (peaks.overlap < 1e-3).all()


def test_what_lies_evenly_below_a_peak_is_not_the_peaks():
    (electrons,) = found_in(lines_of((0.5, 0.02, 1000, 0.5), floor=5)).electrons
    assert electrons == pytest.approx(1000, rel=0.01)


def test_uneven_lines_of_a_continuum_below_a_peak_are_not_the_peaks():
    lines = lines_of((0.5, 0.012, 1000, 0.5), floor=40)
    uneven = lines.terms.copy()
    away = np.abs(RADII - 0.5) > 0.02
    uneven[away] *= 1 + np.cos(np.arange(away.sum()) * 2.1)[:, None]  # as noise makes them: from nothing to twice
    peaks = found_in(lines._replace(terms=uneven))
    peak = np.argmin(np.abs(peaks.R - 0.5))
    assert peaks.electrons[peak] == pytest.approx(1000, rel=0.03)
    assert peaks.sigma_R[peak] == pytest.approx(0.012, rel=0.15)


def test_a_sharp_peak_stands_on_the_slope_of_a_broad_one():
    peaks = found_in(lines_of((0.5, 0.1, 4000, 0), (0.62, 0.012, 1000, 0)))
    assert peaks.electrons[-1] == pytest.approx(1000, rel=0.08)
    assert peaks.R[-1] == pytest.approx(0.62, abs=0.001)
    assert peaks.sigma_R[-1] == pytest.approx(0.012, rel=0.1)


@pytest.mark.parametrize("place", [0.45, 0.6])
def test_a_neighbour_much_broader_hides_no_peak(place):
    peaks = found_in(lines_of((place, 0.014, 600, 0), (0.7, 0.06, 6000, 0)))
    sharp = np.argmin(np.abs(peaks.R - place))
    assert 0.5 * 600 < peaks.electrons[sharp] < 1.7 * 600
    assert 0.006 < peaks.sigma_R[sharp] < 0.02


def test_a_broad_neighbour_whose_middle_lies_within_a_peak_leaves_its_ends_as_they_are():
    lines = lines_of((0.5, 0.02, 1000, 0.5))
    intensity = weighted(line_shapes(R, lines), lines).intensity
    shape = shape_of(Place(210, 249, 289, 0.0, 211, 288), R, intensity, lines)
    np.testing.assert_allclose((shape.R, shape.electrons), (0.5, 1000), rtol=0.01)


def test_no_line_is_given_away_twice_whatever_the_spectrum():
    for seed in range(150, 230):
        rng = np.random.default_rng(seed)
        density = np.zeros(RADII.size)
        for _ in range(rng.integers(3, 9)):
            place, sigma = rng.uniform(0, 1), np.exp(rng.uniform(np.log(0.008), np.log(0.15)))
            density += 10 ** rng.uniform(2, 5) * np.exp(-(((RADII - place) / sigma) ** 2) / 2) / sigma
        held = rng.poisson(density * 0.003) * rng.choice([0.0, 1.0, 1.5], RADII.size)
        lines = Lines(np.full(RADII.size, 0.01), RADII, held[:, None], np.diag(np.maximum(held, 1)))
        curves = weighted(line_shapes(R, lines), lines)
        tops = clear_tops(curves.intensity, curves.intensity_error)
        shapes = [shape_of(top, R, curves.intensity, lines) for top in tops]
        parts = peak_parts(tops, shapes, R, lines)
        assert parts.min() >= -1e-12, seed
        np.testing.assert_allclose(parts.sum(axis=0), 1)


def test_a_neighbour_is_named_by_the_overlap():
    peaks = found_in(lines_of((0.5, 0.02, 1000, 0), (0.56, 0.02, 500, 0), (0.8, 0.02, 500, 0)))
    assert peaks.R.size == 3
    assert (peaks.overlap[:2] > 0.1).all()
    assert peaks.overlap[2] < 1e-3


def test_dips_by_noise_do_not_end_a_broad_peak():
    lines = lines_of((0.5, 0.06, 1000, 0.5), error=0.5)
    noise = 1 + 0.7 * np.cos((RADII - 0.52) * 2 * np.pi / 0.06)
    peaks = found_in(lines._replace(terms=lines.terms * noise[:, None]))
    np.testing.assert_allclose(peaks.electrons, [1000], rtol=0.25)
    np.testing.assert_allclose(peaks.sigma_R, [0.06], rtol=0.25)
    np.testing.assert_allclose(peaks.R, [0.5], atol=0.015)


def test_the_slowest_electrons_of_a_blob_are_its_own():
    peaks = found_in(lines_of((0.02, 0.03, 1000, 0.5), (0.7, 0.015, 300, -1)))
    np.testing.assert_allclose(peaks.electrons, (1000, 300), rtol=0.03)
    assert (peaks.overlap < 1e-3).all()


@pytest.mark.parametrize(("error", "number"), [(0.01, 3), (0.6, 0)])
def test_only_what_is_clear_is_a_peak(error, number):
    lines = lines_of((0.3, 0.02, 400, 0), (0.5, 0.02, 400, 0), (0.7, 0.02, 400, 0), error=error)
    assert found_in(lines).R.size == number


def test_an_empty_spectrum_has_no_peaks():
    assert found_in(lines_of()).R.shape == (0,)


def test_errors_are_those_of_repeated_lines():
    lines = lines_of((0.3, 0.02, 1000, 0.5), (0.7, 0.015, 300, -0.8), error=0.02)
    told, rng = found_in(lines), np.random.default_rng(1)
    root = np.sqrt(np.diag(lines.covariance)).reshape(lines.terms.shape)
    again = [found_in(lines._replace(terms=lines.terms + root * rng.standard_normal(root.shape))) for _ in range(300)]
    for name in ("R", "sigma_R"):
        scatter = np.std([getattr(peaks, name) for peaks in again], axis=0)
        np.testing.assert_allclose(getattr(told, f"{name}_error"), scatter, rtol=0.25, err_msg=name)
