"""Whether the image drifts while it is taken: centre, radii and widths in blocks of hits, one after the other.

A centre that wanders widens every sphere, and radii that do so theirs. The blocks are not fitted: their hits, summed
over the influence functions of the fit to all, tell how far each lies from the mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.fit.chi_square import tail
from util.fit.detection import Detection
from util.fit.influence_functions import Influence
from util.fit.map_data import Hits
from util.fit.result import FitResult
from util.fit.systematics import BINS
from util.physics.polar_map import places
from util.runtime.value_with_error import shorthand

BLOCKS = 24
ALARM = 1e-3  # p below which a drift is clear
MATTERS = 0.5  # errors by which a drift must move the answer to be worth a warning
_ROUNDS = 10
_SETTLED = 0.05  # errors of a block, by which a round may still move a centre


@dataclass(frozen=True)
class Drift:
    """How far blocks lie from the mean of all, and what that does to the answer.

    Attributes
    ----------
    result : FitResult
        The answer of all.
    blocks : array (BLOCKS, P)
        In the order of the answer's parameters.
    done : array (P,)
        By how much the drift of the centre moves the answer.
    """

    result: FitResult
    blocks: NDArray[np.float64]
    done: NDArray[np.float64]

    def variance_of(self, name: str) -> tuple[float, float, float]:
        """Return the variance of a parameter over the blocks beyond its errors, the error of that, and p without it."""
        index = self.result.layout.index(name)
        by_chance = float(self.result.covariance[index, index]) * BLOCKS
        squares, freedom = float((self.blocks[:, index] ** 2).sum()), BLOCKS - 1
        return squares / freedom - by_chance, by_chance * np.sqrt(2 / freedom), tail(squares / by_chance, freedom)

    @property
    def line(self) -> str:
        """How far centre and radii drift."""
        told = []
        for name in ("centre_x", "centre_z", *(f"R_{s + 1}" for s in range(self.result.layout.spheres))):
            variance, error, p = self.variance_of(name)
            size = np.sqrt(max(variance, 0.0))
            told.append(f"{name} {shorthand(size, error / np.hypot(2 * size, np.sqrt(error)))} (p = {p:.2g})")
        return f"drift over {BLOCKS} parts of the hits, rms: {', '.join(told)}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a drift of the centre does to the answer, where it is clear and that matters."""
        found = [self.variance_of(name) for name in ("centre_x", "centre_z")]
        layout = self.result.layout
        in_errors = np.abs(self.done) / np.where(self.result.errors > 0, self.result.errors, np.inf)
        worst = int(layout.shape[in_errors[layout.shape].argmax()])
        if min(p for *_, p in found) > ALARM or in_errors[worst] < MATTERS:
            return ()
        size = np.sqrt(max(sum(variance for variance, *_ in found), 0.0))
        return (
            f"the centre of the image drifts by {size:.2g} half screens, which moves {layout.names[worst]} by "
            f"{in_errors[worst]:.1f} errors: --follow-drift",
        )


class _Blocks:
    """Blocks of as many hits each, in their order, and how far they lie from an answer to all."""

    def __init__(self, hits: Hits, result: FitResult, detection: Detection) -> None:
        self._hits, self._influence = hits, Influence(result, BINS, detection)
        self.block = np.arange(hits.x.size) * BLOCKS // hits.x.size

    def counts(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the hits of each block in each bin (BLOCKS, bins), the blocks moved back by (BLOCKS, 2)."""
        hits, size = self.moved_back(centre), self._influence.expected.size
        place = places(hits.x, hits.z, self._influence.geometry, BINS)
        inside = place >= 0
        counts = np.bincount(self.block[inside] * size + place[inside], hits.weight[inside], BLOCKS * size)
        return np.asarray(counts, np.float64).reshape(BLOCKS, size)

    def moved_back(self, centre: NDArray[np.float64]) -> Hits:
        """Return the hits, the blocks moved back by (BLOCKS, 2)."""
        return self._hits._replace(x=self._hits.x - centre[self.block, 0], z=self._hits.z - centre[self.block, 1])

    def deviations(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far the parameters of each block lie from the mean (BLOCKS, P)."""
        sums = np.stack([self._influence.of(part) for part in counts])
        return BLOCKS * (sums - sums.mean(axis=0))

    def done(self, counts: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much blocks whose centres lie off by (BLOCKS, 2) move the parameters (P,)."""
        return self._influence.of((counts - self.counts(centre)).sum(axis=0))


def measure_drift(hits: Hits, result: FitResult, detection: Detection) -> Drift:
    """Measure how far blocks of as many hits each, in their order, lie from the answer to all."""
    blocks = _Blocks(hits, result, detection)
    counts = blocks.counts(np.zeros((BLOCKS, 2)))
    found = blocks.deviations(counts)
    return Drift(result, found, blocks.done(counts, found[:, result.layout.centre]))


def follow_centre(hits: Hits, result: FitResult, detection: Detection) -> Hits:
    """Return the hits, each block moved so that its centre is that of all; by rounds, for it may be as far as wide."""
    blocks, centre = _Blocks(hits, result, detection), np.zeros((BLOCKS, 2))
    enough = _SETTLED * np.sqrt(BLOCKS) * result.errors[result.layout.centre]
    for _ in range(_ROUNDS):
        step = blocks.deviations(blocks.counts(centre))[:, result.layout.centre]
        centre += step
        if (np.abs(step) < enough).all():
            break
    return blocks.moved_back(centre)
