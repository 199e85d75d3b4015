"""Spectra at several photon energies become one: positions, electrons, errors, and what cannot be merged."""

import dataclasses

import numpy as np
import pytest

from util.runtime.errors import InputError
from util.spectrum import merge as room
from util.spectrum.energy import Calibration
from util.spectrum.merge import EnergySpectrum, energy_spectrum, merge

LINES = np.array([1.0, 1.2, 1.4])  # eV, binding energies
ELECTRONS = np.array([3000.0, 1500.0, 800.0])
A = 1.5
SIGMA = 0.006
STEP = 0.004
r = np.arange(STEP / 2, 1.0, STEP)
LIGHT = (1.5, 2.2)  # eV: lines at r = 0.26 .. 0.58 and 0.73 .. 0.89
FLUX = (1.0, 2.5)


def calibration(photon_energy):
    return Calibration(A, 0.0, np.diag([1e-8, 0.0]), photon_energy, 1e-5)


def expected(photon_energy, flux):
    """Return mean electrons (n,) in bins of r: Gaussian lines of the right mean energy on a thin even background."""
    R = np.sqrt((photon_energy - LINES) / A - SIGMA**2)
    shapes = np.exp(-((r[:, None] - R) ** 2) / (2 * SIGMA**2)) / (SIGMA * np.sqrt(2 * np.pi))
    return flux * (shapes @ ELECTRONS + 20.0 * 2 * A * r) * STEP


def spectrum_of(counts, photon_energy, name="some.h5"):
    error = np.sqrt(np.maximum(counts, 1))
    return energy_spectrum(
        calibration(photon_energy), r, counts / STEP, error / STEP, np.full(r.size, SIGMA), name=name
    )


def simulated(rng):
    """Return two spectra of the same lines, the second at more light of another colour."""
    pairs = zip(LIGHT, FLUX, strict=True)
    return [spectrum_of(rng.poisson(expected(light, flux)), light) for light, flux in pairs]


def without_noise():
    return [spectrum_of(expected(light, flux), light) for light, flux in zip(LIGHT, FLUX, strict=True)]


def flat(low, high, photon_energy, level, name="flat.h5", points=50):
    """Return a spectrum of even intensity between two binding energies."""
    energy = photon_energy - np.linspace(high, low, points)
    columns = [np.full(points, value) for value in (level, level / 20, 0.01, 0.0)]
    return EnergySpectrum(name, energy, *columns, photon_energy)


def lines_in(found):
    """Return electrons and mean energies of the lines, with errors: (lines, 2, 2)."""
    rows = []
    for line in LINES:
        x, width = found.binding_energy - line, found.width
        near, beside = np.abs(x) < 0.075, (np.abs(x) >= 0.075) & (np.abs(x) < 0.1)
        to_total = np.where(near, width, 0) - np.where(beside, width, 0) * width[near].sum() / width[beside].sum()
        total = to_total @ found.intensity
        to_mean = to_total * np.where(near, x, 0) / total
        mean = to_mean @ found.intensity
        to_mean -= mean * to_total / total
        errors = [np.sqrt(change @ found.covariance @ change) for change in (to_total, to_mean)]
        rows.append([[total, errors[0]], [line + mean, errors[1]]])
    return np.array(rows)


def pulls(count, change=lambda spectra: spectra, see=lambda merged: merged):
    """Return pulls (count, lines, 2) of electrons and positions in merged spectra, and those of the scale (count,)."""
    rng = np.random.default_rng(5)
    merged = [see(merge(change(simulated(rng)))) for _ in range(count)]
    lines = np.array([lines_in(found) for found in merged])
    of_lines = (lines[..., 0] - np.stack((ELECTRONS, LINES), axis=1)) / lines[..., 1]
    return of_lines, np.array([(found.scale[1] - FLUX[0] / FLUX[1]) / found.scale_error[1] for found in merged])


def test_lines_keep_their_electrons_and_their_places():
    found = merge(without_noise())
    lines = lines_in(found)[..., 0]
    np.testing.assert_allclose(lines[:, 0], ELECTRONS, rtol=1e-3)
    np.testing.assert_allclose(lines[:, 1], LINES, atol=4e-5)  # 0.3 % of the resolution
    np.testing.assert_allclose(found.scale, [1, 0.4], rtol=1e-6)


def test_errors_of_lines_and_scale_cover():
    of_lines, of_scale = pulls(100)
    assert np.all(np.abs(of_lines.mean(axis=0)) < 0.35) and abs(of_scale.mean()) < 0.35
    assert np.all(np.abs(of_lines.std(axis=0) - 1) < 0.2) and abs(of_scale.std() - 1) < 0.2


def test_a_wrong_photon_energy_moves_the_lines_beyond_their_errors():
    def detuned(spectra):
        return [spectra[0], dataclasses.replace(spectra[1], photon_energy=LIGHT[1] + 0.003)]

    assert pulls(20, detuned)[0][..., 1].mean() > 2


def test_neighbours_taken_as_independent_do_not_cover():
    def alone(merged):
        return dataclasses.replace(merged, covariance=np.diag(np.diag(merged.covariance)))

    assert pulls(50, see=alone)[0].std(axis=0).max() > 1.4


def test_weights_by_the_errors_of_single_points_would_lose_electrons(monkeypatch):
    monkeypatch.setattr(room, "_REACH", 0.1)
    assert (lines_in(merge(without_noise()))[:, 0, 0] < 0.95 * ELECTRONS).all()


def test_the_sharper_spectrum_sets_the_steps_and_both_the_resolution():
    slow, fast = without_noise()
    found = merge([slow, fast])
    at = int(np.argmin(np.abs(found.binding_energy - 1.2)))
    own = np.interp(0.3, slow.energy, slow.resolution), np.interp(1.0, fast.energy, fast.resolution)
    assert found.width[at] == pytest.approx(2 * A * np.sqrt(0.3 / A) * STEP, rel=0.02)
    assert own[0] < found.resolution[at] < own[1]
    assert np.all(np.diff(found.binding_energy) > 0)
    deeper = found.binding_energy > LIGHT[0]
    assert set(found.spectra[deeper]) == {1} and found.spectra[at] == 2
    np.testing.assert_allclose(
        found.resolution[deeper],
        np.interp(LIGHT[1] - found.binding_energy[deeper], fast.energy, fast.resolution),
        rtol=1e-3,
    )


def test_a_spectrum_merged_with_itself_halves_its_variance():
    (one, _) = without_noise()
    found = merge([one, one])
    np.testing.assert_allclose(found.intensity, one.intensity[::-1])
    common = found.scale_error[1] * found.intensity / 2
    np.testing.assert_allclose(found.error, np.hypot(one.error[::-1] / np.sqrt(2), common))
    np.testing.assert_allclose(found.axis_error, one.axis_error[::-1], rtol=1e-2)
    assert found.width.sum() == pytest.approx(one.energy[-1] - one.energy[0], rel=0.02)


def test_even_spectra_remain_even_across_their_ends():
    chain = [flat(1.0, 2.0, 3.0, 8.0), flat(1.7, 3.1, 3.5, 16.0, points=33), flat(2.9, 4.0, 5.0, 4.0, points=71)]
    found = merge(chain)
    np.testing.assert_allclose(found.intensity, 8.0)
    np.testing.assert_allclose(found.scale, [1, 0.5, 2])
    assert found.scale_error[0] == 0 and found.scale_error[2] / 2 > found.scale_error[1] / 0.5 > 0
    assert set(found.spectra) == {1, 2}
    ends = found.binding_energy[[0, -1]] + found.width[[0, -1]] * [-0.5, 0.5]
    np.testing.assert_allclose(ends, [1.0 - 0.5 / 49, 4.0 + 0.5 * 1.1 / 70])
    assert found.width.min() > 0.5 * 1.1 / 70  # no slivers where one takes over from another


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([flat(2.5, 3.0, 4.0, 5.0, "far.h5")], ["far.h5: ", "2.495 to 3.005 eV", "photon_energy"]),
        ([flat(1.5, 3.0, 4.0, 0.0, "empty.h5")], ["empty.h5: ", "found none"]),
        ([flat(1.5, 2.1, 4.0, 5.0), flat(2.5, 3.0, 4.0, 5.0, "far.h5")], ["far.h5: "]),
        ([], ["two spectra at least", "found 1"]),
    ],
)
def test_spectra_that_share_no_electrons_are_refused(others, words):
    with pytest.raises(InputError) as caught:
        merge([flat(1.0, 2.0, 3.0, 8.0), *others])
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_spectrum_without_photon_energy_is_refused():
    with pytest.raises(InputError, match=r"^a\.h5: expected photon_energy .* found none; add it"):
        energy_spectrum(Calibration(A, 0.0, np.zeros((2, 2))), r, r, r, r, name="a.h5")


def test_points_without_numbers_are_left_out():
    holed = np.where(r < 0.1, np.nan, 1.0)
    found = energy_spectrum(calibration(2.2), r, holed, holed, np.full(r.size, SIGMA), name="a.h5")
    np.testing.assert_allclose(found.energy, A * r[r >= 0.1] ** 2)
    np.testing.assert_allclose(found.resolution, 2 * A * r[r >= 0.1] * SIGMA)
    np.testing.assert_allclose(found.axis_error, np.hypot(1e-4 * r[r >= 0.1] ** 2, 1e-5))
    with pytest.raises(InputError, match="found 0 points"):
        energy_spectrum(calibration(2.2), r, np.nan * r, r, r, name="a.h5")


def test_columns_of_different_lengths_or_order_are_errors():
    one = flat(1.0, 2.0, 3.0, 8.0)
    with pytest.raises(ValueError, match="one length"):
        dataclasses.replace(one, error=one.error[1:])
    with pytest.raises(ValueError, match="ascending"):
        dataclasses.replace(one, energy=one.energy[::-1])
