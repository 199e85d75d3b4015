"""Whatever stops a stage, the next run goes on to the same bytes, and what was whole is not done again."""

import os
import re
import signal

import h5py
import pytest

from src import gen_finaltest_npy, simulate_finaltest
from support.frames import make_frames
from support.param import EXPERIMENT, FINDER
from support.processes import contents, messages, stage, start, wait_until
from util.electrons.search_block import release
from util.electrons.shards import read_facts
from util.frames.course_file import FRAMES
from util.runtime.errors import InputError

FRAMES_EACH = 130  # in a shard; more than two blocks of work
SHARDS = 8


def search(path, output, *options):
    return ["--finaltest", path, "--output", output, *FINDER, "--shard-count", SHARDS, *options]


def run(path, output, *options):
    gen_finaltest_npy.main([str(word) for word in search(path, output, "--workers", 1, *options)])


def kill(program):
    """End a program and its workers as a power cut would."""
    with program:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate(timeout=30)


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("final_*.npz")}


@pytest.fixture(scope="module")
def frames(module_folder):
    """Return small frames, and the folder of their shards from a run that nothing disturbed."""
    folder = module_folder("frames")
    path = make_frames(folder, FRAMES_EACH * SHARDS)
    run(path, folder / "shards")
    return path, folder / "shards"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_that_is_killed_goes_on_to_the_same_bytes_and_keeps_what_was_whole(frames, tmp_path, workers):
    path, undisturbed = frames
    program = start(stage("gen_finaltest_npy", *search(path, tmp_path, "--workers", workers)))
    wait_until(lambda: len(times(tmp_path)) >= 2)
    kill(program)
    kept = times(tmp_path)
    assert 2 <= len(kept) < SHARDS
    run(path, tmp_path)
    assert contents(tmp_path) == contents(undisturbed)
    assert {name: time for name, time in times(tmp_path).items() if name in kept} == kept


def test_a_search_that_is_killed_again_and_again_comes_to_the_same_bytes(frames, tmp_path):
    path, undisturbed = frames
    for whole in range(1, 4):
        program = start(stage("gen_finaltest_npy", *search(path, tmp_path, "--workers", 1)))
        # Once as a shard is being written, which leaves a temporary file, else just after.
        wait_until(lambda: len(list(tmp_path.iterdir())) > whole or len(times(tmp_path)) >= whole)  # noqa: B023
        kill(program)
    run(path, tmp_path)
    assert contents(tmp_path) == contents(undisturbed)


def test_a_simulation_that_is_killed_begins_anew_comes_to_the_same_bytes_and_leaves_nothing_else(tmp_path):
    small = [*EXPERIMENT, "--frame-shape", 256, 256, "--seed", 7, "--frames", 1000]
    path = tmp_path / "killed" / "f.h5"
    program = start(stage("simulate_finaltest", "--output", path, *small, "--workers", 2))
    wait_until(lambda: any(file.stat().st_size > 1e6 for file in path.parent.glob(".f.h5*/f.h5")))
    kill(program)
    (left,) = path.parent.iterdir()
    assert left != path
    for output in (path, tmp_path / "undisturbed.h5"):
        simulate_finaltest.main([str(word) for word in ["--output", output, *small, "--workers", 1]])
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == (tmp_path / "undisturbed.h5").read_bytes()


def flip(path, frame):
    """Change a byte in the middle of a frame's chunk; done twice, the file is as before."""
    with h5py.File(path) as file:
        chunk = file[FRAMES].id.get_chunk_info_by_coord((frame,))
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x5A]))


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_frames_cost_their_own_shards_alone_and_once_mended_only_those_are_searched(frames, tmp_path, workers):
    original, path, shards = frames[0], tmp_path / "f.h5", tmp_path / "shards"
    path.write_bytes(original.read_bytes())
    damaged = (3 * FRAMES_EACH + 1, 3 * FRAMES_EACH + 99, 6 * FRAMES_EACH - 1)
    for frame in damaged:
        flip(path, frame)
    undisturbed = tmp_path / "undisturbed"
    run(original, undisturbed, "--spots", "recipe")  # what is learnt from other frames differs by a hair
    program = start(stage("gen_finaltest_npy", *search(path, shards, "--workers", workers, "--spots", "recipe")))
    stdout, stderr = program.communicate(timeout=60)
    assert program.returncode == 2, stderr
    (line,) = messages(stderr)
    assert line.startswith(f"error: {path}: FinalImage: frame {damaged[0]} is damaged: expected a gzip chunk of 65540")
    assert line.endswith(f"; no shard was made of frames 390..520, 650..780; those of all others are in {shards}")
    assert f"{6 * FRAMES_EACH} frames searched" in stdout
    whole = {name: data for name, data in contents(undisturbed).items() if not re.search("_390_|_650_", name)}
    assert contents(shards) == whole
    kept = times(shards)
    for frame in damaged:
        flip(path, frame)
    assert path.read_bytes() == original.read_bytes()
    run(path, shards, "--spots", "recipe")
    assert contents(shards) == contents(undisturbed)
    assert {name: time for name, time in times(shards).items() if name in kept} == kept


def test_the_detector_that_was_learnt_beside_a_damaged_frame_stays_that_of_all_shards(frames, tmp_path, capsys):
    path, shards = tmp_path / "f.h5", tmp_path / "shards"
    path.write_bytes(frames[0].read_bytes())
    flip(path, FRAMES_EACH + 1)
    with pytest.raises(InputError, match=r"no shard was made of frames 130\.\.260; those of all others"):
        run(path, shards)
    kept = times(shards)
    flip(path, FRAMES_EACH + 1)
    capsys.readouterr()
    run(path, shards)
    assert "detector: as learnt for the shards that are there" in capsys.readouterr().out
    assert len(times(shards)) == SHARDS and times(shards).items() >= kept.items()
    assert len({read_facts(path).settings for path in shards.iterdir()}) == 1
    with pytest.raises(InputError, match="expected a shard of the same settings, found another"):
        run(path, shards, "--spots", "recipe")


def test_many_lacking_shards_are_counted_rather_than_named(frames, tmp_path):
    path = tmp_path / "f.h5"
    path.write_bytes(frames[0].read_bytes())
    for frame in range(1, 1000, 10):
        flip(path, frame)
    with pytest.raises(
        InputError, match=r"frame 1 is damaged.*; no shard was made of frames 0\.\.10, .*70\.\.80, and 92 f"
    ):
        run(path, tmp_path / "shards", "--shard-count", 104)


def test_a_file_that_vanishes_ends_the_run_with_its_name_and_keeps_the_shards_before(frames, tmp_path, monkeypatch):
    path, shards = tmp_path / "f.h5", tmp_path / "shards"
    path.write_bytes(frames[0].read_bytes())
    write_shard = gen_finaltest_npy.write_shard

    def write_and_vanish(*args):
        write_shard(*args)
        path.unlink(missing_ok=True)
        release()  # as in a worker that was started later, or lost its mount

    monkeypatch.setattr(gen_finaltest_npy, "write_shard", write_and_vanish)
    with pytest.raises(InputError, match=r"f\.h5: no such file"):
        run(path, shards)
    kept = contents(shards)
    assert kept.items() <= contents(frames[1]).items()
    assert "final_0_130.npz" in kept and len(kept) < SHARDS
