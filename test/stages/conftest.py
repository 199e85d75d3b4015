"""What several stages' tests read: small frames, and shards to answer."""

import pytest

from src import simulate_finaltest
from support.answers import write_run
from support.param import EXPERIMENT
from support.searches import SMALL_SHAPE, run
from support.truth import DESIGN


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """Return finaltest.h5 and shards/ of the two spheres of the final test; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, DESIGN, seed=11)
    return folder


@pytest.fixture(scope="session")
def small_frames(tmp_path_factory):
    """Return 130 small frames of 3 + 3 electrons."""
    path = tmp_path_factory.mktemp("small") / "finaltest.h5"
    options = [*EXPERIMENT, "--frame-shape", *map(str, SMALL_SHAPE)]
    options += ["--frames", "130", "--electrons", "3", "3", "--workers", "1"]
    simulate_finaltest.main([*options, "--output", str(path)])
    return path


@pytest.fixture(scope="session")
def ten_shards(small_frames, tmp_path_factory):
    """Return the ten shards of the small frames; not to be changed."""
    folder = tmp_path_factory.mktemp("ten")
    run(small_frames, folder)
    return folder
