"""The search stage at fault: every refusal in one line, and whole shards survive it."""

import os
import resource
import signal

import h5py
import numpy as np
import pytest

from src import gen_finaltest_npy
from support.param import FINDER
from support.processes import messages, wait_until
from support.refusals import refusal_of
from support.searches import SMALL_SHAPE, begin, names, run, write_frames
from util.electrons.shards import list_shards, read_shard
from util.frames.course_file import FRAMES, FrameFile, frame_dtype
from util.runtime.errors import InputError


@pytest.mark.parametrize(("first", "last"), [(100, 131), (-1, 5), (130, 140)])
def test_a_range_outside_the_file_is_refused_before_any_work(small_frames, tmp_path, monkeypatch, first, last):
    monkeypatch.setattr(gen_finaltest_npy, "find_shards", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(
        InputError, match=rf"finaltest\.h5: FinalImage: expected a range .* 0\.\.130, found {first}\.\."
    ):
        run(small_frames, tmp_path, "--range", first, last)
    assert not names(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        ["--workers", "0"],
        ["--workers", "two"],
        ["--shard-count", "0"],
        ["--block", "0"],
        ["--range", "5", "5"],
        ["--range", "9", "5"],
        ["--range", "5"],
        ["--no-such-option"],
    ],
)
def test_options_out_of_range_end_with_status_two(small_frames, tmp_path, capsys, options):
    with pytest.raises(SystemExit) as ended:
        run(small_frames, tmp_path, *options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err
    assert not names(tmp_path)


def no_hdf5(path, _whole):
    path.write_text("no frames at all")


def cut_short(path, whole):
    path.write_bytes(whole.read_bytes()[:-1000])


def no_frames(path, _whole):
    with h5py.File(path, "w") as file:
        file["Other"] = np.zeros(3)


def wrong_type(path, _whole):
    with h5py.File(path, "w") as file:
        file[FRAMES] = np.zeros(2, [("ImageId", "<i4"), ("Image", "<f4", SMALL_SHAPE)])


def wrong_shape(path, _whole):
    with h5py.File(path, "w") as file:
        file[FRAMES] = np.zeros(2, [("ImageId", "<i4"), ("Image", "u1", (256,))])


def no_rows(path, _whole):
    with h5py.File(path, "w") as file:
        file[FRAMES] = np.zeros(0, frame_dtype(SMALL_SHAPE))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _path, _whole: None, "no such file; give an existing one, or make it"),
        (no_hdf5, "expected an HDF5 file, found one that begins with b'no frame'"),
        (cut_short, "expected a whole HDF5 file, found one cut short"),
        (
            no_frames,
            "expected a dataset FinalImage, or one of integers of shape (N, H, W), found Other (float64",
        ),
        (wrong_type, "FinalImage: expected Image of eight or sixteen bits (uint8, uint16), found float32"),
        (wrong_shape, "FinalImage: expected Image of shape (H, W)"),
        (no_rows, "FinalImage: expected one row per frame, found shape (0,)"),
    ],
)
def test_a_bad_file_ends_with_status_two_and_one_line(small_frames, tmp_path, capsys, make, message):
    path = tmp_path / "bad.h5"
    make(path, small_frames)
    words = ("--finaltest", path, "--output", tmp_path / "shards", *FINDER, "--workers", 1)
    status, stdout, stderr = refusal_of(gen_finaltest_npy.main, *words, capsys=capsys)
    assert (status, stdout) == (2, "")
    (line,) = messages(stderr)
    assert line.startswith(f"error: {path}: {message}")
    assert names(tmp_path / "shards") == []


def test_frames_never_written_are_left_out_by_a_range_and_else_refused(small_frames, tmp_path):
    path = tmp_path / "half.h5"
    with h5py.File(small_frames) as whole, h5py.File(path, "w") as file:
        rows = file.create_dataset(FRAMES, (60,), whole[FRAMES].dtype, chunks=(1,), compression="gzip")
        rows[:40] = whole[FRAMES][:40]
    with pytest.raises(InputError, match=r"20 of them declared and never written: 40\.\.59; .* --range 0 40$"):
        run(path, tmp_path / "shards")
    assert not names(tmp_path / "shards")
    run(path, tmp_path / "shards", "--range", 0, 40)
    run(small_frames, tmp_path / "whole", "--range", 0, 40)
    (found,), (expected,) = (list_shards(tmp_path / name) for name in ("shards", "whole"))
    assert len(read_shard(found).events) == pytest.approx(len(read_shard(expected).events), rel=0.02)


def test_frames_along_the_last_axis_are_searched_when_told_so(small_frames, tmp_path):
    with h5py.File(small_frames) as whole:
        images = whole[FRAMES]["Image"][:40]
    for name, stack in (("first", images), ("last", np.moveaxis(images, 0, -1))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["images"] = stack
    with pytest.raises(InputError, match=r"seem to lie along axis 2: .* say which it is with --frame-axis 2"):
        run(tmp_path / "last.h5", tmp_path / "shards")
    run(tmp_path / "last.h5", tmp_path / "last", "--frame-axis", 2, "--shard-count", 1, workers=2)
    run(tmp_path / "first.h5", tmp_path / "first", "--shard-count", 1)
    (found,), (expected,) = (list_shards(tmp_path / name) for name in ("last", "first"))
    assert np.array_equal(read_shard(found).events, read_shard(expected).events)
    assert read_shard(found).facts.settings.dataset == "images[axis 2]"


def test_a_bad_settings_file_ends_with_status_two_and_one_line(small_frames, tmp_path):
    (tmp_path / "finder.toml").write_text("seed = 0.3\nsed = 1\n")
    program = begin(small_frames, tmp_path / "shards", "--finder", tmp_path / "finder.toml")
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 2
    (line,) = messages(stderr)
    assert line.startswith(f"error: {tmp_path / 'finder.toml'}: unknown key 'sed'; known here: seed, ")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_ends_in_one_line_and_keeps_the_shards_before(small_frames, tmp_path, workers):
    with FrameFile(small_frames) as file:
        crowded = np.minimum(sum(frame.astype(int) for _, frame in file.rows(0, 10)), 250).astype(np.uint8)
    path = write_frames(tmp_path / "f.h5", [np.zeros(SMALL_SHAPE, np.uint8)] * 20 + [crowded] * 20)
    limit = 12_000  # bytes; two empty maps take 8,500
    program = begin(
        path,
        tmp_path / "shards",
        *("--shard-count", 2, "--workers", workers),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    stdout, stderr = program.communicate(timeout=60)
    assert program.returncode == 2, stderr
    (line,) = messages(stderr)
    shard = tmp_path / "shards" / "final_20_40.npz"
    assert line == f"error: {shard}: cannot be written (File too large); make room there or name another file"
    assert "searched" not in stdout
    assert names(tmp_path / "shards") == ["final_0_20.npz"]
    assert read_shard(tmp_path / "shards" / "final_0_20.npz").facts.counts_of_frames.dark == 20


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_the_search_quietly_and_keeps_whole_shards(small_frames, tmp_path, workers):
    with FrameFile(small_frames) as file:
        frame = file.read(0)
    path = write_frames(tmp_path / "f.h5", [frame] * 9000)
    program = begin(path, tmp_path / "shards", "--shard-count", 90, "--workers", workers)
    wait_until((tmp_path / "shards" / "final_0_100.npz").exists)
    os.killpg(program.pid, signal.SIGINT)  # as the terminal does
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 130, stderr
    (line,) = messages(stderr)
    assert line.startswith("interrupted")
    kept = list_shards(tmp_path / "shards")
    assert names(tmp_path / "shards") == sorted(path.name for path in kept)
    assert 1 <= len(kept) < 90
    for shard in kept:
        read_shard(shard)
