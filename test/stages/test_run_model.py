"""Training runs: resumption, inheritance, files, several processes."""

import json
import shutil
import socket

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from src.network.dataset import TRAINING_SET, SamplesMadeBy, write_samples
from src.network.model import distance
from src.network.sample_files import draw_set
from support.param import INPUT, PARAM, prior_named
from support.training import Killed, be_one_of_two, kill_in_the_second_epoch, problem, saved, train
from util.runtime.errors import InputError


@pytest.fixture(scope="module")
def trained(module_folder):
    """Return the folder of a run of two epochs."""
    folder = module_folder("trained")
    train(folder, "--epochs", "2")
    return folder


def test_a_run_killed_and_resumed_equals_an_unbroken_one(trained, tmp_path, monkeypatch):
    kill_in_the_second_epoch(monkeypatch)
    with pytest.raises(Killed):
        train(tmp_path / "run", "--epochs", "2")
    monkeypatch.undo()
    train(tmp_path / "run", "--epochs", "2")
    one, two = (saved(f / "pretraining.checkpoint.pt") for f in (trained, tmp_path / "run"))
    for name in ("net", "average"):
        for key, value in one[0][name].items():
            assert torch.equal(value, two[0][name][key]), key
    assert [line.valid for line in one[1].curve] == [line.valid for line in two[1].curve]


def test_what_layers_draw_at_random_is_the_same_again_after_an_epoch(tmp_path):
    """efficientnet_b0 drops some of its values: its steps depend on the state of torch's generator."""
    dropping = ("--arch", "efficientnet_b0", "--epochs", "1", "--rounds", "2", "--batch", "2", "--epoch-samples", "2")
    train(tmp_path / "whole", *dropping)
    train(tmp_path / "parts", *dropping, "--rounds", "1")
    torch.rand(17)
    train(tmp_path / "parts", *dropping)
    one, two = (saved(tmp_path / f / "pretraining.checkpoint.pt") for f in ("whole", "parts"))
    assert one[1].epoch == two[1].epoch == 2
    for key, value in one[0]["net"].items():
        assert torch.equal(value, two[0]["net"][key]), key


def test_losses_are_kept_as_arrays_and_a_line_per_epoch(trained):
    train_loss = np.load(trained / "train_loss" / "pretraining.npy")
    valid_loss = np.load(trained / "valid_loss" / "pretraining.npy")
    assert train_loss.shape == valid_loss.shape == (2, 2)
    lines = [json.loads(line) for line in (trained / "train_loss" / "pretraining.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1] and lines[1]["samples"] == 16
    assert {"rate", "seconds"} <= set(lines[0])


def test_a_limit_of_time_and_rounds_contradict_each_other(tmp_path, capsys):
    with pytest.raises(SystemExit):
        train(tmp_path, "--minutes", "1", "--rounds", "2")
    assert "--minutes: the rate of one round follows the clock" in capsys.readouterr().err


def test_mixed_precision_is_refused_on_a_cpu(tmp_path):
    with pytest.raises(InputError, match=r"--precision bf16: expected a GPU, found cpu.*--precision float32"):
        train(tmp_path, "--precision", "bf16")


def test_a_checkpoint_of_another_seed_is_refused(trained):
    with pytest.raises(InputError, match=r"pretraining\.checkpoint\.pt: expected a checkpoint of the same seed"):
        train(trained, "--seed", "3")


def test_fine_tuning_starts_from_the_pretrained_weights_and_says_what_it_inherits(trained, capsys):
    train(trained, "--stage", "fine_tuning", "--epochs", "1", "--rounds", "2", "--rate", "1e-9")
    out = capsys.readouterr().out
    assert (
        "inherits from" in out and "architecture resnet18" in out and "overrides: prior" in out and "rate 1e-09" in out
    )
    before, after = (saved(trained / f"{s}.weights.pt") for s in ("pretraining", "fine_tuning"))
    assert torch.equal(before[0]["net.conv1.weight"], after[0]["net.conv1.weight"])
    assert after[1].epoch == 2  # one per round
    assert after[1].inherited.stage == "pretraining"


def test_fine_tuning_without_pretrained_weights_of_ones_own_or_released_is_refused(tmp_path):
    for path in PARAM.glob("*.toml"):
        shutil.copy(path, tmp_path)
    with pytest.raises(InputError, match=r"run/pretraining\.weights\.pt: no such checkpoint"):
        train(tmp_path / "run", "--stage", "fine_tuning", "--param", str(tmp_path))
    with pytest.raises(InputError, match=r"param/pretraining\.weights\.pt: expected arch resnet101, found resnet"):
        train(tmp_path / "run", "--stage", "fine_tuning", "--arch", "resnet101")


def test_training_from_files_works_and_refuses_other_spheres(tmp_path):
    made_by = SamplesMadeBy(prior_named("fine_tuning"), INPUT, "poisson", 0, 8)
    write_samples(tmp_path / "set.h5", draw_set(made_by, key=TRAINING_SET, workers=1), made_by)
    files = ("--train", str(tmp_path / "set.h5"), "--valid", str(tmp_path / "set.h5"), "--epochs", "1")
    train(tmp_path / "run", *files)
    with pytest.raises(InputError, match=r"set\.h5: labels: expected \(1, 12\).*--spheres 2"):
        train(tmp_path / "other", *files, "--spheres", "1")


def test_one_sphere_can_be_trained_alone(tmp_path):
    train(tmp_path, "--spheres", "1", "--epochs", "1")
    assert saved(tmp_path / "pretraining_single.weights.pt")[0]["label_mean"].shape == (1, 12)


@pytest.fixture(scope="module")
def pair(module_folder):
    """Return the folder of what two gloo processes did."""
    folder = module_folder("pair")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    mp.spawn(be_one_of_two, (port, folder), nprocs=2)
    return folder


def test_two_gloo_processes_give_the_gradients_of_one_on_the_joint_batch(pair):
    net, inputs, betas = problem()
    distance(net(inputs), betas).mean().backward()
    for found, parameter in zip(torch.load(pair / "gradient.pt"), net.parameters(), strict=True):
        assert torch.allclose(found, parameter.grad, rtol=1e-3, atol=1e-6 + 1e-4 * float(parameter.grad.abs().max()))
    net.zero_grad()
    distance(net(inputs[::2]), betas[::2]).mean().backward()
    assert not torch.allclose(found, parameter.grad, rtol=1e-3)


def test_two_processes_hold_the_same_network_at_the_same_rate_even_where_their_clocks_differ(pair):
    one, two = (torch.load(pair / f"held{rank}.pt") for rank in (0, 1))
    assert torch.equal(one[2], two[2])
    for name in (0, 1):
        for key, value in one[name].items():
            assert torch.equal(value, two[name][key]), key


def test_processes_that_do_not_see_the_same_checkpoint_refuse_to_go_on(pair):
    assert not list(pair.glob("agreed*"))
