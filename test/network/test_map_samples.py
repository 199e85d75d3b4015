"""Samples drawn on a device: the same distribution as those drawn by NumPy. Here the device is the CPU."""

import numpy as np
import pytest
import torch
from scipy import stats

from src.network.dataset import fresh_samples, seeded
from src.network.device_source import DeviceSource
from src.network.map_samples import DeviceDraws, MapDrawer, PriorDrawer
from support.param import INPUT, STAGES, prior_named
from util.physics import pad
from util.physics.shell_maps import expected_maps
from util.training.priors import Prior, SpherePrior, draw

SETTINGS = STAGES.stage("pretraining", {"batch": 4, "epoch_samples": 8, "first_samples": 10})
CPU = torch.device("cpu")
N = 3000


def on_device(prior, n, seed=1):
    return PriorDrawer(prior, CPU).draw(n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["pretraining", "fine_tuning"])
def test_parameters_have_the_distribution_of_those_drawn_by_numpy(name):
    prior = prior_named(name)
    by_device, by_numpy = on_device(prior, N), draw(prior, N, rng=np.random.default_rng(2))
    columns = [
        (device[:, i], numpy[:, i])
        for device, numpy in (
            (one.double().numpy().reshape(N, -1), np.asarray(two).reshape(N, -1))
            for one, two in zip(by_device, by_numpy, strict=True)
        )
        for i in range(device.shape[1])
    ]
    p = [stats.ks_2samp(one, two).pvalue for one, two in columns]
    assert len(p) == 30
    assert min(p) > 1e-3 / 30


def test_drawn_pads_are_densities_within_their_limits():
    prior = prior_named("pretraining")
    beta = on_device(prior, 500).beta.double().numpy()
    low, high = np.array(prior.spheres[0].limits).T
    assert (beta >= low - 1e-6).all()
    assert (beta <= high + 1e-6).all()
    assert pad.minimum(beta).min() > -1e-4


def test_limits_in_the_tail_of_a_prior_are_drawn_from():
    sphere = SpherePrior((0.4, 0.5), (0.006, 0.007), (1e6, 2e6), (0.0,), (0.01,), ((0.06, 0.08),))
    prior = Prior(1, 1, 0.0, (sphere,))
    beta = on_device(prior, N).beta.double().numpy().ravel()
    wanted = draw(prior, N, rng=np.random.default_rng(3)).beta.ravel()
    assert stats.ks_2samp(beta, wanted).pvalue > 1e-3


def test_a_prior_that_gives_no_density_is_refused():
    sphere = SpherePrior((0.4, 0.5), (0.006, 0.007), (1e6, 2e6), (3.0,), (0.01,), ((2.9, 3.1),))
    with pytest.raises(ValueError, match="hardly ever gives betas"):
        on_device(Prior(1, 1, 0.0, (sphere,)), 10)


def test_expected_maps_agree_far_below_the_noise():
    draws = on_device(prior_named("fine_tuning"), 20)
    found = MapDrawer(INPUT, CPU).expected(draws).double().numpy()
    wanted = expected_maps(INPUT.bins, *(values.double().numpy() for values in draws))
    pulls = (found - wanted) / np.sqrt(np.maximum(wanted, 1))
    assert np.abs(pulls).max() < 0.01
    assert (pulls**2).sum(axis=(1, 2)).max() < 1e-3


def test_drawn_maps_scatter_as_those_of_numpy():
    draws = on_device(prior_named("fine_tuning"), 1)
    same = DeviceDraws(*(values.expand(400, *values.shape[1:]) for values in draws))
    drawer = MapDrawer(INPUT, CPU)
    wanted = drawer.expected(draws)[0].numpy()
    maps = drawer.observe(same, torch.Generator().manual_seed(4)).numpy()
    full = wanted > 20
    pulls = (maps[:, full] - wanted[full]) / np.sqrt(wanted[full] * (1 + INPUT.weight_spread**2))
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    assert pulls.var() == pytest.approx(1, abs=6 * np.sqrt(2 / pulls.size))


def test_batches_of_a_device_are_the_same_at_every_call_and_no_two_are_alike():
    source = DeviceSource("prior", prior_named("pretraining"), SETTINGS, 4, seed=0, device=CPU)
    first, again = (list(source.batches(INPUT, 3)) for _ in range(2))
    other = list(source.batches(INPUT, 4))
    assert all(torch.equal(one[0], two[0]) for one, two in zip(first, again, strict=True))
    maps = torch.cat([batch for batch, _ in (*first, *other)])
    assert len(torch.unique(maps.flatten(1), dim=0)) == len(maps)


def test_processes_of_a_device_source_draw_others():
    one, two = (
        DeviceSource("prior", prior_named("pretraining"), SETTINGS, 4, seed=0, rank=rank, ranks=2, device=CPU)
        for rank in range(2)
    )
    assert not torch.equal(next(iter(one.batches(INPUT, 0)))[0], next(iter(two.batches(INPUT, 0)))[0])


def test_validation_samples_of_a_device_lie_as_far_from_their_mean_as_those_of_numpy():
    prior = prior_named("pretraining")
    source = DeviceSource("prior", prior, SETTINGS, 600, seed=0, device=CPU)
    found = source.validation(INPUT)
    wanted = fresh_samples(prior, INPUT, 600, rng=seeded(0, 77))
    for one, two in zip(found.draws, wanted.draws, strict=True):
        assert one.std(axis=0) == pytest.approx(two.std(axis=0), rel=0.25)
    assert found.inputs.sum(axis=(1, 2)).mean() == pytest.approx(wanted.inputs.sum(axis=(1, 2)).mean(), rel=0.01)
