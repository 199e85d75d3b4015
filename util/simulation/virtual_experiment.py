"""The whole experiment in memory: electrons, frames, hits. What the programs would find if their answer were true.

The parametric bootstrap, the finder's bias and the coverage through frames all rest on it. Every block of frames has
random numbers of its own, so that results do not depend on the number of workers.
"""

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.exposure import SMOOTH_PX, Screen, camera_noise, counts, counts_kind, register
from util.camera.imperfections import smooth_map
from util.camera.phosphor import flux_of, mean_flux
from util.finder.corrected_frames import CorrectionInOrder
from util.finder.finder import EVENT, Finder, FinderSettings
from util.finder.weighting import weight_hits
from util.physics.sampling import project, sample_sphere
from util.runtime.executor import WorkerPool, map_in_order
from util.runtime.progress import over

BLOCK = 50  # frames that share a random generator
MOST_OBLIQUE = 1 - 1e-12  # a spot drawn at |rho| = 1 has no finite flux
ELECTRON = np.dtype([("ImageId", "<i4"), ("x", "<f8"), ("z", "<f8"), ("flux", "<f8")])


@dataclass(frozen=True)
class Scene:
    """Spheres as they fall on the detector.

    Attributes
    ----------
    R, sigma_R : tuples (S,)
    beta : tuple of S tuples
        Each I(c) must be a density.
    share : tuple (S,)
        Part of all electrons that each sphere holds; they sum to 1.
    centre : (x, z)
    crowd : tuple of int
        Electrons per frame: each frame draws one of these numbers. Overlap depends on their spread, so they are best
        taken from the frames that were searched.
    """

    R: tuple[float, ...]
    sigma_R: tuple[float, ...]
    beta: tuple[tuple[float, ...], ...]
    share: tuple[float, ...]
    centre: tuple[float, float]
    crowd: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.R) == len(self.sigma_R) == len(self.beta) == len(self.share) > 0:
            raise ValueError("expected as many R as sigma_R, beta and share, at least one each")
        if not (min(self.share) >= 0 and abs(sum(self.share) - 1) < 1e-9):
            raise ValueError(f"expected shares not below 0 that sum to 1, found {self.share}")
        if not self.crowd or min(self.crowd) < 0:
            raise ValueError("expected at least one number of electrons per frame, none below 0")

    def draw(self, electrons: int, *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw positions (2, electrons) on the detector, the spheres in random order."""
        numbers = rng.multinomial(electrons, self.share)
        parts = [
            project(*sample_sphere(np.array(beta), R, sigma, n, rng=rng), rng=rng)
            for R, sigma, beta, n in zip(self.R, self.sigma_R, self.beta, numbers, strict=True)
        ]
        positions = np.concatenate(parts, axis=1) + np.array(self.centre)[:, None]
        return positions[:, rng.permutation(electrons)]


@dataclass(frozen=True)
class Played:
    """What fell on the detector, and what was found of it.

    Attributes
    ----------
    frames : int
        Frames simulated. Those too crowded to search are in none of the arrays.
    true : structured array (n,)
        Every electron that the plate registered, dtype `ELECTRON`; the flux is its spot's own, over the mean flux.
    found : structured array (m,)
        Hits, dtype `util.finder.finder.EVENT`. ``ImageId`` counts the frames from 0 in both.
    """

    frames: int
    true: NDArray[np.void]
    found: NDArray[np.void]


@dataclass(frozen=True)
class VirtualExperiment:
    """What frames are simulated and searched with, and the workers that do so.

    Attributes
    ----------
    detector : Detector
        How electrons light the screen, and the camera.
    finder : FinderSettings
    executor : WorkerPool
        From `util.runtime.executor.open_executor`; its workers must be able to import this module.
    """

    detector: Detector
    finder: FinderSettings
    executor: WorkerPool

    def play(self, scene: Scene, frames: int, *, seed: int) -> Played:
        """Simulate frames of a scene and find their electrons; the same seed gives the same on any workers."""
        blocks = (
            _Block(scene, self.detector, self.finder, seed, number, min(BLOCK, frames - start))
            for number, start in enumerate(range(0, frames, BLOCK))
        )
        played = map_in_order(self.executor, _play_block, blocks, in_flight=lambda: 2 * self.executor.concurrency)
        parts = list(over(played, "simulating the measurement", -(-frames // BLOCK), "block"))
        found = np.concatenate([np.zeros(0, EVENT), *(part.found for part in parts)])
        found["weight"] = weight_hits(found, self.detector.sigma.mean, self.detector.flux_spread)
        return Played(frames, np.concatenate([np.zeros(0, ELECTRON), *(part.true for part in parts)]), found)


def load_simulation() -> None:
    """Do nothing: a worker that was asked to has loaded what simulates and searches, which takes a second."""


class _Block(NamedTuple):
    """A block of frames to simulate and search; travels to the workers."""

    scene: Scene
    detector: Detector
    finder: FinderSettings
    seed: int
    number: int
    frames: int


@functools.lru_cache(maxsize=2)
def _finder(detector: Detector, settings: FinderSettings) -> Finder:
    return Finder(replace(detector, hot_pixels=()), settings)


def _play_block(block: _Block) -> Played:
    scene, detector, settings, seed, number, frames = block
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    finder = _finder(detector, settings)
    unit = mean_flux(detector, pulse_heights=detector.imperfections.pulse_heights)
    screen = Screen(detector, smooth_px=SMOOTH_PX)
    correction = CorrectionInOrder(detector, np.dtype(counts_kind(detector.saturation)))
    # What lit the screen before the first frame shines in it still, and in those that are subtracted from it.
    before = len(detector.imperfections.afterglow) + correction.memory
    numbers = rng.choice(np.array(scene.crowd), before + frames)
    positions = scene.draw(int(numbers.sum()), rng=rng)
    edge = np.array([detector.pitch * pixels / 2 for pixels in detector.frame_shape])[:, None]
    true, found = [], []
    parts = np.split(positions, np.cumsum(numbers)[:-1], axis=1)
    for image_id, part in enumerate(parts, number * BLOCK - before):
        _, spots = register(detector, *part[:, (np.abs(part) <= edge).all(axis=0)], rng=rng)
        frame = correction.next(counts(detector, screen.show(spots), camera_noise(detector, rng=rng)))
        events = finder.find(frame) if image_id >= number * BLOCK else None
        if events is None:
            continue
        electrons = np.zeros(spots.x.size, ELECTRON)
        electrons["x"], electrons["z"] = spots.x, spots.z
        flux = flux_of(spots.A, spots.sigma, spots.rho.clip(-MOST_OBLIQUE, MOST_OBLIQUE))
        # The finder takes the gain out; what a spot really had is to be compared with that.
        electrons["flux"] = flux / (unit * smooth_map(detector.imperfections.gain, spots.x, spots.z))
        events["ImageId"] = electrons["ImageId"] = image_id
        true.append(electrons)
        found.append(events)
    return Played(frames, np.concatenate([np.zeros(0, ELECTRON), *true]), np.concatenate([np.zeros(0, EVENT), *found]))
