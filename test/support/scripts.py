"""The stages as their users call them: a script, with an environment of its own."""

import contextlib
import importlib
import io
import os
import shutil
import signal
import subprocess
from pathlib import Path

from support import ROOT

SCRIPTS = ROOT / "script"
END = "<end>"  # of what a `stand_in` tells of one program
SETTINGS = ("DATA_DIR", "FINALTEST", "ANSWER", "PARAM_DIR", "METHOD", "SCHEDULER", "NGPU", "SEED", "CDPATH")


def call(script, *options, cwd, **environment):
    """Call a script with nothing in the environment but the settings given."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    program = subprocess.Popen(
        ["bash", str(script), *map(str, options)],
        cwd=cwd,
        env=inherited | {"WORKERS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = program.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)  # the script's own programs too
        raise
    return subprocess.CompletedProcess(program.args, program.returncode, stdout, stderr)


def stand_in(folder):
    """Make a project of the same scripts whose Python only writes down what it is told to run; return its folder."""
    folder.mkdir()
    shutil.copytree(SCRIPTS, folder / "script")  # a link would lead them home
    for name in ("util", "src", "param"):
        (folder / name).symlink_to(ROOT / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/bash\nprintf '%s\\0' \"$@\" '{END}' >> {folder}/told\n")
    python.chmod(0o755)
    return folder


def call_here(project, script, *options, cwd, **environment):
    """Call a script, and run what it tells the Python of a `stand_in` in this process; return what that prints.

    Processes of their own would load PyTorch and prepare the network's input again for each step of a long walk. Not
    for scripts that ask how a program ended.
    """
    told = project / "told"
    told.unlink(missing_ok=True)
    done = call(script, *options, cwd=cwd, **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    *programs, rest = told.read_text().split(f"{END}\0")
    assert programs and not rest
    printed, before = io.StringIO(), Path.cwd()
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(printed):
            for program in programs:
                *entry, name, words = program.removesuffix("\0").split("\0", 3)
                assert entry == ["-m", "src"]
                importlib.import_module(f"src.{name}").main(words.split("\0"))
    finally:
        os.chdir(before)
    return printed.getvalue()
