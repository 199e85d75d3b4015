"""The stage that makes a spectrum of what the shards hold, and says what it assumed."""

import csv
import shutil

import numpy as np
import pytest
from scipy import ndimage

from src import gen_spectrum, import_events, import_image
from support import effects, truth
from support.figures import saved_figures, titles
from support.scripts import SCRIPTS, call
from util.answer.final_h5 import read_tables
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.spectrum import interior_point

SPHERES = (Sphere(0.4, 0.015, 1, (0.5,)), Sphere(0.8, 0.015, 1, (-0.3,)))
CALIBRATION = """
photon_energy = 2.0
[[line]]
peak_near = 0.4
energy = 0.32
[[line]]
peak_near = 0.8
energy = 1.28
"""


def shards_of(folder, spheres, seed):
    return shards_at(folder, *truth.hits(spheres, (8_000,) * len(spheres), rng=np.random.default_rng(seed)))


def shards_at(folder, x, z):
    np.savez(folder / "events.npz", x=(x + 1) * 256 - 0.5, z=(z + 1) * 256 - 0.5)
    import_events.main(
        [str(folder / "events.npz"), "--output", str(folder / "finaltest_npy"), "--pixels", "512", "512"]
    )
    return folder


@pytest.fixture(scope="module")
def run(module_folder):
    folder = shards_of(module_folder("data"), SPHERES, 1)
    (folder / "lines.toml").write_text(CALIBRATION)
    done = call(SCRIPTS / "gen_spectrum.sh", "--calibration", folder / "lines.toml", cwd=folder, DATA_DIR=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def answered(folder, *options):
    words = ("--shards", folder / "finaltest_npy", "--output", folder / "again.h5", *options)
    gen_spectrum.main([str(word) for word in words])
    return read_tables(folder / "again.h5")


def test_the_peaks_are_those_of_the_spheres(run):
    folder, printed = run
    peaks = read_tables(folder / "spectrum.h5")["Peaks"].array
    for name, wanted in (("R", (0.4, 0.8)), ("electrons", (8_000, 8_000)), ("beta_2", (1.0, -0.6))):
        assert (np.abs(peaks[name] - wanted) < 4 * peaks[f"{name}_error"]).all(), name
    np.testing.assert_allclose(peaks["energy"], (0.32, 1.28), rtol=0.01)
    assert "energy [eV]" in printed
    assert "as held-out electrons allow" in printed
    assert "overlap" not in printed


def test_figure_and_csv_lie_beside_those_of_the_answer(run):
    folder, _ = run
    assert {path.name for path in (folder / "figures").iterdir()} == {
        *("spectrum.png", "spectrum.pdf", "spectrum.csv", "peaks.csv"),
    }
    rows = list(csv.DictReader((folder / "figures" / "peaks.csv").read_text().splitlines()[1:]))
    assert [round(float(row["R"]), 1) for row in rows] == [0.4, 0.8]


def test_the_figure_shows_curves_betas_and_the_image(run):
    folder, _ = run
    with saved_figures() as figures:
        answered(folder, "--resolution", 0.012, "--details", folder / "more")
    drawn = figures["spectrum"]
    assert titles(drawn)[:1] == ["electrons"]
    assert "pulls" in titles(drawn)


def test_electrons_of_an_image_share_the_error_of_its_gain(tmp_path, capsys):
    x, z = truth.hits(SPHERES[:1], (60_000,), rng=np.random.default_rng(4))
    counts = np.histogram2d(z, x, 250, ((-1, 1), (-1, 1)))[0]
    np.save(tmp_path / "image.npy", ndimage.gaussian_filter(7 * counts, 0.7))
    import_image.main([str(tmp_path / "image.npy"), "--output", str(tmp_path / "finaltest_npy")])
    tables = answered(tmp_path, "--resolution", 0.012)
    gain_error = tables["Fit"].attributes["gain_error"]
    assert 0.01 < gain_error < 0.3
    (peak,) = tables["Peaks"].array
    assert abs(peak["electrons"] - 60_000) < 4 * peak["electrons_error"]
    assert peak["electrons_error"] > gain_error * peak["electrons"]
    assert "share an error of" in capsys.readouterr().out


def test_electrons_at_the_edge_of_the_screen_are_warned_of(run, tmp_path, capsys):
    folder, _ = run
    shards_of(tmp_path, (Sphere(0.4, 0.015, 1, (0.5,)), Sphere(0.97, 0.006, 1, (0.0,))), 3)
    answered(tmp_path, "--resolution", 0.012)
    assert "up to the edge of the screen" in capsys.readouterr().err
    answered(folder, "--resolution", 0.012)
    assert "up to the edge of the screen" not in capsys.readouterr().err


def test_a_fit_that_does_not_settle_says_so(run, monkeypatch, capsys):
    folder, printed = run
    monkeypatch.setattr(interior_point, "_MOST_STEPS", 4)
    tables = answered(folder, "--resolution", 0.012)
    assert "did not settle" in capsys.readouterr().err
    assert not tables["Fit"].attributes["converged"]
    assert "did not settle" not in printed


@pytest.mark.parametrize("options", [("--order", 0), ("--resolution", 0.03)])
def test_a_fit_that_does_not_describe_the_image_is_named(run, options, capsys):
    folder, printed = run
    answered(folder, "--resolution", 0.012, *options)
    assert "does not describe the image" in capsys.readouterr().err
    assert "does not describe the image" not in printed


def test_an_order_that_the_image_asks_for_is_taken_and_said(tmp_path, capsys):
    shards_of(tmp_path, (Sphere(0.6, 0.02, 1, (0.2, 0.1, 0.0, 0.2)),), 5)
    tables = answered(tmp_path, "--resolution", 0.015)
    assert "order 8: the image shows degree 8, at r = 0." in capsys.readouterr().out
    assert "beta_8" in tables["Peaks"].array.dtype.names
    answered(tmp_path, "--resolution", 0.015, "--order", 4)
    printed = capsys.readouterr()
    assert "order 8" not in printed.out
    assert "the image shows degree 8, which the fit leaves out" in printed.err


def test_it_is_merged_with_one_at_another_photon_energy(run, tmp_path):
    folder, _ = run
    # 0.5 eV less light: the slow peak is gone, the other is at 0.78 eV.
    slower = shards_of(tmp_path, (Sphere(np.sqrt(0.39), 0.008, 1, (-0.3,)),), 2)
    (slower / "lines.toml").write_text("constant = 2.0\nphoton_energy = 1.5")
    tables = answered(
        slower, *("--resolution", 0.008, "--calibration", slower / "lines.toml", "--merge", folder / "spectrum.h5")
    )
    merged = tables["Merged"].array
    assert merged["spectra"].max() == 2
    both = merged[merged["spectra"] == 2]
    assert both["binding_energy"][both["intensity_of_energy"].argmax()] == pytest.approx(0.72, abs=0.01)


def test_no_electron_is_merged_twice(run, tmp_path, monkeypatch, capsys):
    folder, _ = run
    with pytest.raises(SystemExit):
        answered(folder, "--calibration", folder / "lines.toml", "--merge", folder / "again.h5")
    assert "is read too (--merge), and would be lost" in capsys.readouterr().err
    monkeypatch.setattr(gen_spectrum, "fit_spectrum", None)
    shutil.copy(folder / "spectrum.h5", tmp_path / "copy.h5")
    with pytest.raises(InputError, match=r"copy\.h5: expected other electrons than those of .*finaltest_npy, found"):
        answered(folder, "--calibration", folder / "lines.toml", "--merge", tmp_path / "copy.h5")
    other = shards_of(tmp_path, SPHERES, 7)
    with pytest.raises(InputError, match=r"copy\.h5: expected other electrons than those of .*spectrum\.h5, found"):
        answered(other, "--calibration", folder / "lines.toml", "--merge", folder / "spectrum.h5", tmp_path / "copy.h5")


def test_files_that_are_named_are_read_before_the_fit(run, tmp_path, monkeypatch):
    folder, _ = run
    monkeypatch.setattr(gen_spectrum, "fit_spectrum", None)
    (tmp_path / "bad.toml").write_text("constant = -2.0")
    with pytest.raises(InputError, match="constant, a squared half screen, must be 1e-09"):
        answered(folder, "--calibration", tmp_path / "bad.toml")
    with pytest.raises(InputError, match="expected an HDF5 file"):
        answered(folder, "--calibration", folder / "lines.toml", "--merge", folder / "lines.toml")


def test_an_ellipse_is_taken_out_and_told_unless_rings_are_round(tmp_path, capsys):
    x, z = effects.stretched(*truth.hits(SPHERES, (8_000, 8_000), rng=np.random.default_rng(3)), 0.1, 0.0)
    folder = shards_at(tmp_path, x, z)
    answered(folder, "--resolution", 0.012)
    assert "an ellipse was taken out" in capsys.readouterr().out
    answered(folder, "--resolution", 0.012, "--round")
    assert "an ellipse was taken out" not in capsys.readouterr().out


def test_what_cannot_be_done_is_refused_in_one_line(run, tmp_path, capsys):
    folder, _ = run
    with pytest.raises(InputError, match=r"expected shards"):
        answered(tmp_path)
    with pytest.raises(
        InputError, match=r"--resolution: expected at least 0\.00166, a line as wide as a pixel, found 0\.001"
    ):
        answered(folder, "--resolution", 0.001)
    (tmp_path / "bad.toml").write_text("constant = 2.0\nphoton_energy = 1.0")
    with pytest.raises(InputError, match=r"expected kinetic energies below photon_energy"):
        answered(folder, "--resolution", 0.012, "--calibration", tmp_path / "bad.toml")
    with pytest.raises(SystemExit) as ended:
        answered(folder, "--merge", folder / "spectrum.h5")
    assert ended.value.code == 2
    assert "--merge: expected a --calibration" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        answered(folder, "--order", 3)
    assert "expected an even number from 0 to 24, or auto, found '3'" in capsys.readouterr().err
    assert not (tmp_path / "again.h5").exists()
