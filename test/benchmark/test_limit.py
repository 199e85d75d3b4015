"""How well betas can be known: beside what is known of directions that are seen in space, and of numbers."""

import numpy as np
import pytest

from benchmark.spectra.limit import least_beta_errors
from benchmark.spectra.truth import Line, Truth

ISOTROPIC = Line(0.5, 0.006, 1.0, (0.0, 0.0))


def test_a_projection_tells_a_little_less_than_directions_in_space():
    # Of N directions, 5 P_2 and 9 P_4 have means that scatter by sqrt(5 / N) and sqrt(9 / N).
    in_space = np.sqrt(np.array([5, 9]) / 10_000)
    over = least_beta_errors(Truth("", (ISOTROPIC,), 10_000)) / in_space
    assert (over > 1).all()
    assert (over < 1.4).all()


def test_four_times_the_electrons_halve_the_errors():
    few, many = (least_beta_errors(Truth("", (ISOTROPIC,), electrons)) for electrons in (1e4, 4e4))
    assert few == pytest.approx(2 * many)


def test_a_continuum_beneath_a_peak_makes_it_harder_to_know():
    beneath = Line(0.5, 0.1, 3.0, (0.0, 0.0), is_continuum=True)
    alone, above = Truth("", (ISOTROPIC,), 1e4), Truth("", (ISOTROPIC, beneath), 4e4)
    assert (least_beta_errors(above) > least_beta_errors(alone)).all()


def test_no_peak_no_limit():
    near = ISOTROPIC._replace(R=0.51)
    assert np.isnan(least_beta_errors(Truth("", (ISOTROPIC, near), 1e4))).all()


def test_the_mean_over_a_peak_knows_of_all_electrons_there():
    # 100 electrons of the peak alone could tell beta_2 to no better than sqrt(5 / 100).
    beneath = Line(0.5, 0.1, 1000.0, (0.5, 0.0), is_continuum=True)
    assert (least_beta_errors(Truth("", (ISOTROPIC, beneath), 1e5)) < 0.15).all()
