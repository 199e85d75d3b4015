"""Energies of radii: lines in a file, their fit, and what is refused."""

import textwrap

import numpy as np
import pytest

from util.fit.coverage import coverage
from util.runtime.errors import InputError
from util.spectrum import energy
from util.spectrum.energy import INVERSE_CM_PER_EV, Calibration, check_calibration, read_calibration
from util.spectrum.line_fit import Lines, fit_lines

r = np.arange(0.005, 1.0, 0.005)
R = np.array([0.3, 0.5, 0.8])
R_error = np.array([0.0004, 0.0003, 0.0002])
A = 9.0
AT = np.array([0.25, 0.4, 0.55, 0.7, 0.9])


def calibrate(folder, text, peaks=R, errors=R_error):
    path = folder / "lines.toml"
    path.write_text(text)
    return read_calibration(path, r, peaks, errors)


def refused(folder, text, *words, **peaks):
    """Check that a file is refused in one line that names it and holds the words."""
    with pytest.raises(InputError) as caught:
        calibrate(folder, text, **peaks)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'lines.toml'}: ") and "\n" not in message
    for word in words:
        assert word in message, message


def lines_of(energies, radii=AT, error="radius_error = 0.0005"):
    rows = zip(radii, energies, strict=True)
    return "".join(f"[[line]]\nradius = {radius}\nenergy = {energy}\n{error}\n" for radius, energy in rows)


def measured(rng, b, radii=AT, radius_error=0.001, energy_error=0.002):
    """Draw lines of a known relation."""
    energies = A * radii**2 + b * radii**4
    spread = np.full(radii.size, radius_error), np.full(radii.size, energy_error)
    return Lines(rng.normal(radii, spread[0]), spread[0], rng.normal(energies, spread[1]), spread[1])


def test_one_line_gives_the_constant_and_its_error(tmp_path):
    found = calibrate(tmp_path, "[[line]]\nradius = 0.5\nradius_error = 0.001\nenergy = 2.25\nenergy_error = 0.012\n")
    assert (found.a, found.b) == (pytest.approx(9.0), 0)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(np.hypot(2 * 2.25 / 0.5 * 0.001, 0.012) / 0.25)
    assert found.notes[0] == "eKE = 9.00(6) eV r^2: nothing left to check it, 1 line"


def test_a_peak_brings_its_fitted_radius_and_error(tmp_path):
    found = calibrate(tmp_path, "[[line]]\npeak_near = 0.49\nenergy = 2.25\n")
    assert found.a == pytest.approx(9.0)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(2 * 9.0 / 0.5 * 0.0003)
    assert "line 1: the peak at r = 0.50000(30)" in found.notes


def test_the_example_is_a_calibration(tmp_path):
    example = textwrap.dedent(energy.__doc__.split("::\n")[1].split("\nRadii are")[0])
    found = calibrate(tmp_path, example, peaks=np.array([0.3106, 0.4]), errors=np.array([0.0002, 0.001]))
    assert (found.photon_energy, found.photon_energy_error) == (2.33, 0.0002)
    assert "2 lines" in found.notes[0] and len(found.notes) == 3


def test_pixels_give_the_same_as_detector_units(tmp_path):
    line = "[[line]]\nradius = {}\nradius_error = {}\nenergy = 2.0\n"
    units = calibrate(tmp_path, line.format(0.5, 0.001))
    pixels = calibrate(tmp_path, "longer_side_px = 1024\n" + line.format(256, 0.512))
    assert pixels.a == pytest.approx(units.a)
    np.testing.assert_allclose(pixels.covariance, units.covariance)
    near = calibrate(tmp_path, "longer_side_px = 1024\n[[line]]\npeak_near = 253\nenergy = 2.0\n")
    assert near.a == pytest.approx(units.a)


def test_a_constant_stands_for_lines(tmp_path):
    found = calibrate(tmp_path, "constant = 9.0\nconstant_error = 0.1\n")
    assert (found.a, found.b, found.covariance.tolist()) == (9.0, 0, [[pytest.approx(0.01), 0], [0, 0]])
    pixels = calibrate(tmp_path, "longer_side_px = 100\nconstant = 0.0036\nconstant_error = 4e-5\n")
    assert (pixels.a, np.sqrt(pixels.covariance[0, 0])) == (pytest.approx(9.0), pytest.approx(0.1))
    assert calibrate(tmp_path, "constant = 9.0\n").notes[-1] == "constant without constant_error: taken as exact"


def test_what_is_assumed_of_a_radius_without_error_is_said(tmp_path):
    found = calibrate(tmp_path, "[[line]]\nradius = 0.5\nenergy = 2.25\n")
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(2 * 9.0 / 0.5 * 0.001)
    assert "line 1: no radius_error given, 0.001 detector units assumed" in found.notes


def test_r4_is_kept_where_the_lines_show_it(tmp_path):
    bent = calibrate(tmp_path, lines_of(A * AT**2 - 0.5 * AT**4))
    assert (bent.a, bent.b) == (pytest.approx(A), pytest.approx(-0.5))
    assert "r^4 kept" in bent.notes[1]
    straight = calibrate(tmp_path, lines_of(A * AT**2 - 0.01 * AT**4))
    assert straight.b == 0 and "r^4 left out: b = -0.01" in straight.notes[1]
    assert straight.covariance[1].tolist() == [0, 0]
    two = calibrate(tmp_path, lines_of(A * AT[:2] ** 2 - 0.2 * AT[:2] ** 4, AT[:2]))
    assert two.b == 0 and "three radii" in two.notes[1]


def test_r4_is_rarely_kept_where_there_is_none(tmp_path):
    rng = np.random.default_rng(1)
    kept = [fit_lines(measured(rng, 0.0), tmp_path)[1] != 0 for _ in range(1000)]
    assert sum(kept) <= 10  # expected 2.7; 11 or more once in 7,000


def pulls_of(b, radii, path, claimed=1.0):
    """Return pulls (600, 2) of a and b where the errors of the lines are claimed to be this part of the true ones."""
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(600):
        lines = measured(rng, b, radii)
        lines = lines._replace(r_error=claimed * lines.r_error, energy_error=claimed * lines.energy_error)
        a, found, covariance, _ = fit_lines(lines, path)
        pulls.append((np.array([a, found]) - [A, b]) / np.maximum(np.sqrt(np.diag(covariance)), 1e-12))
    return np.array(pulls)


@pytest.mark.parametrize(("b", "names"), [(0.0, ("a",)), (-1.5, ("a", "b"))])
def test_errors_of_the_constants_cover(tmp_path, b, names):
    found = coverage(names, pulls_of(b, AT, tmp_path)[:, : len(names)])
    assert np.all(np.abs(found.mean) < 0.15) and np.all(np.abs(found.spread - 1) < 0.1)


def test_errors_claimed_too_small_do_not_cover(tmp_path):
    assert np.std(pulls_of(0.0, AT[:1], tmp_path)[:, 0]) == pytest.approx(1, abs=0.1)
    assert np.std(pulls_of(0.0, AT[:1], tmp_path, claimed=0.5)[:, 0]) == pytest.approx(2, abs=0.2)


def test_energies_slopes_and_errors_agree_with_finite_differences():
    found = Calibration(9.0, -1.2, np.array([[0.01, -0.012], [-0.012, 0.04]]), 10.0, 0.05)
    at, step = np.array([0.2, 0.6, 0.9]), 1e-6
    np.testing.assert_allclose(found.jacobian(at), (found.energy(at + step) - found.energy(at - step)) / (2 * step))
    drawn = np.random.default_rng(3).multivariate_normal([9.0, -1.2], found.covariance, 200_000)
    spread = (drawn[:, :1] * at**2 + drawn[:, 1:] * at**4).std(axis=0)
    np.testing.assert_allclose(found.energy_error(at), spread, rtol=0.01)
    np.testing.assert_allclose(
        found.energy_error(at, 0.01) ** 2 - spread**2, (found.jacobian(at) * 0.01) ** 2, rtol=0.05
    )
    np.testing.assert_allclose(found.binding_energy(at) + found.energy(at), 10.0)
    np.testing.assert_allclose(found.binding_energy_error(at), np.hypot(found.energy_error(at), 0.05))


def test_no_electron_is_lost_between_axes():
    found = Calibration(9.0, -1.2, np.zeros((2, 2)))
    per_unit = np.exp(-(((r - 0.5) / 0.05) ** 2))
    per_ev, error = found.intensity(r, per_unit, np.sqrt(per_unit))
    assert np.trapezoid(per_ev, found.energy(r)) == pytest.approx(np.trapezoid(per_unit, r), rel=1e-4)
    np.testing.assert_allclose(error / per_ev, 1 / np.sqrt(per_unit))
    assert np.isnan(found.intensity(np.zeros(1), np.ones(1), np.ones(1))).all()


def test_wavenumbers_are_those_of_codata():
    assert pytest.approx(8065.543937, abs=1e-6) == INVERSE_CM_PER_EV


def test_a_calibration_without_photon_energy_knows_no_binding_energies():
    with pytest.raises(ValueError, match="photon_energy"):
        Calibration(9.0, 0.0, np.zeros((2, 2))).binding_energy(r)


@pytest.mark.parametrize("wrong", range(AT.size))
def test_of_lines_that_contradict_each_other_the_one_farthest_off_is_named(tmp_path, wrong):
    energies = A * AT**2
    energies[wrong] *= 1.03
    expected = f"expected {A * AT[wrong] ** 2:.5g} eV by the others, found {energies[wrong]:.5g} eV"
    refused(tmp_path, lines_of(energies), f"farthest off is line {wrong + 1} at r = {AT[wrong]:.4f}: {expected}")


def test_of_two_lines_neither_is_blamed_alone(tmp_path):
    text = lines_of([A * 0.25**2, 1.1 * A * 0.4**2], AT[:2])
    refused(tmp_path, text, "another one may be at fault", "add a third line")


def test_lines_that_agree_are_taken(tmp_path):
    assert "p = 1)" in calibrate(tmp_path, lines_of(A * AT**2)).notes[0]


def test_energies_that_fall_within_the_spectrum_are_refused(tmp_path):
    near = np.array([0.2, 0.3, 0.4, 0.5])
    bent = A * near**2 - 6.0 * near**4  # turns at 0.866
    refused(tmp_path, lines_of(bent, near), "turns at r = 0.866", "end at r = 0.995")
    refused(tmp_path, lines_of(9.0 * AT**4 - 0.3 * AT**2), "turns at r = 0.129")


def test_a_photon_energy_below_the_spectrum_is_refused(tmp_path):
    text = "photon_energy = {}\nconstant = 9.0\n"
    refused(tmp_path, text.format(5.5), "photon_energy = 5.5 eV, found 5.76 eV at the peak r = 0.8000")
    assert calibrate(tmp_path, text.format(6.0)).photon_energy == 6.0
    assert calibrate(tmp_path, text.format(1.0), peaks=np.zeros(0), errors=np.zeros(0)).a == 9.0


def test_a_line_of_another_gas_may_be_faster_than_this_light_allows(tmp_path):
    """SEVI calibrates once and then tunes its light."""
    found = calibrate(tmp_path, "photon_energy = 6.0\n[[line]]\nradius = 0.9\nenergy = 7.29\n")
    assert found.binding_energy(np.array([0.8])) == pytest.approx(0.24)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["either [[line]] tables or constant, found none"]),
        ("constant = 9.0\n[[line]]\nradius = 0.5\nenergy = 2\n", ["found both"]),
        ("constant = -9.0\n", ["constant, a squared half screen, must be 1e-09 to 1e+06 eV, found -9"]),
        (
            "constant = 9.0\nconstant_error = -1\n",
            ["constant_error must be from 0 to what it is the error of, 9, found -1"],
        ),
        ("photon_energy = 0\nconstant = 9.0\n", ["photon_energy must be 1e-09 to 1e+06 eV, found 0"]),
        ("constant = 9.0\nphoton_enrgy = 2\n", ["unknown key 'photon_enrgy'"]),
        ("[[line]]\nradius = 0.5\n", ["'line[0].energy' is missing"]),
        ("[[line]]\nenergy = 2\n", ["either radius or peak_near, found none"]),
        ("[[line]]\nradius = 0.5\npeak_near = 0.5\nenergy = 2\n", ["found both"]),
        ("[[line]]\nradius = 0.5\nenergy = -2\n", ["energy must be 1e-09 to 1e+06 eV, found -2"]),
        ("[[line]]\npeak_near = 0.5\nenergy = 1e300\n", ["energy must be 1e-09 to 1e+06 eV, found 1e+300"]),
        ("[[line]]\nradius = 0.5\nradius_error = 1e300\nenergy = 2\n", ["radius_error must be from 0 to", "0.5"]),
        ("[[line]]\nradius = 0.5\nenergy = 2\nenergy_error = -1\n", ["energy_error must be from 0 to"]),
        ("[[line]]\nradius = 0.5\nenergy = 2\nradius_error = 0\n", ["an error of radius or energy above 0"]),
        ("[[line]]\nradius = 256\nenergy = 2\n", ["from 0 to 1.5, found 256", "longer_side_px"]),
        ("longer_side_px = 256\n[[line]]\nradius = 0.5\nenergy = 2\n", ["expected radii in pixels", "found 0.5"]),
        ("longer_side_px = 100\n[[line]]\nradius = 256\nenergy = 2\n", ["from 0 to 75, found 256"]),
        ("[[line]]\npeak_near = 0.4\nenergy = 2\n", ["line 1", "0.3000, 0.5000, 0.8000", "correct peak_near"]),
        ("[[line]]\npeak_near = 2\nenergy = 2\n", ["found 2"]),
    ],
)
def test_files_that_make_no_sense_are_refused(tmp_path, text, words):
    refused(tmp_path, text, *words)


def test_the_pixels_of_another_camera_are_refused(tmp_path):
    path = tmp_path / "lines.toml"
    path.write_text("longer_side_px = 2048\n[[line]]\nradius = 512\nenergy = 1\n")
    with pytest.raises(
        InputError, match=r"lines\.toml: expected longer_side_px = 256, .* 256 x 192 pixels, found 2048"
    ):
        check_calibration(path, (256, 192))
    check_calibration(path, (192, 2048))
    check_calibration(path, None)


def test_a_radius_between_two_peaks_is_refused(tmp_path):
    peaks = {"peaks": np.array([0.30, 0.32]), "errors": np.full(2, 0.001)}
    refused(tmp_path, "[[line]]\npeak_near = 0.311\nenergy = 2\n", "lies between peaks", **peaks)
    assert calibrate(tmp_path, "[[line]]\npeak_near = 0.304\nenergy = 0.81\n", **peaks).a == pytest.approx(9.0)


def test_a_peak_without_error_needs_one(tmp_path):
    peaks = {"peaks": np.array([0.3]), "errors": np.array([np.nan])}
    refused(tmp_path, "[[line]]\npeak_near = 0.3\nenergy = 2\n", "has no error; give radius_error", **peaks)
    calibrate(tmp_path, "[[line]]\npeak_near = 0.3\nradius_error = 0.001\nenergy = 2\n", **peaks)
