"""The stages as their users call them."""

import re

import h5py
import pytest

from support import ROOT
from support.figures import check_answer_figure
from support.scripts import SCRIPTS, call
from support.truth import DESIGN
from util.answer.final_h5 import read_answer


@pytest.fixture(scope="module")
def elsewhere(module_folder):
    """Return a folder with a small run in it, made by a script that was called there with relative paths."""
    folder = module_folder("elsewhere")
    options = ("--frames", 12, "--frame-shape", 64, 64, "--electrons", 2, 2)
    done = call(SCRIPTS / "simulate_finaltest.sh", *options, cwd=folder, DATA_DIR="our data", SEED="9")
    assert done.returncode == 0, done.stderr
    return folder


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_relative_data_folder_is_taken_from_where_the_caller_stands(elsewhere):
    assert "our data/finaltest.h5" in files(elsewhere)
    with h5py.File(elsewhere / "our data" / "finaltest.h5") as file:
        assert file.attrs["seed"] == 9  # from the environment
        assert len(file["FinalImage"]) == 12  # from the options


def test_the_search_works_from_any_folder_and_passes_options_on(elsewhere):
    where = {"DATA_DIR": "found", "FINALTEST": "our data/finaltest.h5"}
    done = call(SCRIPTS / "gen_finaltest_npy.sh", "--range", 3, 9, cwd=elsewhere, **where)
    assert done.returncode == 0, done.stderr
    assert {name for name in files(elsewhere) if name.startswith("found")} == {"found/finaltest_npy/final_3_9.npz"}
    done = call(SCRIPTS / "gen_finaltest_npy.sh", "--range", 3, 13, cwd=elsewhere / "found", DATA_DIR="../our data")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {elsewhere}/found/../our data/finaltest.h5: FinalImage: expected a range of frames within 0..12, "
        "found 3..13; choose one inside the file"
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("gen_finaltest_npy.sh", "here/finaltest.h5: no such file"),
        ("gen_finaltest_answer.sh", "here/finaltest_npy: expected shards final_START_STOP.npz, found none"),
        ("run_all.sh", "here/finaltest.h5: no such file"),
    ],
)
def test_bad_input_ends_a_script_with_status_two_and_one_line(tmp_path, script, message):
    done = call(SCRIPTS / script, cwd=tmp_path, DATA_DIR="here")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/{message}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "environment", "message"),
    [
        ("simulate_finaltest.sh", {"SEED": "-1"}, "--seed"),
        (
            "gen_finaltest_npy.sh",
            {"WORKERS": "0"},
            "error: WORKERS: expected a number of processes of at least 1, found '0'",
        ),
        ("gen_finaltest_answer.sh", {"METHOD": "guess"}, "--method: invalid choice: 'guess'"),
        ("simulate_finaltest.sh", {"PARAM_DIR": "nowhere"}, "nowhere/experiment.toml: no such settings file"),
        ("gen_finaltest_npy.sh", {"PARAM_DIR": "nowhere"}, "nowhere/phosphor.toml: no such settings file"),
    ],
)
def test_a_bad_setting_ends_a_script_with_status_two(tmp_path, script, environment, message):
    done = call(SCRIPTS / script, cwd=tmp_path, DATA_DIR="here", **environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_script_may_be_called_through_a_link(tmp_path):
    (tmp_path / "search").symlink_to(SCRIPTS / "gen_finaltest_npy.sh")
    done = call(tmp_path / "search", cwd=tmp_path, DATA_DIR="here")
    assert done.stderr.startswith(f"error: {tmp_path}/here/finaltest.h5: no such file")


def test_a_style_and_libraries_of_the_users_own_do_not_reach_a_stage(tmp_path):
    style = tmp_path / "matplotlibrc"
    style.write_bytes("text.usetex: True  # \xb5".encode("latin-1"))
    (tmp_path / "numpy.py").write_text("raise SystemExit(9)")
    shown = 'import matplotlib, src; print(matplotlib.rcParams["text.usetex"])'
    script = tmp_path / "script.sh"
    script.write_text(f"cd '{ROOT}'; source script/env.sh; \"$PYTHON\" -c '{shown}'\n")
    done = call(script, cwd=tmp_path, MPLBACKEND="foo", MATPLOTLIBRC=str(style), PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.fixture(scope="module")
def quickstart(module_folder):
    """Run the quick start in a folder of its own, with 300 frames; give the folder and what was printed."""
    stamp = ROOT / ".venv" / "requirements.done"
    if not (stamp.exists() and stamp.read_bytes() == (ROOT / "requirements.txt").read_bytes()):
        pytest.skip("the quick start would install requirements.txt; run script/setup.sh first")
    copy = module_folder("copy") / "a project"
    (copy / "script").mkdir(parents=True)
    for script in SCRIPTS.glob("*.sh"):  # those that it calls are the project's own
        (copy / "script" / script.name).write_text(f'exec bash "{script}" "$@"\n')
    script = copy / "script" / "quickstart.sh"
    text = (SCRIPTS / script.name).read_text()
    assert text.count("--frames 2000") == 1
    script.write_text(text.replace("--frames 2000", "--frames 300"))
    done = call(script, cwd=copy.parent, WORKERS="2")
    assert done.returncode == 0, done.stderr
    return copy, done.stdout


def test_the_quick_start_ends_near_the_truth(quickstart):
    _, printed = quickstart
    last = re.fullmatch(r"distance (\d\.\d{4}) \(statistical floor (\d\.\d{4})\)", printed.splitlines()[-1])
    distance, floor = map(float, last.groups())
    assert 0.05 < floor < 0.09  # 0.0052 at 50,000 frames
    assert distance < 2 * floor


def test_the_quick_start_leaves_answer_and_figure_in_its_own_folder(quickstart):
    copy, _ = quickstart
    data = copy / "data"
    shards = {f"finaltest_npy/final_{30 * i}_{30 * i + 30}.npz" for i in range(10)}
    made = {name for name in files(data) if not name.startswith("quickstart/figures/")}
    assert made == {f"quickstart/{name}" for name in {"finaltest.h5", "final.h5", "answer.png"} | shards}
    details = {path.name for path in (data / "quickstart" / "figures").iterdir()}
    assert {"answer.json", "answer.csv", "answer_field.csv", "pads.png", "pads.pdf", "correlations.png"} <= details
    assert read_answer(data / "quickstart" / "final.h5")["R"] == pytest.approx([s.R for s in DESIGN], abs=0.002)
    check_answer_figure(data / "quickstart" / "answer.png")


def test_all_stages_from_frames_to_answer_run_in_one_and_skip_what_is_done(quickstart, tmp_path):
    copy, printed = quickstart
    data = {"DATA_DIR": str(copy / "data" / "quickstart"), "ANSWER": "answers/ours.h5"}
    done = call(SCRIPTS / "run_all.sh", "--hit-weights", "unit", "--bias", 0, cwd=tmp_path, **data)
    assert done.returncode == 0, done.stderr
    assert "10 of 10 shards are already there" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("distance ")
    assert done.stdout.splitlines()[-1] != printed.splitlines()[-1]
    assert files(tmp_path) == {"answers/ours.h5"}
    assert read_answer(tmp_path / "answers" / "ours.h5")["R"] == pytest.approx([s.R for s in DESIGN], abs=0.002)
