"""From electrons to a spectrum: electrons and anisotropy against speed and, with a calibration, against energy.

usage: python -m src.gen_spectrum --shards FOLDER --output spectrum.h5 [--details FOLDER] [--order auto] [--odd]
           [--resolution SIGMA] [--calibration FILE] [--merge FILE ..] ...

For an image of many rings, or of none that stands by itself, where `gen_finaltest_answer.sh` asks for a number of
spheres. Nothing is assumed but that no direction holds less than no electrons; nothing is to be set by hand.

reads   FOLDER/final_START_STOP.npz; a calibration (TOML, see util/spectrum/energy.py); other spectrum.h5 to merge with
writes  spectrum.h5: `Spectrum` and `Peaks` with errors, what they consist of, and their covariance; with --details
        FOLDER spectrum.csv, peaks.csv, and the figure spectrum.png and spectrum.pdf
"""

import platform
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from tabulate import tabulate

from src.answer_steps.detection import detection_of
from src.answer_steps.hit_options import add_detector, add_hits
from src.answer_steps.logged_warnings import collect_warnings
from src.answer_steps.options import Model
from src.answer_steps.outcome import next_to_open
from util.answer.final_h5 import write_tables
from util.answer.made_by import SpectrumMadeBy, SpectrumSettings
from util.answer.spectrum_h5 import (
    check_others,
    curve_rows,
    peak_rows,
    read_for_merging,
    spectrum_tables,
    write_csv,
)
from util.electrons.hits import Hits, HitWeights, read_hits
from util.fit import map_data
from util.report.spectrum_figure import draw_spectrum
from util.runtime import console
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name, hdf5_file
from util.runtime.progress import working
from util.runtime.value_with_error import shorthand
from util.spectrum.cautions import cautions
from util.spectrum.energy import Calibration, check_calibration, read_calibration
from util.spectrum.fit import fit_spectrum
from util.spectrum.merge import EnergySpectrum, MergedSpectrum, energy_spectrum, merge
from util.spectrum.order import HIGHEST, LOWEST
from util.spectrum.spectrum import Spectrum, with_gain_error

_NEAR = 0.1  # height at the end of a peak over that at its top, from which on a neighbour is named

_OF_PEAKS = "R, sigma_R: half screens; beta_l: of 1 + sum beta_l P_l; 0.501(17): 0.501 with a standard error of 0.017"


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    shards: Path
    output: Path
    details: Path | None
    order: int | Literal["auto"]
    odd: bool
    round: bool
    resolution: float | None
    calibration: Path | None
    merge: tuple[Path, ...]
    hit_weights: HitWeights
    partial: bool
    mask: Path | None
    efficiency: Path | None
    plate: Literal["auto", "none"]
    seed: int

    def __post_init__(self) -> None:
        if self.merge and self.calibration is None:
            raise ValueError(
                "--merge: expected a --calibration with photon_energy, found none; spectra share an axis of binding "
                "energies alone"
            )


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("gen_spectrum.sh", __doc__)
    add = parser.add_argument
    add("--output", type=hdf5_file("a spectrum", "Spectrum"), required=True, metavar="FILE", help="spectrum.h5")
    add("--details", type=folder_name, metavar="FOLDER", help="figure and CSV")
    add_hits(parser)
    add(
        "--order",
        type=_order,
        default="auto",
        metavar="L",
        help="highest Legendre degree, even, 0 to 24: twice the photons that an electron takes; auto: 4, or more where "
        "the image shows more (default)",
    )
    add("--odd", action="store_true", help="odd degrees as well: electrons that prefer one end of the polarisation")
    add(
        "--resolution",
        type=number(float, 1e-4, 0.2),
        metavar="SIGMA",
        help="width of the lines that the spectrum consists of, in half screens (default: as held-out electrons allow)",
    )
    add("--calibration", type=Path, metavar="FILE", help="TOML of lines of known energy: axes in eV and 1/cm")
    add(
        "--merge",
        type=Path,
        nargs="+",
        default=(),
        metavar="FILE",
        help="spectrum.h5 at other photon energies, to be put on one axis of binding energy with this one",
    )
    add("--round", action="store_true", help="rings are round: take no ellipse out")
    add_detector(parser)
    add("--seed", type=number(int, 0), default=0, help="of the choice of what is held out (default %(default)s)")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def _order(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if text not in map(str, range(0, HIGHEST + 1, 2)):
        raise ArgumentTypeError(f"expected an even number from 0 to {HIGHEST}, or auto, found {text!r}")
    return int(text)


def _made_by(options: Options, hits: Hits) -> SpectrumMadeBy:
    used = SpectrumSettings(
        order=options.order,
        odd=options.odd,
        round=options.round,
        resolution=options.resolution,
        hit_weights=options.hit_weights,
        seed=options.seed,
        mask=None if options.mask is None else options.mask.name,
        efficiency=None if options.efficiency is None else options.efficiency.name,
        plate=options.plate,
        calibration=None if options.calibration is None else options.calibration.name,
        merge=tuple(path.name for path in options.merge),
    )
    versions = {"python": platform.python_version(), "numpy": np.__version__, "h5py": h5py.__version__}
    return SpectrumMadeBy(used, versions, hits.source, hits.checksums)


def _with_others(
    options: Options, spectrum: Spectrum, calibration: Calibration | None, others: list[EnergySpectrum]
) -> MergedSpectrum | None:
    """Return the spectrum and those of --merge on one axis, where that was asked for."""
    if calibration is None or not others:
        return None
    own = energy_spectrum(
        calibration,
        spectrum.r,
        spectrum.intensity,
        spectrum.intensity_error,
        np.interp(spectrum.r, spectrum.lines.radii, spectrum.lines.widths),
        name=str(options.output),
    )
    return merge([own, *others])


def peak_table(spectrum: Spectrum, calibration: Calibration | None) -> str:
    """Return the peaks as a table to print."""
    peaks = spectrum.peaks
    head = ["peak", "R", "sigma_R", "electrons", *(f"beta_{degree}" for degree in spectrum.degrees)]
    rows = []
    for i in range(peaks.R.size):
        pairs = [
            (peaks.R[i], peaks.R_error[i]),
            (peaks.sigma_R[i], peaks.sigma_R_error[i]),
            (peaks.electrons[i], peaks.electrons_error[i]),
            *zip(peaks.beta[:, i], peaks.beta_error[:, i], strict=True),
        ]
        row = [str(i + 1), *(shorthand(value, error) if np.isfinite(value) else "" for value, error in pairs)]
        if calibration is not None:
            error = calibration.energy_error(peaks.R[i], peaks.R_error[i])
            row.append(shorthand(float(calibration.energy(peaks.R[i])), float(error)))
        rows.append([*row, "overlaps" if peaks.overlap[i] > _NEAR else ""])
    if calibration is not None:
        head.append("energy [eV]")
    table = tabulate(rows, [*head, ""], disable_numparse=True, colalign=("right",) * len(head))
    return f"{table}\n{_OF_PEAKS}"


def line_widths(spectrum: Spectrum, hits: Hits) -> str:
    """Return how wide the lines are, in words."""
    widths = dict.fromkeys((spectrum.lines.widths.min(), spectrum.lines.widths.max()))
    scale = None if hits.pixels is None else max(hits.pixels) / 2
    told = (f"{width:.4f}" + ("" if scale is None else f" ({width * scale:.1f} pixels)") for width in widths)
    if not spectrum.tried.size:
        chosen = "as told"
    elif len(widths) == 1:
        chosen = "as held-out electrons allow"
    else:
        chosen = "as held-out electrons allow at each radius (Lines of spectrum.h5)"
    return f"lines of sigma {' to '.join(told)}, {chosen}"


def say(spectrum: Spectrum, calibration: Calibration | None, hits: Hits) -> list[str]:
    """Return what is to be said of a spectrum, line by line."""
    geometry = spectrum.geometry
    lines = [f"{line_widths(spectrum, hits)}; peaks nearer than 2.4 of the width there are not told apart"]
    if spectrum.is_narrowest:
        lines.append(
            "no narrower lines can be told in these pixels, or in time at this order; the image may hold narrower ones"
        )
    if (raised := spectrum.raised) is not None:
        lines.append(
            f"order {spectrum.degrees[-1]}: the image shows degree {raised.degree}, at r = {raised.r:.2f} by "
            f"{raised.pull:.1f} errors, which order {LOWEST} leaves out"
        )
    numbers = [f"{name} {shorthand(getattr(geometry, name), e)}" for name, e in spectrum.geometry_errors.items()]
    if numbers:
        lines.append(f"geometry: {', '.join(numbers)}")
    if geometry.ellipse_1 and "ellipse_1" not in spectrum.geometry_errors:
        lines.append(
            f"an ellipse was taken out, which makes the rings sharper: ellipse_1 {geometry.ellipse_1:.4f}, to some "
            "0.001; no error holds it, and light at the poles alone may look like one: --round leaves it out"
        )
    lines.append(f"even background: {shorthand(spectrum.background, spectrum.background_error)} electrons")
    if calibration is not None:
        lines += calibration.notes
    if spectrum.gain_error:
        lines.append(
            f"all numbers of electrons share an error of {100 * spectrum.gain_error:.2g} %, that of the counts per "
            "electron; it is part of the errors above, not of the curve's"
        )
    near = np.flatnonzero(spectrum.peaks.overlap > _NEAR) + 1
    if near.size:
        named = ", ".join(str(number) for number in near)
        lines.append(
            f"peaks that overlap with a neighbour, so that their electrons and betas are shared with it: {named}; "
            "script/gen_finaltest_answer.sh --start R .. fits spheres in their place"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    others = [read_for_merging(path) for path in options.merge]
    if options.calibration is not None:
        check_calibration(options.calibration, None)  # before anything is read in vain
    with collect_warnings() as logged:
        hits = read_hits(options.shards, hit_weights=options.hit_weights, partial=options.partial)
        check_others(options.shards, hits.checksums, options.merge)
        if options.calibration is not None:
            check_calibration(options.calibration, hits.pixels)
        model = Model(mask=options.mask, efficiency=options.efficiency, plate=options.plate)
        detection, told, of_detection = detection_of(hits, model)
        with working("fitting"):
            spectrum = fit_spectrum(
                map_data.Hits(hits.x, hits.z, hits.weight, hits.variance),
                detection,
                order=None if options.order == "auto" else options.order,
                odd=options.odd,
                resolution=options.resolution,
                pixel=0.0 if hits.pixels is None else 2 / max(hits.pixels),
                is_round=options.round,
                seed=options.seed,
            )
        spectrum = with_gain_error(spectrum, hits.gain_error)
        calibration = None
        if options.calibration is not None:
            calibration = read_calibration(options.calibration, spectrum.r, spectrum.peaks.R, spectrum.peaks.R_error)
        merged = _with_others(options, spectrum, calibration, others)
        tables = spectrum_tables(spectrum, calibration, merged)
        warnings = (*of_detection, *cautions(spectrum))
        write_tables(options.output, tables, _made_by(options, hits), (*logged, *warnings))
    console.say(peak_table(spectrum, calibration))
    for line in (*told, *say(spectrum, calibration, hits)):
        console.say(line)
    for warning in warnings:
        console.warn(warning)
    if options.details is not None:
        comments = tuple(str(tables[name].units) for name in ("Spectrum", "Peaks"))
        write_csv(options.details / "spectrum.csv", curve_rows(spectrum, calibration), comments[:1])
        write_csv(options.details / "peaks.csv", peak_rows(spectrum, calibration), comments[1:])
        draw_spectrum(options.details, spectrum, calibration, merged)
        console.say(
            next_to_open(
                figure=f"{options.details / 'spectrum.png'}: curves, and the image against the fit",
                numbers=f"{options.details / 'spectrum.csv'}, peaks.csv",
            )
        )
    peaks = "1 peak" if spectrum.peaks.R.size == 1 else f"{spectrum.peaks.R.size} peaks"
    console.conclude(f"{options.output}: {hits.count} hits, {hits.weight.sum():.0f} electrons, {peaks}")


if __name__ == "__main__":
    run_program(main)
