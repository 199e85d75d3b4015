"""What a training says and keeps when it goes on: with other settings, about another prior, or with nothing left."""

import dataclasses
import json
import shutil
import sys

import pytest
import torch

from src.network import training_step
from support.networks import facts_of
from support.param import PARAM, prior_named
from support.processes import contents
from support.training import saved, train
from util.runtime.errors import InputError
from util.training.course import Change, changes_between
from util.training.priors import write_prior

CHECKPOINT = "pretraining.checkpoint.pt"
FINE_TUNING = ("--stage", "fine_tuning", "--epochs", "1")


@pytest.fixture(scope="module")
def one_epoch(module_folder):
    """Return the folder of a run of one epoch; not to be changed."""
    folder = module_folder("one")
    train(folder, "--epochs", "1")
    return folder


@pytest.fixture
def begun(one_epoch, tmp_path):
    """Return a copy of that folder."""
    return shutil.copytree(one_epoch, tmp_path / "begun")


def test_settings_given_at_a_resume_are_applied_told_and_kept_with_the_epoch(begun, monkeypatch, capsys):
    whole, seen = training_step.train_epoch, []

    def watched(state, model, batches, settings, rate, **how):
        batches = list(batches)
        seen.append((len(batches), len(batches[0][0]), settings.clip, settings.precision))
        sums = whole(state, model, batches, settings, rate, **how)
        seen.append([group["weight_decay"] for group in state.optimiser.param_groups])
        return sums

    monkeypatch.setattr(training_step, "train_epoch", watched)
    train(begun, "--epochs", "3", "--batch", "2", "--weight-decay", "0.5", "--rate", "1e-5", "--ema", "0.5")
    # an epoch of 8 samples; biases and the shortcut do not decay
    assert seen == [(4, 2, 1.0, "float32"), [0.5, 0.0, 0.0]] * 2
    told = "changed from epoch 1 on: batch 4 -> 2, epochs 1 -> 3, rate 0.0006 -> 1e-05, weight_decay 0.02 -> 0.5"
    assert f"{told}, ema 0.99 -> 0.5" in capsys.readouterr().out
    facts = saved(begun / CHECKPOINT)[1]
    first, second, third = facts.curve
    assert first.changes == third.changes == () and Change("weight_decay", 0.02, 0.5) in second.changes
    assert second.rate < 1.1e-5 < first.rate and facts.settings.weight_decay == facts.per_step.weight_decay == 0.5
    lines = (begun / "train_loss" / "pretraining.csv").read_text().splitlines()
    assert "weight_decay 0.02 -> 0.5" in lines[2] and lines[3].endswith(",")
    line = json.loads((begun / "train_loss" / "pretraining.jsonl").read_text().splitlines()[1])
    assert {"name": "batch", "before": 4, "now": 2} in line["changes"]


def test_an_average_of_another_length_is_in_force_from_the_next_step_on(begun):
    train(begun, "--epochs", "2", "--ema", "0")
    tensors, _ = saved(begun / CHECKPOINT)
    for name, value in tensors["net"].items():
        averaged = tensors["average"][f"module.{name}"]
        assert not value.is_floating_point() or torch.allclose(value, averaged, atol=1e-6), name


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        (("--arch", "resnet34"), "arch"),
        (("--first-samples", "500"), "first_samples"),
        (("--window", "8"), "window"),
        (("--spheres", "1", "--prior", f"{PARAM}/pretraining.toml"), "spheres"),
        (("--prior", f"{PARAM}/fine_tuning.toml"), "prior"),
    ],
)
def test_what_cannot_change_within_a_training_is_refused(begun, options, fact):
    shutil.copy(begun / CHECKPOINT, begun / "pretraining_single.checkpoint.pt")
    before = contents_of_files(begun)
    with pytest.raises(InputError, match=rf"expected a checkpoint of the same {fact}, found another.*--restart"):
        train(begun, "--epochs", "2", *options)
    assert contents_of_files(begun) == before


def contents_of_files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_input_of_other_bins_is_refused(begun, tmp_path):
    for path in PARAM.glob("*.toml"):
        shutil.copy(path, tmp_path)
    inputs = tmp_path / "network_input.toml"
    inputs.write_text(inputs.read_text().replace("weight_spread = 0.09", "weight_spread = 0.2"))
    assert "0.2" in inputs.read_text()
    with pytest.raises(InputError, match=r"expected a checkpoint of the same input, found another"):
        train(begun, "--epochs", "2", "--param", str(tmp_path))


def test_a_finished_training_says_so_changes_nothing_and_goes_on_when_told(begun, capsys):
    before = contents_of_files(begun)
    train(begun, "--epochs", "1")
    out = capsys.readouterr().out
    assert "pretraining: all of 1 epoch done" in out and "--epochs N or --rounds N" in out
    assert contents_of_files(begun) == before
    train(begun, "--epochs", "1", "--rounds", "2")
    out = capsys.readouterr().out
    assert f"resumed from epoch 1 of {begun}/{CHECKPOINT}" in out and "changed from" not in out
    assert saved(begun / CHECKPOINT)[1].epoch == 2


def test_a_training_begins_with_a_line_of_what_it_is_and_ends_with_how_to_use_it(tmp_path, capsys):
    train(tmp_path, "--epochs", "1")
    first, heading, epoch, last = capsys.readouterr().out.splitlines()
    assert first == "fits the shortcut to the first samples"
    assert heading == (
        "pretraining: resnet18 with 11,192,560 parameters on cpu (1 process); 8 samples of "
        f"{PARAM}/pretraining.toml an epoch, 4 a step; 1 epoch, from epoch 0"
    )
    assert epoch.startswith("epoch 1/1: training 0.") and "samples/s, 00:00 left" in epoch
    assert f"NETWORK={tmp_path} METHOD=resnet bash script/gen_finaltest_answer.sh" in last
    assert f"bash script/release_weights.sh --weights {tmp_path}/pretraining.weights.pt" in last


def test_fine_tuning_about_another_answer_goes_on_from_the_weights_before(begun, capsys):
    train(begun, *FINE_TUNING)
    prior = prior_named("fine_tuning")
    first, second = prior.spheres
    other = dataclasses.replace(prior, spheres=(dataclasses.replace(first, R=(0.44, 0.46)), second))
    write_prior(begun / "fine_tuning.toml", other, "About another answer.")
    capsys.readouterr()
    train(begun, *FINE_TUNING)
    out = capsys.readouterr().out
    assert "fine_tuning.checkpoint.pt: trained about another prior; a new round goes on from its weights" in out
    assert f"inherits from {begun}/fine_tuning.weights.pt (1 epoch," in out
    facts = saved(begun / "fine_tuning.weights.pt")[1]
    assert facts.prior.spheres[0].R == (0.44, 0.46) and facts.epoch == 1
    assert facts.inherited.stage == "fine_tuning" and facts.inherited.inherited.stage == "pretraining"


def test_fine_tuning_starts_from_released_weights_where_there_are_none_of_ones_own_and_says_so(begun, tmp_path, capsys):
    param = tmp_path / "param"
    param.mkdir()
    for path in (*PARAM.glob("*.toml"), begun / "pretraining.weights.pt"):
        shutil.copy(path, param)
    few = (*FINE_TUNING, "--param", str(param))
    train(tmp_path / "none", *few)
    assert f"inherits from {param}/pretraining.weights.pt" in capsys.readouterr().out
    train(begun, *few)
    assert f"inherits from {begun}/pretraining.weights.pt" in capsys.readouterr().out
    assert {path.name for path in param.glob("*.pt")} == {"pretraining.weights.pt"}


def test_a_batch_of_each_process_counts_as_that_of_the_step():
    facts = facts_of(prior_named("pretraining"), processes=2)
    assert (facts.batch_of, facts.settings.batch, facts.per_step.batch) == ("process", 64, 128)
    now = dataclasses.replace(facts, settings=facts.per_step, batch_of="step", processes=1)
    assert changes_between(facts, now) == (Change("processes", 2, 1),)


def test_snapshots_are_kept_of_every_nth_and_of_the_best_epoch(tmp_path):
    train(tmp_path, "--epochs", "5", "--keep-every", "2", "--checkpoint-every", "4", "--rate", "0.01")
    curve = saved(tmp_path / CHECKPOINT)[1].curve
    kept = contents(tmp_path / "snapshots")
    assert set(kept) == {f"pretraining.{name}.weights.pt" for name in ("best", "0002", "0004")}
    assert saved(tmp_path / "snapshots" / "pretraining.0002.weights.pt")[1].epoch == 2
    best = saved(tmp_path / "snapshots" / "pretraining.best.weights.pt")[1]
    assert best.curve[-1].valid == min(line.valid for line in curve)
    assert saved(tmp_path / "pretraining.weights.pt")[1].epoch == 5


def test_checkpoints_are_written_every_kth_epoch_and_losses_after_each(tmp_path, monkeypatch):
    monkeypatch.setattr(training_step, "train_epoch", failing_in_the_fourth(training_step.train_epoch))
    with pytest.raises(training_step.Diverged):
        train(tmp_path, "--epochs", "5", "--checkpoint-every", "2")
    assert saved(tmp_path / CHECKPOINT)[1].epoch == 2
    assert len((tmp_path / "train_loss" / "pretraining.jsonl").read_text().splitlines()) == 3


def failing_in_the_fourth(whole):
    def epoch(state, *args, **kwargs):
        if state.facts.epoch == 3:
            raise training_step.Diverged("no number")
        return whole(state, *args, **kwargs)

    return epoch


class Board:
    """Stands for TensorBoard's writer."""

    points: list

    def __init__(self, folder, purge_step):
        type(self).points = [(folder, purge_step)]

    def add_scalar(self, tag, value, step):
        self.points.append((tag, step, type(value)))

    def flush(self):
        pass


def test_curves_for_tensorboard_are_written_where_it_is_installed_and_else_refused_in_a_line(begun, monkeypatch):
    options = ("--epochs", "2", "--tensorboard", "board")
    before = contents_of_files(begun)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"--tensorboard: expected the package tensorboard, found none; install it"):
        train(begun, *options)
    assert contents_of_files(begun) == before
    fake = type("module", (), {"SummaryWriter": Board})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    train(begun, *options)
    assert Board.points == [("board", 1), *((name, 1, float) for name in ("train", "valid", "rate"))]
