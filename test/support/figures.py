"""What a figure shows: its artists as it is saved, and the pixels of its file."""

from contextlib import contextmanager

import matplotlib
import numpy as np
import pytest

from util.report import saving
from util.report.style import TRUTH


@contextmanager
def saved_figures(*, whole=True):
    """Collect the figures that are saved meanwhile, by the name that their file will have, without its suffix.

    Not `whole`, they are laid out, but their files stay empty, for tests that do not look into them.
    """
    figures = {}
    write = saving.write

    def written(figure, path):
        figures[path.stem] = figure
        if whole:
            write(figure, path)
        else:
            path.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "write", written)
        yield figures


def titles(figure):
    """Return the titles of a figure's axes, of those that have one."""
    return [title for ax in figure.get_axes() if (title := ax.get_title())]


def share_of_colour(path, colour, rows=slice(None)):
    """Return the share of an image's pixels, in some of its rows, that have a colour to within a tenth."""
    image = matplotlib.image.imread(path)[rows, :, :3]
    return np.mean(np.abs(image - matplotlib.colors.to_rgb(colour)).max(axis=2) < 0.1)


def check_answer_figure(path):
    """Assert that an answer's figure shows maps in colour above PADs with the truth in its own."""
    height = matplotlib.image.imread(path).shape[0]
    maps, pads = slice(0, height // 3), slice(height // 2, None)
    dark, bright = (matplotlib.colormaps["cividis"](share)[:3] for share in (0.0, 0.5))
    assert share_of_colour(path, dark, maps) > 0.02
    assert share_of_colour(path, bright, maps) > 0.02
    assert share_of_colour(path, dark, pads) == 0
    assert share_of_colour(path, TRUTH, pads) > 1e-4
