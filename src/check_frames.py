"""Check camera frames before they are searched: how their detector differs from an ideal one, and whether it drifts.

usage: python -m src.check_frames --finaltest FILE [--figures FOLDER] ...

reads   FILE (HDF5: FinalImage, or a plain dataset (N, H, W); TIFF, or a folder of TIFF or PNG),
        param/finder.toml (how to search); param/phosphor.toml (one electron's spot, where the frames do not tell it)
prints  one line a check: its size and error, what it would do to an answer, and, marked by !, where it is clear, what
        the search does about it or what to do
writes  with --figures FOLDER detector.png and .pdf: gain, pulse heights, response, afterglow and drift as pictures

The search makes the same checks, and prints those that are clear.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from util.camera.phosphor import PhosphorRecipe
from util.finder.finder import FinderSettings
from util.finder.run_checks import check_frames
from util.frames.open import log_cautions, open_frames
from util.report.detector_figure import draw_detector
from util.runtime import console, settings
from util.runtime.errors import run_program
from util.runtime.options import Parser, as_options
from util.runtime.output_names import folder_name
from util.runtime.progress import working


@dataclass(frozen=True)
class Options:
    """Which frames are checked, and how they are searched."""

    finaltest: Path
    dataset: str | None
    frame_axis: int | None
    phosphor: Path
    finder: Path
    figures: Path | None


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("check_frames.sh", __doc__)
    add = parser.add_argument
    add(
        "--finaltest", type=Path, required=True, metavar="FILE", help="camera frames: HDF5, TIFF, folder of TIFF or PNG"
    )
    add("--dataset", metavar="NAME", help="HDF5 dataset (default: FinalImage, or the only one)")
    add("--frame-axis", type=int, choices=(0, 1, 2), help="axis of a plain dataset along which frames lie (default: 0)")
    add("--phosphor", type=Path, default=Path("param/phosphor.toml"), metavar="FILE", help="an electron's spot")
    add("--finder", type=Path, default=Path("param/finder.toml"), metavar="FILE", help="how to search")
    add("--figures", type=folder_name, metavar="FOLDER", help="where detector.png and detector.pdf go (default: none)")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    recipe = settings.load(PhosphorRecipe, options.phosphor)
    finder = settings.load(FinderSettings, options.finder)
    with open_frames(options.finaltest, options.dataset, options.frame_axis) as frames:
        log_cautions(frames)
        frames.check_written()
        learned, run = check_frames(frames, recipe, finder)
    console.say(learned.report(every=True))
    if options.figures:
        with working("drawing"):
            drawn = draw_detector(options.figures, learned, run, finder)
        console.say(f"figure {drawn}")
    clear = sum(finding.clear for finding in learned.findings)
    found = f"{clear} found something (!)" if clear else "none found anything"
    console.conclude(f"{options.finaltest}: {len(learned.findings)} checks, {found}")


if __name__ == "__main__":
    run_program(main)
