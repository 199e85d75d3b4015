"""What the detector shows of the image: the camera's edges, what is blind, and its efficiency."""

import numpy as np

from src.answer_steps.options import Model
from util.electrons.hits import Hits
from util.entries.efficiency import read_efficiency, read_mask
from util.fit.detection import Detection
from util.runtime.errors import InputError

_LEAST = 0.2  # of the disc about the middle of the camera that must be seen


def detection_of(hits: Hits, model: Model) -> Detection:
    """Return what the shards and the user tell of the detector.

    Raises
    ------
    InputError
        A mask or an efficiency that cannot be read, is of another camera, or leaves next to nothing to see.
    """
    seen = None if hits.blind is None else (~hits.blind).astype(float)
    for path, read in ((model.mask, read_mask), (model.efficiency, read_efficiency)):
        if path is None:
            continue
        if hits.pixels is None:
            raise InputError(f"{path}: expected shards that tell the camera's pixels, found none; import with --pixels")
        part = np.asarray(read(path, hits.pixels, hits.axis), dtype=np.float64)
        seen = part if seen is None else seen * part
    if seen is not None and (share := float((seen > 0).mean())) < _LEAST:
        named = " and ".join(str(path) for path in (model.mask, model.efficiency) if path) or "the image"
        raise InputError(
            f"{named}: expected to leave at least {100 * _LEAST:.0f} % of the camera, found {100 * share:.1f} %; "
            "a mask is 0 where the detector is blind"
        )
    return Detection(hits.reach, seen, max(hits.noise, 0.0))
