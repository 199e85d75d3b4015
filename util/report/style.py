"""How all figures look: sizes, fonts, colours and colour maps. A quantity is drawn alike wherever it is drawn.

Sizes are a journal's: printed as wide as they are drawn, no text is smaller than 6 points. Colours are those of Okabe &
Ito 2008 (Color Universal Design), which people tell apart whatever their colour vision; maps are cividis (Nuñez,
Anderton & Renslow 2018, PLoS ONE 13, e0199239) for electrons, and a diverging map about white for differences.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

COLUMN, PAGE = 86 / 25.4, 178 / 25.4  # widths of a journal's column and of its page [inch]
STYLE = matplotlib.RcParams(
    {
        "font.size": 7,
        "axes.titlesize": 7.5,
        "axes.labelsize": 7,
        "figure.titlesize": 7.5,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "lines.linewidth": 0.9,
        "lines.markersize": 3,
        "image.interpolation": "none",
        "savefig.dpi": 220,
        "figure.dpi": 150,  # in a notebook
    }
)
SMALLEST = 6.0  # points

BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"
ANSWER, TRUTH = "black", "#D55E00"
OTHERS = (BLUE, GREEN, PURPLE)  # answers beside the answer
SPHERES = (BLUE, ORANGE, GREEN, PURPLE, SKY)
BANDS = {2: "0.9", 1: "0.78"}  # of so many standard errors

ELECTRONS = "cividis"
DIFFERENCE = "RdBu_r"
COUNTS = "Greys"
PULL_LIMIT = 5.0  # of the colours of a map of pulls

X_LABEL, Z_LABEL = "x [half the screen]", "z [half the screen]"


def log_axis(ax: Axes) -> None:
    """Make the y axis logarithmic, with ticks at 1, 2 and 5, written as plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def pull_axis(ax: Axes, *pulls: ArrayLike) -> None:
    """Give an axis of pulls its bands of one and two standard errors, and limits that cut none of these pulls."""
    for width, grey in BANDS.items():
        ax.axhspan(-width, width, color=grey, linewidth=0, zorder=0)
    ax.axhline(0, color="0.5", linewidth=0.5, zorder=1)
    reach = max(3.2, 1.1 * max((float(np.abs(part).max(initial=0)) for part in map(np.asarray, pulls)), default=0.0))
    ax.set_ylim(-reach, reach)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
