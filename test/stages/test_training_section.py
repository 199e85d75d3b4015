"""The section on training in doc/network.md, run as a copied block at small size."""

import re
import shutil

import h5py
import pytest

from src.network.facts_of_run import facts_of_run
from support import ROOT
from support.documented_commands import training_section
from support.param import PARAM
from support.processes import contents
from support.scripts import call, call_here, stand_in
from support.training import saved
from util.answer.final_h5 import read_answer
from util.report.training_curves import read_curves

# What makes a training short, in param/training.toml and in a prior.
SMALL = {
    "arch": '"resnet18"',
    "first_samples": "400",
    "batch": "8",
    "epoch_samples": "16",
    "epochs": "1",
    "training": "24",
    "validation": "8",
}


@pytest.fixture(scope="module")
def run(module_folder):
    """Return a folder with param/ and data/ in which the section was run, and what it printed."""
    here = module_folder("section")
    (here / "data").mkdir()
    (here / "data" / "sample").symlink_to(ROOT / "data" / "sample")
    shutil.copytree(PARAM, here / "param")
    for path in (here / "param").glob("*.toml"):
        text = path.read_text()
        for name, value in SMALL.items():
            text = re.sub(rf"^{name} = [\w\"]+", f"{name} = {value}", text, flags=re.MULTILINE)
        path.write_text(text)
    project, before = stand_in(here / "project"), contents(here / "param")
    block = re.sub(r"(?<=[ =])(data|param)/", rf"{here}/\1/", training_section())
    together = [line for line in block.splitlines(keepends=True) if "--processes" in line]
    alone = block.replace("".join(together), "").replace("bash script/", f"bash {project}/script/")
    (here / "alone.sh").write_text(f"set -e\n{alone}")
    (here / "together.sh").write_text(together[0].replace("bash script/", f"bash {ROOT}/script/"))
    settings = {"DATA_DIR": str(here / "data"), "PARAM_DIR": str(here / "param"), "NGPU": "0"}
    printed = call_here(project, here / "alone.sh", cwd=here, **settings)
    done = call(here / "together.sh", cwd=here, **settings)
    assert (len(together), done.returncode) == (1, 0), done.stdout + done.stderr
    assert contents(here / "param") == before, "released weights and settings must stay as they were"
    return here, printed


def test_it_ends_with_own_networks_of_which_the_last_is_about_the_answer(run):
    here, printed = run
    assert f"inherits from {here}/data/network/pretraining.weights.pt" in printed
    assert "fine_tuning.checkpoint.pt: trained about another prior; a new round goes on" in printed
    facts = saved(here / "data" / "network" / "fine_tuning.weights.pt")[1]
    assert [facts.inherited.stage, facts.inherited.inherited.stage] == ["fine_tuning", "pretraining"]
    assert facts.prior.spheres[0].mu != facts.inherited.prior.spheres[0].mu
    with h5py.File(here / "data" / "own.h5") as file:
        assert "fine_tuning.weights.pt" in file["MadeBy"][()].decode()
    assert read_answer(here / "data" / "own.h5")["R"] == pytest.approx([0.5, 0.8], abs=0.01)
    assert saved(here / "data" / "from_files" / "network" / "pretraining.weights.pt")[1].files == ("pretraining_0.h5",)
    assert saved(here / "data" / "network" / "pretraining_single.weights.pt")[1].processes == 2


def test_the_report_shows_the_curves_of_this_run(run):
    here, _ = run
    curves = read_curves(here / "data", here / "param", facts_of_run)
    assert {title: len(curve.epochs) for title, curve in curves.items()} == {
        "your run: pretraining": 1,
        "your run: fine_tuning": 1,
        "your run: pretraining_single": 1,
    }
    for title, curve in curves.items():
        facts = saved(here / "data" / "network" / f"{title.removeprefix('your run: ')}.weights.pt")[1]
        assert curve.levels["predicting the mean"] == facts.predicting_the_mean
