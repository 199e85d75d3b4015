"""The spot classifier: its patches, its training, and the network on whole frames."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
import torch

from src import gen_gauss_data, run_gauss_model
from src.network.checkpoint import write_checkpoint
from src.spot_classifier import finder
from src.spot_classifier.net import SpotFacts, SpotNet, losses, read_spot_net
from src.spot_classifier.patch_file import read_patches, task_settings
from src.spot_classifier.patches import ANYWHERE, NEAR, POSITIVE, nearest, to_cells
from src.spot_classifier.training import answers, scores
from support import ROOT
from support.training import Killed, kill_in_the_second_epoch, saved
from util.finder.matching import match
from util.frames.course_file import FrameFile
from util.runtime.errors import InputError
from util.simulation.truth_tables import read_detected_electrons

TOML = ROOT / "param" / "gauss.toml"
PIXEL, FINDER = (task_settings(TOML, task, {}) for task in ("pixel", "finder"))


SHORT = ("--epochs", 2, "--batch", 16, "--rate", 0.004)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # several fight over busy cores
    yield
    torch.set_num_threads(before)


def cut(finaltest, folder, *options, task="finder"):
    argv = ["--finaltest", finaltest, "--output", folder, "--settings", TOML, "--task", task, *options]
    gen_gauss_data.main([str(word) for word in argv])
    return [folder / f"{task}_{part}.h5" for part in ("train", "valid")]


def train(folder, *options, task="finder"):
    small = folder / "gauss.toml"
    small.write_text(
        TOML.read_text().replace("[16, 32, 32, 48]", "[8, 8, 16, 16]").replace("hidden = 64", "hidden = 16")
    )
    argv = ["--data", folder, "--settings", small, "--task", task, *options]
    run_gauss_model.main([str(word) for word in argv])


@pytest.fixture(scope="module")
def patches(simulated, module_folder):
    """Return a folder with the patches of both tasks from 40 frames; not to be changed."""
    folder = module_folder("gauss")
    for task, frames in (("pixel", 12), ("finder", 40)):
        cut(simulated, folder, "--frames", frames, task=task)
    return folder


@pytest.mark.parametrize("task", ["pixel", "finder"])
def test_patches_are_cut_where_they_say_and_hold_what_they_say(patches, simulated, task):
    settings = task_settings(TOML, task, {})
    rows = read_patches(patches / f"{task}_train.h5", settings)
    table = read_detected_electrons(simulated)
    some = rows[np.random.default_rng(0).permutation(len(rows))[:300]]
    with FrameFile(simulated) as frames:
        for row in some:
            own = table[table["ImageId"] == row["ImageId"]]
            cells = to_cells(frames.read(int(row["ImageId"])), own["x"], own["z"], settings.bin)
            i, j = row["Cell"]
            # a plain loop: no electron's cell, or just this one
            holding = [(int(x), int(z)) for x, z in cells.electrons]
            assert ((i, j) in holding) == (row["Kind"] == POSITIVE)
            assert cells.data[i, j] >= settings.bright
            n = settings.half_width
            assert row["Image"][n, n] == pytest.approx(cells.data[i, j])
            part = cells.data[max(i - n, 0) : i + n + 1, max(j - n, 0) : j + n + 1]
            assert row["Image"].sum(dtype=float) == pytest.approx(part.sum(dtype=float), rel=1e-6)
            gap = min(np.hypot(*(np.array(cell) - (i, j))) for cell in holding)
            assert row["Kind"] != NEAR or 0 < gap <= settings.reach
            assert row["Kind"] != POSITIVE or np.abs(row["Offset"]).max() <= 0.5


def test_patches_are_balanced_as_told_and_come_from_different_frames(patches, simulated, tmp_path):
    rows, valid = (read_patches(patches / f"finder_{part}.h5", FINDER) for part in ("train", "valid"))
    assert set(rows["ImageId"]) == set(range(32)) and set(valid["ImageId"]) == set(range(32, 40))
    assert np.mean(rows["Kind"] == POSITIVE) == pytest.approx(0.5, abs=0.01)
    assert np.mean(rows["Kind"] == NEAR) == pytest.approx(0.5 * FINDER.near, abs=0.02)
    path, _ = cut(simulated, tmp_path, "--frames", 20, "--positive", 0.2, "--near", 0)
    rows = read_patches(path, FINDER)
    assert np.mean(rows["Kind"] == POSITIVE) == pytest.approx(0.2, abs=0.01)
    assert np.mean(rows["Kind"] == ANYWHERE) == pytest.approx(0.8, abs=0.01)


def test_the_nearest_electron_is_that_of_a_plain_loop():
    rng = np.random.default_rng(2)
    electrons, cells = rng.uniform(0, 12, (20, 2)), rng.integers(0, 12, (200, 2))
    for cell, offset in zip(cells, nearest(electrons, cells), strict=True):
        gaps = [electron - cell - 0.5 for electron in electrons]
        best = min(gaps, key=lambda gap: float(gap @ gap))
        near = np.hypot(*best) < 1.5
        assert offset == pytest.approx(best if near else np.full(2, np.nan), nan_ok=True)
    assert np.isnan(nearest(np.zeros((0, 2)), cells)).all()


def test_a_whole_frame_in_one_pass_gives_the_answers_of_its_patches(patches, simulated):
    torch.manual_seed(1)
    net = SpotNet(PIXEL).eval()
    rows = read_patches(patches / "pixel_train.h5", PIXEL)
    rows = rows[rows["ImageId"] == 3]
    with FrameFile(simulated) as frames:
        frame = frames.read(3)[300:700, 300:700]
    inside = ((rows["Cell"] >= 310) & (rows["Cell"] < 690)).all(axis=1)
    one = answers(net, rows[inside])
    whole = finder.answer_frame(net, frame, PIXEL.half_width)
    assert whole.shape == (3, 400, 400) and inside.sum() > 20
    at = (rows["Cell"][inside] - 300).T
    np.testing.assert_allclose(whole[:, at[0], at[1]].T, one, atol=1e-4)
    assert np.ptp(one[:, 0]) > 1e-3


def test_patches_and_frames_go_to_the_device_of_the_network(patches):
    """On one that only knows shapes: all goes well until the answer is copied from there."""
    net = SpotNet(PIXEL).to("meta")
    rows = read_patches(patches / "pixel_train.h5", PIXEL)[:5]
    for ask in (lambda: answers(net, rows), lambda: finder.answer_frame(net, np.zeros((30, 30)), PIXEL.half_width)):
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
            ask()


def test_a_gpu_that_is_not_there_is_refused(patches, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda: expected a GPU, found none"):
        train(patches, "--device", "cuda")


def test_scores_are_those_of_a_count_by_hand():
    kind = np.array([POSITIVE, POSITIVE, POSITIVE, ANYWHERE, NEAR, NEAR])
    said = np.array([True, True, False, True, False, True])
    found = scores(said, kind)
    assert found["precision"] == pytest.approx(2 / 4) and found["recall"] == pytest.approx(2 / 3)
    assert found["accuracy"] == pytest.approx(3 / 6) and found["f1"] == pytest.approx(4 / 7)
    assert found["accuracy_near"] == 0.5 and found["accuracy_anywhere"] == 0.0


def test_the_loss_asks_for_a_place_only_where_one_is_known():
    output = torch.tensor([[0.0, 0.3, 0.1], [0.0, 5.0, 5.0]])[:, :, None, None]
    targets = torch.tensor([[1.0, 0.1, 0.1], [0.0, float("nan"), float("nan")]])
    found = losses(output, targets, 2.0)
    assert found.tolist() == pytest.approx([np.log(2) + 2 * 0.04, np.log(2)])


@pytest.fixture(scope="module")
def trained(patches):
    """Train the finder's network for two epochs, by a short way."""
    train(patches, *SHORT)
    return patches


def test_training_learns_and_tells_its_scores_per_epoch(trained):
    lines = [json.loads(line) for line in (trained / "finder.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1]
    assert {"f1", "precision", "recall", "accuracy"} <= set(lines[1]["scores"])
    assert lines[1]["scores"]["accuracy"] > 0.7 and lines[1]["valid"][0] < lines[0]["valid"][0]
    net, facts = read_spot_net(trained / "finder.weights.pt")
    small = dataclasses.replace(FINDER, channels=(8, 8, 16, 16), hidden=16, epochs=2, batch=16, rate=0.004)
    assert facts.settings == small and facts.epoch == len(facts.curve) == 2
    rows = read_patches(trained / "finder_valid.h5", FINDER)
    assert scores(answers(net, rows)[:, 0] > 0, rows["Kind"])["f1"] == pytest.approx(lines[1]["scores"]["f1"])


def test_the_trained_network_finds_electrons_in_a_frame_and_a_new_one_does_not(trained, simulated):
    net, facts = read_spot_net(trained / "finder.weights.pt")
    settings = facts.settings
    table = read_detected_electrons(simulated)
    with FrameFile(simulated) as frames:
        frame = frames.read(55)
    own = table[table["ImageId"] == 55]
    known = np.stack((own["x"], own["z"]), axis=1)

    def f1(net):
        return match(finder.find(net, frame, settings, threshold=0.0, apart=0.8), known, 4 * 2 / 1024).f1

    torch.manual_seed(0)
    assert f1(net) > 0.6 > 0.3 > f1(SpotNet(settings).eval())
    dark = finder.find(net, np.zeros((100, 100), np.uint8), settings, threshold=0.0, apart=0.6)
    assert dark.shape == (0, 2)


def test_of_two_places_close_together_the_surer_one_stays():
    answer = np.full((3, 8, 8), 0.0, np.float32)
    answer[0] = -5
    answer[:, 2, 2], answer[:, 2, 3], answer[:, 6, 6] = (1, 0.0, 0.4), (3, 0.0, -0.5), (2, 0.1, 0.1)
    data = np.full((8, 8), 100.0)
    places = finder.positions(answer, data, FINDER, threshold=0.0, apart=0.5)
    assert places.tolist() == [pytest.approx([2.5, 3.0]), pytest.approx([6.6, 6.6])]
    assert len(finder.positions(answer, data, FINDER, threshold=0.0, apart=0.05)) == 3


def test_a_training_killed_and_resumed_equals_an_unbroken_one(trained, tmp_path, monkeypatch):
    for part in ("train", "valid"):
        (tmp_path / f"finder_{part}.h5").symlink_to(trained / f"finder_{part}.h5")
    kill_in_the_second_epoch(monkeypatch)
    with pytest.raises(Killed):
        train(tmp_path, *SHORT)
    monkeypatch.undo()
    train(tmp_path, *SHORT)
    one, two = (saved(f / "finder.checkpoint.pt", SpotFacts)[0] for f in (trained, tmp_path))
    for name in ("net", "average"):
        for key, value in one[name].items():
            assert torch.equal(value, two[name][key]), key
    with pytest.raises(InputError, match=r"finder\.checkpoint\.pt: expected a checkpoint of the same seed"):
        train(tmp_path, *SHORT, "--seed", 3)


def test_patches_made_with_the_same_settings_are_kept_and_others_refused(patches, simulated):
    before = (patches / "pixel_train.h5").read_bytes()
    cut(simulated, patches, "--frames", 12, task="pixel")
    assert (patches / "pixel_train.h5").read_bytes() == before
    with pytest.raises(InputError, match=r"pixel_train\.h5: exists, made with other settings"):
        cut(simulated, patches, "--frames", 12, "--bright", 60, task="pixel")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frames", 61), r"expected a range of frames within 0\.\.60, found 0\.\.61"),
        (("--positive", 0), "positive must lie between 0 and 1"),
        (("--frames", 3, "--bright", 300), r"expected electrons as bright as 300 counts in frames 0\.\.2, found none"),
    ],
)
def test_impossible_questions_are_refused_and_nothing_is_left(simulated, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        cut(simulated, tmp_path / "gauss", *options)
    assert not list(tmp_path.rglob("*.h5"))


def test_files_without_truth_or_patches_are_refused_in_a_sentence(simulated, tmp_path):
    bare = tmp_path / "bare.h5"
    with h5py.File(simulated) as old, h5py.File(bare, "w") as new:
        new.create_dataset("FinalImage", data=old["FinalImage"][:3], chunks=(1,))
    with pytest.raises(InputError, match=r"bare\.h5: expected a table DetectedElectrons, found none"):
        cut(bare, tmp_path)
    with pytest.raises(InputError, match=r"finder_train\.h5: no such file; make it with script/gen_gauss_data\.sh"):
        train(tmp_path)
    (tmp_path / "finder_train.h5").write_bytes(bare.read_bytes())
    with pytest.raises(InputError, match=r"finder_train\.h5: expected Patches of type .*, found FinalImage"):
        train(tmp_path)
    with pytest.raises(InputError, match=r"none\.pt: no such checkpoint; train one with script/run_gauss_model\.sh"):
        read_spot_net(tmp_path / "none.pt")
    facts = SpotFacts(task="pixel", seed=0, patches=(2, 1), settings=PIXEL, epoch=0, samples=0, seconds=0.0, curve=())
    write_checkpoint(tmp_path / "other.pt", {}, facts)
    with pytest.raises(InputError, match=r"other\.pt: expected weights of the spot classifier"):
        read_spot_net(tmp_path / "other.pt")


def test_a_single_frame_cannot_train_and_validate(simulated, tmp_path):
    with h5py.File(simulated) as old, h5py.File(tmp_path / "one.h5", "w") as new:
        new.create_dataset("FinalImage", data=old["FinalImage"][:1], chunks=(1,))
        new.create_dataset("DetectedElectrons", data=old["DetectedElectrons"][()])
    with pytest.raises(InputError, match=r"one\.h5: expected two frames or more, to train and to validate, found 1"):
        cut(tmp_path / "one.h5", tmp_path)


def test_patches_of_another_width_are_refused(patches):
    with pytest.raises(InputError, match=r"pixel_train\.h5: expected Patches of type"):
        train(patches, "--half-width", 8, task="pixel")
