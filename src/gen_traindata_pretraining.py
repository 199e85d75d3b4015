"""Make the sets for pretraining: samples of the wide prior.

usage: python -m src.gen_traindata_pretraining --data DIR [--training N] [--sampling poisson|electrons] ...

reads   param/pretraining.toml (prior), param/network_input.toml (bins)
writes  DIR/traindata/pretraining_SEED.h5, DIR/validdata/pretraining_SEED.h5: `inputs` (n, n_rho, n_angle), `labels`
        (n, 2, 12), `Rs`, `sigma_Rs` and `electrons` (n, 2)

The sets do not depend on the number of workers; existing sets made with the same settings are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.network.sample_files import SetOptions, add_options, make_sets
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options
from util.runtime.settings import load
from util.training.priors import Prior


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    prior: Path
    sets: SetOptions


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_traindata_pretraining.sh", __doc__)
    parser.add_argument("--prior", type=Path, default=Path("param/pretraining.toml"), metavar="FILE")
    add_options(parser)
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    make_sets("pretraining", load(Prior, options.prior), options.sets)


if __name__ == "__main__":
    run_program(main)
