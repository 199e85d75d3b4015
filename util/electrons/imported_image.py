"""An accumulated image as a shard."""

import numpy as np
from numpy.typing import NDArray

from util.electrons.shard_arrays import MAP_SIZE
from util.electrons.shard_facts import FrameCounts, ImportSettings, ShardFacts
from util.electrons.shards import Shard


def image_shard(counts: NDArray[np.float64], settings: ImportSettings, source: str) -> Shard:
    """Return the shard of an image.

    Parameters
    ----------
    counts : (H, W) float64
        As the shard has it: axis 0 is x, axis 1 is z, the polarisation. NaN where nothing is known.
    settings : ImportSettings
        With a noise law, which says how many counts an electron adds.
    source : str
        Fingerprint of the image's file.
    """
    if settings.noise is None:
        raise ValueError("expected settings with a noise law, found none")
    image = (counts / settings.noise.counts_per_electron).astype(np.float32)
    filled = np.where(np.isnan(image), 0, image).astype(float)
    distribution = on_standard_grid(filled).astype(np.float32)
    squares = settings.noise.variance_per_electron * max(float(filled.sum()), 0.0)
    facts = ShardFacts(0, 1, source, 1, settings, FrameCounts(1, 0, 0, 0), squares)
    hits = np.maximum(np.rint(distribution), 0).astype(np.int32)
    return Shard(facts, None, distribution, hits, image)


def on_standard_grid(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share the content of square pixels (H, W), the longer side of which is the screen, out to a grid (1024, 1024)."""
    return _shares(image.shape[0], max(image.shape)) @ image @ _shares(image.shape[1], max(image.shape)).T


def _shares(pixels: int, longest: int) -> NDArray[np.float64]:
    """Return the share (1024, pixels) of each pixel along an axis that lies in each row of the grid."""
    edges = (np.arange(pixels + 1) - pixels / 2) * MAP_SIZE / longest + MAP_SIZE / 2
    rows = np.arange(MAP_SIZE)[:, None]
    overlap = np.minimum(edges[1:], rows + 1) - np.maximum(edges[:-1], rows)
    return np.maximum(overlap, 0) * (longest / MAP_SIZE)
