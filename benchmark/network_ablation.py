"""What the parts of the network and of its training contribute: short trainings, alike but for one part.

usage: .venv/bin/python -m benchmark.network_ablation [--groups input least_squares schedule data architecture]
           [--json FILE]

input           inputs and readers on the prior of param/fine_tuning.toml. `map`: the square root of the folded map's
                counts, standardised bin by bin; `inverted`: the inverted image; `windows`: those about the spheres
least_squares   the linear shortcut alone, fitted in closed form to 40,000 samples of the same prior, not trained
schedule, data, architecture
                windows, shortcut and a ResNet18 on the prior of param/pretraining.toml, but for what the name says.
                `file`: 4,000 samples seen again and again; `3 files`: three such, exchanged each pass; else fresh ones

64 samples per step, AdamW, no averaging of the weights; 12,800 samples unless the name says otherwise. Validated on 500
samples of another seed, on the wide prior also on 500 whose radii are 0.05 apart. Prints distances, and processor time
per sample.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.shared.results import machine, write_json
from src.network.dataset import fresh_samples, seeded, tensors
from src.network.model import SphereNet, backbone, distance, last_layer
from src.network.schedule import rate_at
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options
from util.runtime.settings import load
from util.training.map_inversion import InputSettings, tuned
from util.training.priors import Prior, draw
from util.training.recipe import Architecture, Schedule, TrainingStages

ROOT = Path(__file__).resolve().parents[1]
BATCH, FILE = 64, 4000
APART = 0.05
LEAST_SQUARES_SAMPLES = 40_000


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    groups: tuple[str, ...]
    json: Path


@dataclasses.dataclass(frozen=True)
class Variant:
    """One training.

    Attributes
    ----------
    arch : Architecture or None
        None: the shortcut alone.
    files : int
        0: fresh samples.
    by_cell : bool
        Whether the shortcut is fitted to the cells of the windows, not to their sums.
    window : int
        0: the input as in param/network_input.toml; otherwise one made for the prior.
    """

    name: str
    prior: str = "pretraining"
    input: str = "windows"
    arch: Architecture | None = "resnet18"
    shortcut: bool = True
    rate: float = 6e-4
    schedule: Schedule = "onecycle"
    samples: int = 12_800
    files: int = 0
    by_cell: bool = False
    window: int = 0


def _narrow(name: str, **changes: Any) -> Variant:
    return Variant(name, prior="fine_tuning", **changes)


GROUPS = {
    "input": [
        _narrow("map, ResNet18", input="map", shortcut=False, rate=2e-3),
        _narrow("inverted, ResNet18", input="inverted", shortcut=False, rate=2e-3),
        _narrow("windows, ResNet18", shortcut=False, rate=2e-3),
        _narrow("windows, ResNet34", arch="resnet34", shortcut=False, rate=2e-3),
        _narrow("windows, shortcut", arch=None),
        _narrow("windows, shortcut, ResNet18"),
        _narrow("windows, shortcut, ResNet34", arch="resnet34"),
    ],
    "least_squares": [
        _narrow("sums over the windows", arch=None, samples=0),
        _narrow("cells", arch=None, samples=0, by_cell=True),
        _narrow("cells, inversion for the prior", arch=None, samples=0, by_cell=True, window=16),
        _narrow("the same, windows of 24", arch=None, samples=0, by_cell=True, window=24),
        _narrow("the same, windows of 32", arch=None, samples=0, by_cell=True, window=32),
    ],
    "schedule": [
        Variant("one cycle, 6e-4"),
        Variant("one cycle, 2e-4", rate=2e-4),
        Variant("one cycle, 2e-3", rate=2e-3),
        Variant("cosine, 6e-4", schedule="cosine"),
        Variant("cosine, 2e-3", schedule="cosine", rate=2e-3),
    ],
    "data": [
        Variant("none: the shortcut as fitted", arch=None, samples=0),
        Variant("3,200 fresh", samples=3200),
        Variant("12,800 fresh"),
        Variant("51,200 fresh", samples=51_200),
        Variant("51,200 of a file", samples=51_200, files=1),
        Variant("51,200 of 3 files", samples=51_200, files=3),
    ],
    "architecture": [
        Variant("ResNet18"),
        Variant("ResNet34", arch="resnet34"),
        Variant("ResNet50", arch="resnet50"),
        Variant("EfficientNet-B0", arch="efficientnet_b0"),
    ],
}


class Reader(nn.Module):
    """The network with parts left out."""

    mean: Tensor
    std: Tensor

    def __init__(self, whole: SphereNet, variant: Variant, maps: Tensor) -> None:
        super().__init__()
        self.whole, self.kind = whole, variant.input
        self.shortcut = whole.shortcut if variant.shortcut else None
        self.inner = None if variant.arch is None else backbone(variant.arch, whole.label_mean.numel())
        if self.inner is not None and not variant.shortcut:
            nn.init.kaiming_normal_(last_layer(self.inner).weight)  # nothing else gives a first answer
        image = maps.clamp_min(0).sqrt()
        self.register_buffer("mean", image.mean(0))
        self.register_buffer("std", image.std(0) + 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the betas of maps (n, n_rho, n_angle)."""
        with torch.no_grad():
            if self.kind == "map":
                image = ((maps.clamp_min(0).sqrt() - self.mean) / self.std)[:, None]
            elif self.kind == "inverted":
                image = self.whole.invert(maps)[:, None]
            else:
                image = self.whole.image(maps)
        out = torch.zeros(len(maps), self.whole.label_mean.numel())
        if self.shortcut is not None:
            out = out + self.shortcut(image.flatten(1))
        if self.inner is not None:
            out = out + self.inner(image)
        return out.view(-1, *self.whole.label_mean.shape) * self.whole.label_std + self.whole.label_mean


def samples_of(prior: Prior, inputs: InputSettings, n: int, *key: int) -> tuple[Tensor, Tensor]:
    """Draw maps and betas with a generator of their own."""
    return tensors(fresh_samples(prior, inputs, n, rng=seeded(*key)))


def batches(variant: Variant, prior: Prior, inputs: InputSettings) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of a training."""
    steps = variant.samples // BATCH
    if not variant.files:
        yield from (samples_of(prior, inputs, BATCH, 0, 0, step) for step in range(steps))
        return
    files = [samples_of(prior, inputs, FILE, 0, 3, i) for i in range(variant.files)]
    in_a_pass = FILE // BATCH
    for step in range(steps):
        turn, within = divmod(step, in_a_pass)
        if within == 0:
            order = torch.from_numpy(seeded(0, 4, turn).permutation(FILE))
        chosen = order[within * BATCH : (within + 1) * BATCH]
        maps, betas = files[turn % variant.files]
        yield maps[chosen], betas[chosen]


def first_network(variant: Variant, prior: Prior, inputs: InputSettings) -> tuple[SphereNet, Tensor]:
    """Make the network with its shortcut fitted; return it and some maps for the scale of the input `map`."""
    if variant.window:
        inputs = tuned(inputs, draw(prior, FILE, rng=seeded(0, 5)), variant.window)
    parts = max(LEAST_SQUARES_SAMPLES // FILE if variant.samples == 0 and variant.prior == "fine_tuning" else 1, 1)
    first, betas = samples_of(prior, inputs, FILE, 0, 2)
    torch.manual_seed(0)
    net = SphereNet("resnet18", 2, inputs, betas.mean(0), betas.std(0))
    more = (samples_of(prior, inputs, FILE, 0, 2, part) for part in range(1, parts))
    net.fit_shortcut((pair for some in ([(first, betas)], more) for pair in some), by_cell=variant.by_cell)
    return net, first[:512]


def train(variant: Variant) -> dict[str, Any]:
    """Train and validate one variant."""
    prior = load(Prior, ROOT / "param" / f"{variant.prior}.toml")
    inputs = load(InputSettings, ROOT / "param" / "network_input.toml")
    stages = load(TrainingStages, ROOT / "param" / "training.toml")
    settings = stages.stage("pretraining", {"rate": variant.rate, "schedule": variant.schedule})
    whole, some = first_network(variant, prior, inputs)
    net = Reader(whole, variant, some)
    parameters = [{"params": list(net.inner.parameters()), "pace": 1.0}] if net.inner is not None else []
    if net.shortcut is not None:
        parameters += [{"params": list(net.shortcut.parameters()), "pace": 0.1, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(parameters, lr=variant.rate, weight_decay=settings.weight_decay)
    begin, steps = time.process_time(), variant.samples // BATCH
    net.train()
    for step, (maps, betas) in enumerate(batches(variant, prior, inputs)):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(settings, step / steps) * group["pace"]
        loss = distance(net(maps), betas).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
    seconds = time.process_time() - begin
    row = {**dataclasses.asdict(variant), "distance": validate(net, prior, inputs)}
    if variant.prior == "pretraining":
        row["distance_apart"] = validate(net, dataclasses.replace(prior, closest=APART), inputs)
    return {**row, "cpu_ms_per_sample": 1e3 * seconds / max(variant.samples, 1)}


@torch.no_grad()
def validate(net: nn.Module, prior: Prior, inputs: InputSettings) -> float:
    """Return the mean distance on samples of another seed."""
    net.eval()
    maps, betas = samples_of(prior, inputs, 500, 30_000, 1)
    return distance(torch.cat([net(part) for part in maps.split(100)]), betas).mean().item()


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("python -m benchmark.network_ablation", __doc__)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="NAME")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "data" / "benchmark" / "network_ablation.json", metavar="FILE"
    )
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Train all variants and print what came out."""
    options = parse_args(argv)
    results: dict[str, list[dict[str, Any]]] = {}
    for group in options.groups:
        print(f"{group:<34}{'distance':>9}{'0.05 apart':>12}{'ms per sample':>15}")
        results[group] = []
        for variant in GROUPS[group]:
            row = train(variant)
            results[group].append(row)
            apart = f"{row['distance_apart']:.4f}" if "distance_apart" in row else ""
            print(
                f"  {variant.name:<32}{row['distance']:>9.4f}{apart:>12}{row['cpu_ms_per_sample']:>15.1f}", flush=True
            )
    write_json(options.json, {"machine": machine(), "groups": results})


if __name__ == "__main__":
    run_program(main)
