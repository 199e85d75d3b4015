"""The search stage: what is found, the same for any number of workers, any cut of the file and any format."""

import dataclasses

import h5py
import numpy as np
import pytest
import tifffile

from src import gen_finaltest_npy
from support.processes import contents
from support.searches import RECIPE, SMALL_SHAPE, names, run, write_frames
from util.camera.phosphor import render
from util.electrons.shards import distribution_of, list_shards, read_facts, read_shard
from util.finder.finder import EVENT
from util.finder.matching import match
from util.frames.course_file import FrameFile
from util.runtime.errors import InputError
from util.simulation.truth_tables import read_detected_electrons


def test_electrons_of_a_run_are_found_and_kept_in_ten_shards(simulated, tmp_path, capsys):
    run(simulated, tmp_path / "new" / "shards")
    shards = [read_shard(path) for path in list_shards(tmp_path / "new" / "shards")]
    assert [(shard.facts.start, shard.facts.stop) for shard in shards] == [(6 * i, 6 * i + 6) for i in range(10)]
    events = np.concatenate([shard.events for shard in shards])
    assert events.dtype == EVENT
    electrons = read_detected_electrons(simulated)
    matched = 0
    for image_id in range(60):
        found, true = events[events["ImageId"] == image_id], electrons[electrons["ImageId"] == image_id]
        pairs = match(*(np.stack((rows["x"], rows["z"]), axis=1) for rows in (found, true)), 2 * RECIPE.pitch)
        matched += pairs.hit.size
    assert 2 * matched / (len(events) + len(electrons)) >= 0.98
    distribution = sum(shard.distribution.astype(float) for shard in shards)
    assert distribution.sum() == pytest.approx(len(electrons), rel=0.01)
    assert sum(shard.counts.sum() for shard in shards) == len(events)
    squares = sum(shard.facts.squared_weights for shard in shards)
    assert squares == pytest.approx((events["weight"].astype(float) ** 2).sum())
    assert (
        f"60 frames searched: {len(events)} hits, {distribution.sum():.0f} electrons by flux" in capsys.readouterr().out
    )


def test_a_shards_maps_are_those_of_its_events(ten_shards):
    shard = read_shard(list_shards(ten_shards)[3])
    assert set(shard.events["ImageId"].tolist()) <= set(range(shard.facts.start, shard.facts.stop))
    assert shard.events.size > 50
    for found, expected in zip((shard.distribution, shard.counts), distribution_of(shard.events), strict=True):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_a_shard_says_what_it_was_made_from(small_frames, ten_shards):
    facts = read_facts(list_shards(ten_shards)[0])
    with FrameFile(small_frames) as file:
        assert facts.source == file.fingerprint()
        assert facts.settings.dataset == file.dataset
    assert facts.frames_in_source == 130
    assert facts.settings.spots == "learn"
    assert facts.settings.detector.frame_shape == SMALL_SHAPE
    assert facts.settings.detector.A.mean == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize(
    ("count", "shards", "ranges"),
    [
        (50000, 10, [(5000 * i, 5000 * i + 5000) for i in range(10)]),
        (3, 10, [(0, 1), (1, 2), (2, 3)]),
        (1, 1, [(0, 1)]),
        (7, 2, [(0, 4), (4, 7)]),
    ],
)
def test_ranges_cover_the_file_evenly_and_none_is_empty(count, shards, ranges):
    assert gen_finaltest_npy.ranges_over(0, count, shards) == ranges


def test_every_number_of_frames_and_shards_is_cut_without_loss():
    for count in range(1, 40):
        for shards in range(1, 14):
            ranges = gen_finaltest_npy.ranges_over(0, count, shards)
            moved = gen_finaltest_npy.ranges_over(1000, 1000 + count, shards)
            assert moved == [(1000 + start, 1000 + stop) for start, stop in ranges]
            lengths = [stop - start for start, stop in ranges]
            assert len(ranges) == min(count, shards)
            assert [start for start, _ in ranges] + [count] == [0] + [stop for _, stop in ranges]
            assert min(lengths) >= 1
            assert max(lengths) - min(lengths) <= 1


def test_the_result_does_not_depend_on_workers_or_on_how_the_file_is_cut(small_frames, ten_shards, tmp_path):
    run(small_frames, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(ten_shards)
    for workers in (1, 2):  # shards of more than one block
        run(small_frames, tmp_path / f"by {workers}", "--shard-count", 2, workers=workers)
    assert contents(tmp_path / "by 1") == contents(tmp_path / "by 2")
    assert names(tmp_path / "by 1") == ["final_0_65.npz", "final_65_130.npz"]
    events = [
        np.concatenate([read_shard(path).events for path in list_shards(folder)])
        for folder in (ten_shards, tmp_path / "by 1")
    ]
    assert np.array_equal(*events)


def as_stack(path, frames):
    with h5py.File(path, "w") as file:
        file["camera"] = frames
        file["dark"] = frames[:2]
    return path, ("--dataset", "camera")


def as_twelve_bits(path, frames):
    with h5py.File(path, "w") as file:
        file["camera"] = frames.astype(np.uint16)
    return path, ()


def as_pages(path, frames):
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path, ()


def as_folder(path, frames):
    path.mkdir()
    for index, frame in enumerate(frames):
        tifffile.imwrite(path / f"{index}.tif", frame, photometric="minisblack")
    return path, ()


@pytest.mark.parametrize(("make", "workers"), [(as_stack, 2), (as_twelve_bits, 1), (as_pages, 1), (as_folder, 2)])
def test_the_same_electrons_are_found_in_frames_of_any_format(small_frames, ten_shards, tmp_path, make, workers):
    with FrameFile(small_frames) as file:
        frames = np.stack([frame for _, frame in file.rows()])
    assert frames.max() < 255, "clipped frames would differ where more bits leave room"
    path, options = make(tmp_path / "frames", frames)
    run(path, tmp_path / "shards", *options, workers=workers)
    assert names(tmp_path / "shards") == names(ten_shards)
    for found, expected in zip(list_shards(tmp_path / "shards"), list_shards(ten_shards), strict=True):
        assert np.array_equal(read_shard(found).events, read_shard(expected).events)
    with pytest.raises(InputError, match="expected a shard of the same file of frames"):
        run(small_frames, tmp_path / "shards")


def test_a_range_makes_one_shard_of_those_frames(small_frames, ten_shards, tmp_path):
    run(small_frames, tmp_path, "--range", 26, 39)
    (name,) = names(tmp_path)
    assert (tmp_path / name).read_bytes() == (ten_shards / "final_26_39.npz").read_bytes()


def test_a_range_is_cut_where_that_is_asked_for_and_blocks_leave_no_trace(small_frames, ten_shards, tmp_path):
    run(small_frames, tmp_path, "--range", 26, 65, "--shard-count", 3, "--block", 4)
    assert names(tmp_path) == ["final_26_39.npz", "final_39_52.npz", "final_52_65.npz"]
    assert contents(tmp_path).items() <= contents(ten_shards).items()


def test_shards_without_events_keep_the_rest(small_frames, ten_shards, tmp_path):
    run(small_frames, tmp_path, "--range", 0, 13, "--no-events")
    bare, whole = read_shard(tmp_path / "final_0_13.npz"), read_shard(ten_shards / "final_0_13.npz")
    assert bare.events is None
    assert np.array_equal(bare.distribution, whole.distribution)
    assert np.array_equal(bare.counts, whole.counts)
    assert bare.facts == whole.facts
    assert (tmp_path / "final_0_13.npz").stat().st_size < (ten_shards / "final_0_13.npz").stat().st_size


def test_dark_empty_and_saturated_frames_are_normal_counted_and_reported(tmp_path, capsys):
    recipe = dataclasses.replace(RECIPE, frame_shape=SMALL_SHAPE)
    light = render(recipe, *np.array([[0.1, -0.5], [0.3, 0.2], [100.0, 100.0], [0.015, 0.015], [0.0, 0.0]]))
    dark = np.zeros(SMALL_SHAPE, np.uint8)
    faint = dark.copy()
    faint[5, 7] = 1
    saturated = np.full(SMALL_SHAPE, 255, np.uint8)
    path = write_frames(tmp_path / "f.h5", [light, dark, faint, saturated, dark, light])
    run(path, tmp_path / "shards", "--shard-count", 2)
    first, second = (read_shard(path) for path in list_shards(tmp_path / "shards"))
    assert dataclasses.astuple(first.facts.counts_of_frames) == (3, 1, 2, 0)
    assert dataclasses.astuple(second.facts.counts_of_frames) == (3, 1, 1, 1)
    assert len(first.events) == len(second.events) == 2
    said = capsys.readouterr().out
    assert "6 frames searched: 4 hits, 4 electrons by flux, 0.66 per frame" in said
    assert "3 frames without electrons (2 all dark), 1 too bright to search" in said


def test_a_run_without_any_electron_is_a_normal_one(tmp_path, capsys):
    path = write_frames(tmp_path / "f.h5", [np.zeros(SMALL_SHAPE, np.uint8)] * 3)
    run(path, tmp_path / "shards")
    assert names(tmp_path / "shards") == ["final_0_1.npz", "final_1_2.npz", "final_2_3.npz"]
    assert "3 frames searched: 0 hits, 0 electrons" in capsys.readouterr().out


def test_the_spot_is_learnt_unless_the_recipe_is_asked_for(small_frames, tmp_path, capsys):
    run(small_frames, tmp_path / "learnt", "--range", 0, 4)
    assert "isolated spots in 130 frames" in capsys.readouterr().out
    run(small_frames, tmp_path / "told", "--range", 0, 4, "--spots", "recipe")
    assert "as the recipe says" in capsys.readouterr().out
    facts = read_facts(tmp_path / "told" / "final_0_4.npz")
    assert facts.settings.spots == "recipe"
    assert facts.settings.detector.A == RECIPE.A
