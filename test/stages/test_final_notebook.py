"""The report runs from top to bottom on a small run of its own."""

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from support import ROOT
from util.answer.final_h5 import read_answer
from util.report import network_report
from util.runtime.errors import InputError


@pytest.mark.filterwarnings("default")  # what Jupyter's own parts warn of is theirs
def test_the_notebook_runs_from_top_to_bottom(sample_run, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(sample_run))
    monkeypatch.setenv("PARAM_DIR", str(sample_run))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "final.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "distance between them" in "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4


def test_a_right_answer_leaves_pulls_of_one_and_a_wrong_one_more(sample_run):
    distribution = network_report.read_distribution(sample_run / "finaltest_npy")
    beta = read_answer(sample_run / "final.h5")["beta"]
    good = network_report.residuals(distribution, sample_run / "final.h5", beta)
    assert np.mean(good[good != 0] ** 2) < 1.4
    wrong = beta.copy()
    wrong[0, 0] += 0.1
    bad = network_report.residuals(distribution, sample_run / "final.h5", wrong)
    assert np.mean(bad[bad != 0] ** 2) > 1.5 * np.mean(good[good != 0] ** 2)


def test_curves_without_a_manifest_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"weights\.json: no such manifest"):
        network_report.read_curves(tmp_path, tmp_path)
