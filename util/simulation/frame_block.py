"""Blocks of simulated frames: what the workers of `src.simulate_finaltest` do, wherever they run."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.exposure import Screen, Spots, camera_noise, counts, register
from util.camera.phosphor import PhosphorRecipe
from util.frames.course_writer import pack_frame
from util.physics.sampling import project, sample_sphere
from util.physics.sphere import Experiment
from util.simulation.simulated_detector import SimulatedDetector
from util.simulation.truth_tables import DETECTED_DTYPE, GENERATED_DTYPE

BLOCK = 100  # frames that share a random generator; another number gives other frames for the same seed


class Block(NamedTuple):
    """A block of frames to simulate; travels to the workers."""

    number: int  # it begins with frame number * BLOCK
    frames: int
    experiment: Experiment
    recipe: PhosphorRecipe
    detector: SimulatedDetector
    seed: int

    @property
    def start(self) -> int:
        """First frame."""
        return self.number * BLOCK


class SimulatedBlock(NamedTuple):
    """What a worker makes of a `Block`."""

    block: Block
    packed: list[bytes]  # one chunk of FinalImage for each frame
    generated: list[NDArray[np.void]]  # GENERATED_DTYPE rows, one array for each sphere
    detected: NDArray[np.void]  # DETECTED_DTYPE rows, by frame


class Flight(NamedTuple):
    """Electrons that a block's spheres send to the detector."""

    generated: list[NDArray[np.void]]  # GENERATED_DTYPE rows, one array for each sphere
    ids: NDArray[np.int32]  # ElectronId (frames, electrons), as x and z
    x: NDArray[np.float64]
    z: NDArray[np.float64]


class Exposed(NamedTuple):
    """A frame before the camera has read it out."""

    detected: NDArray[np.void]  # DETECTED_DTYPE rows
    spots: Spots
    noise: NDArray[np.float64] | float


def simulate_block(block: Block) -> SimulatedBlock:
    """Draw the electrons of some frames and take the frames.

    Electrons that miss the screen, or that the plate does not register, are generated, but neither detected nor seen.
    ``ElectronId`` counts through one sphere after another, so that it is the row of ``GeneratedElectrons``.
    """
    detector = block.detector.detector(block.recipe)
    screen = Screen(detector, subsamples=block.recipe.subsamples)
    # The frames before are drawn once more where their light is still there.
    glowing = block.start - len(detector.imperfections.afterglow)
    for number in range(max(glowing // BLOCK, 0), block.number):
        before = block._replace(number=number, frames=BLOCK)
        for image_id, exposed in enumerate(_expose(before, *_fly(before)), before.start):
            if image_id >= glowing:
                screen.show(exposed.spots)
    flight, rng = _fly(block)
    packed, detected = [], []
    for image_id, exposed in enumerate(_expose(block, flight, rng), block.start):
        packed.append(pack_frame(image_id, counts(detector, screen.show(exposed.spots), exposed.noise)))
        detected.append(exposed.detected)
    return SimulatedBlock(block, packed, flight.generated, np.concatenate(detected))


def _fly(block: Block) -> tuple[Flight, np.random.Generator]:
    """Draw the electrons of a block; return also the random numbers that come next."""
    rng = np.random.default_rng(np.random.SeedSequence(block.seed, spawn_key=(block.number,)))
    generated, columns = [], []
    first_id = 0
    for index, sphere in enumerate(block.experiment.spheres):
        n = block.frames * sphere.electrons_per_frame
        rows = np.empty(n, GENERATED_DTYPE)
        rows["SphereId"] = index
        rows["ElectronId"] = first_id + block.start * sphere.electrons_per_frame + np.arange(n)
        rows["r"], rows["costheta"] = sample_sphere(np.array(sphere.beta), sphere.R, sphere.sigma_R, n, rng=rng)
        x, z = project(rows["r"], rows["costheta"], rng=rng)
        generated.append(rows)
        columns.append([values.reshape(block.frames, -1) for values in (rows["ElectronId"], x, z)])
        first_id += block.experiment.frames * sphere.electrons_per_frame
    flight = Flight(generated, *(np.concatenate(parts, axis=1) for parts in zip(*columns, strict=True)))
    return flight, rng


def _expose(block: Block, flight: Flight, rng: np.random.Generator) -> Iterator[Exposed]:
    """Let the electrons of a block meet the detector, frame by frame."""
    recipe, simulated = block.recipe, block.detector
    detector = simulated.detector(recipe)
    half_height, half_width = (recipe.pitch * pixels / 2 for pixels in recipe.frame_shape)
    for frame, (ids, x, z) in enumerate(zip(flight.ids, flight.x, flight.z, strict=True)):
        when = (block.start + frame + 0.5) / block.experiment.frames
        seen_x, seen_z = simulated.seen_at(x, z, when, recipe.pitch)
        seen = (np.abs(seen_x) <= half_height) & (np.abs(seen_z) <= half_width)
        if simulated.drift.rate:
            seen &= rng.random(x.size) < simulated.rate_at(when)
        registered, spots = register(detector, seen_x[seen], seen_z[seen], gain=simulated.gain_at(when), rng=rng)
        seen[seen] = registered
        noise = camera_noise(detector, rng=rng)
        detected = np.empty(np.count_nonzero(seen), DETECTED_DTYPE)
        detected["ImageId"] = block.start + frame
        detected["ElectronId"], detected["x"], detected["z"] = ids[seen], x[seen], z[seen]
        yield Exposed(detected, spots, noise)
