"""Stages on a real Dask scheduler and two worker processes: the same bytes, whatever becomes of a worker."""

import os
import shutil
import signal
import sys

import numpy as np
import pytest
from distributed import Client

from src import gen_finaltest_npy, simulate_finaltest
from support import ROOT
from support.clusters import address_in, begin, end, running_scheduler, running_workers
from support.frames import make_frames
from support.param import EXPERIMENT, FINDER
from support.processes import contents, messages, stage, wait_until
from util.frames.course_file import FrameFile
from util.runtime import dask_executor
from util.runtime.errors import InputError, run_program
from util.runtime.executor import map_in_order, open_executor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scheduler(module_folder):
    """Return a scheduler's process and address; it has no workers unless `workers` is asked for."""
    with running_scheduler(module_folder("scheduler")) as found:
        yield found


@pytest.fixture(scope="module")
def workers(scheduler, module_folder):
    """Return the address of the scheduler with two workers."""
    with running_workers(scheduler[1], module_folder("workers"), 2):
        yield scheduler[1]


@pytest.fixture(scope="module")
def frames(module_folder):
    """Return 6,400 small frames, a few seconds of work, and the folder of their 16 shards made in this process."""
    folder = module_folder("frames")
    path = make_frames(folder, 6400)
    gen_finaltest_npy.main([str(word) for word in [*search(path, folder / "shards"), "--workers", 1]])
    return path, folder / "shards"


def search(path, output):
    return ["--finaltest", path, "--output", output, *FINDER, "--shard-count", 16]


def pids(address):
    with Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


# Slow enough that two workers share a few of them.
SLOW_PID = "[__import__('time').sleep(0.1), __import__('os').getpid()][1]"


def refused(address, capsys, *words, files=()):
    """Return the one line with which a program that would use these workers ends."""

    def main():
        with open_executor(1, address, files=files):
            pytest.fail("work was begun")

    with pytest.raises(SystemExit) as ended:
        run_program(main)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    for word in words:
        assert word in line, line


def test_a_scheduler_that_has_no_workers_is_refused(scheduler, capsys, monkeypatch):
    monkeypatch.setattr(dask_executor, "CONNECT_SECONDS", 0.3)
    how = f"SCHEDULER={scheduler[1]} bash script/start_workers.sh"
    refused(scheduler[1], capsys, "expected workers, found none", how)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:8786", "tcp://127.0.0.1", "ftp://127.0.0.1:8786"])
def test_an_address_without_a_scheduler_is_refused(address, capsys, monkeypatch):
    monkeypatch.setattr(dask_executor, "CONNECT_SECONDS", 0.3)
    refused(address, capsys, f"SCHEDULER={address}: expected the address of a running Dask scheduler", "leave it empty")


def test_workers_that_do_not_see_the_file_are_refused(workers, tmp_path, capsys):
    refused(workers, capsys, f"error: {tmp_path}/f.h5: worker tcp://", "does not see it", files=[tmp_path / "f.h5"])


@pytest.fixture
def our_code(tmp_path, monkeypatch):
    """Have this process run a copy of the code, which may be changed; scheduler and workers run the original."""
    for top in ("util", "src"):
        shutil.copytree(ROOT / top, tmp_path / top, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(dask_executor, "ROOT", tmp_path)
    dask_executor._digest_of_code.cache_clear()
    yield tmp_path
    dask_executor._digest_of_code.cache_clear()


@pytest.mark.usefixtures("our_code")
def test_workers_on_the_same_state_of_the_code_are_accepted(workers):
    with open_executor(1, workers) as executor:
        assert executor.submit(divmod, 7, 2).result() == (3, 1)


@pytest.mark.parametrize("module", ["util/physics/pad.py", "src/answer_steps/network.py", "src/gen_events_h5.py"])
def test_workers_on_another_state_of_any_module_in_any_room_are_refused(workers, our_code, capsys, module):
    with (our_code / module).open("a") as file:
        file.write("# changed since\n")
    refused(workers, capsys, "the scheduler on ", "expected the same code as here, found another state")


def test_workers_with_other_versions_are_refused(workers, capsys, monkeypatch):
    real = Client.get_versions

    def changed(self, **how):
        found = real(self, **how)
        next(iter(found["workers"].values()))["packages"]["numba"] = "0.1"
        return found

    monkeypatch.setattr(Client, "get_versions", changed)
    refused(workers, capsys, "worker tcp://", "expected numba 0.", " as here, found 0.1; start")


# Dask as it comes, started elsewhere.
STRANGER = "import os, sys; os.chdir('/'); sys.path.remove(''); from dask.cli import run_cli; run_cli()"


def test_a_scheduler_that_cannot_import_this_project_is_refused(tmp_path, capsys):
    told = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", told]
    program = begin([sys.executable, "-c", STRANGER, "scheduler", *options], PYTHONPATH="")
    try:
        address = address_in(told)
        refused(address, capsys, "the scheduler: cannot import this project", "script/start_scheduler.sh")
    finally:
        end(program)


def test_workers_that_cannot_import_this_project_are_refused(workers, tmp_path, capsys):
    options = ["--no-nanny", "--host", "127.0.0.1", "--no-dashboard", "--local-directory", tmp_path]
    program = begin([sys.executable, "-c", STRANGER, "worker", workers, *options], PYTHONPATH="")
    try:
        with Client(workers, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=30)
        refused(workers, capsys, "worker tcp://", "cannot import this project", "script/start_workers.sh")
    finally:
        end(program)
    with Client(workers, set_as_default=False) as client:
        wait_until(lambda: len(client.nthreads()) == 2)


def test_calls_run_at_once_in_all_workers_and_come_back_in_order(workers):
    with open_executor(1, workers) as executor:
        assert executor.concurrency == 2
        results = map_in_order(executor, np.square, range(50), in_flight=lambda: 3 * executor.concurrency)
        assert list(results) == [i * i for i in range(50)]
        assert {future.result() for future in [executor.submit(eval, SLOW_PID) for _ in range(8)]} == set(pids(workers))
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result()


def unknown_to_workers():
    """Stand for what a worker that came after the check cannot import: this module is on no worker's path."""


def test_a_worker_that_cannot_import_the_work_ends_the_run_in_one_line(workers):
    with (
        pytest.raises(InputError, match="cannot import this project as it is here; start"),
        open_executor(1, workers) as executor,
    ):
        executor.submit(unknown_to_workers).result()


def test_work_that_ends_worker_after_worker_is_given_up_in_one_line(workers):
    with (
        pytest.raises(InputError, match="one block of work ended every worker that took it, tcp://"),
        open_executor(1, workers) as executor,
    ):
        executor.submit(os._exit, 1).result()
    wait_until(lambda: len(pids(workers)) == 2)


def test_an_error_of_the_input_travels_back_as_such(workers, tmp_path):
    with open_executor(1, workers) as executor, pytest.raises(InputError, match=r"f\.h5: no such file"):
        executor.submit(FrameFile, tmp_path / "f.h5").result()


def test_simulated_frames_are_the_same_from_any_machine_and_survive_the_death_of_a_worker(workers, tmp_path):
    small = [*EXPERIMENT, "--frame-shape", 256, 256, "--frames", 1000, "--seed", 7]
    simulate_finaltest.main([str(word) for word in ["--output", tmp_path / "here.h5", *small, "--workers", 1]])
    program = begin(stage("simulate_finaltest", "--output", tmp_path / "there.h5", *small, "--scheduler", workers))
    size = (tmp_path / "here.h5").stat().st_size
    wait_until(lambda: any(path.stat().st_size > size / 10 for path in tmp_path.glob(".there*/*")))
    victim = pids(workers)[0]
    assert not (tmp_path / "there.h5").exists()
    os.kill(victim, signal.SIGKILL)
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 0, stderr
    assert (tmp_path / "there.h5").read_bytes() == (tmp_path / "here.h5").read_bytes()
    wait_until(lambda: len(pids(workers)) == 2)
    assert victim not in pids(workers)


def test_shards_are_the_same_from_any_machine(workers, frames, tmp_path):
    path, here = frames
    gen_finaltest_npy.main([str(word) for word in [*search(path, tmp_path), "--scheduler", workers]])
    assert contents(tmp_path) == contents(here)


def test_no_shard_is_lost_or_changed_by_the_death_of_a_worker(workers, frames, tmp_path):
    path, here = frames
    victim = pids(workers)[0]
    program = begin(stage("gen_finaltest_npy", *search(path, tmp_path), "--scheduler", workers))
    wait_until(lambda: (tmp_path / "final_0_400.npz").exists())
    os.kill(victim, signal.SIGKILL)
    assert len(list(tmp_path.glob("final_*"))) < 14, "killed too late to tell anything"
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 0, stderr
    assert contents(tmp_path) == contents(here)


def test_an_interrupt_ends_the_run_quietly_and_takes_its_work_off_the_workers(workers, frames, tmp_path):
    program = begin(stage("gen_finaltest_npy", *search(frames[0], tmp_path), "--scheduler", workers))
    wait_until(lambda: (tmp_path / "final_0_400.npz").exists())
    os.killpg(program.pid, signal.SIGINT)
    _, stderr = program.communicate(timeout=30)
    assert program.returncode == 130, stderr
    (line,) = messages(stderr)
    assert line.startswith("interrupted")
    with Client(workers, set_as_default=False) as client:
        wait_until(lambda: not any(client.processing().values()))


def test_a_scheduler_that_goes_away_ends_the_run_in_one_line_and_the_next_one_goes_on(
    scheduler, workers, frames, tmp_path
):
    path, here = frames
    program = begin(stage("gen_finaltest_npy", *search(path, tmp_path), "--scheduler", workers))
    wait_until(lambda: (tmp_path / "final_0_400.npz").exists())
    scheduler[0].kill()
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 2, stderr
    errors = [line for line in messages(stderr) if line.startswith("error: ")]
    assert len(errors) == 1 and f"{workers}: the scheduler went away" in errors[0]
    assert "Traceback" not in stderr
    assert "final_0_400.npz" in contents(tmp_path) and len(contents(tmp_path)) < 16
    gen_finaltest_npy.main([str(word) for word in [*search(path, tmp_path), "--workers", 1]])
    assert contents(tmp_path) == contents(here)


# A result that kills the scheduler while it is on its way.
LAST_WORDS = "type('Result', (), {{'__reduce__': lambda self: (__import__('os').kill({pid}, 9), (int, ()))[1]}})()"


def test_a_result_that_was_on_its_way_when_the_scheduler_went_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "CONNECT_SECONDS", 2)
    with (
        running_scheduler(tmp_path) as (program, address),
        running_workers(address, tmp_path, 1),
        pytest.raises(InputError, match=r"the scheduler went away \(connection lost\)"),
        open_executor(1, address) as executor,
    ):
        executor.submit(eval, LAST_WORDS.format(pid=program.pid)).result(timeout=30)
