"""Training functions."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from src.network import training_step
from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import SphereNet
from src.network.training_step import TrainingStages, rate_at, stage_of
from support import ROOT
from support.param import INPUT, prior_named
from util.runtime.errors import InputError
from util.runtime.settings import load

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
    with pytest.raises(InputError, match="pretraining: batch and first_samples must be at least 2"):
        stage_of(STAGES, "pretraining", {"batch": 1})


def one_epoch(batches, **changes):
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, INPUT)
    settings = stage_of(STAGES, "pretraining", {"batch": 4, **changes})
    return net, training_step.train_epoch(
        net,
        copy.deepcopy(net),
        training_step.make_optimiser(net, settings),
        batches,
        settings,
        lambda _: 1e-4,
        device=torch.device("cpu"),
        epoch=3,
        frozen=True,
    )


def test_a_loss_that_is_no_number_stops_training_with_epoch_step_and_rate():
    good = (torch.rand(4, 128, 32), torch.rand(4, 2, 12))
    bad = (torch.rand(4, 128, 32), torch.full((4, 2, 12), math.nan))
    with pytest.raises(training_step.Diverged, match=r"epoch 3, step 1: loss nan.*rate 0\.0001.*lower --rate"):
        one_epoch([good, bad])


def test_an_epoch_sums_losses_over_its_samples_and_leaves_frozen_statistics_alone():
    net, sums = one_epoch(
        [(torch.rand(4, 128, 32), torch.rand(4, 2, 12)), (torch.rand(3, 128, 32), torch.rand(3, 2, 12))]
    )
    assert sums[2] == 7
    mean, std = training_step.mean_and_std(sums)
    assert 0 < mean < 10 and std >= 0
    assert net.net.bn1.running_mean.abs().max() == 0


class Trap:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        return print, ("code was run",)


def test_a_checkpoint_is_read_back_and_code_in_one_is_never_run(tmp_path, capsys):
    training_step.write_checkpoint(tmp_path / "good.pt", {"a": torch.arange(3)}, {"epoch": 2})
    tensors, facts = training_step.read_checkpoint(tmp_path / "good.pt")
    assert tensors["a"].tolist() == [0, 1, 2] and facts == {"epoch": 2}
    torch.save({"tensors": Trap(), "facts": "{}"}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"bad\.pt: expected a checkpoint"):
        training_step.read_checkpoint(tmp_path / "bad.pt")
    (tmp_path / "bad.pt").write_bytes(b"short")
    with pytest.raises(InputError, match=r"bad\.pt: expected a checkpoint"):
        training_step.read_checkpoint(tmp_path / "bad.pt")
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # said whenever oneDNN is set
def test_mixed_precision_gives_nearly_the_gradient_of_full_precision():
    """On a CPU without oneDNN, whose bf16 weight gradients are at fault (`training_step.check_precision`)."""
    inputs, betas = tensors(fresh_samples(prior_named("fine_tuning"), INPUT, 8, rng=seeded(0, 8)))
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, INPUT, betas.mean(0), betas.std(0))
    torch.nn.init.normal_(net.net.fc.weight, std=0.05)
    settings, found = stage_of(STAGES, "pretraining", {"clip": 1e9}), {}
    for precision in training_step.PRECISIONS:
        trained = copy.deepcopy(net)
        # Moves by the gradient.
        optimiser = torch.optim.SGD([{"params": list(trained.net.parameters()), "pace": 1.0}], lr=1.0)
        with torch.backends.mkldnn.flags(enabled=False):
            sums = training_step.train_epoch(
                trained,
                copy.deepcopy(net),
                optimiser,
                [(inputs, betas)],
                dataclasses.replace(settings, precision=precision),
                lambda _: 1.0,
                device=torch.device("cpu"),
                epoch=0,
                frozen=True,
            )
        moved = [(a - b).detach().flatten() for a, b in zip(net.parameters(), trained.parameters(), strict=True)]
        found[precision] = torch.cat(moved), sums
    full, mixed = found["float32"], found["bf16"]
    assert mixed[1] == pytest.approx(full[1], rel=0.02) and mixed[1][0] != full[1][0]
    assert torch.nn.functional.cosine_similarity(full[0], mixed[0], dim=0) > 0.98


def test_a_gpu_without_bf16_is_refused_and_one_with_it_is_not(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    training_step.check_precision("bf16", gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(InputError, match=r"expected a GPU with bf16.*found cuda"):
        training_step.check_precision("bf16", gpu)
