"""Read the ranges of the parameters off training files, as a prior that the training-set stages accept.

usage: python -m src.gen_ranges --files FILE .. --output ranges.toml --figures FOLDER [--spheres S] [--boundaries R ..]

reads   FILE: `DistributionParameters` (kind 2) or `Truth` (kind 1), and `GeneratedElectrons` to count them
writes  ranges.toml: for each sphere R, sigma_R, electrons, and limits, mu and sigma of each beta
        FOLDER/ranges.png, FOLDER/ranges.pdf: the distributions, and the prior found

Files of kind 1 say which sphere is which, by their radii. Those of kind 2 do not: --boundaries separate their spheres;
without these, every sphere of the prior gets the ranges of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from util.report.ranges_figure import draw_ranges
from util.runtime import console
from util.runtime.errors import InputError, run_program
from util.runtime.hdf5 import reading_hdf5
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name, text_file
from util.runtime.value_with_error import shorthand
from util.simulation.training_tables import DISTRIBUTIONS, count_electrons, read_parameters
from util.simulation.truth_tables import GENERATED, TRUTH, read_table
from util.training.prior_ranges import Ranges, Spheres, estimate, prior_of
from util.training.priors import write_prior


def read_spheres(path: Path) -> tuple[Spheres, NDArray[np.int64]]:
    """Return the spheres of a file, and the rank (n,) of each by R among those of its run; -1 in files of kind 2.

    Raises
    ------
    InputError
        No training file of either kind, or one without the electrons of every sphere.
    """
    rows = read_parameters(path)
    if rows is not None:
        electrons = count_electrons(path, rows)
        place = np.full(len(rows), -1)
    else:
        with reading_hdf5(path) as file:
            rows = read_table(file, path, TRUTH, ("SphereId", "R", "sigma_R", "beta"))
            generated = read_table(file, path, GENERATED, ("SphereId",))
            found = ", ".join(file) or "nothing"
        if rows is None:
            raise InputError(
                f"{path}: expected {DISTRIBUTIONS} or {TRUTH}, found {found}; "
                "give training files, as simulate_finaltest.sh makes them"
            )
        electrons = None
        if generated is not None:
            electrons = np.array([np.count_nonzero(generated["SphereId"] == row["SphereId"]) for row in rows])
        place = np.argsort(np.argsort(rows["R"], kind="stable"))
    if electrons is None or not (electrons > 0).all():
        raise InputError(f"{path}: {GENERATED}: expected electrons of every sphere, found none; make the file anew")
    beta = rows["beta"].reshape(len(rows), -1).astype(float)
    values = (rows["R"].astype(float), rows["sigma_R"].astype(float), electrons.astype(float), beta)
    if not all(np.isfinite(column).all() for column in values):
        raise InputError(f"{path}: expected finite parameters, found others; make the file anew")
    return Spheres(*values), place


def gather(paths: Sequence[Path], spheres: int, boundaries: Sequence[float] | None) -> list[Spheres]:
    """Return the spheres of all files, in a group for each sphere of the prior.

    Raises
    ------
    InputError
        Files that do not fit together or hold other numbers of spheres.
    """
    parts, places = zip(*(read_spheres(path) for path in paths), strict=True)
    for path, part, place in zip(paths, parts, places, strict=True):
        if part.beta.shape[1] != parts[0].beta.shape[1]:
            raise InputError(
                f"{path}: expected {parts[0].beta.shape[1]} betas per sphere, as in {paths[0]}, "
                f"found {part.beta.shape[1]}; leave it out"
            )
        if boundaries is None and place[0] >= 0 and len(place) != spheres:
            raise InputError(f"{path}: {TRUTH}: expected {spheres} sphere(s), found {len(place)}; use --spheres")
    every = Spheres(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    place = np.concatenate(places)
    if boundaries is not None:
        place = np.searchsorted(np.sort(boundaries), every.R)
    elif (place < 0).any():
        return [every] * spheres
    return [Spheres(*(values[place == index] for values in every)) for index in range(spheres)]


def table(index: int, spheres: Spheres, ranges: Ranges) -> str:
    """Return a table of what was found of one sphere, and how well it is known."""
    prior = ranges.prior
    rows = [[name, *map(_text, getattr(prior, name))] for name in ("R", "sigma_R", "electrons")]
    for i, limits in enumerate(prior.limits):
        mu, sigma = shorthand(prior.mu[i], ranges.mu_error[i]), shorthand(prior.sigma[i], ranges.sigma_error[i])
        broad = ranges.sigma_error[i] > prior.sigma[i] / 2
        remark = "broad: mu and sigma are known only together" if broad else ""
        rows.append([f"beta_{2 * i + 2}", *map(_text, limits), mu, sigma, remark])
    head = ["parameter", "from", "to", "mu", "sigma", ""]
    align = ("left", "right", "right", "right", "right", "left")
    text = tabulate(rows, headers=head, tablefmt="plain", colalign=align, disable_numparse=True)
    return f"sphere {index + 1}: {len(spheres.R)} in the files\n{text}"


def _text(value: float) -> str:
    return f"{value:.6g}"


HEADING = "Ranges of"  # of the prior, by which it is known again


@dataclass(frozen=True)
class Options:
    """Files to read, prior and figures to write, and how many spheres and samples the prior is for."""

    files: tuple[Path, ...]
    output: Path
    figures: Path
    spheres: int
    boundaries: tuple[float, ...] | None
    training: int
    validation: int
    seed: int


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_ranges.sh", __doc__)
    add = parser.add_argument
    add("--files", type=Path, nargs="+", required=True, metavar="FILE", help="training files of either kind")
    kind = text_file("a prior of gen_ranges.sh", f"# {HEADING}")
    add("--output", type=kind, required=True, metavar="FILE", help="the prior, TOML")
    add("--figures", type=folder_name, required=True, metavar="FOLDER", help="where ranges.png and ranges.pdf go")
    add("--spheres", type=number(int, 1, 3), metavar="S", help="of the prior (default 2, or as --boundaries say)")
    add("--boundaries", type=number(float, 0, 1), nargs="+", metavar="R", help="radii that separate the spheres")
    add("--training", type=number(int, 1), default=4000, metavar="N", help="samples (default %(default)s)")
    add("--validation", type=number(int, 1), default=500, metavar="N", help="samples (default %(default)s)")
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="S", help="of the integration (default %(default)s)")
    parsed = vars(parser.parse_args(argv))
    boundaries, spheres = parsed["boundaries"], parsed["spheres"]
    separated = len(boundaries) + 1 if boundaries else 2
    if boundaries and spheres not in (None, separated):
        parser.error(
            f"--spheres {spheres} contradicts --boundaries, which separate {separated} spheres; leave one of them out"
        )
    return as_options(Options, parser, parsed | {"spheres": spheres or separated})


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    options = parse_args(argv)
    groups = gather(options.files, options.spheres, options.boundaries)
    found: list[Ranges] = []
    for index, group in enumerate(groups):
        if index and group is groups[0]:
            found.append(found[0])
            continue
        try:
            found.append(estimate(group, seed=options.seed))
        except ValueError as error:
            raise InputError(f"sphere {index + 1}: {error}; give more or other files") from None
        console.say(table(index, group, found[-1]))
    try:
        prior = prior_of(found, options.training, options.validation)
    except ValueError as error:
        raise InputError(f"{options.files[0]}: {error}; separate the spheres with --boundaries") from None
    write_prior(options.output, prior, f"{HEADING} {len(options.files)} training file(s), by gen_ranges.sh.")
    draw_ranges(options.figures, groups, found, seed=options.seed)
    console.conclude(f"prior {options.output}; figures {options.figures / 'ranges.png'} and .pdf")


if __name__ == "__main__":
    run_program(main)
