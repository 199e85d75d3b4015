"""The answer stage: from shards to final.h5, without a look at the truth."""

import dataclasses
import hashlib
import re
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile

from src.answer_steps import outcome
from src.answer_steps.truth import truth_of
from support import ROOT
from support.answers import CENTRE, ELECTRONS, MADE_BY, answer, parameters, write_run
from support.figures import check_answer_figure
from support.shards import SETTINGS, events_at, shard_of, with_facts, write
from support.truth import DESIGN
from util.answer.final_h5 import ANSWER_DTYPE, read_answer, read_made_by
from util.electrons.hits import read_hits
from util.electrons.shards import list_shards, read_shard
from util.fit.result import floor_distance
from util.frames.course_file import FrameFile
from util.frames.open import open_frames
from util.physics import pad
from util.runtime.errors import InputError
from util.simulation.truth_tables import TRUTH


@pytest.fixture(scope="session")
def answered(run_folder, tmp_path_factory):
    """Give final.h5, its figure, and what the stage printed."""
    folder = tmp_path_factory.mktemp("answer") / "new"
    options = ("--finaltest", run_folder / "finaltest.h5", "--figure", folder / "answer.png")
    return folder / "final.h5", answer(run_folder / "shards", folder / "final.h5", *options)


def last_line(printed):
    return printed.splitlines()[-1]


def numbers(printed):
    """Distance and floor of the last line."""
    found = re.fullmatch(r"distance (\d\.\d{4}) \(statistical floor (\d\.\d{4})\)", last_line(printed))
    return tuple(map(float, found.groups()))


def datasets(path):
    """Everything in final.h5 but how it was made."""
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file if name != "MadeBy"}


def test_the_answer_is_in_the_courses_format(answered):
    path, _ = answered
    with h5py.File(path) as file:
        rows = file["Answer"][()]
        assert file["Answer"].dtype == np.dtype([("SphereId", "u1"), ("R", "<f8"), ("beta", "<f8", (12,))])
        assert "1/2 + sum" in file["Answer"].attrs["convention"]
        assert "1 + sum" in file["AnswerField"].attrs["convention"]
        field = file["AnswerField"][()]
    assert rows["SphereId"].tolist() == [0, 1]
    assert rows["R"] == pytest.approx([0.5, 0.8], abs=1e-4)
    assert field.dtype == ANSWER_DTYPE
    assert np.array_equal(field["beta"], 2 * rows["beta"])
    assert np.array_equal(field["R"], rows["R"])
    assert [file.name for file in path.parent.iterdir() if file.suffix == ".h5"] == ["final.h5"]


def test_the_answer_comes_as_near_the_truth_as_the_electrons_allow(answered):
    path, printed = answered
    distance, floor = numbers(printed)
    truth = np.array([sphere.beta for sphere in DESIGN])
    assert distance == pytest.approx(pad.distance(read_answer(path)["beta"], truth), abs=6e-5)
    assert 0.015 < floor < 0.03  # 0.0052 at 4.3 million electrons, as 1 / sqrt(electrons)
    with h5py.File(path) as file:
        betas = [name.startswith(b"beta") for name in file["Parameters"]["Name"]]
        covariance = file["FloorCovariance"][()][np.ix_(betas, betas)]
    draws, rng = outcome.FLOOR_DRAWS, np.random.default_rng(0)
    assert floor == pytest.approx(floor_distance(covariance, draws, rng), abs=6e-5)
    assert distance < 1.6 * floor


def test_every_parameter_stands_beside_its_error_and_is_compatible_with_the_truth(answered):
    found = parameters(answered[0])
    known = {"centre_x": CENTRE[0], "centre_z": CENTRE[1]}
    for number, sphere in enumerate(DESIGN, 1):
        known |= {f"N_{number}": ELECTRONS, f"R_{number}": sphere.R, f"sigma_R_{number}": sphere.sigma_R}
        known |= {f"beta_{2 * i}_{number}": beta for i, beta in enumerate(sphere.beta, 1)}
    assert set(found) == set(known)
    pulls = np.array([(found[name]["Value"] - value) / found[name]["Error"] for name, value in known.items()])
    assert np.abs(pulls).max() < 4
    assert 0.6 < np.sqrt(np.mean(pulls**2)) < 1.4
    excess = np.array([row["Error"] / row["Floor"] for row in found.values()])
    assert excess == pytest.approx(np.sqrt(1 + 0.17**2), rel=0.03)  # flux spreads by 0.17
    assert excess.mean() == pytest.approx(np.sqrt(1 + 0.17**2), rel=0.004)


def test_covariances_are_whole_and_in_the_order_of_the_parameters(answered):
    with h5py.File(answered[0]) as file:
        rows = file["Parameters"][()]
        for name, errors in (("Covariance", rows["Error"]), ("FloorCovariance", rows["Floor"])):
            covariance = file[name][()]
            assert covariance.shape == (len(rows),) * 2 == (32, 32)
            assert np.allclose(covariance, covariance.T, rtol=1e-8)
            assert np.allclose(np.sqrt(np.diag(covariance)), errors)
            correlation = covariance / np.outer(errors, errors)
            assert np.linalg.eigvalsh(correlation).min() > 0
        betas = [i for i, row in enumerate(rows) if row["Name"].startswith(b"beta")]
        assert np.array_equal(rows["Value"][betas].reshape(2, 12), file["Answer"]["beta"])


def test_the_rest_of_the_fit_is_kept_as_well(answered):
    with h5py.File(answered[0]) as file:
        assert file["Centre"][()] == pytest.approx(CENTRE, abs=2e-4)
        goodness = file["Goodness"][()][0]
    assert goodness["Deviance"] / goodness["DegreesOfFreedom"] == pytest.approx(1, abs=0.15)
    assert goodness["Condition"] > 1


def test_the_answer_says_what_it_was_made_from(answered, run_folder):
    made_by = read_made_by(answered[0])
    assert made_by.settings == MADE_BY.settings
    shards = (run_folder / "shards").iterdir()
    assert made_by.shards == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}
    with FrameFile(run_folder / "finaltest.h5") as file:
        assert made_by.source == file.fingerprint()
    assert set(made_by.versions) == {"python", "numpy", "h5py"}


def test_a_table_shows_value_error_floor_truth_and_pull_of_every_parameter(answered):
    path, printed = answered
    first, head, *lines, figure, _ = printed.splitlines()
    body, (deviance, *tests) = lines[: len(parameters(path))], lines[len(parameters(path)) :]
    for line, name in zip(tests, ("deviance", "radial profile", "angular profile", "worst region"), strict=False):
        assert re.match(rf"{name} +p = ", line)
    total = sum(row["Value"] for name, row in parameters(path).items() if name.startswith("N_"))
    electrons = re.fullmatch(rf"{path}: {2 * ELECTRONS} hits, (\d+) electrons", first)
    assert float(electrons[1]) == pytest.approx(total, rel=1e-3)
    assert head.split() == ["parameter", "value", "error", "floor", "truth", "pull"]
    for line, (name, row) in zip(body, parameters(path).items(), strict=True):
        words = line.split()
        assert words[0] == name
        assert np.array(words[1:4], float) == pytest.approx(list(row)[1:], abs=0.51 if name.startswith("N_") else 6e-7)
        assert len(words) == (4 if name.startswith(("N_", "centre")) else 6)
    (R,) = (line.split() for line in body if line.startswith("R_2"))
    assert float(R[4]) == 0.8
    assert float(R[5]) == pytest.approx((float(R[1]) - 0.8) / float(R[2]), abs=0.02)
    assert re.fullmatch(r"deviance \d+ for \d+ degrees of freedom; condition \d+", deviance)
    assert figure == f"figure {path.parent / 'answer.png'}"


def test_a_figure_is_drawn(answered):
    check_answer_figure(answered[0].parent / "answer.png")
    assert sorted(path.name for path in answered[0].parent.iterdir()) == ["answer.png", "final.h5"]


def test_the_truth_does_not_reach_the_fit(answered, run_folder, tmp_path):
    path, printed = answered
    lied = tmp_path / "finaltest.h5"
    lied.write_bytes((run_folder / "finaltest.h5").read_bytes())
    with h5py.File(lied, "r+") as file:
        rows = file[TRUTH][()]
        rows["beta"][0, 0] += 0.1
        rows["R"] -= 0.05
        rows["sigma_R"] *= 1.5
        file[TRUTH][...] = rows
    printed_of_lie = answer(run_folder / "shards", tmp_path / "final.h5", "--finaltest", lied)
    assert (tmp_path / "final.h5").read_bytes() == path.read_bytes()
    assert numbers(printed_of_lie)[0] > numbers(printed)[0] + 0.03
    assert numbers(printed_of_lie)[1] == numbers(printed)[1]


def test_without_a_file_of_frames_only_the_floor_is_told(answered, run_folder, tmp_path):
    path, printed = answered
    for options in ((), ("--finaltest", tmp_path / "none.h5")):
        printed_blind = answer(run_folder / "shards", tmp_path / "final.h5", *options)
        assert last_line(printed_blind) == f"statistical floor {numbers(printed)[1]:.4f}"
        assert "truth" not in printed_blind
        assert (tmp_path / "final.h5").read_bytes() == path.read_bytes()


def test_the_distribution_alone_gives_nearly_the_events_answer(answered, run_folder, tmp_path):
    path, printed = answered
    for shard in list_shards(run_folder / "shards"):
        write(tmp_path / "shards", dataclasses.replace(read_shard(shard), events=None))
    printed_bare = answer(tmp_path / "shards", tmp_path / "final.h5")
    assert printed_bare.splitlines()[0] == f"{tmp_path / 'final.h5'}: {printed.splitlines()[0].partition(': ')[2]}"
    bare, whole = parameters(tmp_path / "final.h5"), parameters(path)
    for name, row in whole.items():
        assert bare[name]["Value"] == pytest.approx(row["Value"], abs=0.25 * row["Error"]), name
        assert bare[name]["Error"] == pytest.approx(row["Error"], rel=0.05), name


def test_unit_weights_count_hits(answered, run_folder, tmp_path):
    printed = answer(run_folder / "shards", tmp_path / "final.h5", "--hit-weights", "unit")
    assert printed.splitlines()[0].endswith(f"{2 * ELECTRONS} hits, {2 * ELECTRONS} electrons")
    for name, row in parameters(tmp_path / "final.h5").items():
        assert row["Error"] == pytest.approx(row["Floor"], rel=0.03), name
    assert datasets(tmp_path / "final.h5")["Answer"]["R"] == pytest.approx([0.5, 0.8], abs=1e-4)


def test_unit_weights_of_the_distribution_alone_count_hits_too(run_folder, tmp_path):
    shard = read_shard(list_shards(run_folder / "shards")[0])
    write(tmp_path, dataclasses.replace(shard, events=None))
    found = read_hits(tmp_path, weights="unit", partial=True)
    assert found.count == len(shard.events)
    assert found.weight.sum() == pytest.approx(found.count)
    assert found.variance.sum() == pytest.approx(found.count)
    assert np.array_equal(found.distribution, shard.counts)
    # each point lies in the pixel whose content it carries
    points = np.histogram2d(found.x, found.z, 1024, [(-1, 1)] * 2, weights=found.weight)[0]
    assert np.allclose(points, shard.counts)


def test_one_sphere_is_answered_where_there_is_one(tmp_path):
    write_run(tmp_path, DESIGN[1:], seed=12)
    shards, finaltest = tmp_path / "shards", ("--finaltest", tmp_path / "finaltest.h5")
    with pytest.raises(InputError, match=r"finaltest\.h5: Truth: expected 2 sphere\(s\), found 1; use --spheres 1"):
        answer(shards, tmp_path / "final.h5", *finaltest)
    assert not (tmp_path / "final.h5").exists()
    printed = answer(shards, tmp_path / "final.h5", *finaltest, "--spheres", 1, "--figure", tmp_path / "one.pdf")
    rows = read_answer(tmp_path / "final.h5")
    assert rows["SphereId"].tolist() == [0]
    assert rows["R"] == pytest.approx([0.8], abs=1e-4)
    distance, floor = numbers(printed)
    assert distance < 2 * floor
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_betas_above_the_order_are_zero(run_folder, tmp_path):
    answer(run_folder / "shards", tmp_path / "final.h5", "--order", 20)
    beta = read_answer(tmp_path / "final.h5")["beta"]
    assert beta[:, :10].all()
    assert not beta[:, 10:].any()


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
    argv = [sys.executable, "-W", "error", "-m", "src.gen_finaltest_answer", *options]
    return subprocess.run([str(word) for word in argv], cwd=ROOT, capture_output=True, text=True, timeout=60, **how)


def test_a_folder_without_shards_ends_with_status_two_and_one_line(tmp_path):
    done = start("--shards", tmp_path / "none", "--output", tmp_path / "final.h5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {tmp_path / 'none'}: expected shards final_START_STOP.npz, found none; "
        "run script/gen_finaltest_npy.sh\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("events", [True, False])
def test_frames_without_a_single_electron_end_with_status_two_and_one_line(tmp_path, events):
    empty = shard_of(events_at([], []))
    write(tmp_path / "shards", empty if events else dataclasses.replace(empty, events=None))
    done = start("--shards", tmp_path / "shards", "--output", tmp_path / "final.h5")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'shards'}: found 0 hits, expected at least 2000 for 2 sphere(s)")
    assert not (tmp_path / "final.h5").exists()


def test_more_spheres_than_there_are_is_refused_in_one_line(tmp_path):
    rng = np.random.default_rng(3)
    write(tmp_path / "shards", shard_of(events_at(*rng.uniform(-1, 1, (2, 5000)))))
    done = start("--shards", tmp_path / "shards", "--output", tmp_path / "final.h5", "--spheres", 3)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'shards'}: ")
    assert not (tmp_path / "final.h5").exists()


@pytest.mark.parametrize("limit", [1000, 30_000], ids=["answer", "figure"])
def test_a_disk_that_fills_up_leaves_no_part_of_a_file(run_folder, tmp_path, limit):
    (tmp_path / "final.h5").write_text("old")
    (tmp_path / "answer.png").write_text("old")
    done = start(
        *("--shards", run_folder / "shards", "--output", tmp_path / "final.h5", "--figure", tmp_path / "answer.png"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    full = tmp_path / ("final.h5" if limit == 1000 else "answer.png")
    assert line == f"error: {full}: cannot be written (File too large); make room there or name another file"
    assert full.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer.png", "final.h5"]
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
        (["--bias", "0"], "resnet"),
        (["--check-integrated"], "resnet"),
        (["--bootstrap", "4"], "integrated"),
        (["--hit-weights", "unit"], "integrated"),
        (["--figure", "answer.png"], "integrated"),
    ],
)
def test_an_option_that_the_method_has_no_use_for_is_refused_in_a_sentence(capsys, tmp_path, option, method):
    with pytest.raises(SystemExit) as ended:
        answer(tmp_path, tmp_path / "final.h5", "--method", method, *option)
    assert ended.value.code == 2
    sentence = f"{option[0]} does not apply to --method {method}; leave it out, or answer with --method likelihood"
    assert capsys.readouterr().err.endswith(f"error: {sentence}\n")


def test_an_option_at_its_default_counts_as_not_given(tmp_path):
    options = ("--method", "resnet", "--orders", "all", "--subtract-bias", "clear")
    with pytest.raises(InputError, match="--method resnet: expected the folder of the weights"):
        answer(tmp_path, tmp_path / "final.h5", *options)


def test_what_the_readers_of_files_warn_of_reaches_the_answer(answered, run_folder, tmp_path, capsys):
    path = tmp_path / "finaltest.h5"
    path.write_bytes((run_folder / "finaltest.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        rows = file[TRUTH][()]
        rows.dtype.names = [{"sigma_R": "sigma"}.get(name, name) for name in rows.dtype.names]
        del file[TRUTH]
        file[TRUTH] = rows
    answer(run_folder / "shards", tmp_path / "final.h5", "--finaltest", path)
    said = f"{path}: Truth: taking sigma for sigma_R"
    before, after = (datasets(file)["Warnings"].astype(str).tolist() for file in (answered[0], tmp_path / "final.h5"))
    assert after == [said, *before]
    assert capsys.readouterr().err.splitlines().count(f"warning: {said}") == 1
