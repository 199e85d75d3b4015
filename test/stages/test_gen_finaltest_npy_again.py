"""The search stage over shards that are there: whole ones stay, others are refused or replaced."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from support import ROOT
from support.processes import contents
from support.searches import RECIPE, SMALL_SHAPE, names, run, write_frames
from util.camera.phosphor import render
from util.electrons.hits import read_hits
from util.electrons.shards import read_shard
from util.frames.course_file import FRAMES
from util.runtime.errors import InputError


def test_a_second_run_leaves_whole_shards_alone_and_makes_the_missing_one_anew(
    small_frames, ten_shards, tmp_path, capsys
):
    for name, content in contents(ten_shards).items():
        (tmp_path / name).write_bytes(content)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    run(small_frames, tmp_path, workers=2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert capsys.readouterr().out.endswith(f"\n{tmp_path}: 10 of 10 shards are already there\n")
    (tmp_path / "final_39_52.npz").unlink()
    run(small_frames, tmp_path)
    said = capsys.readouterr().out
    assert f"{tmp_path}: 9 of 10 shards are already there\n" in said
    assert "13 frames searched" in said
    assert contents(tmp_path) == contents(ten_shards)
    changed = [path.name for path in tmp_path.iterdir() if path.stat().st_mtime_ns != before[path]]
    assert changed == ["final_39_52.npz"]


def test_frames_that_are_in_shards_of_other_ranges_are_not_searched_again(small_frames, tmp_path, capsys):
    run(small_frames, tmp_path, "--range", 10, 30)
    run(small_frames, tmp_path, "--shard-count", 5)
    said = capsys.readouterr().out
    assert "110 frames searched" in said
    wanted = ["final_0_10", "final_104_130", "final_10_30", "final_30_52", "final_52_78", "final_78_104"]
    assert names(tmp_path) == [f"{name}.npz" for name in wanted]
    assert read_hits(tmp_path, hit_weights="flux", partial=False).frames == 130


def test_a_shard_that_is_not_whole_is_refused_rather_than_kept(small_frames, ten_shards, tmp_path):
    (tmp_path / "final_0_13.npz").write_bytes((ten_shards / "final_0_13.npz").read_bytes()[:-500])
    with pytest.raises(InputError, match=r"final_0_13\.npz: not a whole shard: .*; remove it"):
        run(small_frames, tmp_path)
    assert names(tmp_path) == ["final_0_13.npz"]


def test_shards_of_another_file_or_other_settings_are_refused_and_replaced_where_asked(
    small_frames, ten_shards, tmp_path
):
    other = tmp_path / "other.h5"
    with h5py.File(small_frames) as file, h5py.File(other, "w") as copy:
        rows = file[FRAMES][:]
        rows["Image"][0, :20] = 0
        copy.create_dataset(FRAMES, data=rows, chunks=(1,), compression="gzip")
    finder = (ROOT / "param" / "finder.toml").read_text()
    assert "\nlast_rounds = 2" in finder
    (tmp_path / "finder.toml").write_text(finder.replace("\nlast_rounds = 2", "\nlast_rounds = 1"))
    first = ("--range", 0, 13)
    folder = tmp_path / "shards"
    for finaltest, options, what in (
        (other, (), "of the same file of frames"),
        (small_frames, ("--finder", tmp_path / "finder.toml"), "of the same settings"),
    ):
        run(small_frames, folder, *first, "--overwrite")
        assert contents(folder) == {"final_0_13.npz": (ten_shards / "final_0_13.npz").read_bytes()}
        before = contents(folder)
        with pytest.raises(InputError, match=rf"final_0_13\.npz: expected a shard {what}, found another; remove it"):
            run(finaltest, folder, *first, *options)
        with pytest.raises(InputError, match=rf"final_0_13\.npz: expected a shard {what}, found another"):
            run(finaltest, folder, "--range", 13, 20, *options)  # they would not belong together
        assert contents(folder) == before
        run(finaltest, folder, *first, *options, "--overwrite")
        assert contents(folder) != before


def test_shards_of_an_earlier_version_are_refused_and_replaced_where_asked(small_frames, ten_shards, tmp_path):
    with np.load(ten_shards / "final_0_13.npz") as archive:
        arrays = dict(archive)
    facts = json.loads(str(arrays["facts"]))
    del facts["settings"]["detector"]["flux"]
    np.savez(tmp_path / "final_0_13.npz", **arrays | {"facts": np.array(json.dumps(facts))})
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"final_0_13\.npz: .* key 'settings.detector.flux' is missing; .*--overwrite"):
        run(small_frames, tmp_path, "--range", 0, 13)
    assert contents(tmp_path) == before
    run(small_frames, tmp_path, "--range", 0, 13, "--overwrite")
    assert contents(tmp_path) == {"final_0_13.npz": (ten_shards / "final_0_13.npz").read_bytes()}


def test_a_file_that_changed_between_two_runs_of_one_process_is_read_anew(tmp_path):
    recipe = dataclasses.replace(RECIPE, frame_shape=SMALL_SHAPE)
    path = tmp_path / "f.h5"
    for x in (0.25, -0.25):
        write_frames(path, [render(recipe, *np.array([[x], [0.5], [100.0], [0.015], [0.0]]))])
        run(path, tmp_path / "shards", "--overwrite")
        assert read_shard(tmp_path / "shards" / "final_0_1.npz").events["x"] == pytest.approx(x, abs=1e-3)
