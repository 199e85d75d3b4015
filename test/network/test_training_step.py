"""One epoch of a training, and the average over its steps."""

import copy
import math
from typing import get_args

import pytest
import torch

from src.network import training_step
from src.network.checkpoint import TrainingState
from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import SphereNet, distance
from support.networks import facts_of
from support.param import INPUT, STAGES, prior_named
from util.runtime.errors import InputError
from util.training.recipe import Precision


def state_of(net, optimiser, epoch=3):
    average = training_step.running_average(net, 0.99)
    return TrainingState(net, average, optimiser, facts_of(prior_named("pretraining"), epoch=epoch))


def train_epoch(state, batches, rate=1e-4, **changes):
    settings = STAGES.stage("pretraining", {"batch": 4, **changes})
    return training_step.train_epoch(
        state, state.net, batches, settings, lambda _: rate, losses_of=distance, frozen=True
    )


def one_epoch(batches):
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, INPUT)
    return net, train_epoch(state_of(net, training_step.make_optimiser(net, 1e-4, 0.02)), batches)


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


def test_the_running_average_is_that_of_a_plain_loop_from_the_network_as_it_starts_on():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    start = copy.deepcopy(net.state_dict())
    average = training_step.running_average(net, 0.9)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    plain = copy.deepcopy(start)
    for _ in range(3):
        optimiser.zero_grad()
        net(torch.rand(8, 3)).square().sum().backward()
        optimiser.step()
        average.update_parameters(net)
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                plain[name] = 0.9 * plain[name] + 0.1 * value
    averaged = {name: value for name, value in average.module.state_dict().items() if value.is_floating_point()}
    for name, value in averaged.items():
        assert torch.allclose(value, plain[name], rtol=1e-5, atol=1e-7), name
    for name in ("0.weight", "1.weight", "1.running_var"):
        for other in (start, net.state_dict()):
            assert not torch.allclose(plain[name], other[name], rtol=0.01), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # said whenever oneDNN is set
def test_mixed_precision_gives_nearly_the_gradient_of_full_precision():
    """On a CPU without oneDNN, whose bf16 weight gradients are at fault (`training_step.check_precision`)."""
    inputs, betas = tensors(fresh_samples(prior_named("fine_tuning"), INPUT, 8, rng=seeded(0, 8)))
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, INPUT, betas.mean(0), betas.std(0))
    torch.nn.init.normal_(net.net.fc.weight, std=0.05)
    found = {}
    for precision in get_args(Precision):
        trained = copy.deepcopy(net)
        # Moves by the gradient.
        optimiser = torch.optim.SGD([{"params": list(trained.net.parameters()), "pace": 1.0}], lr=1.0)
        with torch.backends.mkldnn.flags(enabled=False):
            sums = train_epoch(state_of(trained, optimiser), [(inputs, betas)], 1.0, clip=1e9, precision=precision)
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
