"""Draws from a normal distribution within limits."""

import numpy as np
import pytest
from scipy import stats

from util.fit.truncated_normal import draw_within


def drawn(mean, covariance, slopes, least, start, seed=0):
    return draw_within(
        np.array(mean, float),
        np.linalg.inv(covariance),
        np.array(slopes, float),
        np.array(least, float),
        np.array(start, float),
        chains=100,
        steps=60,
        burn_in=20,
        rng=np.random.default_rng(seed),
    )


def test_limits_far_away_leave_the_normal_distribution():
    covariance = np.array([[4.0, 1.2], [1.2, 1.0]])
    found = drawn([3, -1], covariance, [[1, 0]], [-1e3], [3, -1])
    assert found.mean(axis=0) == pytest.approx([3, -1], abs=0.15)
    assert np.cov(found, rowvar=False) == pytest.approx(covariance, abs=0.2)


def test_one_limit_gives_the_truncated_normal_distribution():
    found = drawn([0.0], np.eye(1), [[1.0]], [0.5], [2.0])[:, 0]
    assert found.min() >= 0.5
    wanted = stats.truncnorm(0.5, np.inf)
    assert found.mean() == pytest.approx(wanted.mean(), abs=0.03)
    assert found.std() == pytest.approx(wanted.std(), rel=0.05)


def test_a_wedge_is_filled_as_by_rejection():
    covariance = np.array([[1.0, 0.7], [0.7, 1.0]])
    slopes, least = np.array([[1.0, -1.0], [0.3, 1.0], [-1.0, 0.0]]), np.array([0.2, 0.1, -2.0])
    found = drawn([0.5, -0.5], covariance, slopes, least, [1.5, 0.5])
    free = np.random.default_rng(1).multivariate_normal([0.5, -0.5], covariance, 200_000)
    wanted = free[(free @ slopes.T >= least).all(axis=1)]
    assert (found @ slopes.T >= least - 1e-9).all()
    assert found.mean(axis=0) == pytest.approx(wanted.mean(axis=0), abs=0.05)
    assert found.std(axis=0) == pytest.approx(wanted.std(axis=0), rel=0.08)


def test_a_start_beyond_a_limit_is_refused():
    with pytest.raises(ValueError, match="start within the limits"):
        drawn([0.0], np.eye(1), [[1.0]], [0.5], [0.0])
