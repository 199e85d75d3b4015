"""Ranges: the prior that spheres were drawn from is recovered from their files."""

import dataclasses

import h5py
import numpy as np
import pytest
from scipy.stats import ks_2samp

from src import gen_ranges, gen_traindata_pretraining, simulate_finaltest
from src.network.dataset import read_samples
from support import ROOT
from support.figures import saved_figures
from support.param import PARAM, prior_named
from util.physics import pad
from util.runtime.errors import InputError
from util.runtime.settings import load
from util.training.prior_ranges import Spheres, estimate
from util.training.priors import Prior, draw, draw_betas, write_prior

PRETRAINING = prior_named("pretraining").spheres[0]
# Narrower than its limits, so that mu and sigma are to be had, and half of its draws are no density.
NARROW = dataclasses.replace(
    PRETRAINING,
    mu=(0.9, 0.0, 0.0),
    sigma=(0.15, 0.15, 0.15),
    limits=((0.2, 1.6), (-0.8, 0.8), (-0.8, 0.8)),
)


def spheres_of(sphere, n, seed=5):
    draws = draw(Prior(1, 1, 0.0, (sphere,)), n, rng=np.random.default_rng(seed))
    return Spheres(*(values[:, 0] for values in (draws.R, draws.sigma_R, draws.electrons, draws.beta)))


def simulate_2(path, *options):
    argv = ["--kind", "2", "--output", path, "--workers", 1, *options]
    simulate_finaltest.main([str(word) for word in argv])
    return path


def run(tmp_path, *options):
    argv = ["--output", tmp_path / "ranges.toml", "--figures", tmp_path / "figures", *options]
    gen_ranges.main([str(word) for word in argv])
    return load(Prior, tmp_path / "ranges.toml")


def test_mu_and_sigma_come_out_right_where_half_of_the_draws_are_no_density():
    rng = np.random.default_rng(0)
    redrawn = rng.normal(NARROW.mu, NARROW.sigma, (4000, 3))
    assert 0.3 < pad.is_density(redrawn).mean() < 0.7
    pulls = []
    for seed in range(4):
        spheres = spheres_of(NARROW, 1500, seed)
        found = estimate(spheres, seed=1)
        pulls.append((np.array(found.prior.mu) - NARROW.mu) / found.mu_error)
        pulls.append((np.array(found.prior.sigma) - NARROW.sigma) / found.sigma_error)
    pulls = np.array(pulls)
    assert np.abs(pulls).max() < 4 and 0.4 < np.sqrt((pulls**2).mean()) < 1.6
    # the sample's own mean and spread are many errors off
    naive = (spheres.beta.mean(axis=0) - NARROW.mu) / found.mu_error
    assert np.abs(naive).max() > 8


def test_a_prior_wider_than_its_limits_is_recovered_as_a_distribution_and_said_to_be_broad():
    found = estimate(spheres_of(PRETRAINING, 1500), seed=1)
    one = draw_betas(found.prior, 4000, rng=np.random.default_rng(1))
    two = draw_betas(PRETRAINING, 4000, rng=np.random.default_rng(2))
    worst = min(ks_2samp(a, b).pvalue for a, b in zip(one.T, two.T, strict=True))
    assert worst > 1e-4
    assert ks_2samp(one[:, 1], two[:, 1] + 0.06).pvalue < 1e-6
    width = np.diff(PRETRAINING.limits, axis=1)[:, 0]
    assert np.abs(np.array(found.prior.limits) - PRETRAINING.limits).max(axis=1) / width == pytest.approx(0, abs=0.02)
    assert found.sigma_error[11] > found.prior.sigma[11]  # four times as wide as its limits
    assert found.sigma_error[1] < 0.2 * found.prior.sigma[1]


def test_the_round_trip_through_files_recovers_radii_electrons_and_each_sphere_apart(tmp_path, capsys):
    options = ("--prior", f"{ROOT}/param/fine_tuning.toml", "--distributions", 80, "--electrons", 20, 40)
    files = [simulate_2(tmp_path / f"{seed}.h5", *options, "--seed", seed) for seed in (1, 2)]
    with saved_figures() as figures:
        found = run(tmp_path, "--files", *files, "--boundaries", 0.65)
    assert "sphere 2: 80 in the files" in capsys.readouterr().out
    for sphere, known in zip(found.spheres, prior_named("fine_tuning").spheres, strict=True):
        assert pytest.approx(known.R, abs=0.004) == sphere.R
        assert sphere.sigma_R == pytest.approx(known.sigma_R, abs=4e-4)
        assert sphere.electrons == pytest.approx((20, 40), abs=2)
        width = np.diff(known.limits, axis=1)[:, 0]
        assert (np.abs(np.array(sphere.limits) - known.limits).max(axis=1) < 0.1 * width).all()
    axes = figures["ranges"].axes
    assert [ax.get_xlabel() for ax in axes[:3]] == ["$R$", r"$\sigma_R$", "electrons"]
    for ax in axes[:15]:  # both spheres' bars, all of whose area is 1 within the limits
        heights = [bar.get_height() * bar.get_width() for bars in ax.containers for bar in bars]
        assert sum(heights) == pytest.approx(2, rel=1e-6)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["ranges.pdf", "ranges.png"]


def test_the_training_set_stage_accepts_the_ranges(tmp_path):
    write_prior(tmp_path / "one.toml", Prior(1, 1, 0.0, (PRETRAINING,)), "one")
    path = simulate_2(tmp_path / "f.h5", "--prior", tmp_path / "one.toml", "--distributions", 60, "--electrons", 30)
    run(tmp_path, "--files", path)
    options = ("--data", tmp_path, "--prior", tmp_path / "ranges.toml", "--input", f"{ROOT}/param/network_input.toml")
    counts = ("--training", 3, "--validation", 2, "--workers", 1)
    gen_traindata_pretraining.main([str(word) for word in (*options, *counts)])
    draws = read_samples(tmp_path / "traindata" / "pretraining_0.h5").draws
    assert draws.beta.shape == (3, 2, 12)
    assert ((draws.R > 0.28) & (draws.R < 0.92)).all()


def frames_of(path, R, seed):
    rows = np.zeros(2, [("SphereId", "u1"), ("R", "f8"), ("sigma_R", "f8"), ("beta", "f8", (2,))])
    rng = np.random.default_rng(seed)
    rows["SphereId"], rows["R"], rows["sigma_R"] = (0, 1), R, rng.uniform(0.005, 0.009, 2)
    rows["beta"] = rng.uniform(0, 0.2, (2, 2))
    generated = np.zeros(7, [("SphereId", "u1"), ("ElectronId", "i4")])
    generated["SphereId"][:3] = 1
    with h5py.File(path, "w") as file:
        file["Truth"], file["GeneratedElectrons"] = rows, generated
    return path


def test_files_of_frames_tell_their_spheres_by_the_radii(tmp_path):
    rng = np.random.default_rng(3)
    radii = np.stack((rng.uniform(0.7, 0.8, 12), rng.uniform(0.4, 0.5, 12)), axis=1)  # the larger one first
    files = [frames_of(tmp_path / f"{i}.h5", R, i) for i, R in enumerate(radii)]
    found = run(tmp_path, "--files", *files)
    assert pytest.approx((0.4, 0.5), abs=0.02) == found.spheres[0].R
    assert pytest.approx((0.7, 0.8), abs=0.02) == found.spheres[1].R
    assert [sphere.electrons for sphere in found.spheres] == [(3, 3), (4, 4)]
    with pytest.raises(InputError, match=r"0\.h5: Truth: expected 1 sphere\(s\), found 2; use --spheres"):
        run(tmp_path, "--files", *files, "--spheres", 1)


def test_input_without_ranges_is_refused_in_a_sentence_and_nothing_is_written(tmp_path):
    few = simulate_2(tmp_path / "few.h5", "--distributions", 5, "--electrons", 10)
    enough = simulate_2(tmp_path / "enough.h5", "--distributions", 12, "--electrons", 10)
    same = tmp_path / "same.h5"
    empty = tmp_path / "empty.h5"
    with h5py.File(enough) as old, h5py.File(same, "w") as new:
        rows = old["DistributionParameters"][()]
        rows["beta"][:, 3] = 0.2
        new["DistributionParameters"], new["GeneratedElectrons"] = rows, old["GeneratedElectrons"][()]
    with h5py.File(empty, "w") as file, h5py.File(enough) as old:
        file["DistributionParameters"] = old["DistributionParameters"][()]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    for path, message in (
        (few, "sphere 1: expected at least 10 spheres to read ranges from, found 5"),
        (same, "sphere 1: beta_8 is the same in all 12 spheres"),
        (empty, r"empty\.h5: GeneratedElectrons: expected electrons of every sphere, found none"),
        (tmp_path / "other.h5", r"other\.h5: expected DistributionParameters or Truth, found x"),
        (tmp_path / "none.h5", r"none\.h5: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            run(tmp_path, "--files", path)
    assert not (tmp_path / "ranges.toml").exists() and not (tmp_path / "figures").exists()


def test_boundaries_and_spheres_that_contradict_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, "--files", "f.h5", "--boundaries", 0.5, "--spheres", 3)
    assert ended.value.code == 2
    assert "--spheres 3 contradicts --boundaries, which separate 2 spheres" in capsys.readouterr().err


def test_settings_are_not_written_over_and_ranges_are(tmp_path, capsys):
    settings, ranges = tmp_path / "phosphor.toml", tmp_path / "ranges.toml"
    settings.write_bytes((PARAM / "phosphor.toml").read_bytes())
    ranges.write_text(f"# {gen_ranges.HEADING} 2 training files")
    words = ["--files", "frames.h5", "--figures", str(tmp_path), "--output"]
    assert gen_ranges.parse_args([*words, str(ranges)]).output == ranges
    with pytest.raises(SystemExit):
        gen_ranges.parse_args([*words, str(settings)])
    assert "expected a prior of gen_ranges.sh, found a file of another kind" in capsys.readouterr().err
