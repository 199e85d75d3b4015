"""Train the spot classifier.

usage: python -m src.run_gauss_model --data FOLDER [--task pixel|finder] [--epochs N] [--rate X] ...

reads   FOLDER/TASK_train.h5, FOLDER/TASK_valid.h5 of gen_gauss_data.sh, param/gauss.toml
writes  FOLDER/TASK.checkpoint.pt   all that is needed to go on, after each epoch
        FOLDER/TASK.weights.pt      the averaged weights, after each epoch
        FOLDER/TASK.jsonl           one line an epoch: losses; F1, precision, recall and accuracy of the validation set

A run that was stopped goes on from its checkpoint, to the same result; --restart begins anew.
"""

import argparse
import copy
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.network import training_step
from src.network.dataset import TRAINING, seeded
from src.spot_classifier.net import SpotNet, losses
from src.spot_classifier.patch_file import TASKS, read_patches, task_settings
from src.spot_classifier.patches import KINDS, POSITIVE, GaussSettings
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError, run_program
from util.runtime.options import number


def batches(rows: NDArray, size: int, *, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images and targets of an epoch, in an order that depends on seed and epoch alone."""
    order = seeded(seed, TRAINING, epoch).permutation(len(rows))
    for start in range(0, len(order), size):
        yield tensors(rows[order[start : start + size]])


def tensors(rows: NDArray) -> tuple[Tensor, Tensor]:
    """Give images (n, side, side) and targets (n, 3): 1 or 0, and the offset."""
    targets = np.concatenate((rows["Kind"][:, None] == POSITIVE, rows["Offset"]), axis=1, dtype=np.float32)
    return torch.from_numpy(rows["Image"].astype(np.float32)), torch.from_numpy(targets)


@torch.no_grad()
def answers(net: SpotNet, rows: NDArray, batch: int = 2048) -> NDArray[np.float32]:
    """Ask the network about each patch (n, 3): logit and offset [cells]."""
    net.eval()
    parts = [net(tensors(rows[start : start + batch])[0]).flatten(1).numpy() for start in range(0, len(rows), batch)]
    return np.concatenate(parts)


def scores(said: NDArray[np.bool_], kind: NDArray) -> dict[str, float]:
    """F1, precision, recall and accuracy, and the accuracy of each kind of patch.

    Parameters
    ----------
    said : (n,) bool
        Whether an electron was said to be there.
    kind : (n,)
        Index into `src.spot_classifier.patches.KINDS`.
    """
    true = kind == POSITIVE
    hits = np.count_nonzero(said & true)
    precision, recall = hits / max(np.count_nonzero(said), 1), hits / max(np.count_nonzero(true), 1)
    found = {
        "accuracy": float(np.mean(said == true)),
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "precision": precision,
        "recall": recall,
    }
    for index, name in enumerate(KINDS):
        if (kind == index).any():
            found[f"accuracy_{name}"] = float(np.mean(said[kind == index] == (index == POSITIVE)))
    return found


def _checkpoint(path: Path, settings: GaussSettings, how: dict, restart: bool) -> tuple[dict, dict] | None:
    """Read where to go on.

    Raises
    ------
    InputError
        A checkpoint of another run.
    """
    if restart or not path.exists():
        return None
    state, facts = training_step.read_checkpoint(path, "run_gauss_model.sh")
    mine = {**how, "settings": json.loads(json.dumps(dataclasses.asdict(settings)))}
    for key, value in mine.items():
        if facts.get(key) != value:
            raise InputError(
                f"{path}: expected a checkpoint of the same {key}, found another; begin anew with --restart"
            )
    return state, facts


def train(
    folder: Path, task: str, settings: GaussSettings, *, seed: int, restart: bool, report: Callable[[dict], None]
) -> None:
    """Train the epochs that are left; `report` gets one line an epoch.

    Raises
    ------
    InputError
        Patches that are missing or of another kind, a checkpoint of another run, a loss that is no number.
    """
    rows, valid = (read_patches(folder / f"{task}_{part}.h5", settings) for part in ("train", "valid"))
    how = {"task": task, "seed": seed, "patches": [len(rows), len(valid)]}
    checkpoint = folder / f"{task}.checkpoint.pt"
    saved = _checkpoint(checkpoint, settings, how, restart)
    torch.manual_seed(seed)
    net = SpotNet(settings)
    average = copy.deepcopy(net)
    optimiser = torch.optim.Adam([{"params": list(net.parameters()), "pace": 1.0}], lr=settings.rate)
    facts: dict = {**how, "settings": dataclasses.asdict(settings), "seconds": 0.0, "curve": []}
    if saved is not None:
        net.load_state_dict(saved[0]["net"])
        average.load_state_dict(saved[0]["average"])
        optimiser.load_state_dict(saved[0]["optimiser"])
        facts = saved[1]
    steps = -(-len(rows) // settings.batch)
    loss_of = functools.partial(losses, offset_weight=settings.offset)
    for epoch in range(len(facts["curve"]), settings.epochs):
        begun = time.monotonic()
        sums = training_step.train_epoch(
            net,
            average,
            optimiser,
            batches(rows, settings.batch, seed=seed, epoch=epoch),
            settings,
            lambda step, epoch=epoch: training_step.rate_at(settings, (epoch + step / steps) / settings.epochs),
            device=torch.device("cpu"),
            epoch=epoch,
            frozen=False,
            losses_of=loss_of,
        )
        said = answers(average, valid)
        valid_losses = loss_of(torch.from_numpy(said)[:, :, None, None], tensors(valid)[1])
        facts["seconds"] += time.monotonic() - begun
        line = {"epoch": epoch, "train": training_step.mean_and_std(sums)[0], "valid": float(valid_losses.mean())}
        facts["curve"].append(line | scores(said[:, 0] > 0, valid["Kind"]) | {"seconds": round(facts["seconds"], 1)})
        state = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
        training_step.write_checkpoint(checkpoint, state, facts)
        training_step.write_checkpoint(folder / f"{task}.weights.pt", average.state_dict(), facts)
        with replacing(folder / f"{task}.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in facts["curve"]), encoding="utf-8")
        report(facts["curve"][-1])


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="run_gauss_model.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="patches of gen_gauss_data.sh; weights go there too")
    add("--settings", type=Path, default=Path("param/gauss.toml"), metavar="FILE")
    add("--task", choices=TASKS, default="pixel", help="(default %(default)s)")
    add("--half-width", type=number(int, 6, 100), metavar="N", help="as given to gen_gauss_data.sh")
    add("--epochs", type=number(int, 1), metavar="N", help="(default: of the settings)")
    add("--batch", type=number(int, 1), metavar="N")
    add("--rate", type=number(float, 1e-9, 10), metavar="X", help="highest learning rate")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add("--restart", action="store_true", help="do not go on from a checkpoint")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = parse_args(argv)
    changes = {name: getattr(args, name) for name in ("half_width", "epochs", "batch", "rate")}
    settings = task_settings(args.settings, args.task, **changes)
    train(
        *(args.data, args.task, settings),
        seed=args.seed,
        restart=args.restart,
        report=lambda line: print(json.dumps(line), flush=True),
    )


if __name__ == "__main__":
    run_program(main)
