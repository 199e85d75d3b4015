"""Want of memory, killed workers, wrong settings and signals: a line, the usual status, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from pathlib import Path

import pytest

import src.__main__ as entry
from benchmark import kills
from support import ROOT
from support.processes import start, wait_until
from support.refusals import refusal_of
from support.scripts import SCRIPTS, call
from util.runtime.errors import InputError, run_program
from util.runtime.executor import open_executor


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory; give the program more, or use fewer WORKERS"),
        (MemoryError("Unable to allocate 9 GiB\nfor an array"), "(Unable to allocate 9 GiB for an array)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "not enough memory ("),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 MiB"), "not enough memory (CUDA"),
        (RuntimeError("can't start new thread"), "not enough memory (can't start new thread)"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (BrokenProcessPool("abruptly"), "a worker process was killed"),
    ],
    ids=repr,
)
def test_what_the_machine_lacks_is_told_in_one_line(error, words, capsys):
    def main(_):
        raise error

    status, stdout, stderr = refusal_of(main, capsys=capsys)
    assert (status, stdout, stderr.count("\n")) == (2, "", 1)
    assert stderr.startswith("error: ") and words in stderr


def test_another_runtime_error_is_a_defect_and_keeps_its_traceback():
    def main():
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run_program(main)


def test_a_killed_worker_ends_the_program_in_one_line_and_leaves_no_process(capsys):
    def main(_):
        with open_executor(2) as executor:
            pids.append(executor.submit(os.getpid).result())
            os.kill(pids[0], signal.SIGKILL)
            executor.submit(time.sleep, 60).result()

    pids = []
    status, _, stderr = refusal_of(main, capsys=capsys)
    assert status == 2 and stderr.count("\n") == 1
    assert "a worker process was killed" in stderr and "fewer WORKERS" in stderr


@pytest.mark.parametrize(("number", "status"), [(None, 2), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_kill_while_workers_start_ends_the_program_in_one_line(monkeypatch, capsys, number, status):
    """The server that starts them dies first, the more so where the signal goes to all processes."""

    def connect(fds):
        server = forkserver._forkserver
        server.ensure_running()
        os.kill(server._forkserver_pid, signal.SIGSTOP)
        try:
            return connect_as_usual(fds)
        finally:
            os.kill(server._forkserver_pid, signal.SIGKILL)
            if number is not None:
                signal.raise_signal(number)

    def main(_):
        with open_executor(2):
            pass

    connect_as_usual = forkserver.connect_to_new_process
    monkeypatch.setattr(forkserver, "connect_to_new_process", connect)
    found, _, stderr = refusal_of(main, capsys=capsys)
    assert found == status and stderr.count("\n") == 1
    assert ("a worker process was killed" in stderr) == (number is None)


STRUCK = """
import signal, threading, time
from util.runtime.errors import run_program
from util.runtime.executor import open_executor, result_of

def enter(condition):
    held = usual(condition)
    if threading.current_thread() is threading.main_thread():
        threading.Condition.__enter__ = usual
        signal.raise_signal(signal.SIGTERM)
    return held

def main():
    with open_executor(2) as executor:
        call = executor.submit(time.sleep, 0.3)
        threading.Condition.__enter__ = enter
        {}

usual = threading.Condition.__enter__
run_program(main)
"""


@pytest.mark.parametrize("struck", ["executor.submit(abs, 1)", "result_of(call)"])
def test_a_signal_that_strikes_while_a_lock_of_the_pool_is_held_ends_the_program(struck):
    words = [sys.executable, "-c", STRUCK.format(struck)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + signal.SIGTERM and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", entry.THREADS)
@pytest.mark.parametrize("value", ["0", "abc", "-1", "1.5", "2 3"])
def test_a_number_of_threads_that_is_none_is_refused_before_a_library_sees_it(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"^{name}: expected a number of threads of at least 1, found '{value}'"):
        entry.main(["gen_events_h5"])


@pytest.mark.parametrize("value", ["", "1", "08", "4,2"])
def test_numbers_of_threads_are_taken(value, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    entry.check_threads()


@pytest.mark.parametrize(("words", "message"), [([], "found none"), (["gen_event"], "gen_event: no such stage")])
def test_a_stage_that_is_none_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        entry.main(words)


def test_a_library_that_is_missing_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "src.gen_events_h5", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(InputError, match=r"^numpy: cannot be loaded \(.*\); install it with bash script/setup\.sh"):
        entry.main(["gen_events_h5"])


def test_a_module_of_ours_that_is_missing_is_a_defect(monkeypatch):
    monkeypatch.delitem(sys.modules, "src.gen_events_h5", raising=False)
    monkeypatch.setitem(sys.modules, "util.finder.finder", None)
    with pytest.raises(ModuleNotFoundError, match=r"util\.finder\.finder"):
        entry.main(["gen_events_h5"])


@pytest.mark.parametrize(
    ("script", "setting", "value"),
    [
        *(("gen_events_h5.sh", "WORKERS", value) for value in ("abc", "0", "-1", "1.5", "2 3")),
        *(("run_gauss_model.sh", "NGPU", value) for value in ("abc", "-1", "1.5")),
    ],
)
def test_a_setting_that_is_no_number_is_refused_with_its_name(tmp_path, script, setting, value):
    done = call(SCRIPTS / script, cwd=tmp_path, **{setting: value})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {setting}: expected a number of ") and f"found '{value}'" in done.stderr


@pytest.mark.parametrize("script", ["start_workers.sh", "start_scheduler.sh"])
def test_help_needs_no_setting(tmp_path, script):
    done = call(SCRIPTS / script, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.lower().startswith(f"usage: {script} ")


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
WRITES = """
import sys, time
from pathlib import Path
from util.runtime.atomic_file import replacing
from util.runtime.errors import run_program
def main():
    with replacing(Path(sys.argv[1]) / "f") as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(60)
run_program(main)
"""


@pytest.mark.parametrize("number", ENDING)
def test_every_signal_to_end_cleans_up_and_is_told_by_the_status(tmp_path, number):
    with start([sys.executable, "-c", WRITES, tmp_path]) as program:
        assert program.stdout.readline() == "writing\n"
        program.send_signal(number)
        _, stderr = program.communicate(timeout=30)
    assert program.returncode == 128 + number
    assert stderr.count("\n") == 1 and stderr.startswith("interrupted: ")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_a_program_was_started_to_ignore_does_not_end_it(tmp_path):
    code = WRITES.replace("time.sleep(60)", "input()")
    command = ["bash", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as program:
        assert program.stdout.readline() == "writing\n"
        program.send_signal(signal.SIGHUP)
        program.communicate("go on\n", timeout=30)
    assert program.returncode == 0 and (tmp_path / "f").read_text() == "half"


@pytest.mark.parametrize("delay", [0, 0.05, 0.2])
def test_ctrl_c_while_python_or_its_libraries_load_ends_in_a_line(tmp_path, delay):
    settings = os.environ | {"DATA_DIR": str(tmp_path)}
    with start(["bash", "script/gen_finaltest_answer.sh"], env=settings) as program:
        # The shell has become Python, or is about to: nothing of Python's own has run yet.
        command = Path(f"/proc/{program.pid}/cmdline")
        wait_until(lambda: b"python" in command.read_bytes().split(b"\0")[0])
        time.sleep(delay)
        program.send_signal(signal.SIGINT)
        _, stderr = program.communicate(timeout=60)
    assert program.returncode == 130, stderr
    assert stderr.count("\n") == 1 and stderr.startswith("interrupted: ")


@pytest.mark.slow
def test_stages_killed_at_random_moments_go_on_to_the_same_bytes(tmp_path):
    kills.main(["--kills", "4", "--stages", "simulation", "search", "--json", str(tmp_path / "kills.json")])
