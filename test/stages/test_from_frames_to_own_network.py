"""The stages in the order of the README, from an empty folder to an answer of one's own network and its report."""

import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from support import ROOT
from support.param import PARAM
from support.processes import contents
from support.scripts import SCRIPTS, call
from util.answer.final_h5 import read_answer
from util.report import network_report

SMALL = ("--arch", "resnet18", "--batch", 4, "--epochs", 2, "--epoch-samples", 8, "--validation", 6)
FEW = ("--training", 8, "--validation", 4)
NETWORK = {"NGPU": "0", "OMP_NUM_THREADS": "1"}
# 100 frames answer in seconds without the simulation of the finder's bias.
STEPS = [
    ("simulate_finaltest.sh", ("--frames", 100), {}),
    ("gen_finaltest_npy.sh", (), {}),
    ("gen_traindata_pretraining.sh", FEW, {}),
    ("run_model.sh", (*SMALL, "--first-samples", 400), NETWORK),
    ("gen_finaltest_answer.sh", ("--bias", 0), {"NETWORK": "data/network"}),
    ("gen_traindata_fine_tuning.sh", (*FEW, "--widen", 1), {}),
    ("run_model.sh", ("--stage", "fine_tuning", *SMALL[2:], "--first-samples", 2000), NETWORK),
    (
        "gen_finaltest_answer.sh",
        ("--bias", 0),
        {"METHOD": "resnet", "NETWORK": "data/network", "ANSWER": "data/final_resnet.h5"},
    ),
]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """Return a folder with param/ and data/ after all steps, and what each step printed."""
    here = tmp_path_factory.mktemp("own")
    shutil.copytree(PARAM, here / "param")
    printed = []
    for script, options, environment in STEPS:
        settings = {"DATA_DIR": "data", "PARAM_DIR": "param", "ANSWER": "data/final.h5", **environment}
        done = call(SCRIPTS / script, *options, cwd=here, **settings)
        assert done.returncode == 0, f"{script}: {done.stderr}"
        printed.append(done.stdout)
    return here, printed


def test_every_stage_works_on_what_the_one_before_left_and_the_network_is_ones_own(walked):
    here, printed = walked
    assert f"inherits from {here}/data/network/pretraining.weights.pt" in printed[6]
    assert "fine_tuning.weights.pt" in printed[7]
    for name in ("final", "final_resnet"):
        assert read_answer(here / "data" / f"{name}.h5")["R"] == pytest.approx([0.5, 0.8], abs=0.01)
    assert {path.name for path in (here / "data" / "network").glob("*.pt")} == {
        *("pretraining.weights.pt", "pretraining.checkpoint.pt"),
        *("fine_tuning.weights.pt", "fine_tuning.checkpoint.pt"),
    }


def test_the_released_weights_stay_as_they_were(walked):
    here, _ = walked
    assert contents(here / "param") == contents(PARAM)


@pytest.mark.filterwarnings("default")  # what Jupyter's own parts warn of is theirs
def test_the_notebook_shows_the_curves_of_this_run(walked, monkeypatch):
    here, _ = walked
    curves = network_report.read_curves(here / "data", here / "param")
    assert {title: len(curve) for title, curve in curves.items()} == {
        "your run: pretraining": 2,
        "your run: fine_tuning": 2,
    }
    settings = {"DATA_DIR": here / "data", "PARAM_DIR": here / "param", "ANSWER": here / "data" / "final.h5"}
    for name, value in (settings | {"PYTHONPATH": ROOT}).items():
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.read(ROOT / "final.ipynb", as_version=4)
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "distance between them" in "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
