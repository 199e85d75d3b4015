"""A watch, as a camera and a browser see it: frames arrive, a page follows, and the shards are those of a search."""

import os
import re
import shutil
import signal
import socket
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from PIL import Image

from src import gen_finaltest_npy, simulate_finaltest, watch
from support.browser import opened
from support.param import EXPERIMENT, FINDER
from support.processes import contents, messages, stage, start, wait_until
from support.refusals import refusal_of
from util.electrons.hits import read_hits
from util.frames.course_file import FRAMES
from util.report.live import FIGURES, forecast

FRAMES_THERE = 200


@pytest.fixture(scope="module")
def frames(module_folder):
    """Return the rows of 200 small frames, of electrons enough for an answer."""
    path = module_folder("frames") / "f.h5"
    small = ["--frames", FRAMES_THERE, "--frame-shape", 256, 256, "--electrons", 8, 8, "--workers", 1]
    simulate_finaltest.main([str(word) for word in ["--output", path, *EXPERIMENT, *small]])
    with h5py.File(path) as file:
        return file[FRAMES][:]


def asked(folder, *options):
    """Return the options of a watch of f.h5 in a folder."""
    where = ["--finaltest", folder / "f.h5", "--output", folder / "shards", "--parts", folder / "parts"]
    return [str(word) for word in [*where, *FINDER, "--spots", "recipe", *options]]


class Camera:
    """A program that writes rows for readers to follow."""

    def __init__(self, path, rows):
        self.rows = rows
        self.file = h5py.File(path, "w", libver="latest")
        self.found = self.file.create_dataset(
            FRAMES, (0,), rows.dtype, maxshape=(None,), chunks=(1,), compression="gzip"
        )
        self.file.swmr_mode = True

    def take(self, stop):
        begin = len(self.found)
        self.found.resize((stop,))
        self.found[begin:stop] = self.rows[begin:stop]
        self.found.flush()


@contextmanager
def ending(program):
    """End a program in any case."""
    with program:
        try:
            yield program
        finally:
            program.kill()


def shown(page, name):
    """Return a number of the page, by what stands below it."""
    text = f"[...document.querySelectorAll('.numbers div')].find(box => box.innerText.includes('{name}')).innerText"
    return int(page.value(text).split()[0])


def test_a_page_follows_the_camera_and_the_shards_are_those_of_a_search_of_the_finished_file(frames, tmp_path):
    camera = Camera(tmp_path / "f.h5", frames)
    camera.take(90)
    with ending(start(stage("watch", *asked(tmp_path, "--every", 0.5, "--order", 4, "--fit", "none")))) as program:
        url = re.search(r"http://127\.0\.0\.1:\d+/", program.stdout.readline())[0]
        with opened(url, 375) as page:
            wait_until(lambda: page.value("document.querySelectorAll('.numbers').length"), 30)
            wait_until(lambda: shown(page, "frames searched") == 90, 30)
            wait_until(lambda: "No new frame for" in page.value("document.body.innerText"), 30)
            camera.take(FRAMES_THERE)
            wait_until(lambda: "answer of the first 200 frames" in page.value("document.body.innerText"), 30)
            assert shown(page, "frames waiting") == 0
            assert re.search(r"β2 of sphere 2 to ±0.01: at [\d,]+ frames", page.value("document.body.innerText"))
            wait_until(lambda: page.value("Array.from(document.images).every(i => i.naturalWidth > 300)"), 30)
            assert page.value("document.images.length") == len(FIGURES)
            assert page.value("document.documentElement.scrollWidth") <= 375
            camera.file.close()
            program.send_signal(signal.SIGINT)
            wait_until(lambda: "The watch ended" in page.value("document.body.innerText"), 30)
            requests = [event["request"]["url"] for event in page.seen("Network.requestWillBeSent")]
            assert all(request.startswith((url, "data:")) for request in requests)
            assert page.seen("Log.entryAdded") == page.seen("Runtime.exceptionThrown") == []
        _, stderr = program.communicate(timeout=30)
    assert program.returncode == 130
    assert messages(stderr)[-1].startswith("interrupted: ")
    search = ["--finaltest", tmp_path / "f.h5", *FINDER, "--spots", "recipe", "--shard-count", 2, "--workers", 1]
    gen_finaltest_npy.main([str(word) for word in [*search, "--output", tmp_path / "searched"]])
    assert contents(tmp_path / "shards") == contents(tmp_path / "searched")
    assert read_hits(tmp_path / "shards", hit_weights="flux", partial=False).frames == FRAMES_THERE


@pytest.fixture
def finished(frames, tmp_path):
    """Return a folder with a finished file of 115 frames in it, too few for an answer."""
    camera = Camera(tmp_path / "f.h5", frames)
    camera.take(115)
    camera.file.close()
    return tmp_path


def test_a_watch_that_was_killed_goes_on_searches_no_part_again_and_keeps_nobody_from_writing(finished, capsys):
    own = os.environ | {"DATA_DIR": str(finished), "FINALTEST": str(finished / "f.h5")}
    with ending(start(["bash", "script/watch.sh", "--spots", "recipe"], env=own)):
        part = finished / "watch" / "final_0_100.npz"
        wait_until(part.exists)
        with h5py.File(finished / "f.h5", "a") as file:
            assert len(file[FRAMES]) == 115
    assert not (finished / "shards").exists()
    (finished / "watch").rename(finished / "parts")
    part = finished / "parts" / "final_0_100.npz"
    before = part.stat().st_mtime_ns
    watch.main(asked(finished, "--idle", 1))
    assert "115 frames searched" in capsys.readouterr().out
    assert part.stat().st_mtime_ns == before
    assert sorted(contents(finished / "shards")) == ["final_0_100.npz", "final_100_115.npz"]
    search = ["--finaltest", finished / "f.h5", "--output", finished / "shards", *FINDER, "--spots", "recipe"]
    gen_finaltest_npy.main([str(word) for word in search])
    assert "10 of 10 shards are already there" in capsys.readouterr().out


def test_a_frame_of_another_size_is_left_out_and_told_in_one_line_at_the_end(frames, tmp_path, capsys):
    folder = tmp_path / "f.h5"
    folder.mkdir()
    for row in range(5):
        Image.fromarray(frames["Image"][row]).save(folder / f"{row}.png")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "3.png")
    status, _, stderr = refusal_of(watch.main, *asked(tmp_path, "--idle", 1, "--patience", 0.5), capsys=capsys)
    assert status == 2
    warning, line = stderr.splitlines()
    assert warning.startswith("warning: frame 3 is left out: ")
    assert re.search(
        r"3\.png: expected 256 x 256 pixels .*; the 4 frames that were searched are kept in \S+parts$", line
    )


def test_what_cannot_be_watched_is_refused_in_one_line(finished, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (finished / "empty").mkdir()
        (finished / "notes").write_text("of another kind")
        gone, empty, notes = asked(finished), asked(finished), asked(finished)
        gone[1], empty[1], notes[1] = (str(finished / name) for name in ("none", "empty", "notes"))
        for options, words in (
            (gone, "none: no such file or folder; name the one that the camera writes, or wait for it with --wait"),
            (asked(finished, "--port", port), f"--port {port}: expected a free port, found one in use"),
            (asked(finished, "--parts", finished / "shards"), "--parts: expected another folder than --output, found"),
            (asked(finished, "--target", 0), "--target: expected a number of at least 1e-06, found '0'"),
            ([*empty, "--idle", 1], "empty: no frame was searched; "),
            (notes, "notes: expected frames as "),
        ):
            status, _, stderr = refusal_of(watch.main, *options, capsys=capsys)
            assert (status, stderr.count("\n")) == (2, 1), stderr
            assert words in stderr


def test_shards_of_a_search_are_not_mixed_with_those_of_a_watch(finished, ten_shards, capsys):
    shutil.copytree(ten_shards, finished / "shards")
    status, _, stderr = refusal_of(watch.main, *asked(finished), capsys=capsys)
    assert status == 2
    assert "final_0_13.npz: expected no shard but those of an earlier watch, found that of a search" in stderr


@pytest.mark.parametrize(
    ("wanted", "rate", "text"),
    [
        (90, 20, "reached"),
        (1234, 20, "at 1,200 frames, in 55 s"),
        (25_000, 20, "at 25,000 frames, in 21 min"),
        (25_000, 0, "at 25,000 frames"),
        (2_000_000, 20, "at 2,000,000 frames, in 27.8 h"),
    ],
)
def test_a_forecast_is_told_to_two_digits(wanted, rate, text):
    assert forecast(wanted, 100, rate) == text
