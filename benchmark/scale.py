"""What a run of many frames costs on many machines, from what its parts cost on this one.

usage: .venv/bin/python -m benchmark.scale [--frames 1e8] [--measured 1000] [--json data/benchmark/scale.json]

Measured: the bytes of a frame; a worker's share (read, search; processor time of one core); the scheduler's and the
command's share in handing out blocks and taking electrons back, with a real Dask scheduler in this process; the
command's share in writing shards, with events and without; reading shards for the answer. From these follow storage,
network, and the hours on 64, 256 and 1024 workers, each with what limits them. Milliseconds are of processor time.
"""

import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from distributed import Client, LocalCluster
from numpy.typing import NDArray

from benchmark.shared.results import machine, write_json
from src import simulate_finaltest
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.electrons.search_block import Task, find_block, release
from util.electrons.shard_facts import FrameCounts, SearchSettings, ShardFacts
from util.electrons.shards import Shard, distribution_of, read_shard, shard_path, write_shard
from util.finder.finder import EVENT, FinderSettings
from util.frames.open import open_frames
from util.runtime import settings
from util.runtime.dask_executor import DaskExecutor
from util.runtime.errors import run_program
from util.runtime.executor import map_in_order
from util.runtime.options import Parser, as_options, number

ROOT = Path(__file__).resolve().parents[1]
SHARD_FRAMES = 10_000
TASKS = 1000  # handed out to measure what one costs
WORKERS = (64, 256, 1024)
BLOCKS = (50, 500)
COMMANDS = (1, 8)  # that divide the frames among themselves by --range


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    frames: float
    measured: int
    json: Path


@dataclass(frozen=True)
class Written:
    """What a shard costs: milliseconds and bytes of each of its frames, and milliseconds to read it again."""

    ms: float
    bytes: float
    read_ms: float


@dataclass(frozen=True)
class Plan:
    """The hours on a cluster, and what limits them."""

    workers: int
    block: int
    commands: int
    hours: float
    limit: str


def read_settings() -> SearchSettings:
    """Read how the published frames are searched, without learning from them."""
    recipe = settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
    finder = settings.load(FinderSettings, ROOT / "param" / "finder.toml")
    return SearchSettings(recipe, finder, detector=Detector.of_recipe(recipe))


def search(path: Path, frames: int) -> tuple[float, NDArray[np.void]]:
    """Measure a worker's milliseconds per frame; return them and the electrons found."""
    told = read_settings()
    detector = Detector.of_recipe(told.phosphor)
    with open_frames(path) as file:
        whole = Task(path, file.dataset, file.fingerprint(), (0, frames), 0, frames, detector, told.finder)
    find_block(whole._replace(stop=10))  # compiles, and opens the file
    begin = time.process_time()
    found = find_block(whole)
    milliseconds = (time.process_time() - begin) / frames * 1e3
    release()
    return milliseconds, found.events


def electrons(count: int) -> NDArray[np.void]:
    """Stand in for a worker: return so many electrons."""
    return np.ones(count, EVENT)


def hand_out(block: int, electrons_per_frame: float) -> float:
    """Measure the milliseconds of scheduler and command together per block of frames."""
    count = round(block * electrons_per_frame)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        executor = DaskExecutor(client)
        list(map_in_order(executor, electrons, [count] * 50, in_flight=8))
        begin = time.process_time()
        for _ in map_in_order(executor, electrons, [count] * TASKS, in_flight=8):
            pass
        return (time.process_time() - begin) / TASKS * 1e3


def write(events: NDArray[np.void], frames: int, folder: Path, *, keep_events: bool) -> Written:
    """Measure milliseconds and bytes per frame to write a shard, and milliseconds to read it again."""
    told = read_settings()
    begin = time.process_time()
    distribution, counts = distribution_of(events)
    squares = float(np.sum(events["weight"].astype(float) ** 2))
    facts = ShardFacts(0, frames, "", frames, told, FrameCounts(frames, 0, 0, 0), squares)
    path = shard_path(folder, 0, frames)
    write_shard(path, Shard(facts, events if keep_events else None, distribution, counts))
    written = time.process_time()
    read_shard(path)
    read = time.process_time()
    milliseconds, size = (written - begin) / frames * 1e3, path.stat().st_size / frames
    return Written(milliseconds, size, (read - written) * 1e3)


def plan(frames: float, worker_ms: float, task_ms: dict[int, float], writer_ms: float) -> list[Plan]:
    """Reckon the hours on clusters of several sizes, and what limits them."""
    rows = []
    for workers in WORKERS:
        for block in BLOCKS:
            for commands in COMMANDS:
                hours = {
                    "search": frames * worker_ms / workers / 3.6e6,
                    # Measured together, so charged to each: the scheduler is one, however many commands there are.
                    "handing out": frames / block * task_ms[block] / 3.6e6,
                    "writing": frames * writer_ms / commands / 3.6e6,
                }
                limit = max(hours, key=lambda part: hours[part])
                rows.append(Plan(workers, block, commands, hours[limit], limit))
    return rows


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.scale", __doc__)
    add = parser.add_argument
    add("--frames", type=number(float, 1), default=1e8, metavar="N", help="of the run to plan (default %(default)g)")
    measured = "frames to measure on (default %(default)s)"
    add("--measured", type=number(int, 10, SHARD_FRAMES), default=1000, metavar="N", help=measured)
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "scale.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "finaltest.h5"
        simulate_finaltest.main(["--output", str(path), "--frames", str(options.measured)])
        # Less the tables of the truth, which no experiment has.
        with h5py.File(path) as file:
            frame_bytes = file["FinalImage"].id.get_storage_size() / options.measured
        worker_ms, events = search(path, options.measured)
        many = np.concatenate([events] * (SHARD_FRAMES // options.measured))
        written = {kept: write(many, SHARD_FRAMES, folder, keep_events=kept) for kept in (True, False)}
    task_ms = {block: hand_out(block, len(events) / options.measured) for block in BLOCKS}
    million = options.frames / 1e6
    print(f"\n{platform.processor() or platform.machine()}, processor time of one core")
    hours = million * worker_ms / 3.6
    print(f"worker: {worker_ms:.2f} ms per frame: {hours:.0f} core hours for {options.frames:g} frames")
    print(f"frames: {frame_bytes / 1e3:.0f} kB each: {million * frame_bytes / 1e6:.2f} TB")
    print(f"        a worker reads {frame_bytes / worker_ms / 1e3:.0f} MB/s")
    for kept, what in ((True, "with events"), (False, "--no-events")):
        shard = written[kept]
        total = million * shard.bytes / 1e3
        print(f"shards {what}: {shard.ms * 1e3:.0f} us and {shard.bytes:.0f} bytes per frame: {total:.0f} GB")
        print(f"        read for the answer: {shard.read_ms:.0f} ms for each of {options.frames / SHARD_FRAMES:.0f}")
    print("handing out: " + ", ".join(f"{ms:.1f} ms for a block of {block}" for block, ms in task_ms.items()))
    rows = plan(options.frames, worker_ms, task_ms, written[False].ms)
    print(f"{'workers':>8}{'block':>7}{'commands':>10}{'hours':>8}  limited by")
    for row in rows:
        print(f"{row.workers:>8}{row.block:>7}{row.commands:>10}{row.hours:>8.2f}  {row.limit}")
    facts = {
        "frames": options.frames,
        "worker_ms": worker_ms,
        "frame_bytes": frame_bytes,
        "shards": {"with events": written[True], "without": written[False]},
        "task_ms": task_ms,
        "plan": rows,
        "machine": machine(),
    }
    write_json(options.json, facts)
    print(options.json)


if __name__ == "__main__":
    run_program(main)
