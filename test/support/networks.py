"""A small network for the tests of what trains and uses it: its shortcut fitted, the rest as new."""

import dataclasses

import torch

from src.network.checkpoint import write_checkpoint
from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import SphereNet
from src.network.weights import half
from support.param import INPUT, STAGES, prior_named
from util.training.course import Epoch, TrainingFacts


def facts_of(prior, spheres=2, arch="resnet18", **changes):
    """Facts of a training that never was."""
    facts = TrainingFacts(
        stage="pretraining",
        arch=arch,
        spheres=spheres,
        input=INPUT,
        settings=STAGES.pretraining,
        prior=prior,
        files=(),
        seed=0,
        processes=1,
        device="cpu",
        versions={},
        inherited=None,
        validation_samples=2,
        predicting_the_mean=0.5,
        predicting_the_first_prior=0.6,
        epoch=1,
        samples=10,
        seconds=3600.0,
        curve=(Epoch(epoch=0, train=(0.2, 0.1), valid=(0.01, 0.0), rate=1e-4, seconds=3600.0, samples=10),),
    )
    return dataclasses.replace(facts, **changes)


def shortcut_network(name="fine_tuning", samples=1500):
    """Network whose shortcut was fitted to samples of a prior of param/."""
    torch.manual_seed(0)
    inputs, betas = tensors(fresh_samples(prior_named(name), INPUT, samples, rng=seeded(1, 2)))
    net = SphereNet("resnet18", 2, INPUT, betas.mean(0), betas.std(0))
    net.fit_shortcut([(inputs, betas)], by_cell=False)
    return net.eval()


def write_weights(path, net, facts):
    """Write weights as a training does."""
    write_checkpoint(path, half(net.state_dict()), facts)
    return path
