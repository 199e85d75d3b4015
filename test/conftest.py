"""What is simulated or searched once and shared by all tests."""

import os
import shutil
import signal
import subprocess

# As script/env.sh does: several BLAS threads fight over busy cores. Those of PyTorch, beside tests on other cores, wait
# for each other several times as long as one alone computes. Before NumPy and PyTorch are loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from support import ROOT

# As script/env.sh does: compiled functions are kept where the stages keep them. A function is compiled once for both,
# and one that calls a changed one anew. Before Numba is loaded.
if "NUMBA_CACHE_DIR" not in os.environ:
    script = ["bash", "-euc", 'source script/env.sh; printf %s "$NUMBA_CACHE_DIR"']
    os.environ["NUMBA_CACHE_DIR"] = subprocess.run(
        script, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout

import pytest

from src import simulate_finaltest
from util.runtime import console

# What the user has set for the stages must not reach the tests, which set it themselves.
for name in ("DATA_DIR", "FINALTEST", "ANSWER", "PARAM_DIR", "METHOD", "WORKERS", "SCHEDULER", "NGPU", "SEED"):
    os.environ.pop(name, None)

# A shell that starts the tests in the background has them ignore Ctrl-C, which every program they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Files of tests that take a minute or more in one go: begun last, they would leave the other cores idle.
LONGEST = (
    *("test_scripts", "test_run_model_processes"),
    *("test_answer_options", "test_training_section", "test_likelihood"),
)


@pytest.fixture(autouse=True)
def _as_usual():
    """Let no test say as little, or as much, as the one before it asked for."""
    console.choose(console.Level.USUAL)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """Begin with the longest files, and call all tests of stages slow."""
    for item in items:
        if item.path.parent.name == "stages":
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="module")
def module_folder(request, tmp_path_factory):
    """Return what makes a folder by its name; it goes with its file of tests, unless one of these has failed.

    Networks and their checkpoints take a gigabyte in some files, and a disk is not asked to hold those of all files.
    """
    made, failed = [], request.session.testsfailed

    def make(name):
        made.append(tmp_path_factory.mktemp(name))
        return made[-1]

    yield make
    if request.session.testsfailed == failed:
        for folder in made:
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Return 60 frames of the final test's two spheres, with their truth; not to be changed."""
    path = tmp_path_factory.mktemp("simulated") / "finaltest.h5"
    param = ["--experiment", f"{ROOT}/param/experiment.toml", "--phosphor", f"{ROOT}/param/phosphor.toml"]
    simulate_finaltest.main([*param, "--output", str(path), "--frames", "60", "--seed", "5", "--workers", "1"])
    return path
