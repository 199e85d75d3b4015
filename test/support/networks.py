"""A small network for the tests of what trains and uses it: its shortcut fitted, the rest as new."""

from dataclasses import asdict

import torch

from src.network.checkpoint import write_checkpoint
from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import SphereNet
from src.network.weights import half
from support.param import INPUT, prior_named


def facts_of(prior, spheres=2, arch="resnet18", **changes):
    """Facts of a training that never was."""
    return {
        "stage": "pretraining",
        "arch": arch,
        "spheres": spheres,
        "input": asdict(INPUT),
        "prior": asdict(prior),
        "settings": {},
        "seed": 0,
        "samples": 0,
        "seconds": 0.0,
        "curve": [{"valid": [0.1, 0.0]}],
        **changes,
    }


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
