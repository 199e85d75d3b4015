"""One training run: what it starts from, its epochs, its checkpoints and its losses."""

import copy
import dataclasses
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torchvision
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from src.network import training_step
from src.network.dataset import (
    VALIDATION,
    FileBatches,
    FreshBatches,
    Samples,
    fresh_samples,
    read_samples,
    seeded,
    tensors,
)
from src.network.model import SphereNet
from src.network.weights import build, half, read_weights
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.runtime.executor import available_cores
from util.training.map_inversion import InputSettings, tuned
from util.training.priors import Draws, Prior, draw

# Spawn keys beside those of samples.
_FIRST, _NOISE = 2, 3
_FIRST_PART = 1000


class Data(NamedTuple):
    """Where samples come from: a prior, or files."""

    prior: Prior | None
    train: tuple[Path, ...]
    valid: Path | None
    exchange: int
    validation: int


class Outputs(NamedTuple):
    """Names of what a run writes."""

    stage: str
    param: Path
    losses: Path

    @property
    def checkpoint(self) -> Path:
        """All that is needed to go on."""
        return self.param / f"{self.stage}.checkpoint.pt"

    @property
    def weights(self) -> Path:
        """Averaged weights in half precision."""
        return self.param / f"{self.stage}.weights.pt"

    def loss(self, kind: str, suffix: str) -> Path:
        """Losses of an epoch; `kind` is "train" or "valid"."""
        return self.losses / f"{kind}_loss" / f"{self.stage}{suffix}"


class Trainer:
    """See `src.run_model` for what the parameters mean."""

    def __init__(
        self,
        settings: training_step.TrainingSettings,
        input_settings: InputSettings,
        data: Data,
        outputs: Outputs,
        *,
        spheres: int,
        init: Path | None,
        overrides: list[str],
        rounds: int,
        minutes: float | None,
        seed: int,
        device: torch.device,
        resume: bool,
    ):
        training_step.check_precision(settings.precision, device)
        self.settings, self.data, self.outputs = settings, data, outputs
        self.rounds, self.minutes, self.seed, self.device = rounds, minutes, seed, device
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.ranks = dist.get_world_size() if dist.is_initialized() else 1
        state = training_step.read_checkpoint(outputs.checkpoint) if resume and outputs.checkpoint.exists() else None
        inherited = None
        if state is not None:
            self._check_same(state[1], spheres)
            net = build(state[1])
        elif init is not None:
            net, inherited = read_weights(init)
            self._inherit(init, inherited, spheres, overrides)
            if self.settings.window:
                net = self._new_network(net.input_settings, spheres, source=net)
        else:
            net = self._new_network(input_settings, spheres)
        self.batches = self._make_batches(net)
        self.valid = self._validation_samples(net)
        self.facts = state[1] if state else self._first_facts(net, inherited)
        self._check_together()
        self.net = net.to(device)
        if device.type == "cuda":
            self.net = self.net.to(memory_format=torch.channels_last)
            if self.ranks > 1:
                self.net = nn.SyncBatchNorm.convert_sync_batchnorm(self.net)
        self.average = copy.deepcopy(self.net)
        self.optimiser = training_step.make_optimiser(self.net, self.settings)
        if state is not None:
            self.net.load_state_dict(state[0]["net"])
            self.average.load_state_dict(state[0]["average"])
            self.optimiser.load_state_dict(state[0]["optimiser"])
        # Fixed matrices are among the buffers: sending them at each step would cost more than the step.
        self.model = DistributedDataParallel(self.net, forward_sync_buffers=False) if self.ranks > 1 else self.net

    def _first_parts(self, input_settings: InputSettings) -> Iterator[Samples]:
        """Yield samples that are looked at before training starts."""
        if self.data.prior is None:
            yield from map(read_samples, self.data.train)
            return
        for start in range(0, self.settings.first_samples, _FIRST_PART):
            n = min(_FIRST_PART, self.settings.first_samples - start)
            yield fresh_samples(self.data.prior, input_settings, n, rng=seeded(self.seed, _FIRST, start))

    def _new_network(self, input_settings: InputSettings, spheres: int, source: SphereNet | None = None) -> SphereNet:
        """Make a network with a fitted shortcut; from `source` it has the scale of its outputs, and its layers."""
        if self.data.prior is not None:
            draws = draw(self.data.prior, self.settings.first_samples, rng=seeded(self.seed, _FIRST))
        else:
            of_files = [part.draws for part in self._first_parts(input_settings)]
            draws = Draws(*(np.concatenate(values) for values in zip(*of_files, strict=True)))
        if draws.beta.shape[1:] != (spheres, len(input_settings.beta_mean)):
            raise InputError(
                f"{self.data.train[0] if self.data.train else 'prior'}: labels: expected "
                f"({spheres}, {len(input_settings.beta_mean)}) a sample, found {draws.beta.shape[1:]}; "
                f"use --spheres {draws.beta.shape[1]} or other samples"
            )
        if self.settings.window:
            input_settings = tuned(input_settings, draws, self.settings.window)
        if source is None:
            betas = torch.from_numpy(draws.beta).float()
            scale = betas.mean(0), betas.std(0).clamp_min(1e-6)
        else:
            scale = source.label_mean, source.label_std
        torch.manual_seed(self.seed)
        net = SphereNet(self.settings.arch, spheres, input_settings, *scale)
        net.fit_shortcut(map(tensors, self._first_parts(input_settings)), by_cell=self.settings.window > 0)
        if source is not None:
            net.inherit(source.net)
        return net

    def _make_batches(self, net: SphereNet) -> FreshBatches | FileBatches:
        settings, inputs = self.settings, net.input_settings
        if self.data.prior is not None:
            steps = max(round(settings.epoch_samples / (settings.batch * self.ranks)), 1)
            here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
            threads = max(available_cores() // here, 1) if self.device.type == "cuda" else 0
            return FreshBatches(
                self.data.prior, inputs, settings.batch, steps, seed=self.seed, rank=self.rank, threads=threads
            )
        batches = FileBatches(
            list(self.data.train), settings.batch, self.data.exchange, seed=self.seed, rank=self.rank, ranks=self.ranks
        )
        if batches.betas_shape != tuple(net.label_mean.shape):
            raise InputError(
                f"{self.data.train[0]}: labels: expected {tuple(net.label_mean.shape)} a sample, "
                f"found {batches.betas_shape}; use --spheres {batches.betas_shape[0]} or other files"
            )
        return batches

    def _validation_samples(self, net: SphereNet) -> Samples:
        if self.data.valid is not None:
            samples = read_samples(self.data.valid)
        else:
            rng = seeded(self.seed, VALIDATION)
            samples = fresh_samples(self.data.prior, net.input_settings, self.data.validation, rng=rng)
        expected = (net.input_settings.n_rho, net.input_settings.n_angle)
        if samples.inputs.shape[1:] != expected or samples.draws.beta.shape[1:] != tuple(net.label_mean.shape):
            raise InputError(
                f"{self.data.valid}: expected inputs {expected} and labels {tuple(net.label_mean.shape)} a sample, "
                f"found {samples.inputs.shape[1:]} and {samples.draws.beta.shape[1:]}; make a set for this network"
            )
        return samples

    def _inherit(self, init: Path, facts: dict, spheres: int, overrides: list[str]) -> None:
        if facts["spheres"] != spheres:
            raise InputError(
                f"{init}: expected weights for {spheres} sphere(s), found {facts['spheres']}; use --spheres or others"
            )
        if "arch" in overrides and facts["arch"] != self.settings.arch:
            raise InputError(f"{init}: expected {self.settings.arch}, found {facts['arch']}; leave --arch out")
        self.settings = dataclasses.replace(self.settings, arch=facts["arch"])
        if self.rank == 0:
            changed = {
                key: value
                for key, value in dataclasses.asdict(self.settings).items()
                if facts.get("settings", {}).get(key) != value
            }
            kept, first = ("but the last", "prior, input, shortcut") if self.settings.window else ("and input", "prior")
            print(f"inherits from {init}: architecture {facts['arch']}, layers {kept}, scale of the labels", flush=True)
            print(f"overrides: {first}, {', '.join(f'{k} {v}' for k, v in changed.items())}", flush=True)

    def _check_same(self, facts: dict, spheres: int) -> None:
        path = self.outputs.checkpoint
        for key, mine in (
            ("arch", self.settings.arch if facts.get("inherited") is None else facts["arch"]),
            ("spheres", spheres),
            ("seed", self.seed),
            ("prior", self._prior_facts()),
        ):
            if facts[key] != mine:
                raise InputError(
                    f"{path}: expected a checkpoint of the same {key}, found another; "
                    "begin anew with --restart or name another --output"
                )
        self.settings = dataclasses.replace(self.settings, arch=facts["arch"])

    def _prior_facts(self) -> dict | None:
        return None if self.data.prior is None else json.loads(json.dumps(dataclasses.asdict(self.data.prior)))

    def _first_facts(self, net: SphereNet, inherited: dict | None) -> dict:
        beta = self.valid.draws.beta
        mean_guess = training_step.distance(net.label_mean.expand(len(beta), -1, -1), torch.tensor(beta)).mean().item()
        best = training_step.distance(torch.tensor(beta.mean(0)).expand(len(beta), -1, -1), torch.tensor(beta)).mean()
        return {
            "stage": self.outputs.stage,
            "arch": self.settings.arch,
            "spheres": beta.shape[1],
            "input": dataclasses.asdict(net.input_settings),
            "settings": dataclasses.asdict(self.settings),
            "prior": self._prior_facts(),
            "files": [path.name for path in self.data.train],
            "seed": self.seed,
            "processes": self.ranks,
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
            "inherited": inherited,
            "validation_samples": len(beta),
            "predicting_the_mean": best.item(),
            "predicting_the_first_prior": mean_guess,
            "epoch": 0,
            "samples": 0,
            "seconds": 0.0,
            "curve": [],
        }

    def run(self, report: Callable[[dict], None]) -> None:
        """Train the epochs that are left; `report` gets one line an epoch, in the first process only.

        Raises
        ------
        Diverged
            A loss that is not finite; the checkpoint of the last whole epoch stays.
        """
        epochs = self.settings.epochs * self.rounds
        begun, before = time.monotonic(), self.facts["seconds"]
        inputs, betas = tensors(self.valid)
        mine = slice(self.rank, None, self.ranks)
        while self.facts["epoch"] < epochs and not self._time_is_up():
            epoch = self.facts["epoch"]
            # What layers draw at random; efficientnet_b0 drops some.
            torch.manual_seed(int(seeded(self.seed, _NOISE, epoch, self.rank).integers(2**62)))
            progress = self._progress(epoch)
            sums = training_step.train_epoch(
                self.model,
                self.average,
                self.optimiser,
                self.batches.epoch(epoch),
                self.settings,
                lambda step, progress=progress: training_step.rate_at(self.settings, progress(step)),
                device=self.device,
                epoch=epoch,
                frozen=progress(0) >= 1 - self.settings.frozen,
            )
            rate = self.optimiser.param_groups[0]["lr"]
            sums = training_step.reduce_sums(sums, self.device)
            for net in (self.net, self.average):
                training_step.average_statistics(net)
            found = training_step.evaluate(self.average, inputs[mine], betas[mine], device=self.device)
            valid = training_step.reduce_sums(np.array([found.sum(), (found**2).sum(), len(found)]), self.device)
            self.facts["epoch"] += 1
            self.facts["samples"] += int(sums[2])
            self.facts["seconds"] = self._of_the_first(before + time.monotonic() - begun)
            self.facts["curve"].append(
                {
                    "epoch": epoch,
                    "train": training_step.mean_and_std(sums),
                    "valid": training_step.mean_and_std(valid),
                    "rate": rate,
                    "seconds": round(self.facts["seconds"], 1),
                    "samples": self.facts["samples"],
                }
            )
            if self.rank == 0:
                self._save()
                report(self.facts["curve"][-1])

    def _progress(self, epoch: int) -> Callable[[int], float]:
        """Give the part of a round that is behind as a function of the step: by epochs and, with a limit, by the clock.

        All processes must come to the same: it takes one process' time of past epochs, none of the present.
        """
        behind, last = self.facts["seconds"], 0.0
        if curve := self.facts["curve"]:
            last = curve[-1]["seconds"] - (curve[-2]["seconds"] if len(curve) > 1 else 0.0)

        def progress(step: int) -> float:
            part = step / self.batches.steps
            within = (epoch % self.settings.epochs + part) / self.settings.epochs
            clock = (behind + part * last) / (60 * self.minutes) if self.minutes else 0.0
            return min(max(within, clock), 1.0)

        return progress

    def _time_is_up(self) -> bool:
        return self.minutes is not None and self.facts["seconds"] >= 60 * self.minutes

    def _of_the_first(self, value: float) -> float:
        """Give all processes the first one's value."""
        return float(training_step.reduce_sums(np.array([value * (self.rank == 0)]), self.device)[0])

    def _check_together(self) -> None:
        epoch = self.facts["epoch"]
        total = training_step.reduce_sums(np.array([epoch, epoch**2]), self.device)
        if self.ranks * total[1] != total[0] ** 2:
            raise InputError(
                f"{self.outputs.checkpoint}: expected the same checkpoint in every process, found others; "
                "PARAM_DIR must be on a disk that all nodes share"
            )

    def _save(self) -> None:
        tensors_now = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        training_step.write_checkpoint(self.outputs.checkpoint, tensors_now, self.facts)
        training_step.write_checkpoint(self.outputs.weights, half(self.average.state_dict()), self.facts)
        curve = self.facts["curve"]
        for kind in ("train", "valid"):
            image = io.BytesIO()
            np.save(image, np.array([line[kind] for line in curve]))
            with replacing(self.outputs.loss(kind, ".npy")) as temporary:
                temporary.write_bytes(image.getvalue())
        with replacing(self.outputs.loss("train", ".jsonl")) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in curve), encoding="utf-8")
