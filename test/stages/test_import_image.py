"""An accumulated image goes into one shard, and the answer stage reads it."""

import contextlib
import io

import numpy as np
import pytest

from src import import_image
from support.answers import answer, parameters
from support.images import accumulated
from support.scripts import SCRIPTS, call
from support.truth import DESIGN
from util.electrons.shards import read_shard
from util.runtime.errors import InputError


@pytest.fixture(scope="module")
def image():
    """Return an image with the polarisation along axis 1."""
    return accumulated(150_000, 300, gain=3.7, camera=0.5)


def run(file, output, *options):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        import_image.main([str(word) for word in (file, "--output", output, *options)])
    return printed.getvalue().splitlines()


def save(path, image):
    np.save(path, image)
    return path


def test_the_axis_of_the_polarisation_becomes_the_second_one(tmp_path, image):
    wide = image[20:280]
    lines = run(save(tmp_path / "a.npy", wide), tmp_path / "along", "--axis", 1)
    assert lines[0].startswith("noise: 3.")
    assert "electrons in 260 x 300 pixels" in lines[-1] and "axis 1" in lines[-1]
    hint = "the polarisation seems to lie along axis 1: --axis 1"
    assert hint not in lines
    assert hint in run(tmp_path / "a.npy", tmp_path / "wrong", "--axis", 0)
    run(save(tmp_path / "b.npy", wide.T), tmp_path / "down")
    along, down = (read_shard(tmp_path / name / "final_0_1.npz") for name in ("along", "down"))
    assert along.image.shape == along.facts.imported.pixels == (260, 300)
    assert (along.facts.imported.axis, down.facts.imported.axis) == (1, 0)
    for shard in (along, down):
        G = shard.facts.imported.noise.counts_per_electron
        assert pytest.approx(3.7, rel=0.2) == G
        np.testing.assert_allclose(shard.image, wide / G, rtol=1e-5)


@pytest.fixture(scope="module")
def shards(module_folder, image):
    folder = module_folder("image")
    run(save(folder / "a.npy", image.T), folder / "shards")
    return folder / "shards"


def test_the_answer_of_an_image_is_the_truth_within_its_errors_and_says_that_there_are_no_frames(tmp_path, shards):
    (tmp_path / "finaltest.h5").write_bytes(b"frames of another measurement")
    options = ("--finaltest", tmp_path / "finaltest.h5", "--network", tmp_path)
    printed = answer(shards, tmp_path / "final.h5", *options)
    assert "finder's bias not measured: imported data have no frames" in printed
    found = parameters(tmp_path / "final.h5")
    for number, sphere in enumerate(DESIGN, 1):
        row = found[f"R_{number}"]
        assert row["Value"] == pytest.approx(sphere.R, abs=5 * row["Error"])
        assert row["Error"] < 3e-4
        assert found[f"N_{number}"]["Value"] == pytest.approx(75_000, rel=0.1)
        gain_error = read_shard(shards / "final_0_1.npz").facts.imported.noise.gain_error
        assert found[f"N_{number}"]["Error"] > gain_error * found[f"N_{number}"]["Value"] > 500


@pytest.mark.parametrize("option", [("--bias", 500), ("--bootstrap", 2), ("--check-integrated",)])
def test_what_needs_frames_is_refused_in_one_line(tmp_path, shards, option):
    with pytest.raises(InputError, match="imported data have no frames") as told:
        answer(shards, tmp_path / "final.h5", "--order", 2, "--network", tmp_path, *option)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "final.h5").exists()


def test_a_shard_that_is_there_is_kept_or_refused_or_replaced(tmp_path, image):
    file, output = save(tmp_path / "a.npy", image), tmp_path / "shards"
    run(file, output)
    before = (output / "final_0_1.npz").read_bytes()
    assert run(file, output)[-1] == f"{output}/final_0_1.npz: already there"
    with pytest.raises(InputError, match="expected a shard imported in the same way, found another; remove it"):
        run(file, output, "--axis", 1)
    other = save(tmp_path / "b.npy", image + 1)
    with pytest.raises(InputError, match="expected a shard of the same file, found another; remove it"):
        run(other, output)
    assert (output / "final_0_1.npz").read_bytes() == before
    run(other, output, "--overwrite")
    assert (output / "final_0_1.npz").read_bytes() != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--axis", 2), "--axis: invalid choice: 2"),
        (("--counts-per-electron", 0), "--counts-per-electron: expected a number above 0, found 0"),
        (("--counts-per-electron", -3), "expected a number of at least 0, found '-3'"),
        (("--counts-per-electron", "nan"), "expected a number of at least 0, found 'nan'"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, image, capsys, options, message):
    with pytest.raises(SystemExit) as ended:
        run(save(tmp_path / "a.npy", image), tmp_path / "shards", *options)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()


def test_the_script_passes_file_and_options_on_and_ends_bad_input_with_status_two(tmp_path, image):
    file = save(tmp_path / "a.npy", image)
    done = call(SCRIPTS / "import_image.sh", file, "--axis", 1, cwd=tmp_path, DATA_DIR="here")
    assert done.returncode == 0, done.stderr
    assert read_shard(tmp_path / "here" / "finaltest_npy" / "final_0_1.npz").facts.imported.axis == 1
    save(file, np.full((20, 20), np.nan))
    done = call(SCRIPTS / "import_image.sh", file, cwd=tmp_path, DATA_DIR="there")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line == f"error: {file}: expected counts, found NaN alone; give an image with counts"
    assert not (tmp_path / "there").exists()
