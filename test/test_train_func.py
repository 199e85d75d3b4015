"""Training functions."""

import copy
import math

import numpy as np
import pytest
import torch
from network_making import INPUT
from truth import ROOT

from src import train_func
from src.model import SphereNet
from src.train_func import TrainingStages, rate_at, stage_of
from util.errors import InputError
from util.settings import load

STAGES = load(TrainingStages, ROOT / "param" / "training.toml")


def test_the_rate_warms_up_and_falls_to_a_thousandth():
    settings = stage_of(STAGES, "pretraining", {"rate": 1.0})
    rates = [rate_at(settings, t) for t in np.linspace(0, 1, 101)]
    assert rates[0] < 0.1 and max(rates) == pytest.approx(1.0, abs=0.01) and rates[-1] == pytest.approx(1e-3)
    assert np.argmax(rates) == 20
    assert (
        np.argmax([rate_at(stage_of(STAGES, "pretraining", {"schedule": "cosine"}), t / 100) for t in range(101)]) == 2
    )


def test_settings_out_of_range_are_refused_with_the_stage():
    with pytest.raises(InputError, match="fine_tuning: arch: expected one of resnet18"):
        stage_of(STAGES, "fine_tuning", {"arch": "vgg"})


def one_epoch(batches, **changes):
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, INPUT)
    settings = stage_of(STAGES, "pretraining", {"batch": 4, **changes})
    return net, train_func.train_epoch(
        net,
        copy.deepcopy(net),
        train_func.make_optimiser(net, settings),
        batches,
        settings,
        lambda step: 1e-4,
        device=torch.device("cpu"),
        epoch=3,
        frozen=True,
    )


def test_a_loss_that_is_no_number_stops_training_with_epoch_step_and_rate():
    good = (torch.rand(4, 128, 32), torch.rand(4, 2, 12))
    bad = (torch.rand(4, 128, 32), torch.full((4, 2, 12), math.nan))
    with pytest.raises(train_func.Diverged, match=r"epoch 3, step 1: loss nan.*rate 0\.0001.*lower --rate"):
        one_epoch([good, bad])


def test_an_epoch_sums_losses_over_its_samples_and_leaves_frozen_statistics_alone():
    net, sums = one_epoch(
        [(torch.rand(4, 128, 32), torch.rand(4, 2, 12)), (torch.rand(3, 128, 32), torch.rand(3, 2, 12))]
    )
    assert sums[2] == 7
    mean, std = train_func.mean_and_std(sums)
    assert 0 < mean < 10 and std >= 0
    assert net.net.bn1.running_mean.abs().max() == 0


class Trap:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        return print, ("code was run",)


def test_a_checkpoint_is_read_back_and_code_in_one_is_never_run(tmp_path, capsys):
    train_func.write_checkpoint(tmp_path / "good.pt", {"a": torch.arange(3)}, {"epoch": 2})
    tensors, facts = train_func.read_checkpoint(tmp_path / "good.pt")
    assert tensors["a"].tolist() == [0, 1, 2] and facts == {"epoch": 2}
    torch.save({"tensors": Trap(), "facts": "{}"}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"bad\.pt: expected a checkpoint"):
        train_func.read_checkpoint(tmp_path / "bad.pt")
    (tmp_path / "bad.pt").write_bytes(b"short")
    with pytest.raises(InputError, match=r"bad\.pt: expected a checkpoint"):
        train_func.read_checkpoint(tmp_path / "bad.pt")
    assert "code was run" not in capsys.readouterr().out
