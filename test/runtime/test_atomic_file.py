"""Files that exist are whole."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "folder" / "f.npz"
    with replacing(target) as temporary:
        assert temporary.parent.parent == target.parent
        assert temporary.name == "f.npz"
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", [InputError("bad"), ValueError("defect"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("written", [True, False])
def test_nothing_is_left_of_a_failure_and_the_file_before_it_survives(tmp_path, failure, written):
    target = tmp_path / "f.h5"
    for before in ([], [target]):
        with pytest.raises(type(failure)), replacing(target) as temporary:
            if written:
                temporary.write_text("half")
            raise failure
        assert list(tmp_path.iterdir()) == before
        target.write_text("old")
    assert target.read_text() == "old"


def test_an_existing_file_is_replaced(tmp_path):
    (tmp_path / "f").write_text("old")
    with replacing(tmp_path / "f") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "f").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


def test_a_full_disk_is_told_with_the_files_final_name(tmp_path):
    with (
        pytest.raises(InputError, match=r"f\.h5: cannot be written \(No space left on device\); make room there"),
        replacing(tmp_path / "f.h5") as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_an_error_of_another_file_is_not_taken_for_ones_own(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), replacing(tmp_path / "f.h5") as temporary:
        temporary.write_text("half")
        Path(tmp_path / "other").read_bytes()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_or_written_into_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "f.h5", tmp_path / "file" / "deeper" / "f.h5"):
        with (
            pytest.raises(InputError, match=r"f\.h5: cannot be written \((File exists|Not a directory)\)"),
            replacing(target),
        ):
            pytest.fail("there is no such folder to write into")
    (tmp_path / "folder" / "f.h5").mkdir(parents=True)
    with (
        pytest.raises(InputError, match=r"f\.h5: cannot be written \(Is a directory\)"),
        replacing(tmp_path / "folder" / "f.h5") as temporary,
    ):
        temporary.write_text("whole")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["f.h5"]


def test_a_disk_that_really_fills_up_ends_with_status_two_and_leaves_the_old_file(tmp_path):
    program = f"""
from pathlib import Path
from util.runtime.atomic_file import replacing
from util.runtime.errors import run_program
def main():
    with replacing(Path({str(tmp_path / "f")!r})) as temporary:
        temporary.write_bytes(bytes(5000))
run_program(main)
"""
    (tmp_path / "f").write_text("old")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # noqa: E731
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=ROOT, preexec_fn=limit, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"error: {tmp_path / 'f'}: cannot be written (File too large); make room there or name "
        "another file\n"
    )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def write_until_killed(target):
    """Begin to write `target` in a process of its own; give that process once it is about it."""
    code = f"""
import time
from pathlib import Path
from util.runtime.atomic_file import replacing
with replacing(Path({str(target)!r})) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
    program = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"writing\n"
    return program


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_file(tmp_path):
    target, other = tmp_path / "f.h5", tmp_path / "f.x.h5"
    for path in (target, other):
        with write_until_killed(path) as program:
            program.kill()
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(target) as temporary:
        temporary.write_text("whole")
    (left,) = set(tmp_path.iterdir()) - {target}
    assert left.name.startswith(".f.x.h5.")  # of another file


def test_what_a_living_process_is_writing_is_left_alone(tmp_path):
    target = tmp_path / "f.h5"
    with write_until_killed(target) as program:
        (theirs,) = tmp_path.iterdir()
        with replacing(target) as temporary:
            temporary.write_text("ours")
        assert (theirs / "f.h5").read_text() == "half"
        program.kill()
