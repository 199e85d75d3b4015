"""The electrons of all shards together."""

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from util.electrons.shard_facts import SearchSettings
from util.electrons.shards import MAP_SIZE, check_together, list_shards, read_facts, read_shard
from util.finder.weighting import weight_hits

HitWeights = Literal["flux", "unit"]


@dataclass(frozen=True, eq=False)
class Hits:
    """The electrons of all shards.

    Attributes
    ----------
    count : int
        Number of hits.
    x, z, weight, variance : (n,) float64
        Positions [detector units]; `variance` is what a hit adds to the variance of a sum of weights.
    events : (count,) structured array, or None
        Of dtype `util.finder.finder.EVENT`; None where a shard kept none.
    distribution : (1024, 1024) float64
        Sum of weights per pixel.
    frames : int
        Number of frames that were searched.
    source : str
        Fingerprint of the file of frames.
    search : SearchSettings
    checksums : dict of str to str
        SHA-256 of each shard, by its name.
    """

    count: int
    x: NDArray[np.float64]
    z: NDArray[np.float64]
    weight: NDArray[np.float64]
    variance: NDArray[np.float64]
    events: NDArray[np.void] | None
    distribution: NDArray[np.float64]
    frames: int
    source: str
    search: SearchSettings
    checksums: dict[str, str]

    @property
    def dataset(self) -> str | None:
        """Dataset of the file that holds the frames, as `util.frames.open.open_frames` takes it."""
        return self.search.dataset


def read_hits(folder: Path, *, hit_weights: HitWeights, partial: bool) -> Hits:
    """Put the shards of a folder together.

    Parameters
    ----------
    folder : Path
    hit_weights : {"flux", "unit"}
        Whether a hit counts as the electrons that its flux stands for (`util.finder.weighting`) or as one.
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
    columns: list[NDArray[np.float64]] = [np.zeros((4, 0))]
    events: list[NDArray[np.void]] = []
    total, without_events = np.zeros((2, MAP_SIZE, MAP_SIZE))
    squares, count, frames = 0.0, 0, 0
    for path in paths:
        shard = read_shard(path)
        matrix = shard.distribution if hit_weights == "flux" else shard.counts
        total += matrix
        count += int(shard.counts.sum()) if shard.events is None else len(shard.events)
        frames += shard.facts.counts_of_frames.frames - shard.facts.counts_of_frames.saturated
        if shard.events is not None:
            x, z = shard.events["x"].astype(float), shard.events["z"].astype(float)
            weight = shard.events["weight"].astype(float) if hit_weights == "flux" else np.ones(len(x))
            columns.append(np.stack((x, z, weight, weight**2)))
            events.append(shard.events)
        else:
            without_events += matrix
            squares += shard.facts.squared_weights if hit_weights == "flux" else float(matrix.sum())
    if without_events.any():
        columns.append(_hits_of_pixels(without_events, squares / without_events.sum()))
    x, z, weight, variance = np.concatenate(columns, axis=1)
    checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    all_events = np.concatenate(events) if len(events) == len(paths) else None
    source, settings = facts[0].source, facts[0].settings
    detector = settings.detector
    if hit_weights == "flux" and detector and all_events is not None and "flux" in (all_events.dtype.names or ()):
        # All hits together tell one electron's flux better than what was learnt before the search.
        weight = weight_hits(all_events, detector.sigma.mean, detector.flux_spread)
        variance = weight**2
    return Hits(count, x, z, weight, variance, all_events, total, frames, source, settings, checksums)


def _hits_of_pixels(matrix: NDArray[np.float64], variance: float) -> NDArray[np.float64]:
    """Spread each pixel's content over 3 x 3 points in it, sloping like its neighbours: x, z, weight, variance (4, n).

    Spread evenly, it would blur the image by pitch^2 / 6 and widen sigma_R by 3e-5. `variance` is that per unit of
    content.
    """
    pitch = 2 / matrix.shape[0]
    slope_x, slope_z = (np.gradient(np.pad(matrix, 1), axis=axis)[1:-1, 1:-1] for axis in (0, 1))
    i, j = np.nonzero((matrix != 0) | (slope_x != 0) | (slope_z != 0))
    columns = []
    for u, v in itertools.product((-1 / 3, 0, 1 / 3), repeat=2):  # pixels from the middle
        weight = (matrix[i, j] + u * slope_x[i, j] + v * slope_z[i, j]) / 9
        x, z = -1 + pitch * (i + 0.5 + u), -1 + pitch * (j + 0.5 + v)
        columns.append(np.stack((x, z, weight, matrix[i, j] * variance / 9)))
    return np.concatenate(columns, axis=1)
