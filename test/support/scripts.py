"""The stages as their users call them: a script, with an environment of its own."""

import os
import signal
import subprocess

from support import ROOT

SCRIPTS = ROOT / "script"
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
