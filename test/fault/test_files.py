"""Inputs that are no files, or parts of files: refused in one line, without waiting for anyone."""

import os
import socket

import pytest

from support.faults import refusal
from support.inputs import INPUTS


def pipe(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def folder(path):
    path.mkdir()


def loop(path):
    path.symlink_to(path)


def nothing(_path):
    pass


def empty(path):
    path.touch()


def listening(path):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{here}/{path.name}")  # a path may be longer than an address
        os.close(here)


NO_FILES = {
    pipe: "expected a file, found a named pipe; save what comes out of it as a file",
    endless: "expected a file, found a device; name a file",
    listening: "expected a file, found a socket; name a file",
    loop: "no such",
    nothing: "no such",
    empty: "",
}
FRAMES_IN_FOLDERS = ("course.h5", "plain.h5", "frames.tif", "imagej.tif", "frame.png")


@pytest.mark.parametrize("make", NO_FILES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", INPUTS)
def test_what_is_no_file_is_refused(tmp_path, name, make):
    make(tmp_path / name)
    line = refusal(INPUTS[name].read, tmp_path / name)
    assert line is not None and NO_FILES[make] in line


@pytest.mark.parametrize("name", sorted(set(INPUTS) - set(FRAMES_IN_FOLDERS)))
def test_a_folder_is_no_file(tmp_path, name):
    (tmp_path / name).mkdir()
    assert "expected a file, found a folder; name the file in it" in refusal(INPUTS[name].read, tmp_path / name)


@pytest.mark.parametrize("make", [pipe, endless, folder], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["frames.tif", "frame.png"])
def test_what_is_no_file_among_the_files_of_a_folder_is_refused(tmp_path, whole, name, make):
    frames = tmp_path / f"frames of {name}"
    frames.mkdir()
    (frames / f"1{name}").write_bytes(whole[name].read_bytes())
    make(frames / f"2{name}")
    assert f"2{name}: expected a file, found a" in refusal(INPUTS[name].read, frames)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", [name for name, each in INPUTS.items() if each.tells_cuts])
def test_a_part_of_a_file_is_refused(tmp_path, whole, name, part):
    content = whole[name].read_bytes()
    (tmp_path / name).write_bytes(content[: int(part * len(content))])
    assert refusal(INPUTS[name].read, tmp_path / name) is not None


@pytest.mark.parametrize("name", INPUTS)
def test_a_whole_file_is_read(whole, name):
    assert refusal(INPUTS[name].read, whole[name]) is None
