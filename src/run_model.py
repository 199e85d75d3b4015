"""Train the network.

usage: python -m src.run_model --stage pretraining|fine_tuning [--prior FILE | --train FILE ..] [--init WEIGHTS] ...
       torchrun --nproc-per-node N -m src.run_model ...       (several GPUs or processes)

reads   param/training.toml, param/network_input.toml, a prior (param/STAGE.toml) or files of gen_traindata_*.sh
writes  (STAGE ends in _single where --spheres 1)
        PARAM/STAGE.checkpoint.pt   all that is needed to go on, after each epoch
        PARAM/STAGE.weights.pt      the averaged weights in half precision, after each epoch
        LOSSES/train_loss/STAGE.npy, LOSSES/valid_loss/STAGE.npy   mean and standard deviation an epoch, (epochs, 2)
        LOSSES/train_loss/STAGE.jsonl   one line an epoch

Without --train samples are drawn afresh for every step, and none is seen twice. A run that was stopped goes on from its
checkpoint, to the same result; --restart begins anew. The first run with --init takes over layers, architecture,
input and scale of the labels from there, and says so; with a `window` (param/training.toml) it makes an input for its
own prior, and fits the shortcut to it first.
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from src.network.trainer import Data, Outputs, Trainer
from src.network.training_step import PRECISIONS, SCHEDULES, TrainingSettings, TrainingStages, stage_of
from util.runtime import settings
from util.runtime.errors import InputError, run_program
from util.runtime.options import number
from util.training.map_inversion import InputSettings
from util.training.priors import Prior

STAGES = ("pretraining", "fine_tuning")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="run_model.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--stage", choices=STAGES, default="pretraining", help="(default %(default)s)")
    add("--param", type=Path, default=Path("param"), metavar="DIR", help="settings")
    add("--output", type=Path, metavar="DIR", help="weights and checkpoints (default: that of --param)")
    add("--losses", type=Path, default=Path(), metavar="DIR", help="where train_loss/ and valid_loss/ go")
    add("--prior", type=Path, metavar="FILE", help="draw samples from this prior (default: STAGE.toml of --param)")
    add("--train", type=Path, nargs="+", metavar="FILE", help="train on these files instead of fresh samples")
    add("--exchange", type=number(int, 1), default=1, metavar="N", help="take the next file every N epochs")
    add("--valid", type=Path, metavar="FILE", help="validate on this file (default: samples of the prior)")
    add("--init", type=Path, metavar="FILE", help="weights to start from (fine_tuning: pretraining.weights.pt)")
    add("--spheres", type=int, choices=(1, 2), default=2, help="(default %(default)s)")
    add("--rounds", type=number(int, 1), default=1, metavar="N", help="repeat the schedule, each round on new samples")
    add("--minutes", type=number(float, 0.01), metavar="M", help="end by then: the rate falls in time")
    add("--validation", type=number(int, 1), default=500, metavar="N", help="samples of the prior to validate on")
    add("--arch", help="network, and further settings of training.toml:")
    for name, low in (("window", 0), ("first-samples", 2), ("batch", 2), ("epoch-samples", 1), ("epochs", 1)):
        add(f"--{name}", type=number(int, low), metavar="N")
    for name, low, high in (("rate", 1e-9, 10), ("weight-decay", 0, 10), ("ema", 0, 1), ("frozen", 0, 1)):
        add(f"--{name}", type=number(float, low, high), metavar="X")
    add("--schedule", choices=SCHEDULES)
    add("--precision", choices=PRECISIONS)
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: cuda where there is one)")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add("--restart", action="store_true", help="do not go on from a checkpoint")
    args = parser.parse_args(argv)
    if args.train and not args.valid:
        parser.error("--train: samples in files need --valid, a file of others to validate on")
    if args.minutes and args.rounds > 1:
        parser.error("--minutes: the rate of one round follows the clock; leave --rounds out, or start each by itself")
    return args


def named(stage: str, spheres: int) -> str:
    """Name what a stage writes: a network for one sphere must not replace one for two."""
    return f"{stage}_single" if spheres == 1 else stage


def choose_device(wanted: str) -> torch.device:
    """Take the GPU of this process, or the CPU.

    Raises
    ------
    InputError
        A GPU was asked for that is not there.
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


def data_of(args: argparse.Namespace) -> Data:
    """Say where samples come from.

    Raises
    ------
    InputError
        The prior is at fault.
    """
    path = args.prior or args.param / f"{args.stage}.toml"
    prior = None if args.train else settings.load(Prior, path)
    if prior is not None:
        try:
            prior = prior.first(args.spheres)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
    return Data(prior, tuple(args.train or ()), args.valid, args.exchange, args.validation)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = parse_args(argv)
    stages = settings.load(TrainingStages, args.param / "training.toml")
    names = [field.name for field in dataclasses.fields(TrainingSettings) if hasattr(args, field.name)]
    changes = {name: getattr(args, name) for name in names}
    output = args.output or args.param
    init = args.init
    if init is None and args.stage == "fine_tuning":
        init = output / f"{named('pretraining', args.spheres)}.weights.pt"
    data = data_of(args)
    device = choose_device(args.device)
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if several:
        on_gpu = device.type == "cuda"
        dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
    try:
        trainer = Trainer(
            stage_of(stages, args.stage, changes),
            settings.load(InputSettings, args.param / "network_input.toml"),
            data,
            Outputs(named(args.stage, args.spheres), output, args.losses),
            spheres=args.spheres,
            init=init,
            overrides=sorted(name for name, value in changes.items() if value is not None),
            rounds=args.rounds,
            minutes=args.minutes,
            seed=args.seed,
            device=device,
            resume=not args.restart,
        )
        trainer.run(lambda line: print(json.dumps(line), flush=True))
    finally:
        if several:
            dist.destroy_process_group()


if __name__ == "__main__":
    run_program(main)
