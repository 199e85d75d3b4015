"""How many processes train, on what, and their start through torchrun: one per GPU, or several on the CPU."""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from util.runtime.errors import InputError
from util.runtime.executor import available_cores
from util.runtime.options import number
from util.runtime.signals import Ended

# What a node's own processes meet at; no port of a fixed number, on which two runs would collide.
_HERE = "localhost:0"
# Seconds that the processes are given to end their epoch when torchrun is told to end.
_PATIENCE_S = 300


@dataclass(frozen=True)
class LaunchOptions:
    """How many processes are started, and where they meet; `add_options` says what each means."""

    processes: int | None
    nodes: int
    rendezvous: str
    max_restarts: int

    def __post_init__(self) -> None:
        if self.nodes > 1 and self.rendezvous == _HERE:
            raise ValueError("--nodes: several must be told where they meet; give --rendezvous HOST:PORT (MASTER_ADDR)")


def _processes(text: str) -> int | None:
    if text != "all" and not text.isdecimal():
        # Not argparse's error, which would print all options first: this one is a setting.
        raise InputError(f"--processes (NGPU): expected all, or a number of GPUs of at least 0, found {text!r}")
    return None if text == "all" else int(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of several processes."""
    add = parser.add_argument
    add(
        "--processes",
        type=_processes,
        metavar="N",
        help="of a node, one per GPU (NGPU; default all; 0: one on the CPU), or with --device cpu on its cores",
    )
    add("--nodes", type=number(int, 1), default=1, metavar="N", help="machines, on each of which this is started")
    add("--rendezvous", default=_HERE, metavar="HOST:PORT", help="where nodes meet: one of them, and a free port")
    add("--max-restarts", type=number(int, 0), default=0, metavar="N", help="times that a failure is resumed from")


def is_worker() -> bool:
    """Return whether torchrun started this process."""
    return "LOCAL_RANK" in os.environ


def _on_cpu(device: str, processes: int | None) -> bool:
    without = device == "auto" and processes is None and not torch.cuda.is_available()
    return device == "cpu" or processes == 0 or without


def processes_of(device: str, processes: int | None) -> tuple[Literal["cpu", "cuda"], int]:
    """Return what this machine's processes train on, and how many they are.

    Raises
    ------
    InputError
        More than one process for each GPU.
    """
    found = torch.cuda.device_count()
    if _on_cpu(device, processes):
        return "cpu", processes or 1
    if not 0 < (processes or found) <= found:
        raise InputError(
            f"--processes {processes or 'all'}: expected a GPU for each process, found {found}; "
            "start fewer with NGPU, or train on the CPU with NGPU=0"
        )
    return "cuda", processes or found


def device_of(device: str, processes: int | None) -> torch.device:
    """Take the GPU of this process, or the CPU.

    Raises
    ------
    InputError
        There is none: torchrun was told to start more processes than there are GPUs.
    """
    if _on_cpu(device, processes):
        return torch.device("cpu")
    index, found = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if index >= found:
        raise InputError(f"process {index}: expected a GPU of its own, found {found} GPUs; start fewer processes")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def torchrun_words(argv: Sequence[str], processes: int, options: LaunchOptions) -> list[str]:
    """Return the command line of torchrun that starts `run_model` with `argv`."""
    meeting = ["--nnodes", str(options.nodes), "--rdzv-backend", "c10d", "--rdzv-endpoint", options.rendezvous]
    where = ["--standalone"] if options.nodes == 1 else [*meeting, "--rdzv-id", "run_model"]
    how = ["--nproc-per-node", str(processes), "--max-restarts", str(options.max_restarts)]
    return [*where, *how, "--shutdown_timeout", str(_PATIENCE_S), "-m", "src", "run_model", *argv]


def launch(argv: Sequence[str], processes: int, options: LaunchOptions) -> None:
    """Run `run_model` in several processes, and end as the first of them that failed, or as a signal demands.

    Raises
    ------
    Ended
        A signal came; the processes have kept their epoch.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("OMP_NUM_THREADS", str(max(available_cores() // processes, 1)))
    # Of a process that ends with a message of its own, it would tell again in twenty lines.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        # torchrun leaves the folder of its logs, though it holds none.
        with tempfile.TemporaryDirectory(prefix="run_model_") as logs:
            run.run(run.parse_args(["--log-dir", logs, *torchrun_words(argv, processes, options)]))
    except SignalException as error:
        raise Ended(error.sigval) from None
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
        sys.exit(status if status > 0 else 128 - status)
