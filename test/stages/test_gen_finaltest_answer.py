"""The answer stage: from shards to final.h5, without a look at the truth."""

import contextlib
import dataclasses
import hashlib
import io
import re
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from src import gen_finaltest_answer
from src.answer_steps import outcome
from support.answers import CENTRE, ELECTRONS, MADE_BY, answer, last_line, numbers, parameters, write_run
from support.figures import check_answer_figure
from support.shards import write
from support.truth import DESIGN
from util.answer.final_h5 import ANSWER_DTYPE, read_answer, read_made_by
from util.electrons.hits import read_hits
from util.electrons.shards import list_shards, read_shard
from util.fit.result import floor_distance
from util.frames.course_file import FrameFile
from util.physics import pad
from util.runtime.errors import InputError
from util.simulation.truth_tables import TRUTH


@pytest.fixture(scope="session")
def answered(run_folder, tmp_path_factory):
    """Return final.h5, its figure, and what the stage printed."""
    folder = tmp_path_factory.mktemp("answer") / "new"
    options = ("--finaltest", run_folder / "finaltest.h5", "--figure", folder / "answer.png")
    return folder / "final.h5", answer(run_folder / "shards", folder / "final.h5", *options)


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


def test_a_steady_image_is_said_to_be_steady(answered):
    path, printed = answered
    (line,) = (line for line in printed.splitlines() if line.startswith("drift over"))
    assert all(f"{name} 0.00" in line for name in ("centre_x", "centre_z", "R_1", "R_2"))
    assert not any(b"drift" in text for text in datasets(path)["Warnings"])


def test_what_no_image_tells_stands_beside_the_errors(answered):
    path, printed = answered
    with h5py.File(path) as file:
        rows, errors = file["Systematics"][()], file["Parameters"]["Error"]
        told = file["Systematics"].attrs["text"].splitlines()
        assert rows["Name"].tolist() == file["Parameters"]["Name"].tolist()
    found = {row["Name"].decode(): row for row in rows}
    # What electrons at the poles weigh less, and those at the equator more, lowers beta_2.
    moved = np.abs(rows["Efficiency"]) / errors
    assert found["beta_2_2"]["Efficiency"] < 0 and moved.max() > 0.1
    assert found["R_2"]["Distortion"] == pytest.approx(0.01 * 0.8**3, rel=0.03)
    assert all(line in printed.splitlines() for line in told) and len(told) == 2
    assert "1 % uneven" in printed


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
    body, (legend, deviance, *tests) = lines[: len(parameters(path))], lines[len(parameters(path)) :]
    for line, name in zip(tests, ("deviance", "radial profile", "angular profile", "worst region"), strict=False):
        assert re.match(rf"{name} +p = ", line)
    total = sum(row["Value"] for name, row in parameters(path).items() if name.startswith("N_"))
    electrons = re.fullmatch(
        rf"{path}: {2 * ELECTRONS} hits, (\d+) electrons: (\d+) of sphere 1, (\d+) of sphere 2", first
    )
    assert float(electrons[1]) == pytest.approx(total, rel=1e-3)
    assert float(electrons[2]) + float(electrons[3]) == pytest.approx(float(electrons[1]), abs=1.1)
    assert "floor: the error of as many perfect hits" in legend and "pull: (value - truth) / error" in legend
    assert head.split() == ["parameter", "value", "error", "floor", "1", "%", "uneven", "truth", "pull"]
    for line, (name, row) in zip(body, parameters(path).items(), strict=True):
        words = line.split()
        assert words[0] == name
        assert np.array(words[1:4], float) == pytest.approx(list(row)[1:], abs=0.51 if name.startswith("N_") else 6e-7)
        assert len(words) == (5 if name.startswith(("N_", "centre")) else 7)
    (R,) = (line.split() for line in body if line.startswith("R_2"))
    assert float(R[5]) == 0.8
    assert float(R[6]) == pytest.approx((float(R[1]) - 0.8) / float(R[2]), abs=0.02)
    assert re.fullmatch(r"deviance \d+ for \d+ degrees of freedom; condition \d+", deviance)
    assert figure == f"figure {path.parent / 'answer.png'}"


def usual(run_folder, output, *options):
    """Return what the stage says, unless it is asked for all, on both streams."""
    words = ["--shards", run_folder / "shards", "--output", output, "--finaltest", run_folder / "finaltest.h5"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        gen_finaltest_answer.main([str(word) for word in (*words, *options)])
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def test_it_says_less_unless_all_is_asked_for_and_only_the_end_where_it_is_to_be_quiet(answered, run_folder, tmp_path):
    everything = answered[1].splitlines()
    lines, _ = usual(run_folder, tmp_path / "final.h5")
    assert lines[0].partition(": ")[2] == everything[0].partition(": ")[2]
    assert lines[1].split() == ["parameter", "value", "error", "floor", "truth", "pull"]
    assert not [line for line in lines if re.match("(deviance|worst region|drift over) ", line)]
    (summary,) = [line for line in lines if "tests of the fit" in line]
    assert summary.startswith("11 tests of the fit, none failed (p < 0.001); lowest: ")
    assert lines[-1] == everything[-1]
    assert usual(run_folder, tmp_path / "final.h5", "--quiet") == ([everything[-1]], [])


def test_that_the_figures_of_another_answer_are_replaced_is_said(tmp_path, capsys):
    figures, answer = tmp_path / "figures", tmp_path / "final.h5"
    outcome.tell_replaced(answer, figures)  # the first
    figures.mkdir()
    (figures / "answer.json").touch()
    answer.touch()
    outcome.tell_replaced(answer, figures)  # the same again
    assert capsys.readouterr().out == ""
    outcome.tell_replaced(tmp_path / "other.h5", figures)
    assert "replacing the figures and tables of another answer" in capsys.readouterr().out


def test_what_to_open_next_is_named_as_a_shell_reads_it():
    block = outcome.open_after_answer(Path("runs/of may/final.h5"), Path("runs/of may/figures"))
    head, figures, report, _ = block.splitlines()
    assert head == "open next:" and "runs/of may/figures: pads.png" in figures
    words = shlex.split(report)
    assert words == ["report", "DATA_DIR=runs/of may", "ANSWER=runs/of may/final.h5", "bash", "script/report.sh"]


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
    first, bare_first = (text.splitlines()[0].partition(": ")[2].split(": ") for text in (printed, printed_bare))
    assert bare_first[0] == first[0]  # hits and electrons; those of each sphere follow from the fit
    bare, whole = parameters(tmp_path / "final.h5"), parameters(path)
    for name, row in whole.items():
        assert bare[name]["Value"] == pytest.approx(row["Value"], abs=0.25 * row["Error"]), name
        assert bare[name]["Error"] == pytest.approx(row["Error"], rel=0.05), name


def test_unit_weights_count_hits(run_folder, tmp_path):
    printed = answer(run_folder / "shards", tmp_path / "final.h5", "--hit-weights", "unit")
    assert printed.splitlines()[0].partition(": ")[2].startswith(f"{2 * ELECTRONS} hits, {2 * ELECTRONS} electrons: ")
    for name, row in parameters(tmp_path / "final.h5").items():
        assert row["Error"] == pytest.approx(row["Floor"], rel=0.03), name
    assert datasets(tmp_path / "final.h5")["Answer"]["R"] == pytest.approx([0.5, 0.8], abs=1e-4)


def test_unit_weights_of_the_distribution_alone_count_hits_too(run_folder, tmp_path):
    shard = read_shard(list_shards(run_folder / "shards")[0])
    write(tmp_path, dataclasses.replace(shard, events=None))
    found = read_hits(tmp_path, hit_weights="unit", partial=True)
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
