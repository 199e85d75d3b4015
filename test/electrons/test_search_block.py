"""Blocks of frames as a worker searches them: one file and one finder a thread, and never those of another run."""

import dataclasses
import threading

import numpy as np
import pytest

from support import ROOT
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe, render
from util.electrons import search_block
from util.electrons.search_block import Task, find_block, release
from util.finder.finder import FinderSettings
from util.frames.course_file import FrameFile
from util.frames.course_writer import pack_frame, writing_frames
from util.runtime import settings
from util.runtime.errors import InputError

RECIPE = dataclasses.replace(settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml"), frame_shape=(128, 128))
FINDER = settings.load(FinderSettings, ROOT / "param" / "finder.toml")
COUNT = 20


@pytest.fixture(autouse=True)
def clean():
    """Close what the test's own thread has opened."""
    yield
    release()


def write(path, *, seed):
    rng = np.random.default_rng(seed)
    with writing_frames(path, RECIPE.frame_shape, COUNT, {}) as writer:
        for index in range(COUNT):
            spots = [*rng.uniform(-0.8, 0.8, (2, 4)), np.full(4, 100.0), np.full(4, 0.03), np.zeros(4)]
            writer.write(index, pack_frame(index, render(RECIPE, *spots)))
    return path


def task_of(path, start=0, stop=COUNT):
    with FrameFile(path) as frames:
        return Task(
            path, frames.dataset, frames.fingerprint(), (0, COUNT), start, stop, Detector.of_recipe(RECIPE), FINDER
        )


def test_a_file_is_opened_once_for_many_blocks(tmp_path, monkeypatch):
    task = task_of(write(tmp_path / "f.h5", seed=0))
    opened = []
    monkeypatch.setattr(search_block, "open_frames", lambda *how: opened.append(how) or FrameFile(*how))
    parts = [find_block(task._replace(start=i, stop=i + 5)).events for i in range(0, COUNT, 5)]
    assert len(opened) == 1
    release()
    whole, counts = find_block(task)[1:3]
    assert len(opened) == 2
    assert counts.frames == COUNT
    assert np.array_equal(np.concatenate(parts), whole)


def test_threads_of_one_process_search_apart_and_find_the_same(tmp_path):
    task = task_of(write(tmp_path / "f.h5", seed=0))
    alone = find_block(task).events
    found, tools = {}, {}

    def work(name):
        found[name] = [find_block(task).events for _ in range(2)]
        tools[name] = search_block._tools(task)
        release()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(events, alone) for rows in found.values() for events in rows)
    assert len(found) == 3
    assert len({id(part) for pair in tools.values() for part in pair}) == 6


def test_a_worker_that_outlives_a_run_searches_the_next_runs_file(tmp_path):
    first = task_of(write(tmp_path / "f.h5", seed=0))
    before = find_block(first).events
    second = task_of(write(tmp_path / "f.h5", seed=1))  # under the same name
    assert second.source != first.source
    assert not np.array_equal(find_block(second).events, before)


def test_a_file_that_is_not_the_one_the_run_began_with_is_refused(tmp_path):
    task = task_of(write(tmp_path / "f.h5", seed=0))
    write(tmp_path / "f.h5", seed=1)
    with pytest.raises(InputError, match=r"f\.h5: expected the file that the run began with, found another"):
        find_block(task)
