"""Fits of perfect hits: values, uncertainties, and refusals."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from support import truth
from util.fit.likelihood import fit
from util.fit.result import floor_distance
from util.physics.pad import distance
from util.physics.polar_map import PolarBins
from util.runtime.errors import InputError
from util.simulation.virtual_experiment import Scene

# Half the resolution of the default each way: 1 % wider errors, a quarter of the time.
BINS = PolarBins(500, 96)
EXPERIMENTS = 100
# Two-sided probability that a right answer fails a check, shared by all parameters that are checked.
ALPHA = 1e-3


def parameters(electrons, spheres=truth.DESIGN, centre=(0.0, 0.0)) -> NDArray[np.float64]:
    parts = [[n, s.R, s.sigma_R, *s.beta] for n, s in zip(electrons, spheres, strict=True)]
    return np.concatenate([*parts, centre])


def start(spheres=truth.DESIGN) -> list[tuple[float, float]]:
    return [(s.R + 0.002, s.sigma_R * 1.1) for s in spheres]


def pulls_are_standard_normal(pulls: NDArray[np.float64]) -> bool:
    """Whether mean and spread of pulls (experiments, parameters) agree with N(0, 1), at ALPHA for all together."""
    n, p = pulls.shape
    share = ALPHA / (4 * p)
    mean_ok = np.abs(pulls.mean(axis=0)) < stats.norm.isf(share) / np.sqrt(n)
    squares = ((pulls - pulls.mean(axis=0)) ** 2).sum(axis=0)
    spread_ok = (squares > stats.chi2.ppf(share, n - 1)) & (squares < stats.chi2.isf(share, n - 1))
    return bool(mean_ok.all() and spread_ok.all())


def chi_squares_are_right(chi2: NDArray[np.float64], parameters: int) -> bool:
    """Whether error^T covariance^-1 error, summed over experiments, is chi-square distributed."""
    return bool(ALPHA / 2 < stats.chi2.sf(chi2.sum(), chi2.size * parameters) < 1 - ALPHA / 2)


def mahalanobis(error: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    scale = np.sqrt(np.diag(covariance))
    return float((error / scale) @ np.linalg.solve(covariance / np.outer(scale, scale), error / scale))


@pytest.fixture(scope="module")
def unit_weight_fits():
    """Fits of many experiments with Poisson numbers of electrons, off centre: (errors, results)."""
    fits, errors = [], []
    for seed in range(EXPERIMENTS):
        rng = np.random.default_rng([50, seed])
        x, z = truth.hits(truth.DESIGN, tuple(rng.poisson((110_000, 90_000))), rng=rng)
        fits.append(fit(x + 0.004, z - 0.003, start=start(), bins=BINS))
        errors.append(fits[-1].values - parameters((110_000, 90_000), centre=(0.004, -0.003)))
    return np.array(errors), fits


@pytest.mark.slow
def test_pulls_of_every_parameter_are_standard_normal(unit_weight_fits):
    errors, fits = unit_weight_fits
    assert all(f.converged for f in fits)
    pulls = errors / [f.errors for f in fits]
    assert pulls_are_standard_normal(pulls)
    # The negative controls: reported errors a quarter too small or too large do not pass.
    assert not pulls_are_standard_normal(pulls / 0.75)
    assert not pulls_are_standard_normal(pulls / 1.33)


@pytest.mark.slow
def test_correlations_are_right_too(unit_weight_fits):
    errors, fits = unit_weight_fits
    chi2 = np.array([mahalanobis(e, f.covariance) for e, f in zip(errors, fits, strict=True)])
    assert chi_squares_are_right(chi2, errors.shape[1])
    # The negative control: errors a twentieth too small do not pass.
    assert not chi_squares_are_right(chi2 / 0.95**2, errors.shape[1])


@pytest.mark.slow
def test_deviance_is_about_its_degrees_of_freedom(unit_weight_fits):
    _, fits = unit_weight_fits
    deviance, dof = sum(f.deviance for f in fits), sum(f.dof for f in fits)
    # Poisson deviances of blocks that expect 25 exceed their degrees of freedom by up to 1 / (6 * 25).
    assert abs(deviance / dof - 1 - 1 / 300) < 1 / 300 + 4 * np.sqrt(2 / dof)


@pytest.mark.slow
def test_unit_weights_have_the_fisher_floor_as_covariance(unit_weight_fits):
    _, fits = unit_weight_fits
    ratio = np.mean([np.diag(f.covariance) / np.diag(f.floor_covariance) for f in fits], axis=0)
    assert np.allclose(ratio, 1, atol=0.02)


@pytest.mark.slow
def test_mean_distance_of_fits_is_the_floor(unit_weight_fits):
    _, fits = unit_weight_fits
    betas = [s.beta for s in truth.DESIGN]
    found = np.array([distance(f.beta, betas) for f in fits])
    floor = floor_distance(fits[0].beta_covariance(floor=True), 4000, np.random.default_rng(51))
    assert abs(found.mean() - floor) < 3.5 * found.std() / np.sqrt(found.size)
    # At 4.3 million electrons this is the published 0.0052.
    assert floor * np.sqrt(200_000 / 4_300_000) == pytest.approx(0.0052, abs=0.0003)


@pytest.mark.slow
def test_flux_weights_widen_the_errors_as_the_sandwich_says():
    sphere = truth.DESIGN[:1]
    pulls, floor_pulls, quality = [], [], []
    for seed in range(EXPERIMENTS):
        rng = np.random.default_rng([52, seed])
        n = rng.poisson(60_000)
        x, z = truth.hits(sphere, (n,), rng=rng)
        # <w> = 1, <w^2> = 2: errors grow by 1.41.
        f = fit(x, z, rng.gamma(1.0, size=n), spheres=1, start=start(sphere), bins=BINS)
        error = f.values - parameters((60_000,), sphere)
        pulls.append(error / f.errors)
        floor_pulls.append(error / np.sqrt(np.diag(f.floor_covariance)))
        quality.append(f.deviance / f.dof)
    assert pulls_are_standard_normal(np.array(pulls))
    assert not pulls_are_standard_normal(np.array(floor_pulls))
    # Sums of weights are skewer than counts; without the scaling by <w>/<w^2> this would be 2.
    assert np.mean(quality) == pytest.approx(1, abs=0.15)


def test_doubled_weights_double_the_electrons_and_nothing_else():
    x, z = truth.hits(truth.DESIGN, (60_000, 60_000), rng=np.random.default_rng(53))
    one = fit(x, z, start=start(), bins=BINS)
    two = fit(x, z, np.full(x.size, 2.0), start=start(), bins=BINS)
    assert np.allclose(two.electrons, 2 * one.electrons, rtol=1e-4)
    assert np.allclose(two.beta, one.beta, atol=0.05 * one.errors[one.layout.beta])
    assert np.allclose(two.beta_covariance(), one.beta_covariance(), rtol=0.02, atol=1e-3 * one.covariance[3, 3])
    assert two.deviance == pytest.approx(one.deviance, rel=0.02)


@pytest.fixture(scope="module")
def cold():
    """One experiment with a tenth of the design's electrons, far off centre, fitted with nothing known."""
    x, z = truth.hits(truth.DESIGN, (215_000, 215_000), rng=np.random.default_rng(54))
    return x + 0.02, z - 0.015


def test_a_cold_start_finds_the_design_spheres(cold):
    f = fit(*cold)
    assert f.converged and f.names[0] == "N_1" and f.names[3] == "beta_2_1" and f.names[-1] == "centre_z"
    assert np.all(np.abs(f.values - parameters((215_000, 215_000), centre=(0.02, -0.015))) < 4 * f.errors)
    floor = floor_distance(f.beta_covariance(floor=True), 1000, np.random.default_rng(55))
    assert distance(f.beta, [s.beta for s in truth.DESIGN]) < 2 * floor
    assert np.array_equal(f.values, fit(*cold).values)


def test_a_model_of_too_low_order_shows_in_the_deviance(cold):
    f = fit(*cold, order=8, start=start(), bins=BINS)
    assert stats.chi2.sf(f.deviance, f.dof) < 1e-6
    g = fit(*cold, start=start(), bins=BINS)
    assert stats.chi2.sf(g.deviance, g.dof) > 1e-4


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_close_spheres_of_unequal_numbers_are_found(share):
    spheres = (replace(truth.DESIGN[0], R=0.4), replace(truth.DESIGN[1], R=0.455, sigma_R=0.008))
    electrons = (round(300_000 * share), round(300_000 * (1 - share)))
    f = fit(*truth.hits(spheres, electrons, rng=np.random.default_rng(56)), bins=BINS)
    assert f.converged
    assert np.all(np.abs(f.values - parameters(electrons, spheres)) < 4 * f.errors)


def test_three_spheres_are_fitted_and_sorted():
    spheres = (*truth.DESIGN, replace(truth.DESIGN[0], R=0.3))
    f = fit(*truth.hits(spheres, (100_000,) * 3, rng=np.random.default_rng(57)), spheres=3, bins=BINS)
    assert np.allclose(f.R, [0.3, 0.5, 0.8], atol=4 * f.errors[[1, 16, 31]])


def test_a_uniform_background_is_told_from_the_spheres():
    rng = np.random.default_rng(58)
    x, z = np.concatenate(
        (truth.hits(truth.DESIGN, (60_000, 60_000), rng=rng), rng.uniform(-1, 1, (2, 10_000))), axis=1
    )
    f = fit(x, z, start=start(), bins=BINS, pieces=("background",))
    inside = (x[-10_000:] ** 2 + z[-10_000:] ** 2 < 1).sum()
    assert f.names[-3] == "background"
    assert abs(f.values[-3] - inside) < 4 * f.errors[-3]
    assert np.all(np.abs(f.values - np.insert(parameters((60_000, 60_000)), 30, inside)) < 4.2 * f.errors)
    without = fit(x, z, start=start(), bins=BINS)
    assert without.deviance > 1.5 * without.dof > 0


def test_too_few_hits_and_unusable_ones_are_refused():
    rng = np.random.default_rng(59)
    with pytest.raises(InputError, match="found 0 hits"):
        fit(np.zeros(0), np.zeros(0))
    with pytest.raises(InputError, match="at least 2000"):
        fit(*rng.uniform(-1, 1, (2, 500)))
    with pytest.raises(InputError, match="sum to 0"):
        fit(*rng.uniform(-1, 1, (2, 5000)), np.zeros(5000))
    with pytest.raises(InputError, match="not finite"):
        fit(np.full(5000, np.nan), np.zeros(5000))


def test_hits_of_one_sphere_are_not_taken_for_two():
    x, z = truth.hits(truth.DESIGN[:1], (200_000,), rng=np.random.default_rng(60))
    with pytest.raises(InputError, match="ask for --spheres auto or fewer"):
        fit(x, z)
    assert fit(x, z, spheres=1, bins=BINS).R[0] == pytest.approx(0.5, abs=2e-4)


def test_hits_all_over_the_screen_are_no_spheres():
    with pytest.raises(InputError, match="spheres"):
        fit(*np.random.default_rng(61).uniform(-1, 1, (2, 100_000)), bins=BINS)


def test_floor_distance_of_one_uncertain_beta_is_its_mean_absolute_error():
    covariance = np.zeros((24, 24))
    covariance[5, 5] = 0.01**2
    wanted = 0.01 * np.sqrt(2 / np.pi) * np.sqrt(2 / 25)
    found = floor_distance(covariance, 40_000, np.random.default_rng(62))
    assert found == pytest.approx(wanted, rel=0.02)


def test_hits_where_next_to_nothing_is_expected_do_not_keep_the_fit_from_its_best():
    """PADs that are zero over a broad range; scoring alone went to and fro for 40 steps and gave up."""
    spheres = truth.DESIGN
    start = [(s.R, s.sigma_R) for s in spheres]
    betas = (truth.COSINE_SQUARED, truth.PEAKED)
    scene = Scene(*zip(*start, strict=True), betas, (0.5, 0.5), (0.004, -0.003), (86,))
    for seed in (26, 31):
        rng = np.random.default_rng([600, seed])
        x, z = scene.draw(rng.poisson(200_000), rng=rng)
        result = fit(x, z, rng.normal(1, 0.17, x.size), start=start, bins=PolarBins(500, 96))
        assert result.converged and result.iterations < 40
        pulls = (result.beta - betas) / result.errors[result.layout.beta]
        assert np.abs(pulls).max() < 4.5
