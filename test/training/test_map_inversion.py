"""The linear inversion finds Legendre orders where they are."""

import dataclasses

import numpy as np
import pytest

from support.param import INPUT, prior_named
from support.truth import DESIGN, with_beta
from util.physics.shell_maps import expected_maps
from util.training.map_inversion import InputSettings, inversion, tuned
from util.training.priors import draw


def inverted(beta, R=0.5, sigma_R=0.01):
    """Noise-free F_l(r) of one sphere, (cells, orders)."""
    angular, radial = inversion(INPUT)
    maps = expected_maps(INPUT.bins, np.array(beta)[None, None], *np.array([[[R]], [[sigma_R]], [[4e6]]]))
    share = maps / maps.sum()
    return ((share @ angular).reshape(1, -1) @ radial).reshape(INPUT.cells, -1)


def test_order_zero_peaks_at_the_radius_of_the_sphere():
    profile = inverted(DESIGN[0].beta, R=0.612)[:, 0]
    radius = INPUT.radii[0] + (np.arange(INPUT.cells) + 0.5) * np.diff(INPUT.radii)[0] / INPUT.cells
    assert (np.clip(profile, 0, None) @ radius) / np.clip(profile, 0, None).sum() == pytest.approx(0.612, abs=0.003)


def test_an_order_grows_in_proportion_to_its_beta_and_no_other_does():
    plain, more = inverted(DESIGN[0].beta).sum(axis=0), inverted(with_beta(DESIGN[0].beta, 1, 0.1)).sum(axis=0)
    change = more - plain
    grown = change[2] / plain[2]
    assert grown == pytest.approx(0.1 / DESIGN[0].beta[1], rel=0.1)
    assert np.abs(np.delete(change, 2)).max() < 0.25 * abs(change[2])


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="beta_spread"):
        dataclasses.replace(INPUT, beta_spread=INPUT.beta_spread[:-1])
    assert isinstance(INPUT, InputSettings)


def test_an_inversion_for_a_narrow_prior_expects_its_radii_widths_and_betas():
    draws = draw(prior_named("fine_tuning"), 500, rng=np.random.default_rng(0))
    settings = tuned(INPUT, draws, 24)
    assert settings.window == 24 and settings.cells == INPUT.cells
    assert pytest.approx((0.47, 0.83), abs=0.002) == settings.R
    assert settings.sigma_R == pytest.approx((0.008, 0.013), abs=1e-4)
    assert settings.electrons == pytest.approx(draws.electrons.sum(axis=1).mean())
    assert settings.beta_mean == pytest.approx(draws.beta.reshape(-1, 12).mean(axis=0))
    assert settings.beta_spread == pytest.approx(draws.beta.reshape(-1, 12).std(axis=0))
