"""What the report says of an answer: what it is of, the verdict of its checks, the network beside it."""

import dataclasses
import shutil

import h5py
import numpy as np
import pytest

from support import ROOT
from support.truth import DESIGN
from util.answer.final_h5 import read_answer, read_made_by, read_tables
from util.answer.tables import Table
from util.frames.course_file import FrameFile, frame_dtype
from util.physics import pad
from util.report import html, network_report
from util.report.captions import DETECTOR
from util.report.origin import origin_of
from util.simulation.truth_tables import truth_rows

SAMPLE = ROOT / "data" / "sample"


def checks_of(*p):
    rows = np.zeros(len(p), [("Name", "S16"), ("P", "<f8")])
    rows["Name"], rows["P"] = [f"check {i}".encode() for i in range(len(p))], p
    return {"Tests": Table(rows), "Warnings": Table(np.array([], object))}


def test_the_verdict_names_the_least_p_beside_the_one_that_chance_makes():
    sound, text = html.verdict_of(checks_of(0.4, 0.07, 0.9))
    assert sound
    assert text.startswith("Nothing speaks against this answer: of 3 tests of the fit the smallest p is 0.07 (check 1)")
    assert text.endswith("chance alone makes about 0.25.")


def test_the_verdict_counts_what_speaks_against_an_answer():
    tables = checks_of(0.4) | {"Warnings": Table(np.array([b"one", b"two"], object))}
    assert html.verdict_of(tables) == (False, "2 findings speak against this answer:")
    assert html.verdict_of({}).text == (
        "Nothing is known to speak against this answer, but no tests of the fit were made."
    )


def test_the_figure_of_the_detector_stands_with_those_of_the_answer(tmp_path):
    (tmp_path / "detector.png").write_bytes(b"a picture")
    shown = html.figures(tmp_path, SAMPLE / "final.h5")
    assert shown.count("<img") == 1 and DETECTOR["detector"][:40] in shown


@pytest.fixture
def run(tmp_path):
    return answered(tmp_path, truth=True)


def answered(tmp_path, *, truth):
    """Return final.h5 of the sample, as if it were of a file of four frames beside it, which holds the truth or not."""
    frames = np.zeros(4, frame_dtype((32, 32)))
    frames["ImageId"] = range(4)
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file.create_dataset("FinalImage", data=frames, chunks=(1,))
        if truth:
            file["Truth"] = truth_rows(DESIGN)
    with FrameFile(tmp_path / "mine.h5") as opened:
        source = opened.fingerprint()
    answer = tmp_path / "final.h5"
    shutil.copy(SAMPLE / "final.h5", answer)
    made_by = dataclasses.replace(read_made_by(answer), source=source)
    with h5py.File(answer, "a") as file:
        file["MadeBy"][()] = made_by.to_json()
    return answer


def test_the_report_opens_with_the_file_and_the_distance_where_the_truth_is_known(run):
    told = dict(origin_of(run, SAMPLE, run.parent / "mine.h5"))
    assert told["data"].startswith("mine.h5, file of ")
    assert told["kind"].startswith("simulated")
    distance = pad.distance(read_answer(run)["beta"], [sphere.beta for sphere in DESIGN])
    assert told["distance from the truth"].startswith(f"{float(distance):.4f}; as many perfect hits would leave 0.01")
    assert "frames" not in told  # the shards of the sample are of other frames


def test_a_file_without_the_truth_is_measured(tmp_path):
    told = dict(origin_of(answered(tmp_path, truth=False), SAMPLE, tmp_path / "mine.h5"))
    assert told["kind"] == "measured: no truth is known" and "distance from the truth" not in told


def test_another_file_is_not_taken_for_the_one_of_the_answer(run):
    told = dict(origin_of(SAMPLE / "final.h5", SAMPLE, run.parent / "mine.h5"))
    assert told["data"].startswith("not here; fingerprint ")
    assert told["frames"] == "10,000"
    assert "kind" not in told and "distance from the truth" not in told


def test_the_opening_tells_the_electrons():
    text = html.opening(SAMPLE / "final.h5", SAMPLE, SAMPLE / "none.h5")
    assert "<dd>860,235 in 2 spheres</dd>" in text
    assert 'class="sound"' in text and "Nothing speaks against this answer" in text


def test_both_answers_stand_side_by_side_with_their_difference_in_errors():
    text = html.comparison(SAMPLE / "final.h5", SAMPLE / "final_resnet.h5")
    one, two = (read_answer(SAMPLE / name)["beta"][0, 1] for name in ("final.h5", "final_resnet.h5"))
    row = next(row for row in read_tables(SAMPLE / "final.h5")["Parameters"].array if row["Name"] == b"beta_4_1")
    assert f"<td>beta_4_1</td><td>0.6382(31)</td><td>{two:.5f}</td><td>{(two - one) / row['Error']:+.1f}</td>" in text
    assert "No second answer, of the network" in html.comparison(SAMPLE / "final.h5", SAMPLE / "none.h5")


def test_pixels_spread_over_points_leave_the_mean_square_to_expect():
    answer = SAMPLE / "final.h5"
    beta = read_answer(answer)["beta"]
    hits = network_report.read_electrons(SAMPLE / "finaltest_npy", answer)
    pulls, square = network_report.residuals(hits, answer, beta)
    assert square.found == pytest.approx(np.mean(pulls[pulls != 0] ** 2))
    assert abs(square.found - square.expected) < 2 * square.error
    # Taken for hits of their own, the points would scatter less than their variance says.
    as_hits = dataclasses.replace(hits, events=np.zeros(0))
    square = network_report.residuals(as_hits, answer, beta)[1]
    assert square.found < square.expected - 2 * square.error


def test_without_electrons_or_network_nothing_is_drawn(tmp_path):
    assert network_report.read_electrons(tmp_path, SAMPLE / "final.h5") is None
    assert network_report.draw_distribution(None) is None
    assert network_report.draw_pads(SAMPLE / "final.h5", tmp_path / "none.h5") is None
    assert network_report.draw_residuals(None, SAMPLE / "final.h5", SAMPLE / "final_resnet.h5") is None
