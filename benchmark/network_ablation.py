"""What the parts of the network bring: short trainings on fresh samples, alike but for one part.

Usage: python -m benchmark.network_ablation [--samples 12800] [--variants NAME ..] [--json FILE]

All train on the prior of param/fine_tuning.toml, 64 samples a step, one-cycle AdamW, and are validated on 500 samples
of another seed, without averaging. `map`: the square root of the folded map's counts, standardised bin by bin;
`inverted`: the inverted image; `windows`: the windows about the spheres; `shortcut`: with the linear shortcut,
or that alone.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from src.model import SphereNet, backbone, distance
from src.sevi_dataset import fresh_samples, seeded, tensors
from src.train_func import TrainingStages, rate_at, stage_of
from util.atomic_file import replacing
from util.map_inversion import InputSettings
from util.options import number
from util.priors import Prior
from util.settings import load

ROOT = Path(__file__).resolve().parents[1]
BATCH = 64
# Input, architecture, linear shortcut, highest rate.
VARIANTS = {
    "map, resnet18": ("map", "resnet18", False, 2e-3),
    "inverted, resnet18": ("inverted", "resnet18", False, 2e-3),
    "windows, resnet18": ("windows", "resnet18", False, 2e-3),
    "windows, resnet34": ("windows", "resnet34", False, 2e-3),
    "windows, shortcut": ("windows", None, True, 6e-4),
    "windows, shortcut, resnet18": ("windows", "resnet18", True, 6e-4),
    "windows, shortcut, resnet34": ("windows", "resnet34", True, 6e-4),
}


class Variant(nn.Module):
    """The network with parts left out."""

    def __init__(self, whole: SphereNet, kind: str, arch: str | None, shortcut: bool, maps: Tensor):
        super().__init__()
        self.whole, self.kind, self.shortcut = whole, kind, shortcut
        self.inner = None if arch is None else backbone(arch, whole.shortcut.out_features)
        if self.inner is not None and not shortcut:
            nn.init.kaiming_normal_(self.inner.fc.weight)  # nothing else gives a first answer
        image = maps.clamp_min(0).sqrt()
        self.register_buffer("mean", image.mean(0))
        self.register_buffer("std", image.std(0) + 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Read maps (n, n_rho, n_angle)."""
        with torch.no_grad():
            if self.kind == "map":
                image = ((maps.clamp_min(0).sqrt() - self.mean) / self.std)[:, None]
            elif self.kind == "inverted":
                image = self.whole.invert(maps)[:, None]
            else:
                image = self.whole.image(maps)
        out = self.whole.shortcut(image.flatten(1)) if self.shortcut else 0
        if self.inner is not None:
            out = out + self.inner(image)
        return out.view(-1, *self.whole.label_mean.shape) * self.whole.label_std + self.whole.label_mean


def train(name: str, samples: int, prior: Prior, inputs: InputSettings) -> dict:
    """Train and validate one variant."""
    kind, arch, shortcut, rate = VARIANTS[name]
    settings = stage_of(load(TrainingStages, ROOT / "param" / "training.toml"), "pretraining", {"rate": rate})
    first, betas = tensors(fresh_samples(prior, inputs, 4000, rng=seeded(0, 2)))
    torch.manual_seed(0)
    whole = SphereNet("resnet18", 2, inputs, betas.mean(0), betas.std(0))
    whole.fit_shortcut([(first, betas)], by_cell=False)
    net = Variant(whole, kind, arch, shortcut, first[:512])
    parameters = [{"params": list(net.inner.parameters()), "pace": 1.0}] if net.inner is not None else []
    parameters += [{"params": list(whole.shortcut.parameters()), "pace": 0.1, "weight_decay": 0.0}] if shortcut else []
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=settings.weight_decay)
    begin, steps = time.process_time(), samples // BATCH
    net.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(settings, step / steps) * group["pace"]
        some, wanted = tensors(fresh_samples(prior, inputs, BATCH, rng=seeded(0, 0, step)))
        loss = distance(net(some), wanted).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
    seconds = time.process_time() - begin
    net.eval()
    some, wanted = tensors(fresh_samples(prior, inputs, 500, rng=seeded(30_000, 1)))
    with torch.no_grad():
        found = torch.cat([net(part) for part in some.split(100)])
    return {
        "variant": name,
        "samples": steps * BATCH,
        "distance": distance(found, wanted).mean().item(),
        "cpu_ms_a_sample": 1e3 * seconds / max(steps * BATCH, 1),
    }


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=number(int, BATCH), default=12_800, metavar="N")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--json", type=Path, default=Path("data/benchmark/network_ablation.json"), metavar="FILE")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Train all variants and print what came out."""
    args = parse_args(argv)
    prior = load(Prior, ROOT / "param" / "fine_tuning.toml")
    inputs = load(InputSettings, ROOT / "param" / "network_input.toml")
    results = []
    for name in args.variants:
        results.append(train(name, args.samples, prior, inputs))
        print(f"{name:<30}{results[-1]['distance']:.4f}   {results[-1]['cpu_ms_a_sample']:.1f} ms", flush=True)
    with replacing(args.json) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
