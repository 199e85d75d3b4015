"""Shards: what is written is read back, and what does not belong is refused."""

import dataclasses
import json
import re

import numpy as np
import pytest

from support import ROOT
from support.shards import SETTINGS, events_at, shard_of, write
from util.electrons.shard_facts import FrameCounts, SearchSettings
from util.electrons.shards import (
    MAP_SIZE,
    check_together,
    distribution_of,
    empty_events,
    list_shards,
    read_facts,
    read_shard,
    shard_path,
)
from util.finder.finder import EVENT
from util.runtime.errors import InputError


@pytest.fixture(scope="module")
def shard():
    rng = np.random.default_rng(1)
    x, z = rng.uniform(-1, 1, (2, 5000))
    events = events_at(x, z, rng.normal(1, 0.17, 5000), rng.integers(0, 10, 5000))
    return shard_of(events, counts_of_frames=FrameCounts(10, 1, 2, 3))


def assert_same(found, shard):
    for field in dataclasses.fields(shard):
        value, expected = getattr(found, field.name), getattr(shard, field.name)
        assert type(value) is type(expected)
        assert getattr(value, "dtype", None) == getattr(expected, "dtype", None)
        np.testing.assert_equal(value, expected)


def test_a_shard_is_read_back_as_it_was_written(tmp_path, shard):
    assert_same(read_shard(write(tmp_path / "new", shard)), shard)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["final_0_10.npz"]


def test_a_shard_without_events_or_without_electrons_is_a_normal_one(tmp_path, shard):
    bare = dataclasses.replace(shard, events=None)
    assert_same(read_shard(write(tmp_path, bare)), bare)
    nothing = shard_of(empty_events())
    assert nothing.events.dtype == EVENT
    assert not nothing.distribution.any()
    assert_same(read_shard(write(tmp_path, nothing)), nothing)


def test_facts_are_read_without_the_arrays(tmp_path, shard):
    facts = read_facts(write(tmp_path, shard))
    assert facts == shard.facts
    assert (facts.start, facts.stop, facts.source, facts.frames_in_source) == (0, 10, "0123", 10)
    assert facts.settings == SETTINGS
    assert facts.counts_of_frames == FrameCounts(10, 1, 2, 3)


def test_a_shard_is_the_same_bytes_whenever_it_is_written(tmp_path, shard):
    assert write(tmp_path / "a", shard).read_bytes() == write(tmp_path / "b", shard).read_bytes()


def test_a_hit_falls_into_its_own_pixel_x_along_axis_0_and_z_along_axis_1():
    pitch = 2 / MAP_SIZE
    pixels = np.array([[0, 0], [1023, 0], [0, 1023], [700, 300], [511, 512], [700, 300]])
    x, z = (-1 + pitch * (pixels + np.array([0.5, 0.3]))).T
    weight = np.array([1.0, 2.0, 0.5, 1.25, 1.0, 0.5])
    distribution, counts = distribution_of(events_at(x, z, weight))
    assert (distribution.shape, distribution.dtype) == ((1024, 1024), np.float32)
    assert (counts.shape, counts.dtype) == ((1024, 1024), np.int32)
    expected = np.zeros((1024, 1024))
    np.add.at(expected, tuple(pixels.T), weight)
    assert np.array_equal(distribution, expected)
    assert counts[700, 300] == 2
    assert counts.sum() == 6


def test_hits_off_the_screen_are_in_no_pixel():
    x, z = np.array([[1.001, -1.001, 0.0, 0.0, 0.0], [0.0, 0.0, 1.001, -1.001, 0.0]])
    distribution, counts = distribution_of(events_at(x, z))
    assert distribution.sum() == counts.sum() == 1


def test_the_maps_are_those_of_numpys_histogram():
    rng = np.random.default_rng(0)
    x, z = rng.uniform(-1.01, 1.01, (2, 20_000)).astype(np.float32)
    edges = np.linspace(-1, 1, 1025).astype(np.float32)
    x = np.concatenate((x, edges, np.nextafter(edges, np.float32(-2)), [-1e-30, 1e-30, -0.0]))
    z = np.concatenate((z, rng.permutation(edges), rng.permutation(edges), [0.0, -1e-30, 1e-30]))
    events = events_at(x, z, rng.uniform(0.5, 2, x.size))
    how = {"bins": 1024, "range": [(-1, 1), (-1, 1)]}
    x, z, weight = (events[name].astype(float) for name in ("x", "z", "weight"))
    distribution, counts = distribution_of(events)
    assert np.array_equal(distribution, np.histogram2d(x, z, weights=weight, **how)[0].astype(np.float32))
    assert np.array_equal(counts, np.histogram2d(x, z, **how)[0].astype(np.int32))
    assert 0.9 * x.size < counts.sum() < x.size


def test_a_shard_cut_short_or_damaged_is_refused_wherever_it_is_hurt(tmp_path, shard):
    path = write(tmp_path, shard)
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        for read in (read_facts, read_shard):
            with pytest.raises(InputError, match=r"final_0_10\.npz: not a whole shard: .*; remove it and run"):
                read(path)
    refusals = []
    for place in np.linspace(0, len(whole) - 1, 150).astype(int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:  # whatever else it raises fails the test
            read_shard(path)
        except InputError as error:
            refusals.append(str(error))
    assert "\n" not in "".join(refusals)
    assert len(refusals) > 130  # bytes that nobody reads, as dates, may differ


@pytest.mark.parametrize("content", [b"no archive at all", b"\x80\x04K\x01."], ids=["text", "pickle"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "final_0_10.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a whole shard"):
        read_shard(path)


def test_a_single_array_is_no_shard(tmp_path):
    with (tmp_path / "final_0_10.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="not a whole shard: File is not a zip file; remove it and run"):
        read_shard(tmp_path / "final_0_10.npz")


def test_a_missing_shard_is_named_with_a_remedy(tmp_path):
    with pytest.raises(InputError, match=r"final_0_5\.npz: no such shard; make it with script/gen_finaltest_npy\.sh"):
        read_shard(shard_path(tmp_path, 0, 5))


def rewrite(path, **changes):
    """Change arrays of a shard, or facts in it (None: leave it out)."""
    with np.load(path) as archive:
        arrays = dict(archive)
    facts = json.loads(str(arrays["facts"]))
    for key, value in changes.items():
        place = facts if key in facts else arrays
        if value is None:
            del place[key]
        else:
            place[key] = value
    if "facts" in arrays:
        arrays["facts"] = changes.get("facts", np.array(json.dumps(facts)))
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"distribution": np.zeros((512, 1024))},
            "expected distribution as float32 of shape (1024, 1024), found",
        ),
        ({"counts": None}, "expected counts as int32 of shape (1024, 1024), found no such array"),
        ({"events": np.zeros((5, 3))}, "expected events with ImageId, x, z, weight, found float64"),
        ({"events": np.zeros(5, [("x", "f4"), ("z", "f4")])}, "expected events with ImageId, x, z, weight, found"),
        ({"facts": None}, "its facts cannot be read"),
    ],
)
def test_arrays_that_are_not_a_shards_are_refused(tmp_path, shard, changes, message):
    path = write(tmp_path, shard)
    rewrite(path)
    read_shard(path)
    rewrite(path, **changes)
    with pytest.raises(InputError, match=re.escape(f"{path}: not a whole shard: {message}")):
        read_shard(path)


COUNTS = {"frames": 10, "dark": 1, "empty": 2, "saturated": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"facts": np.array("[1, 2]")}, "expected a table, found [1, 2]"),
        ({"facts": np.array("{no json")}, "expected JSON, found none"),
        ({"facts": np.array("[" * 100_000)}, "nested too deeply"),
        ({"source": None}, "key 'source' is missing"),
        ({"source": 5}, "expected text at 'source', found 5"),
        ({"start": "0"}, "expected an integer at 'start', found '0'"),
        ({"start": -1}, "expected a range of the 10 frames in the file, found -1..10"),
        ({"stop": 0}, "expected a range of the 10 frames in the file, found 0..0"),
        ({"frames_in_source": 9}, "expected a range of the 9 frames in the file, found 0..10"),
        ({"squared_weights": -1.0}, "expected a finite squared_weights of at least 0, found -1.0"),
        ({"squared_weights": float("nan")}, "expected a finite number at 'squared_weights', found nan"),
        ({"squared_weights": float("inf")}, "expected a finite number at 'squared_weights', found inf"),
        ({"counts_of_frames": {"frames": 10}}, "key 'counts_of_frames.dark' is missing"),
        ({"counts_of_frames": None}, "key 'counts_of_frames' is missing"),
        ({"counts_of_frames": COUNTS | {"frames": 9}}, "expected counts of the 10 frames 0..10, found 9"),
        ({"counts_of_frames": COUNTS | {"empty": -2}}, "counts_of_frames: expected no number of frames below 0"),
        ({"counts_of_frames": COUNTS | {"empty": 8}}, "counts_of_frames: expected no more frames of a kind"),
        ({"counts_of_frames": COUNTS | {"frames": True}}, "expected an integer at 'counts_of_frames.frames'"),
        ({"settings": {}}, "key 'settings.phosphor' is missing"),
        ({"settings": "{}"}, "expected a table at 'settings', found '{}'"),
    ],
)
def test_facts_that_make_no_sense_are_refused_before_an_array_is_read(tmp_path, shard, changes, message):
    path = write(tmp_path, shard)
    rewrite(path, counts=None, **changes)
    for read in (read_facts, read_shard):
        with pytest.raises(InputError, match=re.escape(f"{path}: facts: {message}")) as told:
            read(path)
        assert "\n" not in str(told.value)
        assert str(told.value).endswith("; search its frames again with script/gen_finaltest_npy.sh --overwrite")


def test_a_shard_of_other_frames_than_its_name_says_is_refused(tmp_path, shard):
    path = write(tmp_path, shard).rename(tmp_path / "final_0_9.npz")
    with pytest.raises(InputError, match=r"final_0_9\.npz: not a whole shard: expected frames as its name says"):
        read_facts(path)


def test_facts_are_written_in_the_order_of_the_fields_and_settings_in_alphabetical_order(shard):
    content = json.loads(shard.facts.to_json())
    assert list(content) == [field.name for field in dataclasses.fields(shard.facts)]
    for table in (content["settings"], content["settings"]["phosphor"], content["settings"]["phosphor"]["A"]):
        assert list(table) == sorted(table)


def test_the_sample_that_ships_with_the_program_is_read():
    facts = read_facts(ROOT / "data" / "sample" / "finaltest_npy" / "final_0_10000.npz")
    assert facts.counts_of_frames == FrameCounts(10_000, 0, 0, 0)
    assert facts.settings == SearchSettings(SETTINGS.phosphor, SETTINGS.finder, dataset=None, detector=None)


def test_shards_are_listed_by_number_and_other_files_are_left_out(tmp_path):
    names = ["final_10000_15000.npz", "final_5000_10000.npz", "final_0_5000.npz"]
    others = [".final_0_5000.77.partial.npz", "final_0.npz", "final_a_b.npz", "final_0_5.npz.bak"]
    for name in names + others:
        (tmp_path / name).touch()
    assert [path.name for path in list_shards(tmp_path)] == names[::-1]


def test_a_folder_without_shards_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=f"{folder}: expected shards final_START_STOP.npz, found none; run "):
            list_shards(folder)


def facts_of(*ranges, **changes):
    return [shard_of(empty_events(), *each, **{"frames_in_source": 30} | changes).facts for each in ranges]


def check(folder, facts, **options):
    check_together([shard_path(folder, fact.start, fact.stop) for fact in facts], facts, **options)


def test_shards_that_cover_the_file_once_belong_together(tmp_path):
    for partial in (False, True):
        check(tmp_path, facts_of((0, 10), (10, 25), (25, 30)), partial=partial)


@pytest.mark.parametrize(
    ("ranges", "missing"),
    [
        (((5, 30),), "0 5"),
        (((0, 10), (20, 30)), "10 20"),
        (((0, 10), (10, 20)), "20 30"),
    ],
)
def test_frames_that_no_shard_holds_are_named_unless_part_is_enough(tmp_path, ranges, missing):
    what = f"{tmp_path}: expected shards for all 30 frames, found none for {missing.replace(' ', '..')}; "
    with pytest.raises(InputError, match=re.escape(f"{what}run script/gen_finaltest_npy.sh --range {missing}, or")):
        check(tmp_path, facts_of(*ranges), partial=False)
    check(tmp_path, facts_of(*ranges), partial=True)


@pytest.mark.parametrize("ranges", [((0, 10), (9, 30)), ((0, 30), (10, 20)), ((0, 10), (0, 30))])
@pytest.mark.parametrize("partial", [False, True])
def test_frames_in_two_shards_are_refused_even_of_a_part(tmp_path, ranges, partial):
    with pytest.raises(InputError, match="which are in another shard too; remove one of them"):
        check(tmp_path, facts_of(*ranges), partial=partial)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"source": "4567"}, "the same file of frames as"),
        ({"settings": dataclasses.replace(SETTINGS, spots="learn")}, "the same settings of the finder as"),
    ],
)
def test_shards_of_another_file_or_search_do_not_belong(tmp_path, other, what):
    facts = facts_of((0, 10)) + facts_of((10, 30), **other)
    with pytest.raises(InputError, match=rf"final_10_30\.npz: expected {what} final_0_10\.npz, found another; remove"):
        check(tmp_path, facts, partial=True)
