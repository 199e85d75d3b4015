"""Import an accumulated image, so that the answer stage can read it.

usage: python -m src.import_image FILE --output FOLDER [--axis 0|1] [--counts-per-electron G] ...

reads   FILE: text (white space, commas, semicolons or tabs; also .gz, .bz2), NPY, TIFF of one page, HDF5 dataset
        (H, W), or grey PNG. Values may be negative; NaN is a pixel of which nothing is known
writes  FOLDER/final_0_1.npz: `image`, in electrons and its own pixels, and `distribution`, on 1024 x 1024 pixels

How many counts an electron adds, and how much noise the camera, is learnt from the scatter of the image, so that the
errors of a fit come out right. Pixels are square; the longer side of the image is the screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from util.electrons.import_folder import lacking, remove_others
from util.electrons.imported_image import image_shard
from util.electrons.shard_facts import ImportSettings
from util.electrons.shards import shard_path, write_shard
from util.entries.file_kind import fingerprint
from util.entries.image_file import read_image
from util.entries.noise_law import learn_noise
from util.entries.polarisation_axis import fit_axes
from util.runtime import console
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name

_WHOLE = (0, 1)  # the range of frames that an image's shard is of


@dataclass(frozen=True)
class Options:
    """Which image goes where, and what is known of it; None: learnt, or chosen, as the help text says."""

    file: Path
    output: Path
    axis: Literal[0, 1]
    counts_per_electron: float | None
    dataset: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        if self.counts_per_electron == 0:
            raise ValueError("--counts-per-electron: expected a number above 0, found 0")


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("import_image.sh", __doc__)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the image")
    add("--output", type=folder_name, required=True, metavar="FOLDER", help="folder of the shard")
    add(
        "--axis",
        type=int,
        choices=(0, 1),
        default=0,
        help="axis of the array along which the polarisation lies: 0, down the rows, or 1, along a row "
        "(default %(default)s)",
    )
    add(
        "--counts-per-electron",
        type=number(float, 0),
        metavar="G",
        help="counts that an electron adds to the image (default: learnt from its scatter)",
    )
    add("--dataset", metavar="NAME", help="HDF5 dataset (default: the only one of two dimensions)")
    add("--overwrite", action="store_true", help="replace all shards that are in the folder")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    options = parse_args(argv)
    image = read_image(options.file, options.dataset)
    try:
        law, lines = learn_noise(image, options.counts_per_electron)
    except InputError as error:
        raise InputError(f"{options.file}: {error}") from None
    for line in lines:
        console.say(line)
    better = fit_axes(image, law).axis
    if better not in (None, options.axis):
        console.say(f"the polarisation seems to lie along axis {better}: --axis {better}")
    counts = image.T if options.axis == 0 else image  # axis 1 of a shard is along the polarisation
    pixels = counts.shape[0], counts.shape[1]
    settings = ImportSettings("image", pixels, options.axis, law, options.dataset)
    source = fingerprint([options.file])
    path = shard_path(options.output, *_WHOLE)
    if not lacking(options.output, [_WHOLE], source, settings, overwrite=options.overwrite):
        console.conclude(f"{path}: already there")
        return
    shard = image_shard(counts, settings, source)
    write_shard(path, shard)
    remove_others(options.output, [_WHOLE])
    blind, electrons = int(np.isnan(image).sum()), float(np.nansum(image)) / law.counts_per_electron
    console.conclude(
        f"{path}: {electrons:.0f} electrons in {pixels[0]} x {pixels[1]} pixels "
        f"(across and along the polarisation, which is axis {options.axis}), {blind} of which nothing is known"
    )


if __name__ == "__main__":
    run_program(main)
