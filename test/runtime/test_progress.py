"""Bars on a terminal, lines elsewhere, and neither where nothing is to be seen."""

import io
import multiprocessing
import os
import pty
import subprocess
import sys
import termios
import threading
import time

import pytest

from support import ROOT
from support.processes import wait_until
from util.runtime import console, progress
from util.runtime.progress import Progress, over, working


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that goes only where it is told to."""
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    clock.now = 0.0
    return clock


def test_a_bar_on_a_terminal_says_what_is_done_and_how_long_it_takes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(progress, "_SHOWN_AFTER_S", 0)
    monkeypatch.setattr(progress.tqdm, "format_interval", staticmethod(lambda _: "00:07"))
    with Progress("searching", 4, "frame") as shown:
        time.sleep(0.15)  # tqdm draws no oftener
        shown.update(3)
    assert "searching:   0%|" in terminal.getvalue() and "| 0/4 frames, ? to go" in terminal.getvalue()
    assert "searching:  75%|" in terminal.getvalue() and "| 3/4 frames, 00:07 to go" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


def test_items_are_counted_as_they_are_used(clock, capsys):
    for item in over("abcd", "searching", 4, "frame"):
        clock.now += 61 * (item == "d")
    assert capsys.readouterr().err == "searching: 4 of 4 frames, 00:00 to go\n"


def test_the_time_that_passes_is_shown_and_taken_away_at_the_end(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(progress, "_SHOWN_AFTER_S", 0.01)
    monkeypatch.setattr(progress, "_TICK_S", 0.001)
    with working("fitting"):
        wait_until(lambda: terminal.getvalue().count("fitting: 00:0") > 1)
    last = terminal.getvalue().split("\r")[-2:]
    assert [part.strip() for part in last] == ["", ""]


def test_what_is_done_at_once_shows_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    list(over("abcd", "searching", 4, "frame"))
    assert terminal.getvalue().strip("\r ") == ""


def test_elsewhere_a_line_a_minute_says_how_far_it_is(clock, capsys):
    with Progress("searching", 3000, "frame", done=1000) as shown:
        for _ in range(10):
            clock.now += 13
            shown.update(100)
    lines = ["searching: 1,500 of 3,000 frames, 03:15 to go", "searching: 2,000 of 3,000 frames, 02:10 to go"]
    assert capsys.readouterr().err.splitlines() == lines


def test_of_work_of_unknown_length_the_time_is_told(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_TICK_S", 0.001)
    ticked, before = threading.Event(), threading.active_count()
    monkeypatch.setattr(Progress, "_tell", lambda self, tell=Progress._tell: (tell(self), ticked.set()))
    with working("fitting"):
        clock.now += 61
        ticked.clear()
        assert ticked.wait(10)
    assert capsys.readouterr().err.splitlines() == ["fitting: 01:01 so far"]
    assert threading.active_count() == before


@pytest.mark.parametrize("how", ["quiet", "lines", "shown", "worker"])
def test_nothing_is_shown_where_nothing_is_to_be_seen(clock, capsys, monkeypatch, how):
    monkeypatch.setattr(console, "_chosen", console.Level.QUIET if how == "quiet" else console.Level.USUAL)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "parent" if how == "worker" else None)
    with Progress("searching", 10, "frame", shown=how != "shown", lines=how != "lines") as shown:
        clock.now += 61
        shown.update()
    assert capsys.readouterr().err == ""


SLOW = """
import sys, time
from util.runtime import progress
from util.runtime.errors import run_program
progress._SHOWN_AFTER_S = 0
def main():
    for _ in progress.over(range(20), "searching", 20, "frame"):
        time.sleep(0.02)
    with progress.working("fitting"):
        time.sleep(0.02)
    print("done")
run_program(main)
"""


def test_a_terminal_that_is_closed_stops_no_work():
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 80))
    program = subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=ROOT, stdout=subprocess.PIPE, stderr=writer, start_new_session=True
    )
    os.close(writer)
    assert b"searching" in os.read(reader, 1000)
    os.close(reader)
    assert program.communicate(timeout=60)[0] == b"done\n"
    assert program.returncode == 0


@pytest.mark.parametrize("shell", ['"$@" 2>&-', '"$@" 2>/dev/full', '"$@" 2> >(head -c 1 >/dev/null)'])
def test_standard_error_that_cannot_be_written_stops_no_work(shell):
    done = subprocess.run(["bash", "-c", shell, "sh", sys.executable, "-c", SLOW], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"done\n")
