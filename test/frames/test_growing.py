"""Frames that are still being written: what is not whole is waited for, and what changed is noticed."""

import fcntl
import os

import h5py
import numpy as np
import pytest
from PIL import Image

from support.hdf5_frames import SHAPE, frames
from util.frames.growing import SETTLED_S, GrowingFile, GrowingFolder, growing_frames
from util.runtime.errors import FrameError, InputError


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def save(folder, *names, value=5):
    for name in names:
        Image.fromarray(np.full(SHAPE, value, np.uint8)).save(folder / name)


def settle(source, clock):
    """Look until the files that are there have kept their size for long enough; give what the last look returned."""
    source.look()
    clock.pass_by(SETTLED_S)
    return source.look()


def test_a_file_counts_once_it_keeps_its_size_and_those_after_it_wait_for_it(tmp_path, clock):
    source = GrowingFolder(tmp_path, clock=clock)
    assert (source.look(), source.count) == (0, 0)
    save(tmp_path, "1.png", "2.png", "3.png")
    settle(source, clock)
    assert source.count == 3
    whole = (tmp_path / "3.png").read_bytes()
    save(tmp_path, "5.png")
    for part in (20, 40, len(whole)):
        (tmp_path / "4.png").write_bytes(whole[:part])
        source.look()
        assert source.count == 3
        clock.pass_by(SETTLED_S * 0.9)
    settle(source, clock)
    assert source.count == 5


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_half_a_file_is_a_frame_that_cannot_be_read_until_it_is_whole(tmp_path, clock, suffix):
    save(tmp_path, f"1.{suffix}", f"2.{suffix}")
    whole = (tmp_path / f"2.{suffix}").read_bytes()
    (tmp_path / f"2.{suffix}").write_bytes(whole[: len(whole) // 2])
    source = GrowingFolder(tmp_path, clock=clock)
    settle(source, clock)
    with pytest.raises(FrameError, match=rf"2\.{suffix}: expected a whole"):
        source.read_row(1)
    (tmp_path / f"2.{suffix}").write_bytes(whole)
    assert source.read_row(1)[1].min() == 5


def test_a_file_whose_name_comes_before_others_moves_these_up_and_is_noticed(tmp_path, clock):
    save(tmp_path, "1.png", "3.png", "4.png")
    source = GrowingFolder(tmp_path, clock=clock)
    settle(source, clock)
    save(tmp_path, "2.png", value=9)
    assert source.look() == 1 and source.count == 1
    settle(source, clock)
    assert [source.read_row(row)[1].max() for row in range(source.count)] == [5, 9, 5, 5]


def test_a_folder_that_is_out_of_reach_for_a_moment_has_lost_no_frames(tmp_path, clock):
    folder = tmp_path / "frames"
    folder.mkdir()
    save(folder, "a.tif", "b.tif")
    source = GrowingFolder(folder, clock=clock)
    settle(source, clock)
    assert source.count == 2
    folder.rename(tmp_path / "away")
    assert source.look() == 2 and source.fault
    (tmp_path / "away").rename(folder)
    assert (settle(source, clock), source.count, source.fault) == (2, 2, "")


def test_frames_of_another_size_are_refused_one_by_one(tmp_path, clock):
    save(tmp_path, "1.png")
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(tmp_path / "2.png")
    source = GrowingFolder(tmp_path, clock=clock)
    settle(source, clock)
    with pytest.raises(FrameError, match=r"2\.png: expected 20 x 30 pixels of uint8, .* found 30 x 20 pixels of uint8"):
        source.read_row(1)


def grow(path, images, rows=None, **layout):
    """Append images, rows of which may only be declared."""
    with h5py.File(path, "a") as file:
        layout = {"chunks": (1, *SHAPE), "maxshape": (None, *SHAPE), "dtype": np.uint16} | layout
        found = (
            file.require_dataset("images", (0, *SHAPE), exact=True, **layout)
            if "images" not in file
            else file["images"]
        )
        start = len(found)
        found.resize(start + (rows or len(images)), axis=0)
        found[start : start + len(images)] = images


def put(growing, images):
    """Write rows of a dataset that is there."""
    growing.close()
    with h5py.File(growing.path, "a") as file:
        file["images"][: len(images)] = images


@pytest.fixture
def growing(tmp_path, clock):
    source = GrowingFile(tmp_path / "f.h5", "images", clock=clock)
    yield source
    source.close()


def test_rows_of_a_dataset_count_once_they_are_written(growing, clock):
    images = frames()
    assert (growing.look(), growing.count) == (0, 0) and "no such file" in growing.fault
    grow(growing.path, images[:3], rows=5)
    assert (settle(growing, clock), growing.count, growing.fault) == (2, 3, "")
    growing.close()
    with h5py.File(growing.path, "a") as file:
        file["images"][3] = images[3]
    assert (settle(growing, clock), growing.count) == (3, 4)
    assert np.array_equal(growing.read_row(3)[1], images[3])


def test_a_long_dark_stretch_does_not_hide_what_is_written_after_it(growing, clock):
    images = frames(12)
    images[2:10] = 0
    grow(growing.path, images, rows=100)
    settle(growing, clock)
    assert growing.count == 12


def test_rows_that_share_what_is_written_count_up_to_the_last_with_light(growing, clock):
    images = frames(8)
    images[2] = 0  # a dark frame between others is one
    grow(growing.path, images[:4], rows=100, chunks=(50, *SHAPE))
    settle(growing, clock)
    assert growing.count == 4
    growing.close()
    with h5py.File(growing.path, "a") as file:
        file["images"][4:8] = images[4:]
    settle(growing, clock)
    assert growing.count == 8
    assert not growing.read_row(2)[1].any()


def test_a_file_that_its_writer_keeps_to_itself_is_waited_for(growing, clock):
    grow(growing.path, frames(2))
    with growing.path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        growing.look()
        assert growing.count == 0
        assert "one that its writer keeps to itself; have it write for readers to follow (SWMR)" in growing.fault
    settle(growing, clock)
    assert (growing.count, growing.fault) == (2, "")


def test_a_file_that_was_replaced_by_a_shorter_one_is_noticed(growing, clock):
    grow(growing.path, frames(5))
    settle(growing, clock)
    growing.close()
    growing.path.unlink()
    grow(growing.path, frames(2))
    os.utime(growing.path, (1, 1))
    assert (growing.look(), growing.count) == (2, 2)


def test_a_file_that_was_away_and_is_back_as_it_was_is_read_again(growing, clock):
    grow(growing.path, frames(2))
    os.utime(growing.path, (1, 1))
    settle(growing, clock)
    away = growing.path.rename(growing.path.with_suffix(".away"))
    growing.look()
    assert "no such file" in growing.fault
    away.rename(growing.path)
    growing.look()
    assert (growing.count, growing.fault) == (2, "")


def test_the_newest_row_counts_once_one_after_it_is_lit_or_it_stays_the_same(growing, clock):
    images = frames(4)
    with h5py.File(growing.path, "w") as file:
        file.create_dataset("images", (4, *SHAPE), np.uint16)
    half = np.where(np.arange(SHAPE[0])[:, None] < SHAPE[0] // 2, images[1], 0)
    for row in (half, images[1]):
        put(growing, [images[0], row])
        growing.look()
        clock.pass_by(SETTLED_S * 0.9)
        growing.look()
        assert growing.count == 1
    put(growing, images[:3])
    growing.look()
    assert growing.count == 2
    os.utime(growing.path, (1, 1))  # long ago, which tells nothing
    settle(growing, clock)
    assert growing.count == 3


def test_options_of_hdf5_are_refused_for_a_folder(tmp_path):
    with pytest.raises(InputError, match="--frame-axis 2: expected an HDF5 file, found a folder; leave the option out"):
        growing_frames(tmp_path, None, 2)


def test_a_file_that_has_yet_to_be_begun_is_watched_and_one_of_another_kind_refused(tmp_path):
    path = tmp_path / "f.h5"
    for begun in (b"", bytes(100)):
        path.write_bytes(begun)
        growing = growing_frames(path)
        assert (growing.look(), growing.count) == (0, 0) and growing.fault
    path.write_bytes(b"some notes")
    with pytest.raises(
        InputError, match=r"f\.h5: expected frames as .*, found a file of another kind; name the one of"
    ):
        growing_frames(path)
