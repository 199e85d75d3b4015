"""Short trainings, alone and as one of two processes, and a way to break one off."""

import contextlib
import time
import types

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from src import run_model
from src.network import loop, training_step
from src.network.checkpoint import read_checkpoint
from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import SphereNet, distance
from support import ROOT
from support.param import INPUT, prior_named
from util.runtime.errors import InputError
from util.training.course import TrainingFacts

SMALL = (
    *("--arch", "resnet18", "--batch", "4", "--epoch-samples", "8"),
    *("--validation", "6", "--first-samples", "400", "--device", "cpu"),
)


def train(folder, *options):
    folder.mkdir(exist_ok=True)
    where = ["--param", f"{ROOT}/param", "--data", str(folder), "--output", str(folder)]
    run_model.main([*where, *SMALL, *options])


def saved(path, facts=TrainingFacts):
    """Read the tensors and facts of a checkpoint or of weights."""
    return read_checkpoint(facts, path, maker="run_model.sh", remedy="train anew")


class Killed(Exception):
    """Stands for whatever ends a process half way."""


def kill_in_the_second_epoch(monkeypatch):
    """Let every training raise `Killed` as its second epoch begins."""
    whole = training_step.train_epoch

    def killed_in_the_second_epoch(state, *args, **kwargs):
        if state.facts.epoch == 1:
            raise Killed
        return whole(state, *args, **kwargs)

    monkeypatch.setattr(training_step, "train_epoch", killed_in_the_second_epoch)


def problem():
    inputs, betas = tensors(fresh_samples(prior_named("fine_tuning"), INPUT, 8, rng=seeded(0, 7)))
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, INPUT, betas.mean(0), betas.std(0)).eval()
    torch.nn.init.normal_(net.net.fc.weight, std=0.05)  # a new network's inner gradients are 0
    return net, inputs, betas


def keeping(train_network, path):
    """Let a training write to `path` what this process holds at the end; only the first writes a checkpoint."""

    def kept(*args, **kwargs):
        state, interruption = train_network(*args, **kwargs)
        rates = torch.tensor([line.rate for line in state.facts.curve])
        torch.save((state.net.state_dict(), state.average.state_dict(), rates), path)
        return state, interruption

    return kept


def be_one_of_two(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    net, inputs, betas = problem()
    mine = slice(rank, None, 2)
    model = DistributedDataParallel(net)
    distance(model(inputs[mine]), betas[mine]).mean().backward()
    if rank == 0:
        torch.save([p.grad for p in net.parameters()], folder / "gradient.pt")
    else:
        loop.time = types.SimpleNamespace(monotonic=lambda: 30 * time.monotonic())  # a clock that runs fast
    run_model.train_network = keeping(run_model.train_network, folder / f"held{rank}.pt")
    train(folder, "--epochs", "3", "--minutes", "1")
    if rank == 1:
        (folder / "lone").mkdir()
    with contextlib.suppress(InputError):
        train(folder, "--epochs", "4", *(("--output", str(folder / "lone")) if rank == 1 else ()))
        (folder / f"agreed{rank}").touch()
    dist.destroy_process_group()
