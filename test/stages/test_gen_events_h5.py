"""The electrons of all shards as one HDF5 table."""

import dataclasses
import json
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest

from src import gen_events_h5
from support import ROOT
from support.shards import SETTINGS, events_at, shard_of, write
from util.electrons.shard_facts import SearchSettings
from util.finder.finder import EVENT
from util.runtime.errors import InputError
from util.runtime.facts import from_json


def electrons(n, first, seed):
    """Electrons of ten frames from `first` on, every field of its own."""
    rng = np.random.default_rng(seed)
    events = events_at(rng.uniform(-1, 1, n), rng.uniform(-1, 1, n), rng.uniform(0.8, 2.1, n))
    events["ImageId"] = np.sort(rng.integers(first, first + 10, n))
    for name in ("A", "sigma", "rho"):
        events[name] = rng.uniform(size=n)
    return events


@pytest.fixture
def shards(tmp_path):
    """Return a folder of three shards, the second without an electron, and the electrons of all."""
    parts = [electrons(40_000, 0, 1), electrons(0, 10, 2), electrons(7, 20, 3)]
    for start, events in zip((0, 10, 20), parts, strict=True):
        write(tmp_path / "shards", shard_of(events, start, start + 10, frames_in_source=30))
    return tmp_path / "shards", np.concatenate(parts)


def run(shards, output, *options):
    gen_events_h5.main(["--shards", str(shards), "--output", str(output), *options])
    return output


def test_the_table_holds_the_electrons_of_all_shards_in_order(shards, tmp_path, capsys):
    folder, expected = shards
    path = run(folder, tmp_path / "new" / "events.h5")
    with h5py.File(path) as file:
        table = file["Events"]
        assert table.dtype == EVENT
        assert np.array_equal(table[()], expected)
        assert table.compression == "gzip"
        assert {name: table.attrs[f"{name}_unit"] for name in EVENT.names} == gen_events_h5.UNITS
        assert file.attrs["source"] == "0123"
        assert from_json(SearchSettings, file.attrs["settings"], "events.h5") == SETTINGS
        assert json.loads(file.attrs["ranges_of_frames"]) == [[0, 10], [10, 20], [20, 30]]
        assert file.attrs["frames_in_source"] == 30
    assert f"{path}: 40007 electrons of 30 frames" in capsys.readouterr().out
    first = path.read_bytes()
    assert run(folder, path).read_bytes() == first


def test_missing_shards_are_refused_unless_a_part_is_asked_for(shards, tmp_path):
    folder, expected = shards
    (folder / "final_10_20.npz").unlink()
    with pytest.raises(InputError, match=r"found none for 10\.\.20"):
        run(folder, tmp_path / "events.h5")
    assert not (tmp_path / "events.h5").exists()
    with h5py.File(run(folder, tmp_path / "events.h5", "--partial")) as file:
        assert np.array_equal(file["Events"][()], expected)
        assert json.loads(file.attrs["ranges_of_frames"]) == [[0, 10], [20, 30]]


def test_shards_without_events_or_without_a_field_are_refused_and_nothing_is_left(shards, tmp_path):
    folder, _ = shards
    events = electrons(7, 20, 3)
    last = shard_of(events, 20, 30, frames_in_source=30)
    for bad, message in (
        (
            dataclasses.replace(last, events=None),
            r"final_20_30\.npz: expected events, found none; .* without --no-events",
        ),
        (
            dataclasses.replace(last, events=events[["ImageId", "x", "z", "weight"]].copy()),
            r"final_20_30\.npz: its events lack A, flux, rho, sigma; search",
        ),
    ):
        write(folder, bad)
        with pytest.raises(InputError, match=message):
            run(folder, tmp_path / "events.h5")
        assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_ends_in_one_line_and_leaves_nothing(shards, tmp_path):
    argv = ["-m", "src", "gen_events_h5", "--shards", str(shards[0]), "--output", str(tmp_path / "events.h5")]
    done = subprocess.run(
        [sys.executable, "-W", "error", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 2, done.stderr
    line = done.stderr.splitlines()[-1]
    assert (
        line == f"error: {tmp_path}/events.h5: cannot be written (File too large); make room there or name another file"
    )
    assert list(tmp_path.iterdir()) == [shards[0]]
