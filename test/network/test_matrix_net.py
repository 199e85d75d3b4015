"""The published network: what it sees, and that nothing else answers."""

import dataclasses

import pytest
import torch
import torchvision

from src.network.matrix_net import MatrixNet
from src.network.model import SphereNet
from src.network.training_step import make_optimiser
from src.network.weights import build, read_weights
from support.networks import facts_of, write_weights
from support.param import INPUT, MATRIX_STAGES, STAGES, prior_named
from util.training.matrix_input import MatrixInput

MATRIX = MatrixInput(32, 12)


def network(arch="resnet18"):
    torch.manual_seed(0)
    return MatrixNet(arch, 2, MATRIX, torch.full((2, 12), 0.3)).eval()


def test_it_is_torchvisions_network_on_the_matrix_whose_brightest_pixel_is_255():
    net = network()
    plain = torchvision.models.resnet18(num_classes=24).eval()
    plain.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    plain.load_state_dict(net.net.state_dict())
    counts = torch.poisson(torch.rand(3, 32, 32) * 20)
    image = 255 * counts / counts.amax((1, 2), keepdim=True)
    with torch.no_grad():
        found, wanted = net(counts), plain(image[:, None])
        assert torch.allclose(found.flatten(1), wanted, rtol=1e-4, atol=1e-5)
        assert torch.allclose(net(7 * counts), found, rtol=1e-4, atol=1e-5)
    assert found.shape == (3, 2, 12) and found.std() > 1e-3


def test_a_matrix_without_electrons_gives_numbers():
    with torch.no_grad():
        assert network()(torch.zeros(1, 32, 32)).isfinite().all()


def test_weights_tell_which_input_they_are_for(tmp_path):
    settings = MATRIX_STAGES.stage("pretraining", {"pixels": 32})
    facts = facts_of(prior_named("pretraining"), input=MATRIX, settings=settings)
    net, told = read_weights(write_weights(tmp_path / "a.weights.pt", network(), facts))
    assert isinstance(net, MatrixNet) and told == facts and net.input_settings == MATRIX
    assert net.label_mean[0, 0] == pytest.approx(0.3, rel=1e-3)
    windows = facts_of(prior_named("pretraining"))
    assert isinstance(build(windows), SphereNet) and windows.settings.input == "windows"
    bare = build(dataclasses.replace(windows, settings=STAGES.stage("pretraining", {"shortcut": False})))
    assert bare.shortcut is None


def test_without_the_shortcut_the_network_alone_reads_the_windows():
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, INPUT, torch.full((2, 12), 0.3), torch.ones(2, 12), shortcut=False).eval()
    maps = torch.rand(2, 128, 32)
    with torch.no_grad():
        assert torch.equal(net(maps), net.label_mean.expand(2, -1, -1))
        torch.nn.init.ones_(net.net.fc.bias)
        assert torch.equal(net(maps), net.label_mean.expand(2, -1, -1) + 1)


@pytest.mark.parametrize("net", [network(), SphereNet("resnet18", 2, INPUT)], ids=["matrix", "windows"])
def test_adam_steps_as_adam_does_and_forgets_no_weights(net):
    found = make_optimiser(net, 1e-3, 0.02, "adam")
    assert {group["weight_decay"] for group in found.param_groups} == {0.0}
    assert {group["weight_decay"] for group in make_optimiser(net, 1e-3, 0.02).param_groups} == {0.0, 0.02}
    held = {id(parameter) for group in found.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in net.parameters()}
