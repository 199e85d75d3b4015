"""The electrons of all shards together."""

import hashlib
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.electrons.shards import MAP_SIZE, check_together, list_shards, read_facts, read_shard
from util.finder.weighting import weigh


class Hits(NamedTuple):
    """The electrons of all shards.

    count: number of hits.
    x, z, weight, variance: (n,) arrays; variance is what a hit adds to the variance of a sum of weights.
    events: (count,) array of dtype `util.finder.finder.EVENT`, or None where a shard kept none.
    distribution: (1024, 1024) sum of weights. frames: searched ones. source: fingerprint of the file of frames.
    search: what the finder was told. checksums: of the shards.
    """

    count: int
    x: NDArray
    z: NDArray
    weight: NDArray
    variance: NDArray
    events: NDArray | None
    distribution: NDArray
    frames: int
    source: str
    search: dict
    checksums: dict[str, str]

    @property
    def dataset(self) -> str | None:
        """Which dataset of the file the frames are, as `util.frames.open.open_frames` takes it."""
        return self.search.get("dataset")


def read_hits(folder: Path, *, weights: str, partial: bool) -> Hits:
    """Sum the shards of a folder.

    Parameters
    ----------
    folder : Path
    weights : {"flux", "unit"}
        Whether a hit counts as the electrons that its flux tells (`util.finder.weighting`) or as one.
    partial : bool
        Whether frames may be missing.

    Raises
    ------
    InputError
        Shards that are missing, damaged or do not belong together.
    """
    paths = list_shards(folder)
    facts = [read_facts(path) for path in paths]
    check_together(paths, facts, partial=partial)
    columns, events = [np.zeros((4, 0))], []
    total, without_events = np.zeros((2, MAP_SIZE, MAP_SIZE))
    squares, count, frames = 0.0, 0, 0
    for path in paths:
        shard = read_shard(path)
        matrix = shard.distribution if weights == "flux" else shard.counts
        total += matrix
        count += int(shard.counts.sum()) if shard.events is None else len(shard.events)
        frames += shard.counts_of_frames.frames - shard.counts_of_frames.saturated
        if shard.events is not None:
            x, z = shard.events["x"].astype(float), shard.events["z"].astype(float)
            weight = shard.events["weight"].astype(float) if weights == "flux" else np.ones(len(x))
            columns.append((x, z, weight, weight**2))
            events.append(shard.events)
        else:
            without_events += matrix
            squares += shard.squared_weights if weights == "flux" else float(matrix.sum())
    if without_events.any():
        columns.append(_hits_of_pixels(without_events, squares / without_events.sum()))
    x, z, weight, variance = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    all_events = np.concatenate(events) if len(events) == len(paths) else None
    told = all_events is not None and "flux" in all_events.dtype.names and "detector" in facts[0]["settings"]
    if weights == "flux" and told:
        # All hits together know one electron's flux better than what was learnt before the search.
        detector = Detector.from_facts(facts[0]["settings"]["detector"])
        weight = weigh(all_events, detector.sigma.mean, detector.flux_spread)
        variance = weight**2
    return Hits(count, x, z, weight, variance, all_events, total, frames, shard.source, facts[0]["settings"], checksums)


def _hits_of_pixels(matrix: NDArray, variance: float) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Spread each pixel's content over 3 x 3 points in it, as its neighbours slope.

    Spread evenly, it would blur the image by pitch^2 / 6 and widen sigma_R by 3e-5. `variance` is that of a unit of
    content.
    """
    pitch = 2 / matrix.shape[0]
    slope_x, slope_z = np.gradient(np.pad(matrix, 1))
    slope_x, slope_z = slope_x[1:-1, 1:-1], slope_z[1:-1, 1:-1]
    i, j = np.nonzero((matrix != 0) | (slope_x != 0) | (slope_z != 0))
    columns = []
    for u, v in itertools.product((-1 / 3, 0, 1 / 3), repeat=2):  # pixels from the middle
        weight = (matrix[i, j] + u * slope_x[i, j] + v * slope_z[i, j]) / 9
        columns.append((-1 + pitch * (i + 0.5 + u), -1 + pitch * (j + 0.5 + v), weight, matrix[i, j] * variance / 9))
    return tuple(np.concatenate(parts) for parts in zip(*columns, strict=True))
