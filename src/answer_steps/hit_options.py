"""Options of every stage that reads hits: which they are, what each counts, and what the detector shows."""

import argparse
from pathlib import Path
from typing import get_args

from util.electrons.hits import HitWeights


def add_hits(parser: argparse.ArgumentParser) -> None:
    """Add the options that tell where the hits are, and what each counts."""
    add = parser.add_argument
    add("--shards", type=Path, required=True, metavar="FOLDER", help="folder of final_START_STOP.npz")
    add(
        "--hit-weights",
        choices=get_args(HitWeights),
        default="flux",
        help="count a hit as the electrons that its flux stands for, or as one (default %(default)s)",
    )
    add("--partial", action="store_true", help="answer although shards are missing")


def add_detector(parser: argparse.ArgumentParser) -> None:
    """Add the options that tell what the detector shows of the image."""
    add = parser.add_argument_group("the detector").add_argument
    blind = "image in the camera's pixels, 0 where the detector is blind, or TOML of [[circle]] and [[rectangle]]"
    add("--mask", type=Path, metavar="FILE", help=blind)
    add(
        "--efficiency", type=Path, metavar="FILE", help="image in the camera's pixels: relative efficiency of detection"
    )
    add(
        "--plate",
        choices=("auto", "none"),
        default="auto",
        help="auto: what lies beyond a sharp circle at which the light ends is blind (default %(default)s)",
    )
