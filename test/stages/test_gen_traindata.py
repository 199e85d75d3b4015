"""Training sets: two ways to draw one distribution, files, and resumption."""

import dataclasses

import h5py
import numpy as np
import pytest
from scipy.stats import chi2

from src import gen_traindata_fine_tuning, gen_traindata_pretraining
from src.network.dataset import TRAINING_SET, VALIDATION_SET, SamplesMadeBy, read_made_by, read_samples
from src.network.sample_files import draw_set, sample_electrons
from support import ROOT
from support.answers import MADE_BY
from support.param import INPUT, prior_named
from support.truth import DESIGN, with_beta
from util.answer.final_h5 import write_answer
from util.fit.likelihood import fit
from util.physics.polar_map import coarsen, fold
from util.physics.shell_maps import expected_maps, observe
from util.runtime.errors import InputError
from util.runtime.settings import load
from util.training.priors import Prior

ELECTRONS = np.array([400_000.0, 400_000.0])
SPREAD = 0.17


def parameters(beta):
    return np.array(beta), np.array([s.R for s in DESIGN]), np.array([s.sigma_R for s in DESIGN]), ELECTRONS


def deviation(map_one, map_two):
    """p-value of the chi-square between two observed maps, variance 1 + SPREAD^2 a count."""
    map_one, map_two = coarsen(map_one, 8, 2), coarsen(map_two, 8, 2)
    both = map_one + map_two
    full = both > 40
    square = (map_one - map_two)[full] ** 2 / (both[full] * (1 + SPREAD**2))
    return chi2.sf(square.sum(), full.sum())


def test_electrons_and_a_poisson_draw_make_the_same_distribution_and_a_wrong_beta_another():
    beta = [s.beta for s in DESIGN]
    rng = np.random.default_rng(3)
    x, z = sample_electrons(*parameters(beta), rng=rng)
    one = fold(x, z, 1 + SPREAD * rng.standard_normal(x.size), (0.0, 0.0), INPUT.bins).weight
    two = observe(expected_maps(INPUT.bins, *(v[None] for v in parameters(beta)))[0], SPREAD, rng=rng)
    assert deviation(one, two) > 0.01
    wrong = [with_beta(beta[0], 0, 0.05), beta[1]]
    other = observe(expected_maps(INPUT.bins, *(v[None] for v in parameters(wrong)))[0], SPREAD, rng=rng)
    assert deviation(one, other) < 1e-6


def test_a_set_does_not_depend_on_the_number_of_workers_and_validation_is_drawn_apart():
    made_by = SamplesMadeBy(prior_named("fine_tuning"), INPUT, "poisson", 1, 25)
    one, two = (draw_set(made_by, key=TRAINING_SET, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.inputs, two.inputs)
    apart = draw_set(made_by, key=VALIDATION_SET, workers=1)
    assert not np.isin(apart.draws.R, one.draws.R).any()


def make(tmp_path, *options):
    gen_traindata_pretraining.main(
        [
            *("--data", str(tmp_path), "--prior", f"{ROOT}/param/pretraining.toml"),
            *("--input", f"{ROOT}/param/network_input.toml", "--training", "4", "--validation", "3", "--workers", "1"),
            *options,
        ]
    )


def test_sets_hold_what_is_promised_are_kept_and_are_refused_when_made_otherwise(tmp_path, capsys):
    make(tmp_path)
    samples = read_samples(tmp_path / "traindata" / "pretraining_0.h5")
    assert samples.inputs.shape == (4, INPUT.n_rho, INPUT.n_angle)
    assert samples.draws.beta.shape == (4, 2, 12)
    assert samples.inputs.sum(axis=(1, 2)) == pytest.approx(samples.draws.electrons.sum(axis=1), rel=0.01)
    assert len(read_samples(tmp_path / "validdata" / "pretraining_0.h5").inputs) == 3
    make(tmp_path)
    assert "already there" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"pretraining_0\.h5: exists, made with other settings; add --overwrite"):
        make(tmp_path, "--sampling", "electrons")


def test_a_set_says_how_it_was_made_and_one_that_does_not_is_told_apart(tmp_path):
    make(tmp_path)
    path = tmp_path / "traindata" / "pretraining_0.h5"
    assert read_made_by(path) == SamplesMadeBy(prior_named("pretraining"), INPUT, "poisson", 0, 4)
    with h5py.File(path, "r+") as file:
        text = file["MadeBy"][()].decode()
        del file["MadeBy"]
        file["MadeBy"] = text.replace("sampling", "method")
    with pytest.raises(InputError, match=r"pretraining_0\.h5: MadeBy: unknown key 'method'; add --overwrite"):
        make(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["MadeBy"]
    with pytest.raises(InputError, match=r"pretraining_0\.h5: expected a dataset MadeBy, found Rs, electrons"):
        make(tmp_path)


def test_a_file_that_is_no_set_is_refused_with_what_was_found(tmp_path):
    path = tmp_path / "set.h5"
    path.write_bytes(b"no")
    with pytest.raises(InputError, match=r"set\.h5"):
        read_samples(path)
    with pytest.raises(InputError, match="no such file; make it with"):
        read_samples(tmp_path / "none.h5")


def test_the_fine_tuning_prior_is_made_from_the_answer_and_its_errors(tmp_path):
    rng = np.random.default_rng(5)
    x, z = sample_electrons(*parameters([s.beta for s in DESIGN]), rng=rng)
    result = fit(x, z)
    write_answer(tmp_path / "final.h5", result, MADE_BY)
    common = ["--data", str(tmp_path), "--input", f"{ROOT}/param/network_input.toml", "--workers", "1"]
    sizes = ["--training", "2", "--validation", "2"]
    gen_traindata_fine_tuning.main([*common, *sizes, "--answer", str(tmp_path / "final.h5"), "--widen", "4"])
    prior = load(Prior, tmp_path / "fine_tuning.toml")
    assert prior.spheres[0].mu == pytest.approx(result.beta[0])
    assert prior.spheres[0].sigma == pytest.approx(np.maximum(4 * result.errors[result.layout.beta[0]], 0.005))
    samples = read_samples(tmp_path / "traindata" / "fine_tuning_0.h5")
    assert np.abs(samples.draws.R - [s.R for s in DESIGN]).max() < 0.03


def test_an_answer_that_is_missing_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"final\.h5: no such file; make it with METHOD=likelihood"):
        gen_traindata_fine_tuning.main(["--data", str(tmp_path), "--answer", str(tmp_path / "final.h5")])


def test_a_single_sphere_can_be_drawn_too():
    prior = prior_named("pretraining")
    one = dataclasses.replace(prior, spheres=prior.spheres[:1])
    samples = draw_set(SamplesMadeBy(one, INPUT, "electrons", 0, 3), key=TRAINING_SET, workers=1)
    assert samples.draws.beta.shape == (3, 1, 12)


def test_a_prior_goes_before_the_answer_that_the_script_names_and_one_of_them_must_be(tmp_path, capsys):
    common = ["--data", str(tmp_path), "--input", f"{ROOT}/param/network_input.toml", "--workers", "1"]
    common += ["--training", "2", "--validation", "2"]
    both = ["--answer", str(tmp_path / "none.h5"), "--prior", f"{ROOT}/param/fine_tuning.toml"]
    gen_traindata_fine_tuning.main([*common, *both])
    assert read_made_by(tmp_path / "traindata" / "fine_tuning_0.h5").prior == prior_named("fine_tuning")
    with pytest.raises(SystemExit):
        gen_traindata_fine_tuning.main(common)
    assert "expected an answer or a prior, found neither" in capsys.readouterr().err


def test_a_prior_about_an_answer_that_allows_hardly_any_sphere_is_refused_before_anything_is_written(tmp_path):
    answered = f"{ROOT}/data/sample/final.h5"
    common = ["--data", str(tmp_path), "--input", f"{ROOT}/param/network_input.toml", "--answer", answered]
    with pytest.raises(InputError, match=r"final\.h5: no prior about this answer .* density.*; try a smaller --widen"):
        gen_traindata_fine_tuning.main([*common, "--widen", "300"])
    assert not list(tmp_path.iterdir())
