"""One camera frame with the electrons found in it, and a crowded place of it enlarged."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from util.report.maps import bar, show_screen
from util.report.style import BLUE, COUNTS, TRUTH, X_LABEL, Z_LABEL

_SIDE = 100  # pixels of the part that is enlarged
_DOUBLE = 1.5  # weight from which on a hit stands for two electrons


@dataclass(frozen=True)
class ShownFrame:
    """A frame, and what was found in it.

    Attributes
    ----------
    image : (H, W)
        Axis 0 is x.
    hits : structured array (n,)
        Of dtype `util.finder.finder.EVENT`.
    electrons : (m, 2) or None
        True positions x and z; None where they are not known.
    """

    image: NDArray[np.unsignedinteger]
    hits: NDArray[np.void]
    electrons: NDArray[np.float64] | None = None

    @property
    def half(self) -> tuple[float, float]:
        """Half extents along x and z [detector units]."""
        longest = max(self.image.shape)
        return self.image.shape[0] / longest, self.image.shape[1] / longest


def crowded_place(hits: NDArray[np.void], reach: float) -> tuple[float, float]:
    """Return x and z of where most hits lie within about a reach of each other; (0, 0) without hits."""
    if not len(hits):
        return 0.0, 0.0
    places = np.column_stack((hits["x"], hits["z"])).astype(float)
    near = np.exp(-((places[:, None] - places) ** 2).sum(axis=-1) / reach**2)
    most = near[near.sum(axis=0).argmax()]
    x, z = most @ places / most.sum()
    return float(x), float(z)


def draw_frame(figure: Figure, shown: ShownFrame) -> None:
    """Draw the whole frame, and beside it the place where most hits lie close together, with all of them."""
    whole, part = figure.subplots(1, 2)
    half, longest = shown.half, max(shown.image.shape)
    top = float(max(shown.image.max(), 1))
    norm, colours = Normalize(0, top), matplotlib.colormaps[COUNTS]
    show_screen(whole, _brightest(shown.image), colours, norm, "black", (-half[0], half[0], -half[1], half[1]))
    side = 2 * min(_SIDE, *shown.image.shape) / longest
    corner = [
        float(np.clip(middle - side / 2, -reach, reach - side))
        for middle, reach in zip(crowded_place(shown.hits, side / 5), half, strict=True)
    ]
    whole.add_patch(Rectangle((corner[0], corner[1]), side, side, fill=False, edgecolor=TRUTH, linewidth=1))
    number = f"frame {shown.hits['ImageId'][0]}: " if len(shown.hits) else ""
    true = "" if shown.electrons is None else f", {len(shown.electrons)} in truth"
    whole.set_title(f"{number}{len(shown.hits)} hits, {shown.hits['weight'].sum():.1f} electrons{true}")
    extent = (-half[0], half[0], -half[1], half[1])
    image = part.imshow(shown.image.T, origin="lower", extent=extent, cmap=colours, norm=norm)
    bar(part, image, "counts of the camera")
    _mark(part, shown)
    part.set(
        xlim=(corner[0], corner[0] + side),
        ylim=(corner[1], corner[1] + side),
        xlabel=X_LABEL,
        ylabel=Z_LABEL,
        title=f"the box at left, {round(side * longest / 2)} pixels wide",
    )
    part.locator_params(nbins=4)
    handles, labels = part.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3)


def _brightest(image: NDArray[np.unsignedinteger], cells: int = 512) -> NDArray[np.unsignedinteger]:
    """Return the brightest pixel of each block, for a small picture in which spots of few pixels are still seen."""
    block = max(1, max(image.shape) // cells)
    rows, columns = (size // block for size in image.shape)
    return image[: rows * block, : columns * block].reshape(rows, block, columns, block).max(axis=(1, 3))


def _mark(ax: Axes, shown: ShownFrame) -> None:
    double = shown.hits["weight"] > _DOUBLE
    for part, size, label in ((~double, 9, "electron found"), (double, 13, "found: two electrons in one spot")):
        if part.any():
            x, z = shown.hits["x"][part], shown.hits["z"][part]
            ax.plot(x, z, "o", fillstyle="none", color=TRUTH, markersize=size, markeredgewidth=0.9, label=label)
    if shown.electrons is not None:
        x, z = shown.electrons.T
        ax.plot(x, z, "+", color=BLUE, markersize=4, markeredgewidth=0.8, label="where an electron truly was")
