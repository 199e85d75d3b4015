"""Stages killed at random moments: whether anything half-written, any orphan or any other result is left.

usage: .venv/bin/python -m benchmark.kills [--kills 100] [--minutes 60] [--stages search ..] [--seed S] [--json FILE]

Each try begins a stage by its script, sends KILL, TERM, HUP or INT at a random moment to the program, to one of its
workers or, as a terminal does, to all its processes, and then calls the stage again to its end. It looks for
tracebacks, an unusual exit status, processes that are left, a file under a final name that is not that of an
undisturbed run, and a difference from that run, or a file beside it, in the end. Exit status 1 where it finds any.
"""

import collections
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from benchmark.shared.results import write_json
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
VICTIMS = ("program", "worker", "all")
# What each stage is called with, and which files a later one needs of it. Small: most time goes into loading.
STAGES = {
    "simulation": ("simulate_finaltest.sh", "--frames", "200", "--frame-shape", "128", "128", "--electrons", "8", "8"),
    "search": ("gen_finaltest_npy.sh", "--block", "5"),
    "answer": ("gen_finaltest_answer.sh", "--bias", "400"),
    "training": (
        *("run_model.sh", "--arch", "resnet18", "--batch", "4", "--epochs", "3", "--epoch-samples", "8"),
        *("--validation", "4", "--first-samples", "100"),
    ),
}
BEFORE = {"simulation": (), "search": ("finaltest.h5",), "answer": ("finaltest.h5", "finaltest_npy"), "training": ()}
TIMES = {"train_loss/pretraining.csv", "train_loss/pretraining.jsonl"}  # tell how long a training took
PATIENCE_S = 300


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    kills: int
    minutes: float
    stages: tuple[str, ...]
    seed: int
    json: Path


def begin(stage: str, folder: Path) -> subprocess.Popen[str]:
    """Call a stage's script, in a session of its own."""
    files = {"FINALTEST": str(folder / "finaltest.h5"), "ANSWER": str(folder / "final.h5")}
    settings = {"DATA_DIR": str(folder), **files, "WORKERS": "2", "NGPU": "0"}
    script, *options = STAGES[stage]
    return subprocess.Popen(
        ["bash", f"script/{script}", *options],
        cwd=ROOT,
        env=os.environ | settings | {"SOURCE_DATE_EPOCH": "0"},  # the date in figures
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(session: int) -> dict[int, int]:
    """Return the parent of each process of a session that still runs."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, _, of, *_ = path.read_text().rpartition(") ")[2].split()
            if int(of) == session and state != "Z":
                found[int(path.parent.name)] = int(parent)
    return found


def victims(session: int, victim: str) -> list[int]:
    """Choose whom to send a signal; a program that has no workers yet stands in for them."""
    running = processes_of(session)
    if victim == "all":
        return list(running)
    # The server that forks the workers is a child of the program, and the workers are children of that.
    workers = [pid for pid, parent in running.items() if running.get(parent, session) != session and parent != session]
    return [workers[0] if victim == "worker" and workers else session]


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of each file under a final name."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {str(path.relative_to(folder)): path for path in paths}
    return {
        name: _content(path)
        for name, path in names.items()
        if name not in TIMES and not any(part.startswith(".") for part in Path(name).parts)
    }


def _content(path: Path) -> bytes:
    if path.suffix == ".h5":
        return _unpacked(path)
    if path.suffix != ".pt":
        return path.read_bytes()
    import torch

    # Its facts tell how long the training took; the tensors do not.
    tensors = torch.load(path, weights_only=True)["tensors"]
    return repr(_plain(tensors)).encode()


def _unpacked(path: Path) -> bytes:
    """Return what an HDF5 file holds; its bytes where it is damaged.

    One frame in a hundred thousand was seen packed in another way that says the same.
    """
    try:
        with h5py.File(path) as file:
            parts = [_described(file)]
            file.visititems(lambda name, item: parts.append(name.encode() + _described(item)))
    except (OSError, RuntimeError):
        return path.read_bytes()
    return b"".join(parts)


def _described(item: h5py.Group | h5py.Dataset) -> bytes:
    told = repr(sorted((name, np.asarray(value).tolist()) for name, value in item.attrs.items())).encode()
    if not isinstance(item, h5py.Dataset):
        return told
    content = np.asarray(item[()])
    plain = repr(content.tolist()).encode() if content.dtype.hasobject else content.tobytes()
    return told + repr((item.dtype.descr, item.shape)).encode() + plain


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.numpy().tobytes() if hasattr(value, "numpy") else value


def run_whole(stage: str, folder: Path) -> str:
    """Run a stage to its end; return what is wrong with how it ends, if anything."""
    program = begin(stage, folder)
    _, stderr = program.communicate(timeout=PATIENCE_S)
    return "" if program.returncode == 0 else f"status {program.returncode}: {stderr[-300:]}"


def faults_of_a_kill(
    stage: str, before: Path, whole: dict[str, bytes], moment: float, number: signal.Signals, victim: str
) -> list[str]:
    """Kill a stage once, call it again, and return what is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        shutil.copytree(before, folder)
        program = begin(stage, folder)
        time.sleep(moment)
        for pid in victims(program.pid, victim):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        faults = list(_faults_of_the_end(program, number, victim))
        found = files_in(folder)
        # A training's files are whole after each epoch, and others after the next.
        half = [] if stage == "training" else [path for path, content in found.items() if whole.get(path) != content]
        faults += [f"{path}: half-written or another" for path in half]
        if fault := run_whole(stage, folder):
            return [*faults, f"again: {fault}"]
        again = files_in(folder)
        faults += [f"{path}: differs in the end" for path in whole | again if whole.get(path) != again.get(path)]
        faults += [f"{path}: left" for path in folder.rglob("*.partial")]
        return faults


def _faults_of_the_end(program: subprocess.Popen[str], number: signal.Signals, victim: str) -> Iterator[str]:
    try:
        _, stderr = program.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
        yield "did not end"
        return
    ends = {0, 128 + number, -number} | ({2} if victim != "program" else set())
    if number is signal.SIGINT and victim == "worker":
        ends.add(130)
    if program.returncode not in ends:
        yield f"status {program.returncode}"
    # Beside bars and what the answer warns of, one line is left.
    lines = [
        line for line in re.split("[\r\n]", stderr) if line.strip() and not re.search(r"\d+/\d+ \[|^warning: ", line)
    ]
    # Of a program that is killed outright, Python's tracker of semaphores tells what it cleaned up.
    if "Traceback" in stderr or (len(lines) > 1 and program.returncode != -signal.SIGKILL):
        yield "said " + " | ".join(lines)
    end = time.monotonic() + 15
    while left := processes_of(program.pid):
        if time.monotonic() > end:
            os.killpg(program.pid, signal.SIGKILL)
            yield f"{len(left)} processes left"
            return
        time.sleep(0.1)


def prepare(folder: Path, stages: Sequence[str]) -> dict[str, tuple[Path, dict[str, bytes], float]]:
    """Run each stage undisturbed; return the folder that it starts from, what it makes and the seconds it takes."""
    made = folder / "whole"
    made.mkdir()
    runs = {}
    for stage in STAGES:
        if not any(stage == name or _makes(stage, name) for name in stages):
            continue
        before = folder / stage
        before.mkdir()
        for name in BEFORE[stage]:
            (shutil.copytree if (made / name).is_dir() else shutil.copy)(made / name, before / name)
        whole = folder / f"{stage}.whole"
        shutil.copytree(before, whole)
        began = time.monotonic()
        if fault := run_whole(stage, whole):
            raise RuntimeError(f"{stage}: {fault}")
        runs[stage] = (before, files_in(whole), time.monotonic() - began)
        shutil.copytree(whole, made, dirs_exist_ok=True)
    return {stage: run for stage, run in runs.items() if stage in stages}


def _makes(stage: str, name: str) -> bool:
    return (stage, name) in {("simulation", "search"), ("simulation", "answer"), ("search", "answer")}


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.kills", __doc__)
    add = parser.add_argument
    add("--kills", type=number(int, 1), default=100, metavar="N", help="at most (default %(default)s)")
    add("--minutes", type=number(float, 0.1), default=60, metavar="M", help="no kill after these (default %(default)s)")
    add("--stages", nargs="+", choices=tuple(STAGES), default=tuple(STAGES), help="(default: all)")
    add("--seed", type=number(int, 0), default=0, metavar="S", help="(default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "kills.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    rng, end = random.Random(options.seed), time.monotonic() + 60 * options.minutes
    tries: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        runs = prepare(Path(name), options.stages)
        for turn in range(options.kills):
            if time.monotonic() > end:
                break
            stage = options.stages[turn % len(options.stages)]
            before, whole, seconds = runs[stage]
            moment, number_of_signal, victim = rng.uniform(0, seconds), rng.choice(SIGNALS), rng.choice(VICTIMS)
            faults = faults_of_a_kill(stage, before, whole, moment, number_of_signal, victim)
            told = {"stage": stage, "seconds": round(moment, 3), "signal": number_of_signal.name, "victim": victim}
            tries.append(told | {"faults": faults})
            print(*told.values(), *(faults or ["sound"]), sep="; ", flush=True)
    write_json(options.json, tries)
    count = collections.Counter((row["stage"], bool(row["faults"])) for row in tries)
    for stage in options.stages:
        print(f"{stage}: {count[stage, False] + count[stage, True]} kills, {count[stage, True]} with a fault")
    if any(row["faults"] for row in tries):
        raise SystemExit(1)


if __name__ == "__main__":
    run_program(main)
