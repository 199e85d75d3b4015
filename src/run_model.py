"""Train the network.

usage: python -m src.run_model --stage pretraining|fine_tuning [--prior FILE | --train FILE ..] [--init WEIGHTS] ...
       torchrun --nproc-per-node N -m src.run_model ...       (several GPUs or processes)

reads   param/training.toml, param/network_input.toml, a prior (param/STAGE.toml) or files of gen_traindata_*.sh
writes  (STAGE ends in _single where --spheres 1)
        PARAM/STAGE.checkpoint.pt   all that is needed to resume, after each epoch
        PARAM/STAGE.weights.pt      the averaged weights in half precision, after each epoch
        LOSSES/train_loss/STAGE.npy, LOSSES/valid_loss/STAGE.npy   mean and standard deviation by epoch, (epochs, 2)
        LOSSES/train_loss/STAGE.jsonl   one line per epoch

Without --train samples are drawn afresh for every step, and none is seen twice. A run that was stopped resumes from its
checkpoint, to the same result; --restart begins anew. The first run with --init takes over layers, architecture,
input and scale of the labels from there, and says so; with a `window` (param/training.toml) it makes an input for its
own prior, and fits the shortcut to it first.
"""

import argparse
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.distributed as dist

from src.network import processes
from src.network.schedule import Duration
from src.network.source import FileSource, PriorSource, SampleSource
from src.network.start import Plan
from src.network.training_run import Outputs, train_network
from util.runtime import settings
from util.runtime.errors import InputError, run_program
from util.runtime.executor import available_cores
from util.runtime.options import as_options, number
from util.training.map_inversion import InputSettings
from util.training.priors import Prior
from util.training.recipe import Precision, Schedule, Stage, TrainingSettings, TrainingStages, file_stem


@dataclass(frozen=True)
class Changes:
    """What the command line changes in training.toml; None: nothing."""

    arch: str | None
    window: int | None
    first_samples: int | None
    batch: int | None
    epoch_samples: int | None
    epochs: int | None
    rate: float | None
    weight_decay: float | None
    ema: float | None
    frozen: float | None
    schedule: Schedule | None
    precision: Precision | None


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    stage: Stage
    param: Path
    output: Path | None
    losses: Path
    prior: Path | None
    train: tuple[Path, ...]
    exchange: int
    valid: Path | None
    init: Path | None
    spheres: int
    rounds: int
    minutes: float | None
    validation: int
    device: Literal["auto", "cpu", "cuda"]
    seed: int
    restart: bool
    changes: Changes

    def __post_init__(self) -> None:
        if self.train and self.valid is None:
            raise ValueError("--train: samples in files need --valid, a file of others to validate on")
        if self.minutes and self.rounds > 1:
            raise ValueError(
                "--minutes: the rate of one round follows the clock; leave --rounds out, or start each by itself"
            )


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="run_model.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--stage", choices=get_args(Stage), default="pretraining", help="(default %(default)s)")
    add("--param", type=Path, default=Path("param"), metavar="DIR", help="settings")
    add("--output", type=Path, metavar="DIR", help="weights and checkpoints (default: that of --param)")
    add("--losses", type=Path, default=Path(), metavar="DIR", help="where train_loss/ and valid_loss/ go")
    add("--prior", type=Path, metavar="FILE", help="draw samples from this prior (default: STAGE.toml of --param)")
    add("--train", type=Path, nargs="+", default=(), metavar="FILE", help="train on these files, not on fresh samples")
    add("--exchange", type=number(int, 1), default=1, metavar="N", help="take the next file every N epochs")
    add("--valid", type=Path, metavar="FILE", help="validate on this file (default: samples of the prior)")
    add("--init", type=Path, metavar="FILE", help="weights to start from (fine_tuning: pretraining.weights.pt)")
    add("--spheres", type=int, choices=(1, 2), default=2, help="(default %(default)s)")
    add("--rounds", type=number(int, 1), default=1, metavar="N", help="repeat the schedule, each round on new samples")
    add("--minutes", type=number(float, 0.01), metavar="M", help="end by then: the rate falls in time")
    add("--validation", type=number(int, 1), default=500, metavar="N", help="samples of the prior to validate on")
    add("--arch", help="network, and further settings of training.toml:")
    for name, least in (("window", 0), ("first-samples", 2), ("batch", 2), ("epoch-samples", 1), ("epochs", 1)):
        add(f"--{name}", type=number(int, least), metavar="N")
    for name, low, high in (("rate", 1e-9, 10), ("weight-decay", 0, 10), ("ema", 0, 1), ("frozen", 0, 1)):
        add(f"--{name}", type=number(float, low, high), metavar="X")
    add("--schedule", choices=get_args(Schedule))
    add("--precision", choices=get_args(Precision))
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: cuda where there is one)")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add("--restart", action="store_true", help="do not resume from a checkpoint")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def choose_device(wanted: str) -> torch.device:
    """Take the GPU of this process, or the CPU.

    Raises
    ------
    InputError
        A GPU was asked for, and there is none.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", 0))
    if index >= torch.cuda.device_count():
        raise InputError(
            f"GPU {index}: expected one for each process, found {torch.cuda.device_count()}; "
            "start fewer with NGPU, or train on the CPU with NGPU=0"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def source_of(options: Options, training: TrainingSettings, device: torch.device) -> SampleSource:
    """Open the source of samples.

    Raises
    ------
    InputError
        The prior is at fault.
    """
    share = {"seed": options.seed, "rank": processes.rank(), "ranks": processes.ranks()}
    if options.train and options.valid:
        shape = {"spheres": options.spheres, "batch": training.batch, "exchange": options.exchange}
        return FileSource(options.train, options.valid, **shape, **share)
    path = options.prior or options.param / f"{options.stage}.toml"
    try:
        prior = settings.load(Prior, path).first(options.spheres)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    threads = max(available_cores() // here, 1) if device.type == "cuda" else 0
    valid = options.valid or options.validation
    return PriorSource(str(path), prior, training, valid, threads=threads, **share)


def train(options: Options, device: torch.device) -> None:
    """Train as the options say; in several processes, in each of them."""
    training = settings.load(TrainingStages, options.param / "training.toml").stage(
        options.stage, vars(options.changes)
    )
    output = options.output or options.param
    init = options.init
    if init is None and options.stage == "fine_tuning":
        init = output / f"{file_stem('pretraining', options.spheres)}.weights.pt"
    stage = file_stem(options.stage, options.spheres)
    train_network(
        Plan(
            stage=stage,
            spheres=options.spheres,
            settings=training,
            inputs=settings.load(InputSettings, options.param / "network_input.toml"),
            source=source_of(options, training, device),
            seed=options.seed,
            init=init,
            arch_given=options.changes.arch is not None,
        ),
        Outputs(stage, output, options.losses),
        Duration(training.epochs, options.rounds, options.minutes),
        device=device,
        resume=not options.restart,
        say=functools.partial(print, flush=True),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    device = choose_device(options.device)
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        train(options, device)
        return
    on_gpu = device.type == "cuda"
    dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
    try:
        train(options, device)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    run_program(main)
