"""Make the sets for fine-tuning: samples about the first answer.

usage: python -m src.gen_traindata_fine_tuning --answer final.h5 --data DIR [--widen X] [--training N] ...

reads   final.h5 of METHOD=likelihood (`Parameters`), param/network_input.toml (bins); --prior FILE instead of an
        answer
writes  DIR/fine_tuning.toml: the prior, about the answer and X times as wide as its errors
        DIR/traindata/fine_tuning_SEED.h5, DIR/validdata/fine_tuning_SEED.h5, as gen_traindata_pretraining does
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from src.network.sample_files import add_options, make_sets
from util.answer.prior import prior_of_answer
from util.runtime.errors import InputError, run_program
from util.runtime.options import number
from util.runtime.settings import load
from util.training.map_inversion import InputSettings
from util.training.priors import Prior, write_prior

WIDEN = 10.0


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="gen_traindata_fine_tuning.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answer", type=Path, metavar="FILE", help="final.h5")
    parser.add_argument("--prior", type=Path, metavar="FILE", help="use this prior, not one about an answer")
    parser.add_argument(
        "--widen", type=number(float, 1), default=WIDEN, metavar="X", help="errors a deviation (default %(default)s)"
    )
    add_options(parser)
    args = parser.parse_args(argv)
    if (args.answer is None) == (args.prior is None):
        parser.error("give --answer or --prior, one of the two")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = parse_args(argv)
    if args.prior is not None:
        prior = load(Prior, args.prior)
    else:
        try:
            prior = prior_of_answer(args.answer, widen=args.widen)
        except ValueError as error:
            raise InputError(f"{args.answer}: no prior about this answer ({error}); try a smaller --widen") from None
        path = args.data / "fine_tuning.toml"
        write_prior(path, prior, f"Prior about {args.answer.name}, {args.widen:g} times as wide as its errors.")
        print(f"{path}: prior about {args.answer}")
    make_sets("fine_tuning", prior, load(InputSettings, args.input), args)


if __name__ == "__main__":
    run_program(main)
