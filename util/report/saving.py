"""Figures as files."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from util.runtime.atomic_file import replacing


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure to each path, in the format of its suffix; laid out once, for the resolution of images.

    Matplotlib alone draws a figure twice for each file, the first time to lay it out.
    """
    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    for path in paths:
        with replacing(path) as temporary:
            figure.savefig(temporary)
