"""Further runs through the answer stage: joined with the first, turned or not; what is no further run is refused."""

import h5py
import numpy as np
import pytest

from support import truth
from support.answers import answer, parameters
from support.shards import events_at, shard_of, write
from util.electrons.shard_facts import ImportSettings
from util.electrons.shards import read_shard
from util.report import html
from util.runtime.errors import InputError

PIXELS = (400, 400)
SMALL = ("--order", 4, "--fit", "none")
UNEVEN = 0.1


def imported(folder, seed, uneven=0.0, axis=1):
    """Write events that a detector with a quadrupole of efficiency registers, in the run's own axes."""
    rng = np.random.default_rng(seed)
    x, z = truth.hits(truth.DESIGN, (40_000, 40_000), rng=rng)
    kept = rng.random(x.size) < (1 + uneven * (x**2 - z**2)) / (1 + abs(uneven))
    folder.mkdir()
    write(
        folder, shard_of(events_at(x[kept], z[kept]), settings=ImportSettings("events", PIXELS, axis), source=str(seed))
    )
    return folder


@pytest.fixture(scope="module")
def first(module_folder):
    return imported(module_folder("runs") / "first", 170, UNEVEN)


def test_a_turned_run_tells_the_efficiency_which_final_h5_keeps(first, tmp_path):
    turned = imported(tmp_path / "turned", 171, -UNEVEN, axis=0)
    output = tmp_path / "final.h5"
    printed = answer(first, output, "--with", turned, "--turned", 90, *SMALL)
    assert "2 runs, " in printed and "they agree" in printed
    assert "of quadrupole efficiency would move" not in printed
    with h5py.File(output) as file:
        runs = file["Runs"]
        assert runs["TurnedDegrees"].tolist() == [0, 90]
        error = runs.attrs["quadrupole_error_percent"]
        assert runs.attrs["quadrupole_percent"] == pytest.approx(100 * UNEVEN, abs=3.5 * error)
        alone = {row["Name"].decode(): row for row in file["Run_1"][()]}
    assert "<dd>2, answered together: " in html.opening(output, tmp_path, tmp_path / "none.h5")
    joined = parameters(output)
    assert joined["R_1"]["Error"] < 0.8 * alone["R_1"]["Error"]
    assert abs(alone["beta_2_2"]["Value"] - joined["beta_2_2"]["Value"]) > 5 * joined["beta_2_2"]["Error"]


def test_another_run_of_the_same_setting_makes_the_errors_smaller(first, tmp_path):
    again = imported(tmp_path / "again", 172, UNEVEN)
    printed = answer(first, tmp_path / "final.h5", "--with", again, *SMALL)
    assert "they agree" in printed and "quadrupole efficiency of the detector" not in printed
    joined = parameters(tmp_path / "final.h5")
    answer(first, tmp_path / "alone.h5", *SMALL)
    alone = parameters(tmp_path / "alone.h5")
    assert joined["beta_2_1"]["Error"] / alone["beta_2_1"]["Error"] == pytest.approx(0.5**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected shards of another run, found some of frames or events that were read already"),
        (("--turned", 90), "expected data imported with --axis 0 for --turned 90, found --axis 1; tell"),
    ],
)
def test_what_is_no_further_run_is_refused(first, tmp_path, options, message):
    another = first if not options else imported(tmp_path / "another", 173)
    with pytest.raises(InputError, match=message):
        answer(first, tmp_path / "final.h5", "--with", another, *options, *SMALL)
    assert not (tmp_path / "final.h5").exists()


def test_the_same_events_cut_otherwise_are_no_further_run(first, tmp_path):
    some = read_shard(next(first.iterdir())).events[::2]
    write(tmp_path / "some", shard_of(some, settings=ImportSettings("events", PIXELS, 1), source="170"))
    with pytest.raises(InputError, match="expected shards of another run"):
        answer(first, tmp_path / "final.h5", "--with", tmp_path / "some", *SMALL)


def test_a_quadrupole_too_large_for_first_order_is_warned_of(first, tmp_path, capsys):
    turned = imported(tmp_path / "turned", 174, -0.5, axis=0)
    answer(first, tmp_path / "final.h5", "--with", turned, "--turned", 90, *SMALL)
    assert "is too large to be taken out in first order; measure it" in capsys.readouterr().err


def test_turned_without_further_runs_is_refused(first, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        answer(first, tmp_path / "final.h5", "--turned", 90)
    assert ended.value.code == 2
    assert "--turned: expected further runs, found none; name their shards with --with" in capsys.readouterr().err
