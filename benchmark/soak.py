"""A long search: whether its memory and its open files grow, and whether workers that come and go change its bytes.

usage: .venv/bin/python -m benchmark.soak [--frames 100000] [--ceiling 2000] [--come-and-go 20] [--json FILE]

Simulates frames, searches them on this machine while memory and open files of all its processes are watched, and then
by Dask workers, one of which is killed and another begun every so many seconds. Exit status 1 where memory passes the
ceiling, memory or open files grow from the first half to the second, or a shard differs.
"""

import contextlib
import filecmp
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmark.shared.results import write_json
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number

ROOT = Path(__file__).resolve().parents[1]
PERIOD_S = 1.0  # between looks at the processes
GROWTH = 1.1  # of the largest memory of the first half; more is a leak


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: int
    workers: int
    ceiling: float
    come_and_go: float
    json: Path


@dataclass(frozen=True)
class Look:
    """What all processes of a search hold at a moment: memory that is theirs alone [MB], and open files."""

    megabytes: float
    files: int


def begin(script: str, *options: object, **settings: object) -> subprocess.Popen[bytes]:
    """Call a stage's script."""
    words = ["bash", f"script/{script}", *map(str, options)]
    environment = os.environ | {name: str(value) for name, value in settings.items()}
    return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(program: subprocess.Popen[bytes]) -> None:
    """Wait for a stage, which is to succeed."""
    if status := program.wait():
        raise RuntimeError(f"{program.args!r}: status {status}")


def look(program: psutil.Process) -> Look:
    """Look at a program and all that it began."""
    megabytes, files = 0.0, 0
    for process in (program, *program.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            megabytes += process.memory_full_info().uss / 1e6
            files += process.num_fds()
    return Look(megabytes, files)


def watched(program: subprocess.Popen[bytes]) -> list[Look]:
    """Look at a stage until it has ended."""
    looks, process = [], psutil.Process(program.pid)
    while program.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            looks.append(look(process))
        time.sleep(PERIOD_S)
    finish(program)
    return looks


def faults_of(looks: Sequence[Look], ceiling: float) -> list[str]:
    """Say what grows, or is too much. The first tenth, in which the processes begin, is left out."""
    steady = looks[len(looks) // 10 :]
    first, second = steady[: len(steady) // 2], steady[len(steady) // 2 :]
    faults = []
    for name in ("megabytes", "files"):
        before, after = (max(getattr(one, name) for one in half) for half in (first, second))
        if after > GROWTH * before:
            faults.append(f"{name} grew from {before:.0f} to {after:.0f}")
    most = max(one.megabytes for one in looks)
    return faults + [f"{most:.0f} MB, above {ceiling:.0f}"] * (most > ceiling)


def _address_in(told: Path) -> str | None:
    """Return the address that a scheduler wrote; None before the file is whole, which Dask does not see to."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return str(json.loads(told.read_text(encoding="utf-8"))["address"])
    return None


@contextlib.contextmanager
def coming_and_going(folder: Path, options: Options) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the address of a scheduler, and a function that kills the oldest of its workers and begins another."""
    told = folder / "scheduler.json"
    programs = [begin("start_scheduler.sh", "--port", 0, "--no-dashboard", "--scheduler-file", told)]
    try:
        while (address := _address_in(told)) is None:
            time.sleep(0.1)
        workers = (
            begin("start_workers.sh", "--no-dashboard", "--local-directory", folder, SCHEDULER=address, WORKERS=1)
            for _ in itertools.count()
        )
        programs += [next(workers) for _ in range(options.workers)]
        yield address, lambda: _exchange(programs, workers)
    finally:
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait()


def _exchange(programs: list[subprocess.Popen[bytes]], workers: Iterator[subprocess.Popen[bytes]]) -> None:
    going = programs.pop(1)
    for process in psutil.Process(going.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    going.kill()
    going.wait()
    programs.append(next(workers))


def search_with_exchanges(folder: Path, options: Options) -> tuple[int, list[str]]:
    """Search by workers that come and go; return how often one went, and the shards that differ."""
    exchanges, here, there = 0, folder / "finaltest_npy", folder / "dask"
    with coming_and_going(folder, options) as (address, exchange):
        search = begin("gen_finaltest_npy.sh", "--output", there, DATA_DIR=folder, SCHEDULER=address)
        while True:
            try:
                search.wait(options.come_and_go)
                break
            except subprocess.TimeoutExpired:
                exchange()
                exchanges += 1
        finish(search)
    names = sorted(path.name for path in here.iterdir())
    _, differ, lacking = filecmp.cmpfiles(here, there, names, shallow=False)
    return exchanges, [f"{name}: differs by Dask" for name in differ + lacking]


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.soak", __doc__)
    add = parser.add_argument
    add("--frames", type=number(int, 100), default=100_000, metavar="N", help="(default %(default)s)")
    add("--workers", type=number(int, 1), default=2, metavar="N", help="(default %(default)s)")
    add("--ceiling", type=number(float, 1), default=2000, metavar="MB", help="of all processes (default %(default)s)")
    add("--come-and-go", type=number(float, 1), default=20, metavar="S", help="seconds between (default %(default)s)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "soak.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"DATA_DIR": folder, "WORKERS": options.workers}
        shape = ("--frames", options.frames, "--frame-shape", 256, 256, "--electrons", 10, 10)
        finish(begin("simulate_finaltest.sh", *shape, **settings))
        looks = watched(begin("gen_finaltest_npy.sh", **settings))
        faults = faults_of(looks, options.ceiling)
        exchanges, differences = search_with_exchanges(folder, options)
    faults += differences
    most = max(looks, key=lambda one: one.megabytes)
    print(
        f"{options.frames} frames in {len(looks) * PERIOD_S:.0f} s: at most {most.megabytes:.0f} MB, {most.files} files"
    )
    print(f"by Dask: {exchanges} workers went and others came; {len(differences)} shards differ")
    told = {"frames": options.frames, "exchanges": exchanges, "faults": faults, "looks": looks}
    write_json(options.json, told)
    for fault in faults:
        print(f"fault: {fault}")
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    run_program(main)
