"""The published account, step by step: every command of doc/published.md, at small size, as a user calls it."""

import re

import h5py
import pytest

from support import ROOT
from support.documented_commands import training_section
from support.scripts import SCRIPTS, call_here, stand_in
from util.answer.final_h5 import read_answer
from util.runtime.settings import load
from util.training.priors import Prior

FRAMES = ("--frames", 60)
NETWORK = ("--arch", "efficientnet_b0", "--batch", 4, "--epochs", 1, "--output", "{here}", "--losses", "{here}")
SAMPLES = ("--first-samples", 400, "--epoch-samples", 4, "--validation", 4)
MATRIX = ("--pixels", 64, "--epoch-samples", 8, "--validation", 4)
FEW = ("--training", 2, "--validation", 2)
SINGLE = {"DATA_DIR": "single", "ANSWER": "single/final.h5"}
KIND_2 = {"FINALTEST": "kind2.h5"}
CPU = {"NGPU": "0"}
# Commands in the order in which they can run, each with what makes it small and the environment that it needs.
STEPS = [
    ("simulate_finaltest.sh", ("--frames", 12), {}),
    ("gen_finaltest_npy.sh --range 0 5", ("--output", "{here}/range"), {}),
    ("gen_gauss_data.sh", ("--frames", 8), {}),
    ("run_gauss_model.sh", ("--epochs", 1), {}),
    ("simulate_finaltest.sh --kind 2", ("--distributions", 20, "--electrons", 50), KIND_2),
    ("gen_ranges.sh", (), KIND_2),
    (
        "gen_traindata_pretraining.sh --sampling electrons",
        ("--training", 1, "--validation", 1, "--prior", "{here}/ranges.toml"),
        {"SEED": "1"},
    ),
    ("run_model.sh --spheres 1", (*NETWORK, *SAMPLES), CPU),
    ("run_model.sh --input matrix --no-shortcut --optimiser adam", (*NETWORK, *MATRIX), CPU),
    ("simulate_finaltest.sh --experiment param/single.toml", FRAMES, SINGLE),
    ("gen_finaltest_npy.sh", (), SINGLE),
    ("gen_finaltest_answer.sh --spheres 1", ("--bias", 0), SINGLE),
    (
        "gen_finaltest_answer.sh --method resnet",
        ("--spheres", 1, "--network", "{here}", "--bias", 0),
        {**SINGLE, "ANSWER": "single/resnet.h5"},
    ),
    ("gen_traindata_fine_tuning.sh", (*FEW, "--widen", 1), SINGLE),
    ("download_params.sh", (), {}),
]
# What takes long, and other tests run: the quick start's (test_scripts.py), and test_training_section.py.
IN_THE_QUICK_START = {"gen_finaltest_answer.sh"}
IN_THE_TRAINING_SECTION = {"gen_traindata_pretraining.sh", "run_model.sh", "run_model.sh --stage fine_tuning"}


def table_commands():
    page = (ROOT / "doc" / "published.md").read_text(encoding="utf-8")
    cells = [line.split("|")[2] for line in page.splitlines() if line.startswith("|")][2:]
    return [command for cell in cells for command in re.findall(r"`([a-z_]+\.sh[^`]*)`", cell)]


@pytest.fixture(scope="module")
def walked(module_folder):
    """Return a folder in which every step was run, and what each printed."""
    here = module_folder("walk")
    project, printed = stand_in(here / "project"), {}
    for command, options, environment in STEPS:
        script, *given = command.split()
        filled = [str(option).format(here=here) for option in options]
        settings = {"DATA_DIR": ".", "ANSWER": "final.h5", **environment}
        printed[command] = call_here(project, project / "script" / script, *given, *filled, cwd=here, **settings)
    return here, printed


def test_every_command_of_the_table_is_walked():
    commands = table_commands()
    assert len(commands) >= 18
    elsewhere = IN_THE_QUICK_START | IN_THE_TRAINING_SECTION
    assert set(commands) - {command for command, _, _ in STEPS} == elsewhere
    quick_start, section = (SCRIPTS / "quickstart.sh").read_text(), training_section()
    for text, run in ((quick_start, IN_THE_QUICK_START), (section, IN_THE_TRAINING_SECTION)):
        assert [command for command in run if f"bash script/{command} " not in text] == []
    assert all((SCRIPTS / command.split()[0]).exists() for command in commands)


def test_every_step_leaves_what_the_next_one_reads(walked):
    here, printed = walked
    assert len(list((here / "single" / "finaltest_npy").glob("final_*.npz"))) == 10
    assert {path.name for path in (here / "range").iterdir()} == {"final_0_5.npz"}
    with h5py.File(here / "kind2.h5") as file:
        assert len(file["DistributionParameters"]) == 20
    assert len(load(Prior, here / "ranges.toml").spheres) == 2
    for name in ("published_pretraining", "pretraining_single"):
        assert (here / f"{name}.weights.pt").exists()
    assert (here / "gauss" / "pixel.weights.pt").exists()
    assert '"f1"' in printed["run_gauss_model.sh"]
    for name in ("final", "resnet"):
        assert len(read_answer(here / "single" / f"{name}.h5")) == 1
    assert (here / "single" / "traindata" / "fine_tuning_single_0.h5").exists()
