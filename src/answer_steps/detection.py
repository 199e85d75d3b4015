"""What the detector shows of the image: the edges of camera and plate, what is blind, and its efficiency."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.answer_steps.options import Model
from util.electrons.hits import Hits
from util.entries.efficiency import read_efficiency, read_mask
from util.fit import map_data
from util.fit.detection import Detection
from util.fit.plate_edge import find_plate
from util.runtime.errors import InputError

_PIXEL = 2 / 1024  # of a camera whose pixels are not known [half screens]
_MOST_EVENTS = 500_000  # that a plate is sought in
_WITHIN = 2.0  # pixels inside the edge of a plate, from which on it is blind: the edge is blurred, and known to one
_MOST_HIDDEN, _FEW_HIDDEN = 0.5, 0.01  # of the hits, where the detector is blind by what the user tells
_LEAST = 0.2  # of the disc about the middle of the camera that must be seen


class Told(NamedTuple):
    """What the detector shows of the image, and the lines and warnings that tell of it."""

    detection: Detection
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def detection_of(hits: Hits, model: Model) -> Told:
    """Return what the shards and the user tell of the detector, and the hits of a plate.

    Raises
    ------
    InputError
        A mask or an efficiency that cannot be read, is of another camera, leaves next to nothing to see, or hides most
        of the hits.
    """
    seen = None if hits.blind is None else (~hits.blind).astype(float)
    lines, warnings = [], []
    for path, read in ((model.mask, read_mask), (model.efficiency, read_efficiency)):
        if path is None:
            continue
        if hits.pixels is None:
            raise InputError(f"{path}: expected shards that tell the camera's pixels, found none; import with --pixels")
        part = np.asarray(read(path, hits.pixels, hits.axis), dtype=np.float64)
        warnings += _of_hidden(path, hits, part)
        if path == model.mask:
            lines.append(f"mask {path}: {_percent(float((part == 0).mean()))} of the screen is blind")
        seen = part if seen is None else seen * part
    if seen is not None and (share := float((seen > 0).mean())) < _LEAST:
        named = " and ".join(str(path) for path in (model.mask, model.efficiency) if path) or "the image"
        raise InputError(
            f"{named}: expected to leave at least {100 * _LEAST:.0f} % of the camera, found {100 * share:.1f} %; "
            "a mask is 0 where the detector is blind"
        )
    detection, of_plate = _with_plate(hits, model, Detection(hits.reach, seen, hits.noise))
    return Told(detection, (*lines, *of_plate), tuple(warnings))


def _of_hidden(path: Path, hits: Hits, part: NDArray[np.float64]) -> list[str]:
    """Refuse a file by which most hits lie where the detector is blind; return a warning where some do."""
    total = float(hits.weight.sum())
    if total <= 0:
        return []
    share = float(hits.weight[Detection(hits.reach, part).at(hits.x, hits.z) == 0].sum()) / total
    found = f"{path}: {_percent(share)} of the hits lie where the detector is blind by it"
    if share > _MOST_HIDDEN:
        raise InputError(f"{found}, expected few; 0 stands for blind: invert it, or name that of this camera")
    few = share <= _FEW_HIDDEN
    return [] if few else [f"{found} and are left out: right for a hot spot; else it is not of this camera"]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def _with_plate(hits: Hits, model: Model, detection: Detection) -> tuple[Detection, tuple[str, ...]]:
    """Return a detection that ends with a plate smaller than the camera, if there is one and it is asked for."""
    if model.plate == "none":
        return detection, ()
    pixel = _PIXEL if hits.pixels is None else 2 / max(hits.pixels)
    # Of events, of which each stands for the others, a part tells an edge as well.
    part = slice(None, None, 1 if hits.events is None else 1 + hits.x.size // _MOST_EVENTS)
    seen = map_data.Hits(hits.x[part], hits.z[part], hits.weight[part], hits.variance[part])
    found = find_plate(seen, detection, pixel)
    if found is None:
        return detection, ()
    where = f"radius {found.radius:.4f} about x = {found.x:.4f}, z = {found.z:.4f} half screens"
    if hits.pixels is not None:
        x, z = (place / pixel + (size - 1) / 2 for place, size in zip(found[:2], hits.pixels, strict=True))
        where = f"radius {found.radius / pixel:.1f} about x = {x:.1f}, z = {z:.1f} pixels"
    line = (
        f"the light ends at a sharp circle, as a round plate does: {where}; what lies beyond is taken as blind "
        "(--plate none: as seen)"
    )
    return replace(detection, plate=found._replace(radius=found.radius - _WITHIN * pixel)), (line,)
