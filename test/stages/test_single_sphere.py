"""One sphere through all stages: frames, electrons, network, both answers with one row."""

import re

import h5py
import numpy as np
import pytest
import torch

from src import (
    gen_finaltest_answer,
    gen_finaltest_npy,
    gen_traindata_fine_tuning,
    gen_traindata_pretraining,
    run_model,
    simulate_finaltest,
)
from src.network.dataset import read_samples
from support import ROOT
from util.answer.final_h5 import read_answer
from util.physics.sphere import Experiment
from util.runtime.errors import InputError
from util.runtime.settings import load

SPHERE = load(Experiment, ROOT / "param" / "single.toml").spheres[0]
SMALL = ("--arch", "resnet18", "--batch", 8, "--epoch-samples", 8, "--validation", 8, "--epochs", 1, "--device", "cpu")


def run(program, *options):
    program.main([str(word) for word in options])


def answer(folder, name, *options):
    output = folder / f"{name}.h5"
    common = ("--shards", folder / "shards", "--finaltest", folder / "finaltest.h5", "--output", output)
    run(gen_finaltest_answer, *common, *options)
    return read_answer(output)


@pytest.fixture(scope="module")
def one_sphere(module_folder):
    """Make a folder with 250 frames of one sphere and the electrons found in them."""
    folder = module_folder("single")
    frames = folder / "finaltest.h5"
    phosphor = ("--phosphor", ROOT / "param" / "phosphor.toml")
    run(
        simulate_finaltest,
        *("--output", frames, "--experiment", ROOT / "param" / "single.toml", *phosphor),
        *("--frames", 250, "--workers", 1, "--seed", 3),
    )
    finder = ("--finder", ROOT / "param" / "finder.toml", "--workers", 1)
    run(gen_finaltest_npy, "--finaltest", frames, "--output", folder / "shards", *phosphor, *finder)
    return folder


@pytest.fixture(scope="module")
def trained(module_folder):
    """Return a folder with a network for one sphere, trained for a moment; its shortcut is a least squares fit."""
    folder = module_folder("single network")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run(
        run_model,
        *("--param", ROOT / "param", "--output", folder, "--losses", folder, "--spheres", 1, "--rate", 1e-6, *SMALL),
    )
    torch.set_num_threads(threads)
    return folder


def test_the_likelihood_answers_with_one_row_near_the_truth(one_sphere, capsys):
    rows = answer(one_sphere, "likelihood", "--spheres", 1)
    assert len(rows) == 1 and rows["beta"].shape == (1, 12)
    assert rows["R"][0] == pytest.approx(SPHERE.R, abs=5e-4)
    last = capsys.readouterr().out.splitlines()[-1]
    distance, floor = map(float, re.fullmatch(r"distance (\S+) \(statistical floor (\S+)\)", last).groups())
    assert distance < 2 * floor and 0.02 < floor < 0.06
    with h5py.File(one_sphere / "likelihood.h5") as file:
        assert len(file["Parameters"]) == 17  # N, R, sigma_R, twelve betas and the centre


def test_the_network_of_twelve_outputs_answers_with_one_row(one_sphere, trained, capsys):
    weights = trained / "pretraining_single.weights.pt"
    assert {path.name for path in trained.glob("*.weights.pt")} == {weights.name}
    rows = answer(one_sphere, "resnet", "--spheres", 1, "--method", "resnet", "--network", trained, "--bias", 0)
    assert len(rows) == 1 and rows["beta"].shape == (1, 12)
    assert rows["R"][0] == pytest.approx(SPHERE.R, abs=0.003)
    last = capsys.readouterr().out.splitlines()[-1]
    distance, floor = map(float, re.fullmatch(r"distance (\S+) \(statistical floor (\S+)\)", last).groups())
    assert distance < 2 * floor
    answer(one_sphere, "raw", "--spheres", 1, "--method", "resnet", "--network", trained, "--raw")
    distance = float(capsys.readouterr().out.splitlines()[-1].removeprefix("distance "))
    assert distance < 0.2  # predicting the mean of the prior: 0.21 on average


def test_one_sphere_asked_of_networks_for_two_is_refused_and_so_is_the_reverse(one_sphere, trained):
    with pytest.raises(InputError, match=r"no weights for 2 sphere\(s\)"):
        run(
            gen_finaltest_answer,
            *(
                "--shards",
                one_sphere / "shards",
                "--output",
                one_sphere / "none.h5",
                "--method",
                "resnet",
                "--network",
                trained,
            ),
        )
    with pytest.raises(InputError, match=r"Truth: expected 2 sphere\(s\), found 1; use --spheres 1"):
        answer(one_sphere, "none", "--spheres", 2)
    assert not (one_sphere / "none.h5").exists()


def test_training_sets_of_one_sphere_come_from_either_prior_and_train_a_network(one_sphere, tmp_path):
    answer(one_sphere, "first", "--spheres", 1, "--bias", 0)
    common = ("--data", tmp_path, "--input", ROOT / "param" / "network_input.toml", "--workers", 1)
    sizes = ("--training", 12, "--validation", 4)
    prior = ("--prior", ROOT / "param" / "pretraining.toml")
    run(gen_traindata_pretraining, *common, *sizes, *prior, "--spheres", 1)
    run(gen_traindata_fine_tuning, *common, *sizes, "--answer", one_sphere / "first.h5")
    for stage in ("pretraining", "fine_tuning"):
        samples = read_samples(tmp_path / "traindata" / f"{stage}_single_0.h5")
        assert samples.draws.beta.shape == (12, 1, 12)
    assert np.abs(samples.draws.R - SPHERE.R).max() < 0.03  # about the answer
    files = [tmp_path / f"{kind}data" / "pretraining_single_0.h5" for kind in ("train", "valid")]
    options = ("--param", ROOT / "param", "--output", tmp_path, "--losses", tmp_path, "--spheres", 1)
    run(run_model, *options, *SMALL, "--train", files[0], "--valid", files[1])
    assert (tmp_path / "pretraining_single.weights.pt").exists()
    assert (tmp_path / "valid_loss" / "pretraining_single.npy").exists()


def test_more_spheres_than_the_prior_has_are_refused(tmp_path):
    prior = ("--prior", ROOT / "param" / "pretraining.toml", "--input", ROOT / "param" / "network_input.toml")
    with pytest.raises(InputError, match="pretraining: prior: expected 3 spheres, found 2; use --spheres"):
        run(gen_traindata_pretraining, "--data", tmp_path, *prior, "--spheres", 3)
    assert not list(tmp_path.iterdir())
