"""Figures as files."""

from pathlib import Path

import matplotlib
from matplotlib.backends.registry import backend_registry
from matplotlib.figure import Figure

from util.runtime.atomic_file import replacing

_BACKENDS = {".png": "agg", ".pdf": "pdf", ".svg": "svg"}  # by suffix


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure to each path, in the format of its suffix; laid out once, for the resolution of images.

    `Figure.savefig` draws a figure twice for each file, the first time to lay it out.
    """
    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    for path in paths:
        with replacing(path) as temporary:
            write(figure, temporary)


def write(figure: Figure, path: Path) -> None:
    """Write a figure that is laid out, in the format of the path's suffix."""
    suffix = path.suffix.lower()
    canvas = backend_registry.load_backend_module(_BACKENDS[suffix]).FigureCanvas(figure)
    getattr(canvas, f"print_{suffix[1:]}")(path)
