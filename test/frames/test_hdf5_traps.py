"""What HDF5 leaves out without a word, or has lying another way than one thinks: refused in one line, or read right."""

import logging
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from support import ROOT
from support.hdf5_frames import COUNT, SHAPE, assert_holds, frames, unwritten, write
from support.refusals import damage, refused, refused_or_read
from util.frames.course_file import FRAMES, FrameFile, frame_dtype
from util.frames.open import log_cautions, open_frames
from util.runtime.errors import FrameError, InputError


def test_datasets_behind_links_are_found(tmp_path):
    write(tmp_path / "raw.h5", frames(), name="camera/images")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["run"] = h5py.ExternalLink("raw.h5", "/camera")
        file["temperature"] = np.zeros(3)
    assert_holds(tmp_path / "file.h5", frames())
    assert_holds(tmp_path / "file.h5", frames(), dataset="run/images")
    with h5py.File(tmp_path / "raw.h5", "a") as file:
        file["again"] = h5py.SoftLink("/camera/images")
        file["camera/back"] = h5py.SoftLink("/")
    assert_holds(tmp_path / "raw.h5", frames())  # one dataset, whatever its names
    assert_holds(tmp_path / "raw.h5", frames(), dataset="again")


def test_links_that_lead_nowhere_are_named_with_what_they_lead_to(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["run"] = h5py.ExternalLink("gone.h5", "/camera/images")
        file["soft"] = h5py.SoftLink("/nowhere")
    links = [
        "a link run that leads nowhere: to /camera/images in gone.h5 (can't open file)",
        "a link soft that leads nowhere: to /nowhere (no such object)",
    ]
    refused(path, *links, "put the file that a link leads to in its place")
    refused(path, "--dataset run: no such dataset; there are", *links, dataset="run")
    with h5py.File(path, "a") as file:
        file[FRAMES] = h5py.ExternalLink("gone.h5", f"/{FRAMES}")
    refused(path, f"a link {FRAMES} that leads nowhere: to /{FRAMES} in gone.h5 (can't open file)")


def external(path, raw, count=COUNT):
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (count, *SHAPE), "u2", external=[(raw, 64, h5py.h5f.UNLIMITED)])
    return path


def test_external_data_are_read_from_where_hdf5_looks_for_them(tmp_path, monkeypatch):
    path = external(tmp_path / "file.h5", "camera.raw")
    (tmp_path / "camera.raw").write_bytes(bytes(64) + frames().tobytes())
    refused(path, "external file camera.raw, found no such file; it is beside the HDF5 file: set HDF5_EXTFILE_PREFIX")
    monkeypatch.chdir(tmp_path)
    assert_holds(path, frames())
    read = "import sys; from util.frames.open import open_frames; from pathlib import Path; "
    read += "print(open_frames(Path(sys.argv[1])).read(3).sum())"
    how = {"cwd": ROOT, "env": os.environ | {"HDF5_EXTFILE_PREFIX": "${ORIGIN}"}, "text": True}
    assert int(subprocess.check_output([sys.executable, "-c", read, path], **how)) == frames()[3].sum()


def test_external_data_that_are_missing_or_short_are_refused(tmp_path):
    path = external(tmp_path / "file.h5", f"{tmp_path}/camera.raw")
    refused(path, "images: expected its data in the external file", "camera.raw, found no such file; put it beside")
    (tmp_path / "camera.raw").write_bytes(bytes(64) + frames()[:-1].tobytes())
    refused(path, f"expected {64 + frames().nbytes} bytes in the external file", f"found {64 + frames()[:-1].nbytes};")


LAYOUTS = {
    "one frame a chunk": {"chunks": (1, *SHAPE)},
    "packed": {"chunks": (1, *SHAPE), "compression": "gzip"},
    "several a chunk": {"chunks": (2, *SHAPE)},
    "several chunks a frame": {"chunks": (1, 7, 30), "compression": "gzip"},
    "growing": {"chunks": (1, *SHAPE), "maxshape": (None, *SHAPE)},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_frames_that_were_declared_and_never_written_are_refused(tmp_path, layout):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (COUNT, *SHAPE), "u2", **layout)
        images[:4] = frames()[:4]
        images[6:8] = frames()[6:8]
    unwritten(path, "expected 12 frames, found 6 of them declared and never written: 4..5, 8..11", "--range 0 4")
    with open_frames(path) as file:
        file.check_written(0, 4)
        file.check_written(6, 8)
        assert np.array_equal(file.read(7), frames()[7])
        with pytest.raises(FrameError, match=r"file\.h5: images: frame 5 was never written"):
            file.read(5)
        assert file.fingerprint() == file.fingerprint()


@pytest.mark.parametrize("most", [1, 2, 5, 6, 7, 16])
def test_samples_are_spread_over_the_frames_that_were_written(tmp_path, most):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        images = file.create_dataset("images", (50, *SHAPE), "u2", chunks=(1, *SHAPE))
        rows = [3, 4, 5, 20, 48, 49]
        for row in rows:
            images[row] = row
    with open_frames(tmp_path / "file.h5") as file:
        assert file.written() == [(3, 6), (20, 21), (48, 50)]
        places = np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))
        assert file.spread_out(most) == [rows[place] for place in places]
        fingerprint = file.fingerprint()
    with h5py.File(tmp_path / "file.h5", "r+") as file:
        file["images"][20, 0, 0] = 0
    with open_frames(tmp_path / "file.h5") as file:
        assert file.fingerprint() != fingerprint


def test_a_frame_of_which_some_chunks_are_missing_was_not_written(tmp_path):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        images = file.create_dataset("images", (COUNT, *SHAPE), "u2", chunks=(1, 10, 30))
        images[:9] = 1
        images[9, :10] = 1
    unwritten(tmp_path / "file.h5", "3 of them declared and never written: 9..11")


@pytest.mark.parametrize("chunks", [None, (1, *SHAPE)])
def test_a_dataset_that_nobody_wrote_to_is_refused(tmp_path, chunks):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.create_dataset("images", (COUNT, *SHAPE), "u2", chunks=chunks)
    unwritten(tmp_path / "file.h5", "12 of them declared and never written: 0..11; give a file that holds frames")


def test_a_thousand_million_declared_rows_cost_nothing(tmp_path):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        rows = file.create_dataset(FRAMES, (10**9,), frame_dtype(SHAPE), chunks=(1,), compression="gzip")
        rows[3] = np.zeros((), frame_dtype(SHAPE))
    with FrameFile(tmp_path / "file.h5") as file:
        file.check_written(3, 4)
        with pytest.raises(InputError, match=r"999999999 of them .*: 0\.\.2, 4\.\.999999999; search .* --range 3 4$"):
            file.check_written()


def test_rows_written_as_zeros_are_dark_frames(tmp_path):
    path = write(tmp_path / "file.h5", np.zeros((COUNT, *SHAPE), np.uint16), chunks=(1, *SHAPE), compression="gzip")
    assert_holds(path, np.zeros((COUNT, *SHAPE), np.uint16))


# What tells that frames lie along the last axis: its chunks, its growth, its label, its shape.
LAST_AXIS = {
    "chunks": (SHAPE, COUNT, {"chunks": (*SHAPE, 1), "compression": "gzip"}, "cut along it alone"),
    "growth": (SHAPE, COUNT, {"chunks": (20, 30, 12), "maxshape": (*SHAPE, None)}, "may grow along it alone"),
    "equal axes": ((20, 20), COUNT, {}, "the first two axes are equally long"),
    "length": ((20, 30), 121, {}, "it is much longer than the others"),
}


@pytest.mark.parametrize(("shape", "count", "layout", "reason"), LAST_AXIS.values(), ids=LAST_AXIS)
def test_frames_along_the_last_axis_are_not_taken_for_frames_along_the_first(tmp_path, shape, count, layout, reason):
    expected = np.random.default_rng(0).integers(1, 4096, (count, *shape), np.uint16)
    path = write(tmp_path / "file.h5", np.moveaxis(expected, 0, -1), **layout)
    refused(path, f"found shape {(*shape, count)}", "along axis 2", reason, "--frame-axis 2 or --frame-axis 0")
    assert_holds(path, expected, frame_axis=2)
    assert_holds(path, expected, dataset="images[axis 2]")
    with open_frames(path, None, 2) as file:
        direct = file._rows._packed(3) is not None
    assert direct == (layout.get("compression") == "gzip")  # one packed frame a chunk, wherever it lies


def test_the_users_word_on_the_axis_counts(tmp_path):
    images = np.random.default_rng(0).integers(1, 4096, (20, 20, 121), np.uint16)
    path = write(tmp_path / "file.h5", images)
    assert_holds(path, images, frame_axis=0)
    assert_holds(path, np.moveaxis(images, 1, 0), dataset="images", frame_axis=1)
    with open_frames(path, None, 0) as first, open_frames(path, None, 2) as last:
        assert first.fingerprint() != last.fingerprint()


def test_a_label_tells_the_axis_of_the_frames(tmp_path):
    path = write(tmp_path / "file.h5", np.moveaxis(frames(18), 0, -1))
    with h5py.File(path, "a") as file:
        file["images"].dims[2].label = "Time"
    refused(path, "along axis 2: its label says so")
    with h5py.File(path, "a") as file:
        file["images"].dims[0].label, file["images"].dims[2].label = "frame", ""
    assert_holds(path, np.moveaxis(frames(18), 0, -1))


def test_chunks_of_whole_frames_settle_what_the_shape_leaves_open(tmp_path):
    images = np.random.default_rng(0).integers(1, 4096, (20, 20, 30), np.uint16)
    assert_holds(write(tmp_path / "file.h5", images, chunks=(1, 20, 30)), images)


def test_a_shape_that_might_be_either_way_is_taken_and_that_is_said(tmp_path, caplog):
    path = write(tmp_path / "file.h5", np.zeros((22, 20, 30), np.uint16))
    with caplog.at_level(logging.WARNING), open_frames(path, "images") as file:
        log_cautions(file)
    assert "taking shape (22, 20, 30) for 22 frames of 20 x 30 pixels; were it 30 of 22 x 20" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING), open_frames(path, "images", 0) as file:
        log_cautions(file)
    assert not caplog.text


def test_the_axis_of_frames_belongs_to_plain_datasets(tmp_path):
    write(tmp_path / "file.h5", np.zeros(3, frame_dtype(SHAPE)), name=FRAMES)
    with pytest.raises(InputError, match=r"file\.h5: FinalImage: --frame-axis 2: expected plain frames, found records"):
        open_frames(tmp_path / "file.h5", None, 2)


WRITER = """
import os, sys, h5py, numpy
file = h5py.File(sys.argv[1], "w", libver="latest")
file.create_dataset("images", data=numpy.full((12, 20, 30), 7, "u2"), chunks=(1, 20, 30), maxshape=(None, 20, 30))
if sys.argv[2] == "swmr":
    file.swmr_mode = True
file.flush()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)  # without closing
"""


def test_a_file_open_for_readers_to_follow_is_read_and_that_is_said(tmp_path, caplog):
    path = tmp_path / "file.h5"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path, "swmr"], stdin=-1, stdout=-1)
    assert writer.stdout.readline() == b"ready\n"
    assert_holds(path, np.full((COUNT, *SHAPE), 7, np.uint16))
    writer.communicate()
    with caplog.at_level(logging.WARNING), open_frames(path) as file:  # its writer is dead
        log_cautions(file)
        assert (file.read(COUNT - 1) == 7).all()
    assert f"{path}: images: the file is open for writing, or was left so: taking the 12 frames" in caplog.text


def test_a_file_that_another_program_writes_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "file.h5"
    environment = {name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path, "plain"], stdin=-1, stdout=-1, env=environment)
    assert writer.stdout.readline() == b"ready\n"
    refused(path, "found one that is open for writing; close it in the program that writes it")
    writer.communicate()
    refused(path, "found one that is open for writing; close it", "h5clear -s")  # its writer is dead


@pytest.mark.parametrize("seed", range(60))
def test_damaged_headers_are_refused_in_one_line_or_read(tmp_path, seed):
    path = write(tmp_path / "file.h5", frames(), chunks=(1, *SHAPE), compression="gzip")
    rng = np.random.default_rng(seed)
    damage(path, rng.integers(8, 3000, 12), rng)
    refused_or_read(path)
