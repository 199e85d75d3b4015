"""The script that trains and releases both networks, on the CPU and small."""

import json
import shutil

from support import ROOT
from support.scripts import SCRIPTS, call

SMALL = ("--arch", "resnet18", "--batch", "4", "--epoch-samples", "8", "--epochs", "1")
FEW = ("--validation", "8", "--first-samples", "300")


def test_both_networks_are_trained_and_released_in_parts(tmp_path):
    (tmp_path / "param").mkdir()
    for path in (ROOT / "param").glob("*.toml"):
        shutil.copy(path, tmp_path / "param")
    environment = {"PARAM_DIR": "param", "DATA_DIR": "data", "DEVICE": "cpu", "PRECISION": "float32"}
    done = call(SCRIPTS / "train_gpu.sh", *SMALL, *FEW, cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    files = json.loads((tmp_path / "param" / "weights.json").read_text())["files"]
    assert [entry["stage"] for entry in files] == ["pretraining", "fine_tuning"]
    assert files[1]["inherited"]["stage"] == "pretraining" and files[1]["input"]["window"] == 32
    for entry in files:
        parts = [tmp_path / "data" / "weights_parts" / part["name"] for part in entry["parts"]]
        assert max(part.stat().st_size for part in parts) < 16e6
        whole = (tmp_path / "param" / entry["name"]).read_bytes()
        assert b"".join(part.read_bytes() for part in parts) == whole
