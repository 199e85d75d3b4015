"""The script that trains and then releases both networks, on the CPU and small."""

import json
import shutil

import pytest
import torch

from src import release_weights
from support.param import PARAM
from support.processes import contents
from support.scripts import SCRIPTS, call, call_here, stand_in
from support.training import saved

SMALL = ("--arch", "resnet18", "--batch", "4", "--epoch-samples", "8", "--epochs", "1")
FEW = ("--validation", "8", "--first-samples", "300")
CPU = {"PARAM_DIR": "param", "DATA_DIR": "data", "NGPU": "0", "PRECISION": "float32"}


@pytest.fixture
def here(tmp_path):
    """Return a folder with the settings, without any weights."""
    (tmp_path / "param").mkdir()
    for path in PARAM.glob("*.toml"):
        shutil.copy(path, tmp_path / "param")
    return tmp_path


def test_both_networks_are_trained_and_released_in_parts_and_nothing_before_the_second_is_trained(here, monkeypatch):
    fine_tuning = here / "param" / "fine_tuning.toml"
    sound = fine_tuning.read_text()
    fine_tuning.write_text("training = 1")
    before = contents(here / "param")
    done = call(SCRIPTS / "train_gpu.sh", *SMALL, *FEW, cwd=here, **CPU)
    assert done.returncode == 2 and "fine_tuning.toml" in done.stderr
    trained = (here / "data" / "network" / "pretraining.weights.pt").read_bytes()
    assert contents(here / "param") == before

    fine_tuning.write_text(sound)
    project = stand_in(here / "project")
    monkeypatch.setattr(release_weights, "SAMPLES", 300)
    settings = {name: str(here / name.split("_")[0].lower()) for name in ("PARAM_DIR", "DATA_DIR")}
    printed = call_here(project, project / "script" / "train_gpu.sh", *SMALL, *FEW, cwd=here, **CPU | settings)
    assert "pretraining: all of 1 epoch done" in printed
    assert (here / "data" / "network" / "pretraining.weights.pt").read_bytes() == trained
    files = json.loads((here / "param" / "weights.json").read_text())["files"]
    assert {entry["stage"] for entry in files} == {"pretraining", "fine_tuning"}
    (tuned,) = (entry for entry in files if entry["stage"] == "fine_tuning")
    assert tuned["inherited"]["stage"] == "pretraining" and tuned["input"]["window"] == 32
    for entry in files:
        parts = [here / "data" / "weights_parts" / part["name"] for part in entry["parts"]]
        assert max(part.stat().st_size for part in parts) < 16e6
        whole = (here / "param" / entry["name"]).read_bytes()
        assert b"".join(part.read_bytes() for part in parts) == whole
        (own, _), (released, _) = (saved(here / folder / entry["name"]) for folder in ("data/network", "param"))
        assert all(torch.equal(value, released[name]) for name, value in own.items()) and own.keys() == released.keys()
    losses = {path.stem for path in (here / "data" / "train_loss").glob("*.npy")}
    assert losses == {"pretraining", "fine_tuning"}
    again = ("--weights", here / "data" / "network" / "pretraining.weights.pt", "--reference", 0)
    release_weights.main(list(map(str, [*again, "--manifest", here / "param" / "weights.json"])))
    kept = json.loads((here / "param" / "weights.json").read_text())["files"]
    assert [entry["name"] for entry in kept] == [entry["name"] for entry in files]


def test_help_is_printed_and_nothing_changed(here):
    before = contents(here / "param")
    done = call(SCRIPTS / "train_gpu.sh", "--epochs", 1, "--help", cwd=here, **CPU)
    assert done.returncode == 0 and "--stage" in done.stdout
    assert contents(here / "param") == before and not (here / "data").exists()
