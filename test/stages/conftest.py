"""What several stages' tests read: shards to answer, and a small run with all that the report shows."""

import shutil

import pytest

from src import release_weights
from support import ROOT
from support.answers import answer, write_run
from support.training import train
from support.truth import DESIGN

SAMPLE = ROOT / "data" / "sample" / "finaltest_npy"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """Give finaltest.h5 and shards/ of the two spheres of the final test; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, DESIGN, seed=11)
    return folder


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory):
    """Give a folder with a short training and both answers to the sample that ships with the program."""
    folder = tmp_path_factory.mktemp("report")
    train(folder, "--epochs", "2")
    weights = str(folder / "pretraining.weights.pt")
    release_weights.main(["--weights", weights, "--manifest", str(folder / "weights.json")])
    shutil.copytree(SAMPLE, folder / "finaltest_npy")
    answer(SAMPLE, folder / "final.h5", "--network", folder)
    answer(SAMPLE, folder / "final_resnet.h5", "--network", folder, "--method", "resnet")
    return folder
