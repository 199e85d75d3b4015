"""Train the network.

usage: python -m src.run_model --stage pretraining|fine_tuning [--prior FILE | --train FILE ..] [--init WEIGHTS] ...
       python -m src.run_model --input matrix [--pixels 128] ...

reads   param/training.toml, param/network_input.toml; a prior, DATA/fine_tuning.toml of gen_traindata_fine_tuning.sh
        for that stage if it is there, else param/STAGE.toml; or files of gen_traindata_*.sh
writes  (STAGE ends in _single where --spheres 1, and begins with published_ where --input matrix)
        DATA/network/STAGE.checkpoint.pt   all that is needed to resume
        DATA/network/STAGE.weights.pt      the averaged weights in half precision; in snapshots/, those of the best
                                           epoch and of every Nth
        DATA/train_loss/STAGE.npy, DATA/valid_loss/STAGE.npy   mean and standard deviation by epoch, (epochs, 2)
        DATA/train_loss/STAGE.jsonl, STAGE.csv   one line per epoch, with what was changed at it

Without --train samples are drawn afresh for every step, and none is seen twice. A run that was stopped resumes from its
checkpoint, to the same result; with other settings it says which, and keeps them with the epoch; --restart begins anew.
SIGTERM and Ctrl-C end it after the epoch, with a checkpoint.

Fine-tuning starts from your own pretrained weights where there are some, else from the released ones, and takes over
layers, architecture, input and scale of the labels; with a `window` (param/training.toml) it makes an input for its own
prior, and fits the shortcut to it first. About another prior than before, it goes on from its own weights.

--input matrix trains the published network, by param/published.toml and without files: matrices are drawn where they
are read. Each epoch sees all of a set of them, which --exchange N replaces after N epochs.

--processes N share each step, through torchrun; settings are those of the whole step, so that N changes none of them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist

from src.network import launch, processes
from src.network.device_source import DeviceSource
from src.network.matrix_source import MatrixSource
from src.network.outputs import Outputs
from src.network.schedule import Duration
from src.network.source import FileSource, PriorSource, SampleSource
from src.network.start import Plan
from src.network.training_run import train_network
from util.runtime import console, settings
from util.runtime.errors import InputError, run_program
from util.runtime.interruption import Interruption
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name
from util.training.map_inversion import InputSettings
from util.training.matrix_input import MatrixInput, NetworkInput
from util.training.priors import Prior
from util.training.recipe import (
    RECIPES,
    InputKind,
    Optimiser,
    Precision,
    Schedule,
    Stage,
    TrainingSettings,
    TrainingStages,
    file_stem,
)


@dataclass(frozen=True)
class Changes:
    """What the command line changes in the settings of the stage; None: nothing."""

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
    optimiser: Optimiser | None
    shortcut: bool | None
    pixels: int | None
    exchange: int | None


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    stage: Stage
    param: Path
    data: Path
    output: Path | None
    losses: Path | None
    prior: Path | None
    train: tuple[Path, ...]
    input: InputKind
    valid: Path | None
    init: Path | None
    spheres: int
    rounds: int
    minutes: float | None
    validation: int
    device: Literal["auto", "cpu", "cuda"]
    seed: int
    restart: bool
    checkpoint_every: int
    keep_every: int | None
    tensorboard: Path | None
    changes: Changes
    launch: launch.LaunchOptions

    def __post_init__(self) -> None:
        if self.train and self.valid is None:
            raise ValueError("--train: samples in files need --valid, a file of others to validate on")
        if self.input == "matrix" and (self.train or self.valid):
            raise ValueError(
                "--input matrix: files hold no matrices, which are drawn as they are needed; leave them out"
            )
        if self.minutes and self.rounds > 1:
            raise ValueError(
                "--minutes: the rate of one round follows the clock; leave --rounds out, or start each by itself"
            )
        if self.device == "cuda" and self.launch.processes == 0:
            raise ValueError("--processes 0 is one on the CPU; leave --device cuda out, or give another number")

    @property
    def folder(self) -> Path:
        """Where weights and checkpoints go."""
        return self.output or self.data / "network"


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("run_model.sh", __doc__)
    add = parser.add_argument
    add("--stage", choices=get_args(Stage), default="pretraining", help="(default %(default)s)")
    add("--param", type=Path, default=Path("param"), metavar="DIR", help="settings")
    add("--data", type=Path, default=Path("data"), metavar="DIR", help="what the stages made (default %(default)s)")
    add("--output", type=folder_name, metavar="DIR", help="weights and checkpoints (default: DATA/network)")
    add("--losses", type=folder_name, metavar="DIR", help="where train_loss/ and valid_loss/ go (default: DATA)")
    add("--prior", type=Path, metavar="FILE", help="draw samples from this prior")
    add("--train", type=Path, nargs="+", default=(), metavar="FILE", help="train on these files, not on fresh samples")
    add("--valid", type=Path, metavar="FILE", help="validate on this file (default: samples of the prior)")
    add("--init", type=Path, metavar="FILE", help="weights to start from (fine_tuning: pretraining)")
    add("--spheres", type=int, choices=(1, 2), default=2, help="(default %(default)s)")
    add("--rounds", type=number(int, 1), default=1, metavar="N", help="repeat the schedule, each round on new samples")
    add("--minutes", type=number(float, 0.01), metavar="M", help="end by then: the rate falls in time")
    add("--validation", type=number(int, 1), default=500, metavar="N", help="samples of the prior to validate on")
    kinds = "windows about the spheres, or the published matrix by published.toml (default %(default)s)"
    add("--input", choices=get_args(InputKind), default="windows", help=kinds)
    add("--pixels", type=number(int, 1), metavar="N", help="of each side of the matrix")
    add("--no-shortcut", action="store_false", default=None, dest="shortcut", help="the network alone reads its input")
    add("--exchange", type=number(int, 1), metavar="N", help="take the next file, or set of matrices, every N epochs")
    add("--arch", help="network, and further settings of training.toml or published.toml:")
    for name, least in (("window", 0), ("first-samples", 2), ("batch", 2), ("epoch-samples", 1), ("epochs", 1)):
        add(f"--{name}", type=number(int, least), metavar="N")
    for name, low, high in (("rate", 1e-9, 10), ("weight-decay", 0, 10), ("ema", 0, 1), ("frozen", 0, 1)):
        add(f"--{name}", type=number(float, low, high), metavar="X")
    add("--optimiser", choices=get_args(Optimiser))
    add("--schedule", choices=get_args(Schedule))
    add("--precision", choices=get_args(Precision))
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: cuda where there is one)")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="(default %(default)s)")
    add("--restart", action="store_true", help="do not resume from a checkpoint")
    add("--checkpoint-every", type=number(int, 1), default=1, metavar="K", help="epochs (default %(default)s)")
    add("--keep-every", type=number(int, 1), metavar="N", help="keep the weights of every Nth epoch, in snapshots/")
    add("--tensorboard", type=folder_name, metavar="DIR", help="curves for TensorBoard, if that is installed")
    launch.add_options(parser)
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def source_of(options: Options, training: TrainingSettings, device: torch.device, ranks: int) -> SampleSource[Any]:
    """Open the source of samples, which `ranks` processes share.

    Raises
    ------
    InputError
        The prior or a file is at fault, or there are too few samples for so many processes.
    """
    share = {"seed": options.seed, "rank": processes.rank(), "ranks": ranks}
    if options.train and options.valid:
        shape = {"spheres": options.spheres, "batch": training.batch, "exchange": training.exchange}
        return FileSource(options.train, options.valid, **shape, **share)
    path = prior_of(options)
    try:
        prior = settings.load(Prior, path).first(options.spheres)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    if training.input == "matrix":
        return MatrixSource(str(path), prior, training, options.validation, device=device, **share)
    valid = options.valid or options.validation
    if device.type == "cpu":
        return PriorSource(str(path), prior, training, valid, **share)
    return DeviceSource(str(path), prior, training, valid, **share, device=device)


def prior_of(options: Options) -> Path:
    """Choose the prior's file: for fine-tuning, that about your own answer, where it was made."""
    own = options.data / "fine_tuning.toml"
    if options.prior is None and options.stage == "fine_tuning" and own.exists():
        return own
    return options.prior or options.param / f"{options.stage}.toml"


def init_of(options: Options, training: TrainingSettings) -> Path | None:
    """Choose the weights to start from: for fine-tuning, your own pretrained ones, where there are some."""
    if options.init is not None or options.stage == "pretraining":
        return options.init
    name = f"{file_stem('pretraining', options.spheres, training.input)}.weights.pt"
    own, released = options.folder / name, options.param / name
    return own if own.exists() or not released.exists() else released


def input_of(options: Options, training: TrainingSettings) -> NetworkInput:
    """Return what a network that starts from nothing sees."""
    windows = settings.load(InputSettings, options.param / "network_input.toml")
    return MatrixInput(training.pixels, windows.betas) if training.input == "matrix" else windows


def settings_of(options: Options) -> TrainingSettings:
    """Read how to train."""
    stages = settings.load(TrainingStages, options.param / RECIPES[options.input])
    return stages.stage(options.stage, vars(options.changes))


def train(options: Options, device: torch.device) -> Interruption | None:
    """Train as the options say, in several processes in each of them; return the signal that ended it, if any."""
    training = settings_of(options)
    stage = file_stem(options.stage, options.spheres, training.input)
    outputs = Outputs(
        stage,
        options.folder,
        options.losses or options.data,
        options.checkpoint_every,
        options.keep_every,
        options.tensorboard,
    )
    _, interruption = train_network(
        Plan(
            stage=stage,
            spheres=options.spheres,
            settings=training,
            inputs=input_of(options, training),
            source=source_of(options, training, device, processes.ranks()),
            seed=options.seed,
            init=init_of(options, training),
            rounds=options.stage == "fine_tuning" and options.init is None,
            given=frozenset(name for name, value in vars(options.changes).items() if value is not None),
        ),
        outputs,
        Duration(training.epochs, options.rounds, options.minutes),
        device=device,
        resume=not options.restart,
        say=console.say,
    )
    return interruption


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    if not launch.is_worker():
        kind, number_of = launch.processes_of(options.device, options.launch.processes)
        # What can be refused is refused here, once, and not by each process.
        source_of(options, settings_of(options), torch.device(kind), number_of * options.launch.nodes)
        if number_of * options.launch.nodes > 1:
            launch.launch(sys.argv[1:] if argv is None else argv, number_of, options.launch)
            return
    device = launch.device_of(options.device, options.launch.processes)
    on_gpu, shared = device.type == "cuda", launch.is_worker()
    if shared:
        dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
    try:
        interruption = train(options, device)
    finally:
        if shared:
            dist.destroy_process_group()
    if interruption is not None:
        interruption.end()


if __name__ == "__main__":
    run_program(main)
