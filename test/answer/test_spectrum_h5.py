"""spectrum.h5 holds the curves with their units, and is read again to be merged."""

import csv

import numpy as np
import pytest

from support import truth
from util.answer.final_h5 import read_tables, write_tables
from util.answer.made_by import SpectrumMadeBy, SpectrumSettings
from util.answer.spectrum_h5 import curve_rows, read_for_merging, spectrum_tables, write_csv
from util.fit.detection import Detection
from util.fit.map_data import Hits
from util.physics.image_geometry import ImageGeometry
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.spectrum.energy import Calibration
from util.spectrum.fit import fit_spectrum

CALIBRATION = Calibration(3.0, 0.0, np.diag([1e-6, 0]), photon_energy=2.5, photon_energy_error=0.001)
SETTINGS = SpectrumSettings(2, False, False, 0.02, "flux", 0, None, None, "auto", None, ())


@pytest.fixture(scope="module")
def spectrum():
    rng = np.random.default_rng(1)
    x, z = truth.hits((Sphere(0.5, 0.02, 1, (0.5,)),), (3000,), rng=rng)
    hits = Hits(x, z, np.ones(x.size), None)
    return fit_spectrum(hits, Detection(), order=2, resolution=0.02, geometry=ImageGeometry())


def written(path, spectrum, calibration):
    made_by = SpectrumMadeBy(SETTINGS, {}, "source", {})
    write_tables(path, spectrum_tables(spectrum, calibration, None), made_by, ["look out"])
    return path


def test_curves_peaks_and_covariance_are_there_with_their_units(tmp_path, spectrum):
    tables = read_tables(written(tmp_path / "spectrum.h5", spectrum, None))
    curves, peaks = tables["Spectrum"].array, tables["Peaks"].array
    assert curves.dtype.names == (
        *("r", "intensity", "intensity_error", "beta_2", "beta_2_error", "blur", "resolution"),
    )
    np.testing.assert_array_equal(curves["intensity"], spectrum.intensity)
    np.testing.assert_array_equal(curves["beta_2_error"], spectrum.beta_error[0])
    assert "intensity: electrons a unit of r" in tables["Spectrum"].attributes["units"]
    np.testing.assert_array_equal(peaks["R"], spectrum.peaks.R)
    terms = tables["Lines"].array.shape[0] * 2
    assert tables["Covariance"].array.shape == (terms, terms)
    assert [row["Name"] for row in tables["Nuisances"].array] == [b"background"]
    assert list(tables["Warnings"].array) == [b"look out"]


def test_with_a_calibration_electrons_an_ev_hold_as_many_electrons(spectrum):
    rows = curve_rows(spectrum, CALIBRATION)
    np.testing.assert_allclose(rows["energy"], 3 * spectrum.r**2)
    np.testing.assert_allclose(rows["binding_energy"], 2.5 - 3 * spectrum.r**2)
    np.testing.assert_allclose(rows["wavenumber"], 8065.543937 * rows["energy"], rtol=1e-9)
    by_r = np.trapezoid(spectrum.intensity, spectrum.r)
    assert np.trapezoid(rows["intensity_of_energy"], rows["energy"]) == pytest.approx(by_r, rel=1e-3)


def test_it_is_read_as_a_spectrum_to_merge(tmp_path, spectrum):
    found = read_for_merging(written(tmp_path / "a.h5", spectrum, CALIBRATION))
    assert found.photon_energy == 2.5
    np.testing.assert_allclose(found.energy, 3 * spectrum.r**2)
    np.testing.assert_allclose(found.resolution, 0.02 * 6 * spectrum.r)


def test_a_file_without_energies_is_refused(tmp_path, spectrum):
    plain = written(tmp_path / "plain.h5", spectrum, None)
    with pytest.raises(InputError, match=r"plain\.h5: expected a spectrum with its calibration .*'Calibration'"):
        read_for_merging(plain)
    blind = Calibration(3.0, 0.0, np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"expected photon_energy"):
        read_for_merging(written(tmp_path / "blind.h5", spectrum, blind))


def test_csv_leaves_empty_what_is_not_known(tmp_path, spectrum):
    rows = curve_rows(spectrum, None)
    write_csv(tmp_path / "a.csv", rows, ("r: half screens",))
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "# r: half screens"
    table = list(csv.DictReader(lines[1:]))
    assert len(table) == spectrum.r.size
    assert table[0]["beta_2"] == ""
    middle = int(np.argmax(spectrum.intensity))
    assert float(table[middle]["beta_2"]) == rows["beta_2"][middle]
