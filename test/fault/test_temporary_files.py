"""What is written beside a target: no name to guess, no link followed, no living process's file removed."""

import errno
import fcntl
import os

import pytest

from src import gen_finaltest_npy
from support.frames import make_frames
from support.param import FINDER
from support.processes import contents, stage, start
from util.runtime import atomic_file
from util.runtime.atomic_file import replacing, resuming
from util.runtime.errors import InputError


def test_two_writers_of_one_host_name_and_process_id_do_not_meet(tmp_path):
    target = tmp_path / "f.h5"
    with replacing(target) as one, replacing(target) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_planted_beside_the_target_is_neither_followed_nor_what_it_leads_to_removed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f.h5").write_text("precious")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ".f.h5.planted.partial").symlink_to(elsewhere)
    (folder / ".f.h5.file.partial").write_text("no folder")
    with replacing(folder / "f.h5") as temporary:
        temporary.write_text("whole")
    assert (elsewhere / "f.h5").read_text() == "precious"
    assert (folder / "f.h5").read_text() == "whole"


def test_a_target_that_is_a_link_is_replaced_and_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("old")
    (tmp_path / "f").symlink_to(tmp_path / "precious")
    with replacing(tmp_path / "f") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "precious").read_text() == "old" and not (tmp_path / "f").is_symlink()


def test_what_is_written_may_be_read_as_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "f") as temporary:
            temporary.write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_a_folder_taken_for_a_killed_process_s_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    locked, removed = atomic_file._locked, []

    def remove_first(folder, kind):
        lock = locked(folder, kind)
        removed.extend([folder] * (not removed))
        monkeypatch.setattr(atomic_file, "_locked", locked)
        folder.rmdir()
        return lock

    monkeypatch.setattr(atomic_file, "_locked", remove_first)
    with replacing(tmp_path / "f") as temporary:
        assert temporary.parent.exists() and temporary.parent not in removed
        temporary.write_text("whole")
    assert removed and list(tmp_path.iterdir()) == [tmp_path / "f"]


def test_on_a_disk_without_locks_files_are_written_and_what_was_left_stays(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    (tmp_path / ".f.left.partial").mkdir()
    with replacing(tmp_path / "f") as temporary:
        temporary.write_text("whole")
    with resuming(tmp_path / "g") as file:
        file.write(b"half")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".f.left.partial", "f", "g"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_no_further_file_is_told_with_the_target(tmp_path, monkeypatch, number):
    def refuse(path, *_):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "mkdir", refuse)
    with (
        pytest.raises(InputError, match=rf"{tmp_path}/f\.h5: cannot be written \({os.strerror(number)}\)"),
        replacing(tmp_path / "f.h5"),
    ):
        pytest.fail("there is no room to write")


def test_a_file_is_resumed_at_its_end(tmp_path):
    for some in (b"one", b"two"):
        with resuming(tmp_path / "deep" / "f") as file:
            file.write(some)
    assert (tmp_path / "deep" / "f").read_bytes() == b"onetwo"


def test_a_link_or_a_pipe_in_place_of_a_partial_file_is_refused_and_what_it_leads_to_kept(tmp_path):
    (tmp_path / "precious").write_text("old")
    (tmp_path / "f").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match=r"f: expected a file, found a symbolic link"), resuming(tmp_path / "f"):
        pytest.fail("the link was followed")
    assert (tmp_path / "precious").read_text() == "old"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe: cannot be written"), resuming(tmp_path / "pipe"):
        pytest.fail("the pipe was taken")


def test_two_processes_do_not_resume_one_file_at_once(tmp_path):
    with (
        resuming(tmp_path / "f"),
        pytest.raises(InputError, match=r"f: another process is writing it"),
        resuming(tmp_path / "f"),
    ):
        pytest.fail("both write it")


def test_a_disk_that_fills_up_while_a_file_is_resumed_is_told_with_its_name(tmp_path):
    with pytest.raises(InputError, match=r"f: cannot be written \(No space left"), resuming(tmp_path / "f"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
def test_two_searches_into_one_folder_make_the_shards_of_one(tmp_path):
    path = make_frames(tmp_path, 120)
    search = ["--finaltest", path, *FINDER, "--shard-count", 4, "--workers", 1]
    begun = [start(stage("gen_finaltest_npy", *search, "--output", tmp_path / "both")) for _ in range(2)]
    gen_finaltest_npy.main([str(word) for word in [*search, "--output", tmp_path / "one"]])
    for program in begun:
        _, stderr = program.communicate(timeout=120)
        assert program.returncode == 0, stderr
    assert contents(tmp_path / "both") == contents(tmp_path / "one")
