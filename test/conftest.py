"""What is simulated or searched once and shared by all tests."""

import os
import signal

# As script/env.sh does: several BLAS threads fight over busy cores. Before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from truth import ROOT

from src import simulate_finaltest

# What the user has set for the stages must not reach the tests, which set it themselves.
for name in ("DATA_DIR", "FINALTEST", "ANSWER", "PARAM_DIR", "METHOD", "WORKERS", "SCHEDULER", "NGPU", "SEED"):
    os.environ.pop(name, None)

# A shell that starts the tests in the background has them ignore Ctrl-C, which every program they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Give 60 frames of the final test's two spheres, with their truth; not to be changed."""
    path = tmp_path_factory.mktemp("simulated") / "finaltest.h5"
    param = ["--experiment", f"{ROOT}/param/experiment.toml", "--phosphor", f"{ROOT}/param/phosphor.toml"]
    simulate_finaltest.main([*param, "--output", str(path), "--frames", "60", "--seed", "5", "--workers", "1"])
    return path
