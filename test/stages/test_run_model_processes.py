"""Several processes that share each step: the same training as by one, begun by torchrun, ended by signals."""

import contextlib
import os
import signal
import socket
import sys

import pytest
import torch

from src import run_model
from src.network import launch
from src.network.dataset import TRAINING_SET, SamplesMadeBy, write_samples
from src.network.sample_files import draw_set
from support.param import INPUT, PARAM, prior_named
from support.processes import start, wait_until
from support.training import saved
from util.runtime.errors import InputError, run_program

# A batch that neither two nor three processes can share evenly; frozen: a batch's parts are normalised alike. A
# shortcut would go through so few samples exactly, and the losses that it leaves would be rounding.
FROZEN = ("--batch", 7, "--frozen", 1, "--ema", 0.5, "--rate", 1e-3, "--epochs", 2, "--no-shortcut")
TWO = ("--batch", 4, "--epochs", 3, "--epoch-samples", 24)  # the signal comes within the second epoch
CHECKPOINT = "network/pretraining.checkpoint.pt"
SMALL = ("--arch", "resnet18", "--epoch-samples", 14, "--validation", 7, "--first-samples", 300, "--device", "cpu")


def begin(folder, *options, threads=1):
    """Start a training of its own, as a user does who names the number of processes."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "WORLD_SIZE")}
    words = ["--param", PARAM, "--data", folder, *SMALL, *options]
    return start([sys.executable, "-m", "src", "run_model", *words], env=inherited | {"OMP_NUM_THREADS": str(threads)})


def ended(program):
    """Wait for a program; return its status and what it said."""
    stdout, stderr = program.communicate(timeout=500)
    return program.returncode, stdout, stderr


@pytest.fixture(scope="module")
def shared(module_folder):
    """Return the same training on files by one process, which is this one, and by three."""
    folder = module_folder("shared")
    made_by = SamplesMadeBy(prior_named("fine_tuning"), INPUT, "poisson", 0, 24)
    write_samples(folder / "set.h5", draw_set(made_by, key=TRAINING_SET, workers=1), made_by)
    files = ("--train", folder / "set.h5", "--valid", folder / "set.h5")
    three = begin(folder / "3", *files, *FROZEN, "--processes", 3)
    words = ("--param", PARAM, "--data", folder / "1", *SMALL, *files, *FROZEN, "--processes", 1)
    run_model.main([str(word) for word in words])
    status, _, stderr = ended(three)
    assert status == 0, stderr
    return {n: saved(folder / f"{n}" / CHECKPOINT) for n in (1, 3)}


def test_one_and_three_processes_take_the_same_steps_on_the_same_batches(shared):
    for processes, (tensors, facts) in shared.items():
        assert facts.processes == processes and facts.validation_samples == 24
        # three full batches of seven, in each of two epochs
        assert [line.samples for line in facts.curve] == [21, 42]
        assert facts.settings.batch == facts.per_step.batch == 7
        assert {int(values["step"]) for values in tensors["optimiser"]["state"].values()} == {6}
        assert [line.rate for line in facts.curve] == [line.rate for line in shared[1][1].curve]


def test_one_and_three_processes_reach_the_same_losses_and_the_same_average(shared):
    (tensors, facts), (others, told) = shared[1], shared[3]
    for line, other in zip(facts.curve, told.curve, strict=True):
        assert other.train == pytest.approx(line.train, rel=5e-5)
        assert other.valid == pytest.approx(line.valid, rel=5e-5)
    moved = {name: others["average"][name] - value for name, value in tensors["average"].items()}
    assert max(float(values.abs().max()) for values in moved.values()) < 1e-3  # a step
    assert torch.equal(others["average"]["n_averaged"], tensors["average"]["n_averaged"])


@pytest.fixture(scope="module")
def two_nodes(module_folder):
    """Return the folder of an unbroken training by two nodes of a process each."""
    folder = module_folder("nodes")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    nodes = ("--nodes", 2, "--rendezvous", f"127.0.0.1:{port}", "--processes", 1)
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(begin(folder, *TWO, *nodes)) for _ in range(2)]
        found = [ended(program) for program in programs]
    assert [status for status, _, _ in found] == [0, 0], found
    return folder


def test_two_nodes_of_a_process_each_train_together(two_nodes):
    assert saved(two_nodes / CHECKPOINT)[1].processes == 2


def test_sigterm_ends_two_processes_after_their_epoch_and_they_resume_to_the_same_result(
    two_nodes, tmp_path, monkeypatch
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    program = begin(tmp_path, *TWO, "--processes", 2, "--checkpoint-every", 100)
    wait_until(lambda: (tmp_path / "train_loss" / "pretraining.jsonl").exists(), seconds=300)
    program.send_signal(signal.SIGTERM)
    status, stdout, _ = ended(program)
    assert status == 128 + signal.SIGTERM and "ends after this epoch" in stdout
    assert 0 < saved(tmp_path / CHECKPOINT)[1].epoch < 3
    assert ended(begin(tmp_path, *TWO, "--processes", 2))[0] == 0
    assert [path.name for path in scratch.iterdir() if path.name.startswith(("torchelastic", "run_model"))] == []
    (one, facts), (other, told) = saved(tmp_path / CHECKPOINT), saved(two_nodes / CHECKPOINT)
    assert [line.valid for line in facts.curve] == [line.valid for line in told.curve]
    for key, value in one["average"].items():
        assert torch.equal(value, other["average"][key]), key


def test_ctrl_c_ends_one_process_after_its_epoch_with_the_usual_status(tmp_path):
    program = begin(tmp_path, "--batch", 4, "--epochs", 50, "--epoch-samples", 12, "--checkpoint-every", 100)
    wait_until(lambda: (tmp_path / "train_loss" / "pretraining.jsonl").exists(), seconds=300)
    program.send_signal(signal.SIGINT)
    status, stdout, stderr = ended(program)
    assert status == 130 and "ends after this epoch" in stdout
    assert stderr.splitlines()[-1].startswith("interrupted: files that were finished are kept")
    assert 0 < saved(tmp_path / CHECKPOINT)[1].epoch < 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--processes", "abc"), "--processes (NGPU): expected all, or a number of GPUs of at least 0, found 'abc'"),
        (("--processes", 3, "--batch", 5), "--batch: expected at least 2 samples for each of 3 processes, found 5;"),
        (("--processes", 8), "--validation: expected at least 1 sample for each of 8 processes, found 7;"),
    ],
)
def test_what_processes_cannot_share_is_refused_in_one_line_before_any_starts(tmp_path, capsys, options, message):
    words = [str(word) for word in ("--param", PARAM, "--data", tmp_path, *SMALL, *options)]
    with pytest.raises(SystemExit) as refusal:
        run_program(lambda: run_model.main(words))
    stdout, stderr = capsys.readouterr()
    assert (refusal.value.code, stdout) == (2, "")
    (line,) = stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())


def test_a_failure_in_several_processes_ends_with_its_own_status_and_line(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_model.main(["--data", str(tmp_path), "--processes", "2", "--clip", "1"])
    assert "unrecognized arguments: --clip 1" in capsys.readouterr().err
    status, _, stderr = ended(begin(tmp_path, "--processes", 2, "--precision", "bf16"))
    assert status == 2 and "Traceback" not in stderr
    assert "error: --precision bf16: expected a GPU, found cpu" in stderr


def test_more_processes_than_gpus_are_refused_before_any_starts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert launch.processes_of("auto", None) == launch.processes_of("cuda", 2) == ("cuda", 2)
    assert launch.processes_of("auto", 0) == launch.processes_of("cpu", None) == ("cpu", 1)
    assert launch.processes_of("cpu", 3) == ("cpu", 3)
    with pytest.raises(InputError, match=r"--processes 3: expected a GPU for each process, found 2; .* NGPU=0"):
        launch.processes_of("auto", 3)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert launch.processes_of("auto", None) == ("cpu", 1)
    with pytest.raises(InputError, match=r"--processes all: expected a GPU for each process, found 0"):
        launch.processes_of("cuda", None)


def test_one_node_meets_at_a_port_of_its_own_and_several_where_they_are_told():
    here = launch.LaunchOptions(None, 1, "localhost:0", 2)
    words = launch.torchrun_words(["--epochs", "3"], 4, here)
    assert "--standalone" in words and "--rdzv-endpoint" not in words
    assert words[words.index("--max-restarts") + 1] == "2" and words[words.index("--nproc-per-node") + 1] == "4"
    assert words[-5:] == ["-m", "src", "run_model", "--epochs", "3"]
    there = launch.LaunchOptions(None, 2, "node1:29500", 0)
    words = launch.torchrun_words([], 4, there)
    assert "--standalone" not in words and words[words.index("--rdzv-endpoint") + 1] == "node1:29500"
    assert words[words.index("--nnodes") + 1] == "2" and words[words.index("--rdzv-backend") + 1] == "c10d"
    with pytest.raises(ValueError, match="--nodes: several must be told where they meet"):
        launch.LaunchOptions(None, 2, "localhost:0", 0)
