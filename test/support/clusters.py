"""Dask schedulers and workers, started as a user would."""

import os
import re
import signal
import subprocess
from contextlib import contextmanager

from distributed import Client

from support.processes import start, wait_until


def begin(command, **environment):
    return start(command, env=os.environ | {"DASK_LOGGING__DISTRIBUTED": "warning"} | environment)


def end(program):
    """End a program and all that it started."""
    with program:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGTERM)
        try:
            program.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)


def address_in(told):
    """Wait for the file in which a scheduler tells its address, and give that."""
    wait_until(lambda: told.exists() and re.search(r'"address": "[^"]+"', told.read_text()))
    return re.search(r'"address": "([^"]+)"', told.read_text())[1]


@contextmanager
def running_scheduler(folder, *further, **environment):
    """Start a scheduler as a user would; give its process and address."""
    told = folder / "scheduler.json"
    options = ["--port", 0, "--no-dashboard", "--scheduler-file", told, *further]
    program = begin(["bash", "script/start_scheduler.sh", *options], **environment)
    try:
        yield program, address_in(told)
    finally:
        end(program)


@contextmanager
def running_workers(address, folder, count, *further, **environment):
    """Start workers as a user would."""
    options = ["--no-dashboard", "--local-directory", folder, "--death-timeout", 60, *further]
    settings = {"SCHEDULER": address, "WORKERS": str(count)} | environment
    program = begin(["bash", "script/start_workers.sh", *options], **settings)
    try:
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)
        yield program
    finally:
        end(program)
