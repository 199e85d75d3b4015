"""The fit of a spectrum: the likeliest of all that are nowhere negative, with errors that hold."""

import dataclasses

import numpy as np
import pytest
from scipy import optimize
from scipy.special import binom

from support import effects, truth
from util.fit.detection import Detection
from util.fit.map_data import Hits, fold_hits
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.spectrum import peaks, resolution
from util.spectrum.fit import fit_spectrum
from util.spectrum.interior_point import climb
from util.spectrum.line_widths import LineWidths
from util.spectrum.polar_counts import polar_counts
from util.spectrum.shell_model import bernstein, shell_model

NONE = Detection()
SPHERES = (Sphere(0.3, 0.02, 1, (0.4, -0.1)), Sphere(0.7, 0.02, 1, (-0.3, 0.05)))
ELECTRONS = (12_000, 20_000)
UNLIKE = (Sphere(0.083, 0.006, 1, (-0.6, 0.15)), Sphere(0.216, 0.008, 1, (0.38, -0.65)))
CENTRE = np.array([[0.012], [-0.007]])


def electrons(seed, spheres=SPHERES, numbers=ELECTRONS):
    return truth.hits(spheres, numbers, rng=np.random.default_rng(seed))


def as_hits(positions):
    return Hits(*positions, np.ones(positions.shape[1]), None)


def counts_of(positions, bins, odd=False):
    return polar_counts(fold_hits(as_hits(positions), ImageGeometry(), bins, NONE), odd=odd)


def intensity_of(r, spheres=SPHERES, numbers=ELECTRONS):
    parts = zip(spheres, numbers, strict=True)
    return sum(n * np.exp(-(((r - s.R) / s.sigma_R) ** 2) / 2) / (s.sigma_R * np.sqrt(2 * np.pi)) for s, n in parts)


@pytest.fixture(scope="module")
def fitted():
    return fit_spectrum(as_hits(electrons(1) + CENTRE), NONE)


def test_peaks_are_where_they_are_with_all_their_electrons_and_betas(fitted):
    peaks = fitted.peaks
    for values, errors, wanted in (
        (peaks.R, peaks.R_error, [s.R for s in SPHERES]),
        (peaks.sigma_R, peaks.sigma_R_error, [s.sigma_R for s in SPHERES]),
        (peaks.electrons, peaks.electrons_error, ELECTRONS),
        *zip(peaks.beta, peaks.beta_error, 2 * np.array([s.beta for s in SPHERES]).T, strict=True),
    ):
        assert (np.abs(values - wanted) < 4 * errors).all()
        assert (errors > 0).all()
    assert (peaks.beta_error[0] < 0.1).all()
    assert (peaks.overlap < 0.05).all()


def test_a_peak_as_one_that_its_lines_contradict_is_their_sum(monkeypatch):
    pooled = peaks.pool

    def misled(*how, **named):
        found = pooled(*how, **named)
        found.terms[1, 1] *= 3  # as what lies below and the peak do that mend a misfit together
        return found

    monkeypatch.setattr(peaks, "pool", misled)
    found = fit_spectrum(as_hits(electrons(1)), NONE, resolution=0.016, geometry=ImageGeometry()).peaks
    wanted = np.array([2 * sphere.beta[0] for sphere in SPHERES])
    assert (np.abs(found.beta[0] - wanted) < 4 * found.beta_error[0]).all()
    assert (np.abs(found.electrons - ELECTRONS) < 5 * found.electrons_error).all()


def test_the_curve_is_that_of_the_electrons(fitted):
    wanted = intensity_of(fitted.r)
    assert np.sqrt(((fitted.intensity - wanted) ** 2).sum() / (wanted**2).sum()) < 0.05
    assert (fitted.intensity >= 0).all()
    step = fitted.r[1] - fitted.r[0]
    assert fitted.intensity.sum() * step + fitted.background == pytest.approx(sum(ELECTRONS), rel=0.005)
    empty = wanted < 1e-6 * wanted.max()
    assert np.isnan(fitted.beta[:, empty]).mean() > 0.9


def test_the_resolution_is_near_the_width_of_the_lines(fitted):
    widths = np.interp(fitted.r, fitted.lines.radii, fitted.lines.widths)
    near = [widths[np.abs(fitted.r - sphere.R) < 0.03] for sphere in SPHERES]
    assert 0.4 * 0.02 < np.min(near) <= np.max(near) < 0.95 * 0.02
    assert fitted.tried.size > 3
    assert fitted.tried.min() < np.min(near) < fitted.tried.max()
    chosen = fitted.held_out == 0
    assert chosen.sum() == 1
    assert (fitted.held_out < 5).all()
    assert fitted.held_out[~chosen].min() < -100
    assert (fitted.resolution >= widths * (1 - 1e-9)).all()


def test_what_wide_lines_blur_is_part_of_the_error():
    fitted = fit_spectrum(as_hits(electrons(14)), NONE, resolution=0.03, geometry=ImageGeometry())
    off = np.abs(fitted.intensity - intensity_of(fitted.r))
    top = np.abs(fitted.r - SPHERES[1].R) < 0.5 * SPHERES[1].sigma_R
    statistical = np.sqrt(fitted.intensity_error**2 - fitted.blur**2)
    assert (off > 5 * statistical)[top].all()
    assert (off < 3.5 * fitted.intensity_error)[top].all()
    sharp = fit_spectrum(as_hits(electrons(14)), NONE, resolution=0.012, geometry=ImageGeometry())
    assert np.median((np.abs(sharp.blur) / sharp.intensity_error)[top]) < 0.8


def test_the_centre_is_found_with_its_error(fitted):
    geometry, errors = fitted.geometry, fitted.geometry_errors
    assert set(errors) == {"centre_x", "centre_z"}
    assert abs(geometry.centre_x - 0.012) < 4 * errors["centre_x"] < 0.004
    assert abs(geometry.centre_z + 0.007) < 4 * errors["centre_z"] < 0.004


def test_the_image_and_the_fit_agree_in_all_parts(fitted):
    pulls = (fitted.image - fitted.model) / np.sqrt(np.maximum(fitted.variance, 1e-9))
    full = fitted.model > 2
    assert 0.85 < (pulls[full] ** 2).mean() < 1.1
    assert fitted.model.sum() == pytest.approx(fitted.image.sum(), rel=1e-3)


@pytest.mark.parametrize(("odd", "degrees"), [(False, (0, 2)), (True, (0, 1, 2))])
def test_no_other_optimiser_climbs_higher(odd, degrees):
    bins = PolarBins(60, 6)
    model, counts = (
        shell_model(bins, degrees, LineWidths((0.08,))),
        counts_of(electrons(2, numbers=(600, 900)), bins, odd),
    )
    found = climb(model, counts)
    assert found.converged
    assert found.gap <= 0.01
    angular = counts.angular(degrees)

    def value(q):
        return -counts.log_likelihood(np.maximum(counts.seen((model.design @ q) @ angular), 1e-12))

    inside = optimize.LinearConstraint(np.array([model.constrained(row) for row in np.eye(found.q.size)]).T, 0)
    start = found.q + 0.05 * np.abs(found.q).max() * np.eye(found.q.size)[0]
    peer = optimize.minimize(value, start, method="SLSQP", constraints=_as_dict(inside), options={"maxiter": 300})
    assert value(found.q) < peer.fun + 0.02
    assert (model.constrained(found.q) >= 0).all()


def _as_dict(constraint):
    return {"type": "ineq", "fun": lambda q: constraint.A @ q, "jac": lambda _: constraint.A}


@pytest.mark.parametrize("how", [{}, {"barrier": 0.01, "cost": 0.03}])
def test_rings_much_narrower_than_the_lines_carry_no_climb_away(how):
    rings, bins = (Sphere(0.083, 0.006, 1, (-0.6, 0.15)), Sphere(0.216, 0.008, 1, (0.38, -0.65))), PolarBins(100, 6)
    found = climb(
        shell_model(bins, (0, 2, 4), LineWidths((0.04,))), counts_of(electrons(1, rings, (74_000, 26_000)), bins), **how
    )
    assert found.converged
    assert found.steps < 40
    assert found.expected.sum() == pytest.approx(100_000, rel=0.05)


def test_the_curvature_is_that_of_every_bin_and_line():
    bins, degrees = PolarBins(60, 6), (0, 2)
    counts = counts_of(electrons(2, numbers=(600, 900)), bins)
    found = climb(shell_model(bins, degrees, LineWidths((0.08,))), counts)
    slopes = np.einsum("rkp,ka->rap", found.model.design, counts.angular(degrees)) / found.expected[:, :, None]
    wanted = np.einsum("rap,ra,raq->pq", slopes, counts.counts, slopes)
    np.testing.assert_allclose(np.tril(found.curvature), np.tril(wanted), atol=1e-9 * wanted.max())


@pytest.mark.parametrize("degrees", [(0, 2, 4), tuple(range(0, 25, 2)), (0, 1, 2, 3, 4)])
def test_a_pad_is_its_bernstein_polynomial(degrees):
    matrix = bernstein(degrees)
    rng = np.random.default_rng(3)
    terms = rng.normal(size=len(degrees))
    c = np.linspace(-1, 1, 41)
    t = c**2 if len(degrees) * 2 - 2 == degrees[-1] else (1 + c) / 2
    n = matrix.shape[0] - 1
    basis = np.array([binom(n, k) * t**k * (1 - t) ** (n - k) for k in range(n + 1)])
    series = np.zeros(degrees[-1] + 1)
    series[list(degrees)] = terms
    np.testing.assert_allclose(matrix @ terms @ basis, np.polynomial.legendre.legval(c, series), atol=1e-8)


def test_no_line_of_a_fit_is_negative_in_any_direction():
    # sin^2: next to no electrons at the poles, where noise alone would make the fit negative.
    spheres = (Sphere(0.5, 0.02, 1, (-0.5, 0.0)),)
    fitted = fit_spectrum(as_hits(electrons(4, spheres, (4_000,))), NONE, resolution=0.015, geometry=ImageGeometry())
    c = np.linspace(-1, 1, 201)
    pads = np.polynomial.legendre.legval(c, np.insert(fitted.lines.terms, [1, 2], 0, axis=1).T)
    assert pads.min() > -1e-9 * pads.max()


def pulls(seeds, **how):
    """Return the pulls of intensity and of beta_2 where there are electrons; each fit on electrons of its own."""
    out = []
    for seed in seeds:
        fitted = fit_spectrum(
            as_hits(electrons(seed, numbers=(3_000, 5_000))), NONE, resolution=0.016, geometry=ImageGeometry(), **how
        )
        wanted = intensity_of(fitted.r, numbers=(3_000, 5_000))
        there = wanted > 0.2 * wanted.max()
        beta = np.where(fitted.r < 0.5, *(2 * sphere.beta[0] for sphere in SPHERES))
        out.append(
            (
                ((fitted.intensity - wanted) / fitted.intensity_error)[there],
                ((fitted.beta[0] - beta) / fitted.beta_error[0])[there],
            )
        )
    return np.concatenate(out, axis=1)


def test_two_thirds_of_the_truth_lie_within_the_bands():
    found = pulls(range(100, 124), order=4)
    within = np.nanmean(np.abs(found) < 1, axis=1)
    assert ((within > 0.58) & (within < 0.80)).all(), within
    # A negative control: errors of half the size are found wanting.
    halved = np.nanmean(np.abs(found) < 0.5, axis=1)
    assert (halved < 0.5).all(), halved


def test_what_a_mask_hides_is_not_missed():
    blind = np.ones((64, 64))
    blind[40:60, 20:50] = 0
    masked = dataclasses.replace(NONE, efficiency=blind)
    positions = electrons(5)
    seen = positions[:, masked.at(*positions) > 0]
    told = fit_spectrum(as_hits(seen), masked, resolution=0.016)
    untold = fit_spectrum(as_hits(seen), NONE, resolution=0.016)
    off = [np.abs(fit.peaks.electrons - ELECTRONS) / fit.peaks.electrons_error for fit in (told, untold)]
    assert (off[0] < 4).all()
    assert off[1].max() > 8


def test_an_even_background_is_no_part_of_the_spectrum():
    rng = np.random.default_rng(6)
    light = rng.uniform(-1, 1, (2, 8_000))
    light = light[:, np.hypot(*light) < 1]
    fitted = fit_spectrum(as_hits(np.concatenate((electrons(7), light), axis=1)), NONE, resolution=0.016)
    assert abs(fitted.background - light.shape[1]) < 4 * fitted.background_error < 0.1 * light.shape[1]
    assert (np.abs(fitted.peaks.electrons - ELECTRONS) < 4 * fitted.peaks.electrons_error).all()


def test_an_image_that_is_turned_is_turned_back():
    fitted = fit_spectrum(as_hits(np.array(effects.turned(*electrons(8), 4.0))), NONE, resolution=0.016)
    error = fitted.geometry_errors["rotation_rad"]
    assert abs(fitted.geometry.rotation_rad - np.deg2rad(4.0)) < 4 * error
    assert (np.abs(fitted.peaks.beta[0] - [0.8, -0.6]) < 5 * fitted.peaks.beta_error[0]).all()


def test_rings_that_are_not_round_are_made_round():
    positions = np.array(effects.stretched(*electrons(8), 0.08, 30.0))
    fitted = fit_spectrum(as_hits(positions), NONE)
    assert np.hypot(fitted.geometry.ellipse_1, fitted.geometry.ellipse_2) == pytest.approx(0.04, rel=0.2)
    assert fitted.peaks.sigma_R == pytest.approx(0.02, rel=0.15)
    assert fitted.peaks.R.size == 2
    told_round = fit_spectrum(as_hits(positions), NONE, resolution=0.016, is_round=True)
    assert told_round.geometry.ellipse_1 == 0


def test_odd_degrees_are_found_where_they_are_asked_for():
    positions = effects.lopsided(SPHERES, ELECTRONS, 0.2, rng=np.random.default_rng(9))
    fitted = fit_spectrum(as_hits(np.array(positions)), NONE, order=2, odd=True, resolution=0.016)
    assert fitted.degrees == (1, 2)
    assert (np.abs(fitted.peaks.beta[0]) > 5 * fitted.peaks.beta_error[0]).all()


@pytest.mark.parametrize(("seed", "share"), [(2, 0.0), (3, 0.2)])
def test_odd_degrees_leave_the_centre_where_it_is(seed, share):
    ring = (Sphere(0.5, 0.015, 1, (0.5,)),)
    positions = np.array(effects.lopsided(ring, (5_000,), share, rng=np.random.default_rng(seed))) + CENTRE
    fitted = fit_spectrum(as_hits(positions), NONE, odd=True, resolution=0.015)
    assert abs(fitted.geometry.centre_z - CENTRE[1, 0]) < 4 * fitted.geometry_errors["centre_z"] < 0.01
    assert np.isfinite(fitted.peaks.beta_error).all()


def test_weights_and_counts_of_several_electrons_widen_the_errors():
    positions = electrons(10)
    alone = fit_spectrum(as_hits(positions), NONE, resolution=0.016, geometry=ImageGeometry())
    double = Hits(*positions, np.full(positions.shape[1], 2.0), None)
    twice = fit_spectrum(double, NONE, resolution=0.016, geometry=ImageGeometry())
    np.testing.assert_allclose(twice.peaks.electrons, 2 * alone.peaks.electrons, rtol=1e-3)
    np.testing.assert_allclose(twice.peaks.electrons_error, 2 * alone.peaks.electrons_error, rtol=0.02)
    np.testing.assert_allclose(twice.peaks.beta_error, alone.peaks.beta_error, rtol=0.02)


def test_parts_of_the_counts_are_independent_and_sum_to_the_whole():
    counts = counts_of(electrons(11), PolarBins(100, 10))
    rng = np.random.default_rng(12)
    for whole in (counts, dataclasses.replace(counts, counts=counts.counts + 0.01)):
        kept, rest = whole.split(0.8, rng)
        np.testing.assert_allclose(kept.counts + rest.counts, whole.counts)
        full = counts.counts > 20
        scatter = (kept.counts - 0.8 * whole.counts)[full] / np.sqrt(0.16 * whole.counts[full])
        assert 0.8 < scatter.std() < 1.2


def test_each_electron_is_held_out_once():
    counts = counts_of(electrons(11), PolarBins(100, 10))
    rng = np.random.default_rng(12)
    for whole in (counts, dataclasses.replace(counts, counts=counts.counts + 0.01)):
        folds = whole.folds(5, rng)
        np.testing.assert_allclose(sum(held.counts for _, held in folds), whole.counts)
        full = counts.counts > 20
        for kept, held in folds:
            np.testing.assert_allclose(kept.counts + held.counts, whole.counts)
            np.testing.assert_allclose(np.stack((kept.exposure, held.exposure)).mean(axis=(1, 2)), (0.8, 0.2))
            scatter = (held.counts - 0.2 * whole.counts)[full] / np.sqrt(0.16 * whole.counts[full])
            assert 0.8 < scatter.std() < 1.2


def test_too_few_electrons_and_too_fine_a_resolution_are_refused():
    with pytest.raises(InputError, match=r"found the scatter of 200 electrons, expected at least 300"):
        fit_spectrum(as_hits(electrons(13, numbers=(100, 100))), NONE)
    with pytest.raises(
        InputError, match=r"--order: found the scatter of 1000 electrons, expected at least 1300 for 13"
    ):
        fit_spectrum(as_hits(electrons(13, numbers=(500, 500))), NONE, order=24)
    with pytest.raises(InputError, match=r"--resolution: expected at least 0\.00150, .* found 0\.001"):
        fit_spectrum(as_hits(electrons(13)), NONE, resolution=0.001)
    with pytest.raises(InputError, match=r"--resolution: expected at least 0\.00340, a line as wide as a pixel, found"):
        fit_spectrum(as_hits(electrons(13)), NONE, resolution=0.003, pixel=0.008)


def test_the_narrowest_width_is_as_the_bins_allow():
    assert resolution.narrowest_of(PolarBins(500, 20)) == pytest.approx(0.003)


def test_electrons_that_lie_in_a_corner_of_the_screen_are_refused():
    corner = np.random.default_rng(0).uniform(-1, -0.99, (2, 4000))
    with pytest.raises(InputError, match=r"about the middle of the screen, found x in -1 \.\. -0.99 and z in"):
        fit_spectrum(as_hits(corner), NONE)
