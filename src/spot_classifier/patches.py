"""Patches of camera frames, each with the question whether the cell in its middle holds an electron.

A cell is a pixel, or a square of several pixels that are averaged. Positives are the cells that hold an electron.
Negatives are cells that hold none, partly anywhere, partly near an electron. Only cells bright enough are asked about.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.finder.binning import bin_pixels
from util.training.recipe import Precision, Schedule

POSITIVE, ANYWHERE, NEAR = 0, 1, 2
KINDS = ("electron", "anywhere", "near")
# A cell farther than this from any electron tells no place [cells].
OFFSET_REACH = 1.5
_SATURATION = 1 << 16  # none: what the camera clips does not matter here


@dataclass(frozen=True)
class GaussSettings:
    """One table of param/gauss.toml; the file says what each means.

    Raises
    ------
    ValueError
        A value out of range, or a patch too small for four convolutions.
    """

    bin: int
    half_width: int
    positive: float
    near: float
    reach: float
    bright: float
    scale: float
    channels: tuple[int, int, int, int]
    hidden: int
    offset: float
    batch: int
    epochs: int
    rate: float
    schedule: Schedule
    ema: float
    clip: float
    precision: Precision

    def __post_init__(self) -> None:
        if self.half_width < 6:
            raise ValueError(f"half_width must be at least 6, for four convolutions, found {self.half_width}")
        if not 0 < self.positive < 1:
            raise ValueError(f"positive must lie between 0 and 1, found {self.positive}")
        if not 0 <= self.near <= 1:
            raise ValueError(f"near must lie within 0 and 1, found {self.near}")
        if min(self.bin, self.batch, self.epochs, self.hidden, *self.channels) < 1:
            raise ValueError("bin, batch, epochs, hidden and channels must be at least 1")
        if not (self.reach >= 1 and self.scale > 0 and self.rate > 0 and self.clip > 0):
            raise ValueError("reach must be at least 1; scale, rate and clip above 0")
        if not (0 <= self.ema < 1 and self.offset >= 0 and self.bright >= 0):
            raise ValueError("expected 0 <= ema < 1; offset and bright not below 0")

    @property
    def side(self) -> int:
        """Cells along each side of a patch."""
        return 2 * self.half_width + 1


@dataclass(frozen=True)
class GaussTasks:
    """All of param/gauss.toml."""

    pixel: GaussSettings
    finder: GaussSettings


def patch_dtype(settings: GaussSettings) -> np.dtype[np.void]:
    """Return the row type of ``Patches``: image, kind, place of the nearest electron, and where it was cut out."""
    return np.dtype(
        [
            ("Image", "u1" if settings.bin == 1 else "<f4", (settings.side, settings.side)),
            ("Kind", "u1"),  # index into KINDS; 0: the cell holds an electron
            ("Offset", "<f4", (2,)),  # of the nearest electron from the cell's middle [cells]; nan: none near
            ("ImageId", "<i4"),
            ("Cell", "<i4", (2,)),
        ]
    )


class Cells(NamedTuple):
    """A frame in cells (h, w), and its electrons in cells from the frame's corner (n, 2)."""

    data: NDArray[np.integer | np.floating]
    electrons: NDArray[np.float64]


def to_cells(frame: NDArray[np.uint8], x: NDArray[np.floating], z: NDArray[np.floating], size: int) -> Cells:
    """Average a frame over cells, and convert electrons from detector units to cells.

    Parameters
    ----------
    frame : (H, W) uint8
    x, z : (n,) arrays
        Detector units.
    size : int
        Pixels along each side of a cell.
    """
    pitch = 2 / max(frame.shape)
    places = np.stack([v / pitch + pixels / 2 for v, pixels in zip((x, z), frame.shape, strict=True)], axis=1) / size
    data = frame if size == 1 else bin_pixels(frame, size, _SATURATION)[0]
    return Cells(data, places)


def nearest(electrons: NDArray[np.float64], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return offsets (m, 2) of the nearest electron (n, 2) from the middle of each cell (m, 2); nan: none is near."""
    offsets = np.full(cells.shape, np.nan)
    for start in range(0, len(cells), 4096):
        part = slice(start, start + 4096)
        gaps = electrons[None] - (cells[part, None] + 0.5)
        squares = (gaps**2).sum(axis=2)
        best = squares.argmin(axis=1) if electrons.size else np.zeros(len(gaps), int)
        near = squares[np.arange(len(gaps)), best] < OFFSET_REACH**2 if electrons.size else np.zeros(len(gaps), bool)
        offsets[part][near] = gaps[np.arange(len(gaps)), best][near] if electrons.size else np.nan
    return offsets


def cut_patches(image_id: int, cells: Cells, settings: GaussSettings, *, rng: np.random.Generator) -> NDArray[np.void]:
    """Cut the patches of one frame, dtype `patch_dtype`: every electron, and as many others as `positive` asks for."""
    shape = np.array(cells.data.shape)
    holding = np.floor(cells.electrons).astype(int)
    holding = np.unique(holding[((holding >= 0) & (holding < shape)).all(axis=1)], axis=0)
    taken = np.zeros(cells.data.shape, bool)
    taken[tuple(holding.T)] = True
    bright = cells.data >= settings.bright
    positives = holding[bright[tuple(holding.T)]]
    wanted = rng.binomial(round(len(positives) / settings.positive) - len(positives), settings.near)
    free = bright & ~taken
    near = _near(holding, free, wanted, settings.reach, rng)
    others = np.argwhere(free)
    total = round(len(positives) * (1 - settings.positive) / settings.positive) - len(near)
    anywhere = others[rng.choice(len(others), min(total, len(others)), replace=False)] if len(others) else others
    centres = np.concatenate((positives, anywhere, near))
    rows = np.empty(len(centres), patch_dtype(settings))
    padded = np.pad(cells.data, settings.half_width)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (settings.side, settings.side))
    rows["Image"] = windows[tuple(centres.T)]
    rows["Kind"] = np.repeat([POSITIVE, ANYWHERE, NEAR], [len(positives), len(anywhere), len(near)])
    rows["Offset"] = nearest(cells.electrons, centres)
    rows["ImageId"], rows["Cell"] = image_id, centres
    return rows


def _near(
    holding: NDArray[np.int64], free: NDArray[np.bool_], wanted: int, reach: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw up to `wanted` different free cells (m, 2), evenly among those within `reach` of an electron's cell."""
    span = np.arange(-int(reach), int(reach) + 1)
    steps = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    steps = steps[(steps**2).sum(axis=1) <= reach**2]
    around = np.unique((holding[:, None] + steps).reshape(-1, 2), axis=0)
    around = around[((around >= 0) & (around < free.shape)).all(axis=1)]
    around = around[free[tuple(around.T)]]
    return np.asarray(rng.choice(around, min(wanted, len(around)), replace=False) if len(around) else around)
