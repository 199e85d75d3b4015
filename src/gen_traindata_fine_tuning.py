"""Make the sets for fine-tuning: samples about the first answer.

usage: python -m src.gen_traindata_fine_tuning --answer final.h5 --data DIR [--widen X] [--training N] ...

reads   final.h5 of METHOD=likelihood (`Parameters`), param/network_input.toml (bins); with --prior FILE that alone
writes  DIR/fine_tuning.toml: the prior, about the answer, X times as wide as its errors
        DIR/traindata/fine_tuning_SEED.h5, DIR/validdata/fine_tuning_SEED.h5, as gen_traindata_pretraining does
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.network.sample_files import SetOptions, add_options, make_sets
from util.answer.prior import prior_of_answer
from util.runtime import console
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.settings import load
from util.training.priors import Prior, draw, write_prior

WIDEN = 10.0
# Fine-tuning draws a hundred times as many first; those of a prior that hardly allows any take a minute to fail.
_TRIED = 400


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    answer: Path | None
    prior: Path | None
    widen: float
    sets: SetOptions

    def __post_init__(self) -> None:
        if self.answer is None and self.prior is None:
            raise ValueError("expected an answer or a prior, found neither; give --answer or --prior")


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_traindata_fine_tuning.sh", __doc__)
    parser.add_argument("--answer", type=Path, metavar="FILE", help="final.h5")
    parser.add_argument("--prior", type=Path, metavar="FILE", help="use this prior, whatever the answer")
    parser.add_argument(
        "--widen",
        type=number(float, 1),
        default=WIDEN,
        metavar="X",
        help="errors per standard deviation (default %(default)s)",
    )
    add_options(parser)
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def prior_of(options: Options) -> Prior:
    """Read the prior, or make one about the answer and write it.

    Raises
    ------
    InputError
        No answer of the likelihood, or one about which, widened so far, hardly any sphere is possible.
    """
    if options.prior is not None:
        return load(Prior, options.prior)
    answer, widen = options.answer, options.widen
    assert answer is not None  # for want of a prior
    try:
        prior = prior_of_answer(answer, widen=widen)
        draw(prior, _TRIED, rng=np.random.default_rng(options.sets.seed))
    except ValueError as error:
        raise InputError(f"{answer}: no prior about this answer ({error}); try a smaller --widen") from None
    path = options.sets.data / "fine_tuning.toml"
    write_prior(path, prior, f"Prior about {answer.name}, {widen:g} times as wide as its errors.")
    console.say(f"{path}: prior about {answer}")
    return prior


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    make_sets("fine_tuning", prior_of(options), options.sets)


if __name__ == "__main__":
    run_program(main)
