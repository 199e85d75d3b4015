"""The report runs from top to bottom on a small run of its own."""

import shutil

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from test_run_model import train
from truth import ROOT

from src import gen_finaltest_answer, release_weights
from util.answer.final_h5 import read_answer
from util.report import network_report
from util.runtime.errors import InputError

SAMPLE = ROOT / "data" / "sample" / "finaltest_npy"


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Give a folder with a short training and both answers to the sample that ships with the program."""
    folder = tmp_path_factory.mktemp("report")
    train(folder, "--epochs", "2")
    weights = str(folder / "pretraining.weights.pt")
    release_weights.main(["--weights", weights, "--manifest", str(folder / "weights.json")])
    shutil.copytree(SAMPLE, folder / "finaltest_npy")
    options = ["--shards", str(SAMPLE), "--network", str(folder)]
    gen_finaltest_answer.main([*options, "--output", str(folder / "final.h5")])
    gen_finaltest_answer.main([*options, "--output", str(folder / "final_resnet.h5"), "--method", "resnet"])
    return folder


@pytest.mark.filterwarnings("default")  # what Jupyter's own parts warn of is theirs
def test_the_notebook_runs_from_top_to_bottom(run, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(run))
    monkeypatch.setenv("PARAM_DIR", str(run))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "final.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "distance between them" in "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4


def test_a_right_answer_leaves_pulls_of_one_and_a_wrong_one_more(run):
    distribution = network_report.read_distribution(run / "finaltest_npy")
    beta = read_answer(run / "final.h5")["beta"]
    good = network_report.residuals(distribution, run / "final.h5", beta)
    assert np.mean(good[good != 0] ** 2) < 1.4
    wrong = beta.copy()
    wrong[0, 0] += 0.1
    bad = network_report.residuals(distribution, run / "final.h5", wrong)
    assert np.mean(bad[bad != 0] ** 2) > 1.5 * np.mean(good[good != 0] ** 2)


def test_curves_without_a_manifest_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"weights\.json: no such manifest"):
        network_report.read_curves(tmp_path / "weights.json")
