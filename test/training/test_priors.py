"""Priors: what is drawn, and what is refused."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest

from support import ROOT
from support.param import prior_named
from support.truth import DESIGN
from util.physics import pad
from util.runtime.errors import InputError
from util.runtime.settings import load
from util.training.priors import Prior, around, draw, write_prior


@pytest.mark.parametrize("name", ["pretraining", "fine_tuning"])
def test_draws_are_within_the_limits_ascend_in_radius_and_are_densities(name):
    prior = dataclasses.replace(prior_named(name), closest=0.05)
    draws = draw(prior, 300, rng=np.random.default_rng(1))
    for s, sphere in enumerate(prior.spheres):
        low, high = np.array(sphere.limits).T
        assert ((draws.beta[:, s] >= low) & (draws.beta[:, s] <= high)).all()
        assert (draws.sigma_R[:, s] >= sphere.sigma_R[0]).all() and (draws.sigma_R[:, s] <= sphere.sigma_R[1]).all()
    assert (np.diff(draws.R, axis=1) >= 0.05).all()
    assert pad.is_density(draws.beta).all()


def test_betas_are_distributed_as_normal_numbers_redrawn_until_within_the_limits():
    sphere = prior_named("pretraining").spheres[0]
    draws = draw(prior_named("pretraining"), 3000, rng=np.random.default_rng(2))
    rng = np.random.default_rng(3)

    def redrawn(i, shift=0.0):
        values = rng.normal(sphere.mu[i] + shift, sphere.sigma[i], 200_000)
        return values[(values >= sphere.limits[i][0]) & (values <= sphere.limits[i][1])]

    # beta_10 hardly decides whether I(c) >= 0
    assert ks_2samp(draws.beta[:, 0, 4], redrawn(4)).pvalue > 0.01
    assert ks_2samp(draws.beta[:, 0, 4], redrawn(4, shift=-0.5)).pvalue < 1e-6


def test_limits_far_in_the_tail_are_met_too():
    prior = prior_named("pretraining")
    sphere = dataclasses.replace(prior.spheres[0], mu=(0.0,), sigma=(0.01,), limits=((0.4, 0.41),))
    beta = draw(dataclasses.replace(prior, spheres=(sphere,)), 500, rng=np.random.default_rng(0)).beta.ravel()
    assert ((beta >= 0.4) & (beta <= 0.41)).all()
    assert np.ptp(beta) > 1e-4  # an exponential of mean 0.01^2 / 0.4


def test_radii_of_a_wide_prior_are_uniform_once_order_is_forgotten():
    R = draw(prior_named("pretraining"), 2000, rng=np.random.default_rng(4)).R
    assert kstest(R.ravel(), "uniform", (0.3, 0.6)).pvalue > 0.01


def test_a_prior_that_is_never_a_density_is_refused_instead_of_drawn_for_ever():
    prior = prior_named("pretraining")
    sphere = dataclasses.replace(prior.spheres[0], mu=(5.0,), sigma=(0.1,), limits=((4.0, 6.0),))
    with pytest.raises(ValueError, match="density"):
        draw(dataclasses.replace(prior, spheres=(sphere,)), 10, rng=np.random.default_rng(0))


def test_a_prior_file_with_crossed_limits_is_refused_with_the_name_of_the_beta(tmp_path):
    text = (ROOT / "param" / "fine_tuning.toml").read_text().replace("[0.05, 0.3]", "[0.3, 0.05]")
    path = tmp_path / "prior.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"prior\.toml.*beta_2: .*low < high"):
        load(Prior, path)


def test_a_prior_about_an_answer_is_centred_there_and_as_wide_as_told_and_survives_its_file(tmp_path):
    R, sigma_R = (np.array([getattr(s, name) for s in DESIGN]) for name in ("R", "sigma_R"))
    beta = np.array([s.beta for s in DESIGN])
    errors = (np.full(2, 1e-3), np.full(2, 1e-4), np.full((2, 12), 2e-3))
    prior = around(R, sigma_R, np.full(2, 2e6), beta, errors, widen=5)
    assert prior.spheres[1].mu == pytest.approx(beta[1])
    assert prior.spheres[1].sigma == pytest.approx([1e-2] * 12)
    assert list(prior.spheres[0].R) == pytest.approx([0.485, 0.515])
    write_prior(tmp_path / "prior.toml", prior, "About an answer.")
    assert load(Prior, tmp_path / "prior.toml") == prior
