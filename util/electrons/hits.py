"""The electrons of all shards together."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.electrons.imported_image import on_standard_grid
from util.electrons.shard_arrays import MAP_SIZE
from util.electrons.shard_facts import SearchSettings, ShardFacts, reach_of
from util.electrons.shards import Shard, check_together, distribution_of, list_shards, read_facts, read_shard
from util.finder.weighting import weight_hits
from util.runtime.executor import available_cores, map_in_order

HitWeights = Literal["flux", "unit"]

_LATTICES = ((13, 8), (8, 5), (5, 3), (3, 2))  # points in a pixel, and the step between neighbours
_AHEAD = 4  # shards read before they are wanted
_MOST_POINTS = 8e6  # that the pixels of an image are spread over, if they can be


@dataclass(frozen=True, eq=False)
class Hits:
    """The electrons of all shards.

    Attributes
    ----------
    count : int
        Number of hits; of an image, its electrons rounded.
    x, z, weight, variance : (n,) float64
        Positions [detector units]; `variance` is what a hit adds to the variance of a sum of weights, that of the
        electrons and that of the camera together. Points in the pixels of an image may be negative in both.
    events : (count,) structured array, or None
        Of dtype `util.finder.finder.EVENT`; None where a shard kept none.
    distribution : (1024, 1024) float64
        Sum of weights per pixel.
    frames : int
        Number of frames that were searched.
    source : str
        Fingerprint of the file of frames, or of what was imported.
    search : SearchSettings or None
        None where the data were imported and no frames were searched.
    checksums : dict of str to str
        SHA-256 of each shard, by its name.
    reach : (float, float)
        Half extents of the camera along x and z [detector units]; (1, 1) where they are not known.
    noise : float
        What the camera adds to the variance, as so many electrons [per unit of area in detector units]; 0 for events.
        An image on an offset, which does not scatter like electrons, has lost that much of it that the rest does.
    blind : (H, W) bool, or None
        Pixels of an image of which nothing is known, axis 0 is x, axis 1 is z; None where there are none.
    pixels : (int, int) or None
        Of the camera, along x and z; None where they are not known.
    axis : {0, 1}
        Axis of the camera's images, as their files have it, along which the polarisation lies.
    gain_error : float
        Relative error that all numbers of electrons share: of an image, that of its counts per electron.
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
    search: SearchSettings | None
    checksums: dict[str, str]
    reach: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.0
    blind: NDArray[np.bool_] | None = None
    pixels: tuple[int, int] | None = None
    axis: int = 1
    gain_error: float = 0.0

    def turned(self) -> "Hits":
        """Return the hits of a detector that is turned by 90 degrees, so that what lay along +x lies along +z."""
        search = self.search
        if search is not None and search.detector is not None:
            search = replace(search, detector=search.detector.turned())
        return replace(
            self,
            x=-self.z,
            z=self.x,
            distribution=np.rot90(self.distribution),
            search=search,
            reach=self.reach[::-1],
            blind=None if self.blind is None else np.rot90(self.blind),
            pixels=None if self.pixels is None else self.pixels[::-1],
        )

    @property
    def dataset(self) -> str | None:
        """Dataset of the file that holds the frames, as `util.frames.open.open_frames` takes it."""
        return self.search.dataset if self.search else None

    @property
    def blurred(self) -> bool:
        """Whether an electron may lie spread over several pixels: in an accumulated image."""
        return self.search is None and self.events is None


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
    checksums: dict[str, str] = {}
    events: list[NDArray[np.void]] = []
    total, without_events = np.zeros((2, MAP_SIZE, MAP_SIZE))
    squares, count, frames = 0.0, 0, 0
    for path, (shard, checksum) in zip(paths, _read_all(paths), strict=True):
        checksums[path.name] = checksum
        if shard.image is not None:
            return _hits_of_image(shard, checksums)
        matrix = shard.distribution if hit_weights == "flux" else shard.counts
        total += matrix
        count += int(shard.counts.sum()) if shard.events is None else len(shard.events)
        frames += shard.facts.counts_of_frames.frames - shard.facts.counts_of_frames.saturated
        if shard.events is not None:
            events.append(shard.events)
        else:
            without_events += matrix
            squares += shard.facts.squared_weights if hit_weights == "flux" else float(matrix.sum())
    all_events = np.concatenate(events) if len(events) == len(paths) else None
    search = facts[0].search
    detector = search.detector if search else None
    x, z, weight = (_column(events, name) for name in ("x", "z", "weight"))
    if hit_weights == "unit":
        weight = np.ones(x.size)
    elif detector and all_events is not None and "flux" in (all_events.dtype.names or ()):
        weight = _weighed(all_events, detector)
    variance = weight**2
    if without_events.any():
        of_pixels = hits_of_pixels(without_events, squares / without_events.sum(), 0.0)
        x, z, weight, variance = np.concatenate((np.stack((x, z, weight, variance)), of_pixels), axis=1)
    source, pixels = facts[0].source, _pixels(facts[0])
    return Hits(
        count,
        x,
        z,
        weight,
        variance,
        all_events,
        total,
        frames,
        source,
        search,
        checksums,
        reach_of(pixels),
        pixels=pixels,
        axis=facts[0].imported.axis if facts[0].imported else 1,
    )


def _read_all(paths: Sequence[Path]) -> Iterator[tuple[Shard, str]]:
    """Read shards, and the SHA-256 of each; threads unpack them side by side."""
    with ThreadPoolExecutor(available_cores()) as threads:
        yield from map_in_order(threads, _read, paths, in_flight=_AHEAD)


def _read(path: Path) -> tuple[Shard, str]:
    return read_shard(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _column(events: Sequence[NDArray[np.void]], name: str) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *(part[name] for part in events)], dtype=float)


def hits_of_events(
    events: NDArray[np.void], frames: int, source: str, search: SearchSettings, *, hit_weights: HitWeights
) -> Hits:
    """Return the electrons (n,), dtype EVENT, of so many frames as `read_hits` would of their shards.

    Other parameters as in `Hits`; the detector of `search` must be known.
    """
    detector = search.detector
    if detector is None:
        raise ValueError("expected settings with a detector, found none")
    weight = _weighed(events, detector) if hit_weights == "flux" else np.ones(len(events))
    weights, counts = distribution_of(events)
    return Hits(
        len(events),
        events["x"].astype(float),
        events["z"].astype(float),
        weight,
        weight**2,
        events,
        (weights if hit_weights == "flux" else counts).astype(float),
        frames,
        source,
        search,
        {},
        reach_of(detector.frame_shape),
        pixels=detector.frame_shape,
    )


def _weighed(events: NDArray[np.void], detector: Detector) -> NDArray[np.float64]:
    # All hits together tell one electron's flux better than what was learnt before the search.
    return weight_hits(events, detector.sigma.mean, detector.flux_spread)


def _pixels(facts: ShardFacts) -> tuple[int, int] | None:
    if facts.imported:
        return facts.imported.pixels
    detector = facts.search.detector if facts.search else None
    return detector.frame_shape if detector else None


def _hits_of_image(shard: Shard, checksums: dict[str, str]) -> Hits:
    """Spread the pixels of an accumulated image over points; whatever its hits are to count, they are its electrons."""
    facts, image = shard.facts, shard.image
    assert image is not None and facts.imported is not None and facts.imported.noise is not None
    law = facts.imported.noise
    unknown = np.isnan(image)
    electrons = image.astype(np.float64) - law.offset
    x, z, weight, variance = hits_of_pixels(electrons, law.variance_per_electron, max(law.pixel_noise, 0.0))
    return Hits(
        round(float(np.nansum(electrons))),
        x,
        z,
        weight,
        variance,
        None,
        on_standard_grid(np.where(unknown, 0, electrons)),
        facts.counts_of_frames.frames,
        facts.source,
        None,
        checksums,
        reach=facts.imported.reach,
        noise=max(law.pixel_noise, 0.0) / law.variance_per_electron / (2 / max(image.shape)) ** 2,
        blind=unknown if unknown.any() else None,
        pixels=facts.imported.pixels,
        axis=facts.imported.axis,
        gain_error=law.gain_error,
    )


def hits_of_pixels(matrix: NDArray[np.float64], variance: float, noise: float) -> NDArray[np.float64]:
    """Spread each pixel's content over points in it, sloping like its neighbours; the same points every time.

    Spread evenly, it would blur the image by pitch^2 / 6 and widen sigma_R by 3e-5. A pixel has 13 points (of 1024 x
    1024 pixels: 5), fewer where the image is so large that they would take long.

    Parameters
    ----------
    matrix : (H, W) float64
        Content of square pixels, the longer side of which is the screen; axis 0 is x, axis 1 is z. NaN: no points.
    variance : float
        That of a sum of pixels, per unit of its content.
    noise : float
        What each pixel adds to that.

    Returns
    -------
    array (4, n)
        x, z, weight, variance.
    """
    height, width = matrix.shape
    pitch = 2 / max(matrix.shape)
    points, step = next((pair for pair in _LATTICES if pair[0] * matrix.size <= _MOST_POINTS), (1, 1))
    known = np.isfinite(matrix)
    filled = np.where(known, matrix, 0)
    slopes = [_slope(matrix, axis) for axis in (0, 1)]
    i, j = np.nonzero(known & ((filled != 0) | (slopes[0] != 0) | (slopes[1] != 0) | (noise != 0)))
    content, (slope_x, slope_z) = filled[i, j], (slope[i, j] for slope in slopes)
    spread = (content * variance + noise) / points
    found = np.empty((4, points * i.size))
    # A Fibonacci lattice: points in rows would fall to one side of the image's axes, row by row.
    first = np.arange(points)
    for number, (u, v) in enumerate((np.stack((first, step * first % points), axis=1) + 0.5) / points - 0.5):
        part = found[:, number * i.size : (number + 1) * i.size]
        part[0] = pitch * (i + (0.5 + u - height / 2))
        part[1] = pitch * (j + (0.5 + v - width / 2))
        part[2] = (content + u * slope_x + v * slope_z) / points
        part[3] = spread
    return found


def _slope(matrix: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the slope of each pixel's content along an axis [per pixel]; 0 beside pixels that are not known."""
    padded = np.pad(matrix, [(1, 1) if number == axis else (0, 0) for number in (0, 1)], mode="edge")
    slope = np.gradient(padded, axis=axis)
    inner = slope[1:-1] if axis == 0 else slope[:, 1:-1]
    return np.where(np.isfinite(inner), inner, 0)
