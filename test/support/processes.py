"""Programs in processes of their own: started, waited for, read, and ended."""

import re
import subprocess
import sys
import time

from support import ROOT


def stage(module, *options):
    """Return the command that runs a stage with warnings as errors."""
    return [sys.executable, "-W", "error", "-m", "src", module, *options]


def start(command, **how):
    """Start a command from the project's folder, in a process group of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(word) for word in command], cwd=ROOT, **pipes, start_new_session=True, **how)


def messages(stderr):
    """Return what a program said on standard error, without its progress bar."""
    lines = stderr.replace("\r", "\n").splitlines()
    return [line for line in lines if line.strip() and not re.search(r"\d+/\d+ \[.*frame", line)]


def wait_until(condition, seconds=120):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def contents(folder):
    """Return the bytes of every file of a folder, at any depth, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
