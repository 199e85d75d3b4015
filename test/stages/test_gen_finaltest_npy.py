"""The search stage: shards whole or not there, the same for any number of workers, every fault in one line."""

import dataclasses
import json
import os
import resource
import signal

import h5py
import numpy as np
import pytest
import tifffile

from src import gen_finaltest_npy, simulate_finaltest
from support import ROOT
from support.param import EXPERIMENT, FINDER
from support.processes import contents, messages, stage, start, wait_until
from util.camera.phosphor import PhosphorRecipe, render
from util.electrons.shards import distribution_of, list_shards, read_facts, read_shard
from util.finder.finder import EVENT
from util.finder.matching import match
from util.frames.course_file import FRAMES, FrameFile, frame_dtype
from util.frames.course_writer import pack_frame, writing_frames
from util.runtime import settings
from util.runtime.errors import InputError
from util.simulation.truth_tables import read_detected_electrons

RECIPE = settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
SMALL = (256, 256)


def run(finaltest, output, *options, workers=1):
    argv = ["--finaltest", finaltest, "--output", output, *FINDER, "--workers", workers, *options]
    gen_finaltest_npy.main([str(word) for word in argv])


def begin(finaltest, output, *options, **how):
    return start(stage("gen_finaltest_npy", "--finaltest", finaltest, "--output", output, *options), **how)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def write_frames(path, frames):
    with writing_frames(path, frames[0].shape, len(frames), {}) as writer:
        packed = {}
        for index, frame in enumerate(frames):
            if id(frame) not in packed:
                packed[id(frame)] = pack_frame(index, frame)
            writer.write(index, packed[id(frame)])
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Give 130 small frames of 3 + 3 electrons."""
    path = tmp_path_factory.mktemp("small") / "finaltest.h5"
    options = [*EXPERIMENT, "--frame-shape", *map(str, SMALL)]
    options += ["--frames", "130", "--electrons", "3", "3", "--workers", "1"]
    simulate_finaltest.main([*options, "--output", str(path)])
    return path


@pytest.fixture(scope="module")
def ten(small, tmp_path_factory):
    """Give the ten shards of the small frames; not to be changed."""
    folder = tmp_path_factory.mktemp("ten")
    run(small, folder)
    return folder


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


def test_a_shards_maps_are_those_of_its_events(ten):
    shard = read_shard(list_shards(ten)[3])
    assert set(shard.events["ImageId"].tolist()) <= set(range(shard.facts.start, shard.facts.stop))
    assert shard.events.size > 50
    for found, expected in zip((shard.distribution, shard.counts), distribution_of(shard.events), strict=True):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_a_shard_says_what_it_was_made_from(small, ten):
    facts = read_facts(list_shards(ten)[0])
    with FrameFile(small) as file:
        assert facts.source == file.fingerprint()
        assert facts.settings.dataset == file.dataset
    assert facts.frames_in_source == 130
    assert facts.settings.spots == "learn"
    assert facts.settings.detector.frame_shape == SMALL
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


def test_the_result_does_not_depend_on_workers_or_on_how_the_file_is_cut(small, ten, tmp_path):
    run(small, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(ten)
    for workers in (1, 2):  # shards of more than one block
        run(small, tmp_path / f"by {workers}", "--shards", 2, workers=workers)
    assert contents(tmp_path / "by 1") == contents(tmp_path / "by 2")
    assert names(tmp_path / "by 1") == ["final_0_65.npz", "final_65_130.npz"]
    events = [
        np.concatenate([read_shard(path).events for path in list_shards(folder)]) for folder in (ten, tmp_path / "by 1")
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
def test_the_same_electrons_are_found_in_frames_of_any_format(small, ten, tmp_path, make, workers):
    with FrameFile(small) as file:
        frames = np.stack([frame for _, frame in file.rows()])
    assert frames.max() < 255, "clipped frames would differ where more bits leave room"
    path, options = make(tmp_path / "frames", frames)
    run(path, tmp_path / "shards", *options, workers=workers)
    assert names(tmp_path / "shards") == names(ten)
    for found, expected in zip(list_shards(tmp_path / "shards"), list_shards(ten), strict=True):
        assert np.array_equal(read_shard(found).events, read_shard(expected).events)
    with pytest.raises(InputError, match="expected a shard of the same file of frames"):
        run(small, tmp_path / "shards")


def test_a_range_makes_one_shard_of_those_frames(small, ten, tmp_path):
    run(small, tmp_path, "--range", 26, 39)
    (name,) = names(tmp_path)
    assert (tmp_path / name).read_bytes() == (ten / "final_26_39.npz").read_bytes()


def test_a_range_is_cut_where_that_is_asked_for_and_blocks_leave_no_trace(small, ten, tmp_path):
    run(small, tmp_path, "--range", 26, 65, "--shards", 3, "--block", 4)
    assert names(tmp_path) == ["final_26_39.npz", "final_39_52.npz", "final_52_65.npz"]
    assert contents(tmp_path).items() <= contents(ten).items()


@pytest.mark.parametrize(("first", "last"), [(100, 131), (-1, 5), (130, 140)])
def test_a_range_outside_the_file_is_refused_before_any_work(small, tmp_path, monkeypatch, first, last):
    monkeypatch.setattr(gen_finaltest_npy, "find_shards", lambda *args, **kwargs: pytest.fail("work was begun"))
    with pytest.raises(
        InputError, match=rf"finaltest\.h5: FinalImage: expected a range .* 0\.\.130, found {first}\.\."
    ):
        run(small, tmp_path, "--range", first, last)
    assert not names(tmp_path)


def test_a_second_run_leaves_whole_shards_alone_and_makes_the_missing_one_anew(small, ten, tmp_path, capsys):
    for name, content in contents(ten).items():
        (tmp_path / name).write_bytes(content)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    run(small, tmp_path, workers=2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert capsys.readouterr().out.endswith(f"\n{tmp_path}: 10 of 10 shards are already there\n")
    (tmp_path / "final_39_52.npz").unlink()
    run(small, tmp_path)
    said = capsys.readouterr().out
    assert f"{tmp_path}: 9 of 10 shards are already there\n" in said
    assert "13 frames searched" in said
    assert contents(tmp_path) == contents(ten)
    changed = [path.name for path in tmp_path.iterdir() if path.stat().st_mtime_ns != before[path]]
    assert changed == ["final_39_52.npz"]


def test_a_shard_that_is_not_whole_is_refused_rather_than_kept(small, ten, tmp_path):
    (tmp_path / "final_0_13.npz").write_bytes((ten / "final_0_13.npz").read_bytes()[:-500])
    with pytest.raises(InputError, match=r"final_0_13\.npz: not a whole shard: .*; remove it"):
        run(small, tmp_path)
    assert names(tmp_path) == ["final_0_13.npz"]


def test_shards_of_another_file_or_other_settings_are_refused_and_replaced_where_asked(small, ten, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(small) as file, h5py.File(other, "w") as copy:
        rows = file[FRAMES][:]
        rows["Image"][0, :20] = 0
        copy.create_dataset(FRAMES, data=rows, chunks=(1,), compression="gzip")
    finder = (ROOT / "param" / "finder.toml").read_text()
    assert "\nlast_rounds = 2" in finder
    (tmp_path / "finder.toml").write_text(finder.replace("\nlast_rounds = 2", "\nlast_rounds = 1"))
    first = ("--range", 0, 13)
    folder = tmp_path / "shards"
    for finaltest, options, what in (
        (other, (), "of the same file of frames"),
        (small, ("--finder", tmp_path / "finder.toml"), "of the same settings"),
    ):
        run(small, folder, *first, "--overwrite")
        assert contents(folder) == {"final_0_13.npz": (ten / "final_0_13.npz").read_bytes()}
        before = contents(folder)
        with pytest.raises(InputError, match=rf"final_0_13\.npz: expected a shard {what}, found another; remove it"):
            run(finaltest, folder, *first, *options)
        assert contents(folder) == before
        run(finaltest, folder, *first, *options, "--overwrite")
        assert contents(folder) != before


def test_shards_of_an_earlier_version_are_refused_and_replaced_where_asked(small, ten, tmp_path):
    with np.load(ten / "final_0_13.npz") as archive:
        arrays = dict(archive)
    facts = json.loads(str(arrays["facts"]))
    del facts["settings"]["detector"]["flux"]
    np.savez(tmp_path / "final_0_13.npz", **arrays | {"facts": np.array(json.dumps(facts))})
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"final_0_13\.npz: .* key 'settings.detector.flux' is missing; .*--overwrite"):
        run(small, tmp_path, "--range", 0, 13)
    assert contents(tmp_path) == before
    run(small, tmp_path, "--range", 0, 13, "--overwrite")
    assert contents(tmp_path) == {"final_0_13.npz": (ten / "final_0_13.npz").read_bytes()}


def test_shards_without_events_keep_the_rest(small, ten, tmp_path):
    run(small, tmp_path, "--range", 0, 13, "--no-events")
    bare, whole = read_shard(tmp_path / "final_0_13.npz"), read_shard(ten / "final_0_13.npz")
    assert bare.events is None
    assert np.array_equal(bare.distribution, whole.distribution)
    assert np.array_equal(bare.counts, whole.counts)
    assert bare.facts == whole.facts
    assert (tmp_path / "final_0_13.npz").stat().st_size < (ten / "final_0_13.npz").stat().st_size


def test_dark_empty_and_saturated_frames_are_normal_counted_and_reported(tmp_path, capsys):
    recipe = dataclasses.replace(RECIPE, frame_shape=SMALL)
    light = render(recipe, *np.array([[0.1, -0.5], [0.3, 0.2], [100.0, 100.0], [0.015, 0.015], [0.0, 0.0]]))
    dark = np.zeros(SMALL, np.uint8)
    faint = dark.copy()
    faint[5, 7] = 1
    saturated = np.full(SMALL, 255, np.uint8)
    path = write_frames(tmp_path / "f.h5", [light, dark, faint, saturated, dark, light])
    run(path, tmp_path / "shards", "--shards", 2)
    first, second = (read_shard(path) for path in list_shards(tmp_path / "shards"))
    assert dataclasses.astuple(first.facts.counts_of_frames) == (3, 1, 2, 0)
    assert dataclasses.astuple(second.facts.counts_of_frames) == (3, 1, 1, 1)
    assert len(first.events) == len(second.events) == 2
    said = capsys.readouterr().out
    assert "6 frames searched: 4 hits, 4 electrons by flux, 0.66 a frame" in said
    assert "3 frames without electrons (2 all dark), 1 too bright to search" in said


def test_a_run_without_any_electron_is_a_normal_one(tmp_path, capsys):
    path = write_frames(tmp_path / "f.h5", [np.zeros(SMALL, np.uint8)] * 3)
    run(path, tmp_path / "shards")
    assert names(tmp_path / "shards") == ["final_0_1.npz", "final_1_2.npz", "final_2_3.npz"]
    assert "3 frames searched: 0 hits, 0 electrons" in capsys.readouterr().out


def test_a_file_that_changed_between_two_runs_of_one_process_is_read_anew(tmp_path):
    recipe = dataclasses.replace(RECIPE, frame_shape=SMALL)
    path = tmp_path / "f.h5"
    for x in (0.25, -0.25):
        write_frames(path, [render(recipe, *np.array([[x], [0.5], [100.0], [0.015], [0.0]]))])
        run(path, tmp_path / "shards", "--overwrite")
        assert read_shard(tmp_path / "shards" / "final_0_1.npz").events["x"] == pytest.approx(x, abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        ["--workers", "0"],
        ["--workers", "two"],
        ["--shards", "0"],
        ["--block", "0"],
        ["--range", "5", "5"],
        ["--range", "9", "5"],
        ["--range", "5"],
        ["--no-such-option"],
    ],
)
def test_options_out_of_range_end_with_status_two(small, tmp_path, capsys, options):
    with pytest.raises(SystemExit) as ended:
        run(small, tmp_path, *options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err
    assert not names(tmp_path)


def no_hdf5(path, small):
    path.write_text("no frames at all")


def cut_short(path, small):
    path.write_bytes(small.read_bytes()[:-1000])


def no_frames(path, small):
    with h5py.File(path, "w") as file:
        file["Other"] = np.zeros(3)


def wrong_type(path, small):
    with h5py.File(path, "w") as file:
        file[FRAMES] = np.zeros(2, [("ImageId", "<i4"), ("Image", "<f4", SMALL)])


def wrong_shape(path, small):
    with h5py.File(path, "w") as file:
        file[FRAMES] = np.zeros(2, [("ImageId", "<i4"), ("Image", "u1", (256,))])


def no_rows(path, small):
    with h5py.File(path, "w") as file:
        file[FRAMES] = np.zeros(0, frame_dtype(SMALL))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path, small: None, "no such file; give an existing one, or make it"),
        (no_hdf5, "expected an HDF5 file, found one that begins with b'no frame'"),
        (cut_short, "expected a whole HDF5 file, found one cut short"),
        (
            no_frames,
            "expected a dataset FinalImage, or one of integers of shape (N, H, W), found Other (float64",
        ),
        (wrong_type, "FinalImage: expected Image of eight or sixteen bits (uint8, uint16), found float32"),
        (wrong_shape, "FinalImage: expected Image of shape (H, W)"),
        (no_rows, "FinalImage: expected one row per frame, found shape (0,)"),
    ],
)
def test_a_bad_file_ends_with_status_two_and_one_line(small, tmp_path, make, message):
    path = tmp_path / "bad.h5"
    make(path, small)
    program = begin(path, tmp_path / "shards", "--workers", 1)
    stdout, stderr = program.communicate(timeout=60)
    assert program.returncode == 2, stderr
    (line,) = messages(stderr)
    assert line.startswith(f"error: {path}: {message}")
    assert stdout == ""
    assert names(tmp_path / "shards") == []


def test_a_bad_settings_file_ends_with_status_two_and_one_line(small, tmp_path):
    (tmp_path / "finder.toml").write_text("seed = 0.3\nsed = 1\n")
    program = begin(small, tmp_path / "shards", "--finder", tmp_path / "finder.toml")
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 2
    (line,) = messages(stderr)
    assert line.startswith(f"error: {tmp_path / 'finder.toml'}: unknown key 'sed'; known here: seed, ")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_ends_in_one_line_and_keeps_the_shards_before(small, tmp_path, workers):
    with FrameFile(small) as file:
        crowded = np.minimum(sum(frame.astype(int) for _, frame in file.rows(0, 10)), 250).astype(np.uint8)
    path = write_frames(tmp_path / "f.h5", [np.zeros(SMALL, np.uint8)] * 20 + [crowded] * 20)
    limit = 12_000  # bytes; two empty maps take 8,500
    program = begin(
        path,
        tmp_path / "shards",
        *("--shards", 2, "--workers", workers),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    stdout, stderr = program.communicate(timeout=60)
    assert program.returncode == 2, stderr
    (line,) = messages(stderr)
    shard = tmp_path / "shards" / "final_20_40.npz"
    assert line == f"error: {shard}: cannot be written (File too large); make room there or name another file"
    assert "searched" not in stdout
    assert names(tmp_path / "shards") == ["final_0_20.npz"]
    assert read_shard(tmp_path / "shards" / "final_0_20.npz").facts.counts_of_frames.dark == 20


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_the_search_quietly_and_keeps_whole_shards(small, tmp_path, workers):
    with FrameFile(small) as file:
        frame = file.read(0)
    path = write_frames(tmp_path / "f.h5", [frame] * 30_000)
    program = begin(path, tmp_path / "shards", "--shards", 300, "--workers", workers)
    wait_until((tmp_path / "shards" / "final_0_100.npz").exists)
    os.killpg(program.pid, signal.SIGINT)  # as the terminal does
    _, stderr = program.communicate(timeout=30)
    assert program.returncode == 130, stderr
    (line,) = messages(stderr)
    assert line.startswith("interrupted")
    kept = list_shards(tmp_path / "shards")
    assert names(tmp_path / "shards") == sorted(path.name for path in kept)
    assert 1 <= len(kept) < 300
    for shard in kept:
        read_shard(shard)


def test_the_spot_is_learnt_unless_the_recipe_is_asked_for(small, tmp_path, capsys):
    run(small, tmp_path / "learnt", "--range", 0, 4)
    assert "isolated spots in 130 frames" in capsys.readouterr().out
    run(small, tmp_path / "told", "--range", 0, 4, "--spots", "recipe")
    assert "as the recipe says" in capsys.readouterr().out
    facts = read_facts(tmp_path / "told" / "final_0_4.npz")
    assert facts.settings.spots == "recipe"
    assert facts.settings.detector.A == RECIPE.A
