"""The network: its fixed layers, its architectures, its loss."""

import numpy as np
import pytest
import torch

from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import ARCHITECTURES, SphereNet, SphereWindows, backbone, distance
from support.networks import shortcut_network
from support.param import INPUT, prior_named
from support.truth import DESIGN
from util.physics import pad
from util.physics.shell_maps import expected_maps
from util.training.map_inversion import tuned
from util.training.priors import draw

BETA = np.array([s.beta for s in DESIGN])


def maps_at(R, electrons=(2e6, 2e6)):
    """Noise-free maps of the two spheres of the final test at other radii."""
    found = expected_maps(INPUT.bins, BETA[None], np.array([R]), np.array([[0.008, 0.008]]), np.array([electrons]))
    return torch.tensor(found, dtype=torch.float32)


@pytest.mark.slow
def test_what_the_windows_show_does_not_depend_on_radii_or_electrons():
    net = SphereNet("resnet18", 2, INPUT)
    one, two = net.image(maps_at((0.4, 0.7))), net.image(maps_at((0.53, 0.84), (2.5e6, 1.8e6)))
    # Beyond order 14 the filter damps the more, the smaller the sphere.
    sums = [image.view(2, INPUT.window, -1).sum(1)[:, :8] for image in (one, two)]
    assert torch.allclose(*sums, rtol=0.005)
    assert not torch.allclose(sums[0][0], sums[0][1], rtol=0.3)


def test_radii_are_read_off_the_profile_in_ascending_order():
    net = SphereNet("resnet18", 2, INPUT)
    assert net.radii(maps_at((0.612, 0.744), (1e6, 2e6)))[0].tolist() == pytest.approx([0.612, 0.744], abs=0.002)


def test_windows_at_the_border_are_filled_with_nothing():
    image = torch.zeros(1, INPUT.cells, 3)
    image[:, 1] = 5.0
    cut = SphereWindows(1, INPUT)(image)
    assert cut.shape == (1, 1, INPUT.window, 3)
    assert torch.isfinite(cut).all()


def test_the_loss_is_the_distance_of_the_score():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 5, 2, 12))
    assert distance(torch.tensor(one), torch.tensor(two)).numpy() == pytest.approx(pad.distance(one, two), rel=1e-5)


def test_the_loss_has_a_finite_slope_at_the_exact_answer():
    found = torch.zeros(1, 2, 12, requires_grad=True)
    distance(found, torch.zeros(1, 2, 12)).sum().backward()
    assert torch.isfinite(found.grad).all()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_makes_one_step_that_moves_its_answer(arch):
    torch.manual_seed(0)
    net = backbone(arch, 24).train()
    image, wanted = torch.randn(4, 1, 32, 13), torch.randn(4, 24)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    before = net(image)
    assert before.abs().max() == 0
    (before - wanted).square().mean().backward()
    optimiser.step()
    assert net(image).abs().max() > 0


def test_an_unknown_architecture_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"resnet18.*efficientnet_b0.*'vgg'"):
        backbone("vgg", 24)


@pytest.mark.slow
def test_eight_samples_can_be_overfitted():
    torch.manual_seed(0)
    inputs, betas = tensors(fresh_samples(prior_named("fine_tuning"), INPUT, 8, rng=seeded(0, 5)))
    net = SphereNet("resnet18", 2, INPUT, betas.mean(0), betas.std(0)).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    first = None
    for _ in range(60):
        loss = distance(net(inputs), betas).mean()
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.15 * first


def test_the_fitted_shortcut_reads_samples_that_it_was_not_fitted_to_and_not_those_of_mixed_up_spheres():
    net = shortcut_network()
    inputs, betas = tensors(fresh_samples(prior_named("fine_tuning"), INPUT, 100, rng=seeded(0, 6)))
    with torch.no_grad():
        found = net(inputs)
    assert distance(found, betas).mean() < 0.012
    assert distance(found.flip(1), betas).mean() > 0.3


@pytest.mark.slow
def test_a_shortcut_by_cell_and_an_inversion_for_the_prior_read_it_better_than_sums_do():
    prior = prior_named("fine_tuning")
    inputs, betas = tensors(fresh_samples(prior, INPUT, 4000, rng=seeded(1, 9)))
    draws = draw(prior, 4000, rng=seeded(1, 10))
    unseen = tensors(fresh_samples(prior, INPUT, 300, rng=seeded(1, 11)))
    found = {}
    for name, settings in (("sums", INPUT), ("cells", tuned(INPUT, draws, 24))):
        net = SphereNet("resnet18", 2, settings, betas.mean(0), betas.std(0)).eval()
        net.fit_shortcut(zip(inputs.split(1000), betas.split(1000), strict=True), by_cell=name == "cells")
        with torch.no_grad():
            found[name] = distance(net(unseen[0]), unseen[1]).mean().item()
    assert found["cells"] < 0.0064 < found["sums"]


def test_an_inherited_body_brings_all_layers_but_the_last_whose_answer_stays_nought():
    one, two = backbone("efficientnet_b0", 24), SphereNet("efficientnet_b0", 2, INPUT)
    torch.nn.init.ones_(one.classifier[1].weight)
    two.inherit(one)
    assert torch.equal(two.net.features[3][0].block[0][0].weight, one.features[3][0].block[0][0].weight)
    assert two.net.classifier[1].weight.abs().max() == 0
