"""The published network's training by the stage: matrices, no shortcut, Adam."""

import numpy as np
import pytest
import torch

from src.network.matrix_net import MatrixNet
from src.network.weights import read_weights
from support.training import Killed, kill_in_the_second_epoch, saved, train
from util.runtime.errors import InputError

PUBLISHED = ("--input", "matrix", "--no-shortcut", "--optimiser", "adam")
PRETRAINING = (*PUBLISHED, "--pixels", "32", "--exchange", "1", "--epochs", "2")


@pytest.fixture(scope="module")
def trained(module_folder):
    """Return the folder of a run of two epochs."""
    folder = module_folder("trained")
    train(folder, *PRETRAINING)
    return folder


def test_a_run_killed_and_resumed_equals_an_unbroken_one(trained, tmp_path, monkeypatch):
    kill_in_the_second_epoch(monkeypatch)
    with pytest.raises(Killed):
        train(tmp_path, *PRETRAINING)
    monkeypatch.undo()
    train(tmp_path, *PRETRAINING)
    one, two = (saved(f / "published_pretraining.checkpoint.pt") for f in (trained, tmp_path))
    for key, value in one[0]["net"].items():
        assert torch.equal(value, two[0]["net"][key]), key
    assert [line.valid for line in one[1].curve] == [line.valid for line in two[1].curve]


def test_its_files_stand_beside_those_of_the_other_network_and_tell_how_it_was_made(trained):
    assert not (trained / "pretraining.weights.pt").exists()
    net, facts = read_weights(trained / "published_pretraining.weights.pt")
    assert isinstance(net, MatrixNet) and facts.stage == "published_pretraining"
    settings = facts.settings
    assert (settings.input, settings.pixels, settings.shortcut) == ("matrix", 32, False)
    assert (settings.optimiser, settings.exchange, settings.ema) == ("adam", 1, 0.0)
    # Without an average, what is validated is the network after its last step.
    tensors, _ = saved(trained / "published_pretraining.checkpoint.pt")
    assert torch.equal(tensors["net"]["net.fc.weight"], tensors["average"]["module.net.fc.weight"])
    assert np.load(trained / "valid_loss" / "published_pretraining.npy").shape == (2, 2)


def test_fine_tuning_goes_on_from_the_pretrained_weights_on_matrices_of_as_many_pixels(trained, capsys):
    train(trained, *PUBLISHED, "--stage", "fine_tuning", "--epochs", "1", "--rate", "1e-9")
    said = capsys.readouterr().out
    assert (
        "published_pretraining.weights.pt (2 epochs, " in said and "architecture resnet18, all layers, input\n" in said
    )
    assert "published_fine_tuning.weights.pt: measure it with .venv/bin/python -m benchmark.network" in said
    before, after = (saved(trained / f"published_{s}.weights.pt") for s in ("pretraining", "fine_tuning"))
    assert torch.equal(before[0]["net.conv1.weight"], after[0]["net.conv1.weight"])
    assert after[1].settings.pixels == after[1].input.pixels == 32
    assert after[1].prior.spheres[0].R == (0.47, 0.53)
    with pytest.raises(InputError, match=r"pretraining\.weights\.pt: expected pixels 64, found 32; leave --pixels"):
        train(trained, *PUBLISHED, "--stage", "fine_tuning", "--restart", "--pixels", "64")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pixels", "64"), r"published_pretraining\.checkpoint\.pt: expected a checkpoint of the same pixels"),
        (("--pixels", "33"), r"pretraining: pixels, of a matrix, must be even and at least 32"),
        (("--window", "16"), r"pretraining: pixels, of a matrix, .* without window and shortcut"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(trained, options, message):
    with pytest.raises(InputError, match=message):
        train(trained, *PRETRAINING, *options)


def test_pixels_without_a_matrix_files_with_one_and_weights_of_the_other_network_are_refused(trained, tmp_path, capsys):
    with pytest.raises(InputError, match=r"pixels, of a matrix.*use --input matrix"):
        train(tmp_path, "--pixels", "64")
    with pytest.raises(SystemExit):
        train(tmp_path, *PUBLISHED, "--train", "a.h5", "--valid", "b.h5")
    assert "--input matrix: files hold no matrices" in capsys.readouterr().err
    weights = str(trained / "published_pretraining.weights.pt")
    with pytest.raises(InputError, match=r"expected weights of a network for --input windows, found one for matrix"):
        train(tmp_path, "--init", weights)


def test_the_other_network_trains_without_shortcut_by_adam_and_is_fine_tuned(tmp_path):
    bare = ("--no-shortcut", "--optimiser", "adam", "--epochs", "1")
    train(tmp_path, *bare)
    train(tmp_path, *bare, "--stage", "fine_tuning")
    for stage in ("pretraining", "fine_tuning"):
        tensors, facts = saved(tmp_path / f"{stage}.weights.pt")
        assert not facts.settings.shortcut and facts.settings.optimiser == "adam"
        assert not any(name.startswith("shortcut") for name in tensors)
    # Weights with one are taken over as they are, unless the input is new.
    train(tmp_path / "whole", "--epochs", "1")
    given = ("--init", str(tmp_path / "whole" / "pretraining.weights.pt"), "--no-shortcut")
    with pytest.raises(InputError, match=r"expected shortcut False, found True; leave --no-shortcut out"):
        train(tmp_path / "whole", *given, "--stage", "fine_tuning", "--window", "0")
