"""What several stages' tests read: small frames, shards to answer, and a run with all that the report shows."""

import shutil

import pytest

from src import release_weights, simulate_finaltest
from support import ROOT
from support.answers import answer, write_run
from support.param import EXPERIMENT
from support.searches import SMALL_SHAPE, run
from support.training import train
from support.truth import DESIGN

SAMPLE = ROOT / "data" / "sample" / "finaltest_npy"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """Return finaltest.h5 and shards/ of the two spheres of the final test; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, DESIGN, seed=11)
    return folder


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory):
    """Return a folder with a short training and both answers to the sample that ships with the program."""
    folder = tmp_path_factory.mktemp("report")
    train(folder, "--epochs", "2")
    weights = str(folder / "pretraining.weights.pt")
    release_weights.main(["--weights", weights, "--manifest", str(folder / "weights.json")])
    shutil.copytree(SAMPLE, folder / "finaltest_npy")
    answer(SAMPLE, folder / "final.h5", "--network", folder)
    answer(SAMPLE, folder / "final_resnet.h5", "--network", folder, "--method", "resnet")
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
