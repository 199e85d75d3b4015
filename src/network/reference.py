"""Readings of a network compared with fits, on samples of its prior: what a measurement is judged by later."""

import dataclasses

import numpy as np
import torch

from src.network.dataset import REFERENCE, fresh_samples, seeded, tensors
from src.network.model import SphereNet
from util.answer.posterior import hits_alone, known_spheres
from util.fit.folded_map import fit_folded
from util.runtime.errors import InputError
from util.training.priors import Prior
from util.training.reference import APART, Reference, reference_of

SAMPLES = 400


def measure_reference(net: SphereNet, prior: Prior, seed: int, samples: int = SAMPLES) -> Reference | None:
    """Read and fit samples of a prior that were never trained on; None where no radii of it lie far enough apart.

    Takes about 30 ms a sample.
    """
    net.eval()
    inputs = net.input_settings
    try:
        apart = dataclasses.replace(prior, closest=max(prior.closest, APART))
        drawn = fresh_samples(apart, inputs, samples, rng=seeded(seed, REFERENCE))
    except ValueError:
        return None
    maps, _ = tensors(drawn)
    with torch.no_grad():
        read = torch.cat([net(some) for some in maps.split(128)]).double().numpy()
    spread = 1 + inputs.weight_spread**2
    electrons = drawn.inputs.sum(axis=(1, 2), dtype=np.float64)
    fitted = []
    for own, total, radii in zip(drawn.inputs, electrons, net.starting_radii(maps), strict=True):
        known = known_spheres(apart, float(total))
        try:
            found = fit_folded(
                own, inputs.bins, radii, order=2 * prior.betas, variance_per_electron=spread, known=known
            )
        except InputError:
            fitted.append(np.full(read.shape[1:], np.nan))
            continue
        fitted.append(hits_alone(found).beta)
    away = read - np.array(fitted)
    sound = np.isfinite(away).all(axis=(1, 2))
    return reference_of(away[sound], float(electrons.mean()))
