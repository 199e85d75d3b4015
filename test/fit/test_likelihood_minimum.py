"""The fit's minimum and its errors against those of a general minimiser, which knows nothing of its way there."""

from dataclasses import replace

import numpy as np
import pytest
from iminuit import Minuit
from scipy.special import xlogy

from support import truth
from util.fit.likelihood import fit
from util.physics.polar_map import PolarBins, expected, fold

# Up to the outer sphere's edge: further out bins expect so little that the fit gives them more than Poisson variance.
BINS = PolarBins(250, 48, rho_max=0.82)
SPHERES = tuple(replace(s, beta=beta) for s, beta in zip(truth.DESIGN, ((0.3, 0.25), (0.8, -0.1)), strict=True))
START = [(s.R + 0.002, s.sigma_R * 1.1) for s in SPHERES]


def deviance_of(data):
    """Return minus twice the Poisson log-likelihood of a map, a function of N, R, sigma_R, beta .. of each sphere."""

    def deviance(parameters):
        counts = sum(n * expected(BINS, beta, R, sigma) for n, R, sigma, *beta in np.split(parameters, len(SPHERES)))
        counts = np.maximum(counts, 1e-12)
        return 2 * (counts - xlogy(data, counts)).sum()

    return deviance


@pytest.mark.parametrize("seed", [70, 71])
def test_a_general_minimiser_from_the_same_start_finds_the_same_values_and_errors(seed):
    x, z = truth.hits(SPHERES, (60_000, 60_000), rng=np.random.default_rng(seed))
    result = fit(x, z, order=4, start=START, bins=BINS)
    data = fold(x, z, None, tuple(result.centre), BINS).weight
    minuit = Minuit(deviance_of(data), np.concatenate([[x.size / 2, *radial, 0.0, 0.0] for radial in START]))
    minuit.errordef = Minuit.LEAST_SQUARES  # -2 ln L rises by 1 at one standard deviation
    minuit.errors = np.tile([300, 1e-4, 1e-4, 0.01, 0.01], 2)
    minuit.tol = 1e-3
    minuit.migrad()
    assert minuit.valid
    minuit.hesse()
    values, errors = result.values[:-2], np.sqrt(np.diag(result.floor_covariance))[:-2]  # all but the centre
    assert len(values) == minuit.npar
    assert np.abs((np.array(minuit.values) - values) / errors).max() < 0.01
    assert np.array(minuit.errors) == pytest.approx(errors, rel=0.03)
    correlation = minuit.covariance.correlation()
    assert np.array(correlation) == pytest.approx(
        result.floor_covariance[:-2, :-2] / np.outer(errors, errors), abs=0.02
    )
