"""How fast the network trains on a device, and how fast its samples are drawn there; processor and GPU side by side.

usage: .venv/bin/python -m benchmark.training_speed [--arch resnet18 resnet34] [--batch 256 1024] [--compile]
           [--matrix 1024] [--devices cpu cuda] [--json FILE]

One row a device, network and batch: samples a second of a whole training step as run_model.sh makes it (drawing,
network, gradient, optimiser, running average), of the same with the network compiled by torch.compile (--compile), and
of drawing alone. Wall clock, after steps that warm up; a CPU uses all the cores that it may. --matrix also measures the
published network on matrices of so many pixels a side, in batches of 32.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmark.shared.results import write_json
from src.network.checkpoint import TrainingState
from src.network.device_source import DeviceSource
from src.network.matrix_net import MatrixNet
from src.network.matrix_source import MatrixSource
from src.network.model import ARCHITECTURES, SphereNet, distance
from src.network.processes import place
from src.network.source import PriorSource
from src.network.training_step import make_optimiser, running_average, train_epoch
from src.network.weights import Network
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.training.course import Course
from util.training.map_inversion import InputSettings
from util.training.matrix_input import MatrixInput
from util.training.priors import Prior
from util.training.recipe import Architecture, Precision, TrainingSettings, TrainingStages

ROOT = Path(__file__).resolve().parents[1]
_WARM_UP = 5  # steps
MATRICES = 32  # of a batch


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    arch: tuple[Architecture, ...]
    batch: tuple[int, ...]
    steps: int
    compile: bool
    matrix: int | None
    devices: tuple[str, ...]
    json: Path


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate_of(run: Callable[[int], object], steps: int, samples: int, device: torch.device) -> float:
    """Return samples a second of ``run(steps)``."""
    run(_WARM_UP)
    wait(device)
    begin = time.perf_counter()
    run(steps)
    wait(device)
    return steps * samples / (time.perf_counter() - begin)


def measure(
    net: Network,
    source: PriorSource | MatrixSource,
    settings: TrainingSettings,
    options: Options,
    device: torch.device,
) -> dict[str, Any]:
    """Measure one network on one device."""
    placed = place(net, device)
    optimiser = make_optimiser(placed, settings.rate, settings.weight_decay, settings.optimiser)
    state = TrainingState(
        placed, running_average(placed, 0.99), optimiser, Course(epoch=0, samples=0, seconds=0.0, curve=())
    )
    inputs: Any = net.input_settings

    def train(steps: int) -> None:
        part = (batch for _, batch in zip(range(steps), source.batches(inputs, 0), strict=False))
        train_epoch(state, placed, part, settings, lambda _: 1e-6, losses_of=distance)

    def draw(steps: int) -> None:
        for _ in zip(range(steps), source.batches(inputs, 0), strict=False):
            pass

    batch = settings.batch
    row = {
        "device": f"CPU, {torch.get_num_threads()} cores" if device.type == "cpu" else torch.cuda.get_device_name(),
        "input": settings.input,
        "network": settings.arch,
        "precision": settings.precision,
        "batch": batch,
        "step [1/s]": rate_of(train, options.steps, batch, device),
        "drawing [1/s]": rate_of(draw, options.steps, batch, device),
    }
    if options.compile:
        placed.compile()
        row["compiled [1/s]"] = rate_of(train, options.steps, batch, device)
    return row


def rows(options: Options, device: torch.device) -> list[dict[str, Any]]:
    """Measure every row of a device."""
    prior = load(Prior, ROOT / "param" / "pretraining.toml")
    inputs = load(InputSettings, ROOT / "param" / "network_input.toml")
    precision: Precision = "bf16" if device.type == "cuda" else "float32"
    out = []
    for arch in options.arch:
        for batch in options.batch:
            settings = load(TrainingStages, ROOT / "param" / "training.toml").pretraining
            samples = batch * (options.steps + 1)
            settings = dataclasses.replace(settings, arch=arch, batch=batch, epoch_samples=samples, precision=precision)
            own: dict[str, Any] = {"valid": 2, "seed": 0}
            source = (
                PriorSource("prior", prior, settings, **own)
                if device.type == "cpu"
                else DeviceSource("prior", prior, settings, **own, device=device)
            )
            out.append(measure(SphereNet(arch, 2, inputs), source, settings, options, device))
    if options.matrix:
        settings = load(TrainingStages, ROOT / "param" / "published.toml").pretraining
        samples = MATRICES * (options.steps + 1)
        settings = dataclasses.replace(settings, batch=MATRICES, epoch_samples=samples, precision=precision)
        matrices = MatrixSource("prior", prior, settings, 2, device=device, seed=0)
        net = MatrixNet(settings.arch, 2, MatrixInput(options.matrix, prior.betas))
        out.append(measure(net, matrices, settings, options, device))
    return out


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.training_speed", __doc__)
    add = parser.add_argument
    add(
        "--arch",
        nargs="+",
        choices=ARCHITECTURES,
        default=("resnet18", "resnet34"),
        metavar="NAME",
        help="(default: resnet18 resnet34)",
    )
    add("--batch", type=number(int, 2), nargs="+", default=(64, 256), metavar="N", help="(default: 64 256)")
    add("--steps", type=number(int, 1), default=20, metavar="N", help="(default %(default)s)")
    add("--compile", action="store_true", help="also with the network compiled")
    add("--matrix", type=number(int, 16), metavar="PIXELS", help="also the published network, on matrices of this side")
    there = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    add("--devices", choices=there, nargs="+", default=there, help="(default: all that are there)")
    add("--json", type=Path, default=ROOT / "data" / "benchmark" / "training_speed.json", metavar="FILE")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse_args(argv)
    found = [row for name in options.devices for row in rows(options, torch.device(name))]
    print(tabulate(found, headers="keys", floatfmt=",.0f"))
    write_json(options.json, found)


if __name__ == "__main__":
    run_program(main)
