"""Lists of events go into shards in bounded memory, and the later stages read them."""

import contextlib
import io
import json

import h5py
import numpy as np
import pytest

from src import gen_events_h5, import_events
from support.answers import answer, parameters
from support.scripts import SCRIPTS, call
from support.searches import names
from support.truth import DESIGN, hits
from util.electrons.shards import list_shards, read_facts, read_shard
from util.entries import event_file
from util.runtime.errors import InputError


def run(files, output, *options):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        import_events.main([str(word) for word in (*files, "--output", output, *options)])
    return printed.getvalue().splitlines()


def write(path, **columns):
    """Write columns as CSV."""
    rows = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def events_in(folder):
    return np.concatenate([read_shard(path).events for path in list_shards(folder)])


CORNERS = {"x": [0, 39, 0, 39, -0.5, 39.5], "y": [0, 0, 19, 19, -0.5, 19.5]}


def test_the_centre_of_the_first_pixel_is_0_and_the_longer_side_is_the_screen(tmp_path):
    run([write(tmp_path / "a.csv", **CORNERS)], tmp_path / "shards", "--pixels", 40, 20)
    found = events_in(tmp_path / "shards")
    # x runs along W; y, down the rows, is axis 0, along which the polarisation lies unless told otherwise.
    np.testing.assert_allclose(found["x"], np.array([-39, 39, -39, 39, -40, 40]) / 40, rtol=1e-6)
    np.testing.assert_allclose(found["z"], np.array([-19, -19, 19, 19, -20, 20]) / 40, rtol=1e-6)
    facts = read_facts(tmp_path / "shards" / "final_0_1.npz")
    assert facts.imported.pixels == (40, 20)
    assert facts.imported.reach == (1, 0.5)
    assert facts.imported.columns == ("x", "y")


def test_with_axis_1_the_polarisation_lies_along_the_first_position(tmp_path):
    file = write(tmp_path / "a.csv", **CORNERS)
    lines = run([file], tmp_path / "shards", "--pixels", 40, 20, "--axis", 1)
    assert lines[0].endswith("the polarisation lies along column x")
    found = events_in(tmp_path / "shards")
    np.testing.assert_allclose(found["z"], np.array([-39, 39, -39, 39, -40, 40]) / 40, rtol=1e-6)
    np.testing.assert_allclose(found["x"], np.array([-19, -19, 19, 19, -20, 20]) / 40, rtol=1e-6)
    assert read_facts(tmp_path / "shards" / "final_0_1.npz").imported.pixels == (20, 40)


def test_detector_units_are_taken_as_they_are(tmp_path):
    file = write(tmp_path / "a.csv", x=[-1, 0.25], z=[0.5, 1])
    run([file], tmp_path / "shards", "--units", "detector")
    found = events_in(tmp_path / "shards")
    assert (found["x"].tolist(), found["z"].tolist()) == ([-1, 0.25], [0.5, 1])
    assert read_facts(tmp_path / "shards" / "final_0_1.npz").imported.pixels is None


@pytest.fixture
def run_of_frames(tmp_path):
    """Return a file of 1000 events in frames 3 .. 102, out of order, and its columns."""
    rng = np.random.default_rng(4)
    columns = {"frame": rng.integers(3, 103, 1000), "x": rng.uniform(0, 49, 1000), "y": rng.uniform(0, 49, 1000)}
    columns["weight"] = rng.uniform(0.5, 2, 1000)
    return write(tmp_path / "a.csv", **columns), columns


def test_shards_hold_all_events_of_their_frames_however_small_the_chunks(tmp_path, run_of_frames, monkeypatch):
    file, columns = run_of_frames
    monkeypatch.setattr(event_file, "CHUNK_BYTES", 500)
    run([file], tmp_path / "shards", "--pixels", 50, 50, "--rows-per-shard", 300)
    shards = [read_shard(path) for path in list_shards(tmp_path / "shards")]
    assert len(shards) == 4
    assert [shard.facts.start for shard in shards] == [0, *(shard.facts.stop for shard in shards[:-1])]
    assert {shard.facts.frames_in_source for shard in shards} == {103} == {shards[-1].facts.stop}
    assert all(200 < len(shard.events) <= 300 for shard in shards[:-1])
    assert sum(shard.facts.counts_of_frames.empty for shard in shards) == 103 - np.unique(columns["frame"]).size
    found = events_in(tmp_path / "shards")
    order = np.argsort(columns["frame"], kind="stable")
    np.testing.assert_array_equal(found["ImageId"], columns["frame"][order])
    np.testing.assert_allclose(found["x"], (columns["x"][order] - 24.5) / 25, atol=1e-6)
    np.testing.assert_allclose(found["weight"], columns["weight"][order], rtol=1e-6)
    assert sum(shard.distribution.sum() for shard in shards) == pytest.approx(columns["weight"].sum(), rel=1e-5)
    assert sum(shard.facts.squared_weights for shard in shards) == pytest.approx((columns["weight"] ** 2).sum())
    assert names(tmp_path / "shards") == sorted(path.name for path in list_shards(tmp_path / "shards"))


def test_without_frames_each_shard_counts_as_one(tmp_path):
    files = [
        write(tmp_path / f"{name}.csv", x=np.arange(5) + shift, y=np.zeros(5)) for name, shift in (("a", 0), ("b", 5))
    ]
    lines = run(files, tmp_path / "shards", "--pixels", 10, 10, "--rows-per-shard", 3)
    assert lines[1] == "frames: none, each shard counts as one; weights: 1 each"
    assert names(tmp_path / "shards") == [f"final_{i}_{i + 1}.npz" for i in range(4)]
    found = events_in(tmp_path / "shards")
    assert found["ImageId"].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    np.testing.assert_allclose(found["x"], (np.arange(10) - 4.5) / 5, rtol=1e-6)


def test_frames_of_a_further_file_count_on_unless_they_lie_above(tmp_path):
    parts = [([0, 1, 4], "a"), ([0, 2], "b"), ([9, 11], "c")]
    files = [write(tmp_path / f"{name}.csv", frame=frames, x=frames, y=frames) for frames, name in parts]
    run(files, tmp_path / "shards", "--pixels", 20, 20)
    assert events_in(tmp_path / "shards")["ImageId"].tolist() == [0, 1, 4, 5, 7, 9, 11]
    assert names(tmp_path / "shards") == ["final_0_5.npz", "final_5_8.npz", "final_8_12.npz"]


def test_rows_that_are_not_known_and_a_stray_event_are_left_out_and_told(tmp_path):
    file = write(tmp_path / "a.csv", x=[1, "nan", 3, 99, ""], y=[1, 2, 3, 4, 5])
    lines = run([file], tmp_path / "shards", "--pixels", 10, 10)
    assert "left out: 2 rows with a value that is not known, 1 beyond the camera" in lines
    assert len(events_in(tmp_path / "shards")) == 2


def test_without_events_the_distributions_alone_are_kept(tmp_path, run_of_frames):
    run([run_of_frames[0]], tmp_path / "shards", "--pixels", 50, 50, "--no-events")
    shard = read_shard(tmp_path / "shards" / "final_0_103.npz")
    assert shard.events is None
    assert shard.counts.sum() == 1000


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": [1, 12, 15], "y": [1, 2, 3]}, (), ".. 9.5, found 2 of 3 beyond it, x and y in 1 .. 15 and 1 .. 3;"),
        ({"a": [1], "b": [2]}, (), "expected columns x and y, or x and z, found columns a, b"),
        ({"x": [1], "y": [2]}, ("--columns", "x,q"), "--columns: no column q; there are x, y"),
        ({"x": ["nan"], "y": [2]}, (), "expected events, found 1 rows of which none is one"),
        ({"x": [1], "y": [2], "frame": [-1]}, (), "column frame: expected integers from 0 to 2147483646 as frames"),
        ({"x": [1], "y": [2], "frame": [0.5]}, (), "as frames, found 0.5; name another column"),
        ({"x": [1], "y": [2], "frame": [3e9]}, (), "as frames, found 3000000000"),
        ({"x": [1], "y": [2]}, ("--columns", "x,0"), "expected a column of its own for each, found column x for two"),
        ({"x": [1, 2], "y": [2, 3], "weight": [0, 0]}, (), "at least one electron, found 0 in 2 events; name another"),
        ({"x": [1, 2], "y": [2, 3], "weight": [1, -4]}, (), "at least one electron, found -3 in 2 events"),
        ({"x": [1, 2], "y": [2, 3], "weight": [1, 1e39]}, (), "column weight: expected at most 2147483647 electrons"),
        ({"x": [1, 2], "y": [2, 3], "weight": [1, -1e300]}, (), "electrons an event, found 1e+300; divide"),
        ({"x": [0, 1], "y": [0.2, 0.9]}, ("--pixels", 200, 100), "found x and y in 0 .. 1 and 0.2 .. 0.9, beside the"),
    ],
)  # fmt: skip
def test_events_that_cannot_be_used_are_refused_and_nothing_is_written(tmp_path, columns, options, message):
    file = write(tmp_path / "a.csv", **columns)
    with pytest.raises(InputError) as told:
        run([file], tmp_path / "shards", "--pixels", 10, 10, *options)
    assert str(told.value).startswith(f"{file}: ") and message in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--pixels W H: expected the size of the camera, found none"),
        (("--pixels", 0, 10), "expected an integer of at least 1 and at most 32768, found '0'"),
        (("--pixels", 10, 10**9), "expected an integer of at least 1 and at most 32768, found '1000000000'"),
        (("--pixels", 10, 10, "--axis", 2), "--axis: invalid choice: 2"),
        (("--pixels", 10, 10, "--columns", "x"), "--columns: expected x,z or x,z,frame"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as ended:
        run([write(tmp_path / "a.csv", x=[1], y=[2])], tmp_path / "shards", *options)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("how", ["the same name", "a link", "a copy"])
def test_no_event_counts_twice(tmp_path, how):
    file, other = write(tmp_path / "a.csv", x=[1, 2], y=[3, 4]), tmp_path / "b.csv"
    if how == "a link":
        other.symlink_to(file)
    elif how == "a copy":
        other.write_bytes(file.read_bytes())
    else:
        other = file
    with pytest.raises(InputError) as told:
        run([file, other], tmp_path / "shards", "--pixels", 10, 10)
    assert str(told.value).startswith(f"{other}: expected another file than {file}, found the same content")
    assert "electrons would count twice: name each file once" in str(told.value)
    assert not (tmp_path / "shards").exists()


def test_shards_that_are_there_are_kept_or_refused_or_replaced(tmp_path, run_of_frames):
    file, _ = run_of_frames
    output, options = tmp_path / "shards", ("--pixels", 50, 50, "--rows-per-shard", 300)
    run([file], output, *options)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    (output / min(before)).unlink()
    assert f"{output}: 3 of 4 shards are already there" in run([file], output, *options)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    with pytest.raises(InputError, match="expected a shard imported in the same way, found another; remove it"):
        run([file], output, "--pixels", 50, 50)
    run([file], output, "--pixels", 50, 50, "--overwrite")
    assert names(output) == ["final_0_103.npz"]


def test_imported_events_go_on_to_the_answer_and_come_back_from_the_table_of_events(tmp_path):
    x, z = hits(DESIGN, (30_000, 30_000), rng=np.random.default_rng(6))
    np.savez(tmp_path / "a.npz", frame=np.arange(60_000) // 50, x=x * 512 + 511.5, y=z * 512 + 511.5)
    run([tmp_path / "a.npz"], tmp_path / "shards", "--pixels", 1024, 1024, "--rows-per-shard", 25_000)
    printed = answer(tmp_path / "shards", tmp_path / "final.h5", "--network", tmp_path)
    assert "finder's bias not measured: imported data have no frames" in printed
    row = parameters(tmp_path / "final.h5")["R_1"]
    assert row["Value"] == pytest.approx(DESIGN[0].R, abs=5 * row["Error"])
    gen_events_h5.main(["--shards", str(tmp_path / "shards"), "--output", str(tmp_path / "events.h5")])
    with h5py.File(tmp_path / "events.h5") as file:
        assert json.loads(file.attrs["settings"])["kind"] == "events"
    run([tmp_path / "events.h5"], tmp_path / "again", "--units", "detector", "--pixels", 1024, 1024)
    first, second = (events_in(tmp_path / name) for name in ("shards", "again"))
    assert all(np.array_equal(first[name], second[name]) for name in ("ImageId", "x", "z", "weight"))


def test_the_script_passes_files_and_options_on_and_ends_bad_input_with_status_two(tmp_path):
    files = [write(tmp_path / f"{name}.csv", x=[1, second], y=[3, 4]) for name, second in (("a", 2), ("b", 0))]
    done = call(SCRIPTS / "import_events.sh", *files, "--pixels", 10, 8, cwd=tmp_path, DATA_DIR="here")
    assert done.returncode == 0, done.stderr
    assert len(events_in(tmp_path / "here" / "finaltest_npy")) == 4
    done = call(SCRIPTS / "import_events.sh", *files, "--pixels", 2, 2, cwd=tmp_path, DATA_DIR="there")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {files[0]}: expected events within the camera, x and y in -0.5 .. 1.5 and")
    assert line.endswith("check --pixels W H, --units and --columns")
