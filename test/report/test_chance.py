"""Joint chi-squares and mean squares are as chance makes them, and larger where something is wrong."""

import numpy as np
import pytest
from scipy.stats import kstest

from util.report.chance import FEWEST, joint_chi_square, mean_square

N = 12


def neighbours(correlation):
    """Return a covariance (N, N) whose neighbours are correlated, as those of betas are."""
    index = np.arange(N)
    scale = np.linspace(0.5, 2, N)
    return np.outer(scale, scale) * correlation ** np.abs(index[:, None] - index)


def test_the_joint_p_of_correlated_errors_is_uniform_though_most_lie_on_one_side():
    covariance, rng = neighbours(0.9), np.random.default_rng(1)
    drawn = rng.multivariate_normal(np.zeros(N), covariance, 2000)
    one_sided = (np.abs(np.sign(drawn).sum(axis=1)) >= N - 2).mean()
    assert one_sided > 0.3  # by chance, of uncorrelated ones, 0.6 %
    found = [joint_chi_square(away, covariance) for away in drawn]
    assert {chance.dof for chance in found} == {N}
    assert kstest([chance.p for chance in found], "uniform").pvalue > 0.01
    naive = drawn / np.sqrt(np.diag(covariance))
    assert kstest([joint_chi_square(away, np.eye(N)).p for away in naive], "uniform").pvalue < 1e-6


def test_a_bias_of_three_errors_has_a_small_joint_p():
    covariance = neighbours(0.3)
    assert joint_chi_square(3 * np.sqrt(np.diag(covariance)), covariance).p < 1e-3


def test_what_was_not_fitted_and_what_is_fixed_to_others_has_no_degree_of_freedom():
    covariance = neighbours(0.5)
    covariance[3] = covariance[:, 3] = 0
    assert joint_chi_square(np.ones(N), covariance).dof == N - 1
    tied = np.ones((2, 2))  # one number twice
    assert joint_chi_square(np.ones(2), tied)[:2] == (pytest.approx(1), 1)


def maps(rng, spread, *, too_many=0.0):
    """Return counts found in 2,000 bins, weights that scatter by `spread` about 1, and what is expected there."""
    model = np.linspace(2, 60, 2000)
    number = rng.poisson(model * (1 + too_many))
    found = np.array([rng.normal(1, spread, n).sum() for n in number])
    return found, model, model * (1 + spread**2)


@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_the_mean_square_is_what_is_expected_where_the_model_is_right(spread):
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(40):
        square = mean_square(*maps(rng, spread), parameters=0)
        pulls.append((square.found - square.expected) / square.error)
    assert square.expected == 1
    assert abs(np.mean(pulls)) < 3 / np.sqrt(40)
    assert 0.7 < np.std(pulls) < 1.4


def test_the_mean_square_shows_a_wrong_model_and_weights_taken_for_electrons():
    rng = np.random.default_rng(3)
    wrong = mean_square(*maps(rng, 0.0, too_many=0.1), parameters=0)
    assert wrong.found - wrong.expected > 5 * wrong.error
    found, model, _ = maps(rng, 0.6)
    unweighted = mean_square(found, model, model, parameters=0)
    assert unweighted.found - unweighted.expected > 5 * unweighted.error


def test_each_parameter_takes_one_from_the_sum_of_squares():
    found, model, variance = maps(np.random.default_rng(4), 0.0)
    bins = int((model >= FEWEST).sum())
    assert mean_square(found, model, variance, parameters=50).expected == pytest.approx(1 - 50 / bins)
    assert np.isnan(mean_square(found, model, variance, parameters=bins).found)


def test_where_electrons_lie_spread_over_bins_no_mean_square_is_expected():
    maps_of_one = maps(np.random.default_rng(5), 0.0)
    blurred = mean_square(*maps_of_one, parameters=0, blurred=True)
    assert str(blurred) == f"{mean_square(*maps_of_one, parameters=0).found:.2f}"
