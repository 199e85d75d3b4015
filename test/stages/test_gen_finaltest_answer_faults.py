"""The answer stage at fault: shards that are missing or do not belong together, options, a full disk."""

import dataclasses
import re
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile

from src import gen_finaltest_answer
from src.answer_steps.truth import truth_of
from support import ROOT
from support.answers import answer, numbers
from support.refusals import refusal_of
from support.shards import SETTINGS, events_at, shard_of, with_facts, write
from util.answer.final_h5 import read_answer
from util.electrons.shards import read_shard
from util.frames.open import open_frames
from util.runtime.errors import InputError


def copy_shards(source, target):
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_missing_frames_are_named_unless_part_is_enough(run_folder, tmp_path):
    shards = copy_shards(run_folder / "shards", tmp_path / "shards")
    (shards / "final_10_20.npz").unlink()
    finaltest = ("--finaltest", run_folder / "finaltest.h5")
    with pytest.raises(InputError, match=r"found none for 10\.\.20; run script/gen_finaltest_npy.sh --range 10 20, or"):
        answer(shards, tmp_path / "final.h5", *finaltest)
    assert not (tmp_path / "final.h5").exists()
    _, floor = numbers(answer(shards, tmp_path / "final.h5", *finaltest, "--partial"))
    assert floor > 0.02  # a third of the electrons fewer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "another"}, "expected the same file of frames as final_0_10.npz, found another"),
        (
            {"settings": dataclasses.replace(SETTINGS, spots="learn")},
            "expected the same settings of the finder as final_0_10.npz, found another",
        ),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(run_folder, tmp_path, changes, message):
    shards = copy_shards(run_folder / "shards", tmp_path / "shards")
    write(shards, with_facts(read_shard(shards / "final_10_20.npz"), **changes))
    with pytest.raises(InputError, match=rf"final_10_20\.npz: {message}"):
        answer(shards, tmp_path / "final.h5", "--partial")
    assert not (tmp_path / "final.h5").exists()


def test_frames_of_a_format_that_tells_no_truth_are_left_alone(tmp_path):
    (tmp_path / "frames").mkdir()
    tifffile.imwrite(tmp_path / "frames" / "1.tif", np.zeros((32, 32), np.uint8), photometric="minisblack")
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["camera"] = np.zeros((3, 32, 32), np.uint16)
    assert truth_of(tmp_path / "missing.h5", None, "0123", 2) is None
    for path in (tmp_path / "frames", tmp_path / "frames" / "1.tif", tmp_path / "stack.h5"):
        with open_frames(path) as frames:
            source = frames.fingerprint()
        assert truth_of(path, None, source, 2) is None
        with pytest.raises(InputError, match="expected the file that the shards were made from, found another"):
            truth_of(path, None, "0123", 2)


def test_shards_of_another_file_than_finaltest_are_refused(run_folder, simulated, tmp_path):
    message = f"{simulated}: expected the file that the shards were made from, found another; run"
    with pytest.raises(InputError, match=re.escape(message)):
        answer(run_folder / "shards", tmp_path / "final.h5", "--finaltest", simulated)
    assert not (tmp_path / "final.h5").exists()


def start(*options, **how):
    argv = [sys.executable, "-W", "error", "-m", "src", "gen_finaltest_answer", *options]
    return subprocess.run([str(word) for word in argv], cwd=ROOT, capture_output=True, text=True, timeout=60, **how)


def refusal(tmp_path, capsys, *options, shards="shards"):
    """Answer where that is refused, and check that it ends with status two; return what it said."""
    words = ("--shards", tmp_path / shards, "--output", tmp_path / "final.h5", *options)
    status, stdout, stderr = refusal_of(gen_finaltest_answer.main, *words, capsys=capsys)
    assert (status, stdout) == (2, "")
    assert not (tmp_path / "final.h5").exists()
    return stderr


def test_a_folder_without_shards_ends_with_status_two_and_one_line(tmp_path, capsys):
    assert refusal(tmp_path, capsys, shards="none") == (
        f"error: {tmp_path / 'none'}: expected shards final_START_STOP.npz, found none; "
        "run script/gen_finaltest_npy.sh\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("events", [True, False])
def test_frames_without_a_single_electron_end_with_status_two_and_one_line(tmp_path, capsys, events):
    empty = shard_of(events_at([], []))
    write(tmp_path / "shards", empty if events else dataclasses.replace(empty, events=None))
    (line,) = refusal(tmp_path, capsys).splitlines()
    assert line.startswith(f"error: {tmp_path / 'shards'}: found 0 hits, expected at least 2000 for 2 sphere(s)")


def test_more_spheres_than_there_are_is_refused_in_one_line(tmp_path, capsys):
    rng = np.random.default_rng(3)
    write(tmp_path / "shards", shard_of(events_at(*rng.uniform(-1, 1, (2, 5000)))))
    (line,) = refusal(tmp_path, capsys, "--spheres", 3).splitlines()
    assert line.startswith(f"error: {tmp_path / 'shards'}: ")


@pytest.mark.parametrize("limit", [1000, 60_000], ids=["answer", "figure"])
def test_a_disk_that_fills_up_leaves_no_part_of_a_file(run_folder, tmp_path, limit):
    with h5py.File(tmp_path / "final.h5", "w") as file:
        file["Answer"] = "old"
    (tmp_path / "answer.png").write_text("old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = start(
        *("--shards", run_folder / "shards", "--output", tmp_path / "final.h5", "--figure", tmp_path / "answer.png"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    full = tmp_path / ("final.h5" if limit == 1000 else "answer.png")
    assert line == f"error: {full}: cannot be written (File too large); make room there or name another file"
    assert full.read_bytes() == before[full.name]
    assert {path.name for path in tmp_path.iterdir()} == before.keys()
    if limit > 1000:
        read_answer(tmp_path / "final.h5")


@pytest.mark.parametrize(
    "options",
    [
        ["--spheres", "0"],
        ["--order", "7"],
        ["--order", "26"],
        ["--method", "guess"],
        ["--hit-weights", "heavy"],
        ["--figure", "answer.doc"],
        ["--no-such-option"],
        ["--bias", "3"],
    ],
)
def test_options_out_of_range_end_with_status_two(run_folder, tmp_path, capsys, options):
    with pytest.raises(SystemExit) as ended:
        answer(run_folder / "shards", tmp_path / "final.h5", *options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "method"),
    [
        (["--nonnegative"], "resnet"),
        (["--prior", "prior.toml"], "resnet"),
        (["--check-integrated"], "resnet"),
        (["--bootstrap", "4"], "resnet"),
        (["--force"], "likelihood"),
        (["--raw"], "integrated"),
        (["--bootstrap", "4"], "integrated"),
        (["--hit-weights", "unit"], "integrated"),
        (["--figure", "answer.png"], "integrated"),
    ],
)
def test_an_option_that_the_method_has_no_use_for_is_refused_in_a_sentence(capsys, tmp_path, option, method):
    with pytest.raises(SystemExit) as ended:
        answer(tmp_path, tmp_path / "final.h5", "--method", method, *option)
    assert ended.value.code == 2
    sentence = f"{option[0]} does not apply to --method {method}; leave it out, or answer otherwise"
    assert f"error: {sentence}" in capsys.readouterr().err


def test_an_option_at_its_default_counts_as_not_given(tmp_path):
    options = ("--method", "resnet", "--orders", "all", "--subtract-bias", "clear")
    with pytest.raises(InputError, match="expected weights, found none; name them, or their folder, with --network"):
        answer(tmp_path, tmp_path / "final.h5", *options)
