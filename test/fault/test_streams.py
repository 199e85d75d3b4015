"""Closed, full or left streams: the work is done all the same, and its exit status tells what could not be said."""

import subprocess
import sys

import pytest

from support import ROOT

LEFT = "standard output: cannot be written (No space left on device); the work itself is done"


def end_of(body, shell, tmp_path, **environment):
    """Run a program of these lines behind a piece of shell; return its status, both streams, and the file it wrote."""
    imports = "import logging, os, sys, warnings; from pathlib import Path; from util.runtime.errors import run_program"
    lines = ["def main():", *body, f"Path({str(tmp_path / 'work')!r}).write_text('done')"]
    code = "\n".join([imports, "\n    ".join(lines), "run_program(main)"])
    words = ["bash", "-c", shell, "sh", sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environment})
    return done.returncode, done.stdout, done.stderr, (tmp_path / "work").read_text()


MANY = "for number in range(20000): print(number, flush=True)"
LOUD = "for number in range(20000): print(number, file=sys.stderr)"


@pytest.mark.parametrize(
    ("shell", "status", "stderr"),
    [
        ('"$@" >/dev/full', 2, f"error: {LEFT}\n"),
        ('"$@" >/dev/full 2>&1', 2, ""),
        ('"$@" >&-', 0, ""),
        ('"$@" 2>&-', 0, ""),
        ('"$@" >&- 2>&- <&-', 0, ""),
        ('"$@" | head -n 1; exit "${PIPESTATUS[0]}"', 141, ""),
        ('"$@" 2>&1 | head -n 1; exit "${PIPESTATUS[0]}"', 141, ""),
    ],
)
def test_work_outlasts_standard_output(tmp_path, shell, status, stderr):
    ended, stdout, said, work = end_of([MANY], shell, tmp_path)
    assert (ended, said, work) == (status, stderr, "done")
    assert stdout.count("\n") in (0, 1, 20000)


@pytest.mark.parametrize("shell", ['"$@" 2>/dev/full', '"$@" 2>&-', '"$@" 2> >(head -n 1 >/dev/null)'])
def test_work_outlasts_standard_error_and_succeeds(tmp_path, shell):
    assert end_of([LOUD], shell, tmp_path) == (0, "", "", "done")


def test_what_is_said_where_standard_error_is_closed_gets_into_no_file(tmp_path):
    body = [f"file = open({str(tmp_path / 'frames')!r}, 'w')", LOUD, "os.write(2, b'from a library')"]
    assert end_of(body, '"$@" 2>&-', tmp_path)[3] == "done"
    assert (tmp_path / "frames").read_text() == ""


def test_letters_that_the_terminal_lacks_are_shown_by_their_numbers(tmp_path):
    found = end_of(["print('β')", "print('σ', file=sys.stderr)"], '"$@"', tmp_path, PYTHONIOENCODING="ascii")
    assert found == (0, "\\u03b2\n", "\\u03c3\n", "done")


CHATTER = [
    "logging.getLogger('tifffile').warning('of a library')",
    "warnings.warn('of NumPy', RuntimeWarning)",
    "logging.getLogger('util.frames.open').warning('of ours')",
]


def test_libraries_add_nothing_to_what_the_program_says(tmp_path):
    assert end_of(CHATTER, '"$@"', tmp_path) == (0, "", "of ours\n", "done")


def test_whoever_asks_for_warnings_gets_them(tmp_path):
    _, _, said, _ = end_of(CHATTER, '"$@"', tmp_path, PYTHONWARNINGS="always")
    assert "RuntimeWarning: of NumPy" in said
