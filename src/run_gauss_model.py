"""Train the spot classifier.

usage: python -m src.run_gauss_model --data FOLDER [--task pixel|finder] [--epochs N] [--rate X] [--device cpu] ...

reads   FOLDER/TASK_train.h5, FOLDER/TASK_valid.h5 of gen_gauss_data.sh, param/gauss.toml
writes  FOLDER/TASK.checkpoint.pt   all that is needed to resume, after each epoch
        FOLDER/TASK.weights.pt      the averaged weights, after each epoch
        FOLDER/TASK.jsonl           one line per epoch: losses; F1, precision, recall and accuracy of the validation set

A run that was stopped resumes from its checkpoint, to the same result; --restart begins anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from src.network.device import DeviceChoice, choose_device
from src.spot_classifier.patch_file import TaskName, task_settings
from src.spot_classifier.training import train
from util.runtime import console
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    data: Path
    settings: Path
    task: TaskName
    half_width: int | None
    epochs: int | None
    batch: int | None
    rate: float | None
    device: DeviceChoice
    seed: int
    restart: bool


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("run_gauss_model.sh", __doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="patches of gen_gauss_data.sh; weights go there too")
    add("--settings", type=Path, default=Path("param/gauss.toml"), metavar="FILE")
    add("--task", choices=get_args(TaskName), default="pixel", help="(default %(default)s)")
    add("--half-width", type=number(int, 6, 100), metavar="N", help="as given to gen_gauss_data.sh")
    add("--epochs", type=number(int, 1), metavar="N", help="(default: of the settings)")
    add("--batch", type=number(int, 1), metavar="N")
    add("--rate", type=number(float, 1e-9, 10), metavar="X", help="highest learning rate")
    add("--device", choices=get_args(DeviceChoice), default="auto", help="(default: cuda where there is one)")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add("--restart", action="store_true", help="do not resume from a checkpoint")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    changes = {name: getattr(options, name) for name in ("half_width", "epochs", "batch", "rate")}
    settings = task_settings(options.settings, options.task, changes)
    device = choose_device(options.device)
    train(
        options.data,
        options.task,
        settings,
        device=device,
        seed=options.seed,
        resume=not options.restart,
        say=console.say,
    )


if __name__ == "__main__":
    run_program(main)
