"""Blocks of simulated frames: what the workers of `src.simulate_finaltest` do, wherever they run."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.camera.phosphor import PhosphorRecipe, draw_spots, render
from util.frames.course_writer import pack_frame
from util.physics.sampling import project, sample_sphere
from util.physics.sphere import Experiment
from util.simulation.truth_tables import DETECTED_DTYPE, GENERATED_DTYPE


class Block(NamedTuple):
    """A block of frames to simulate; travels to the workers."""

    number: int
    start: int  # first frame
    stop: int  # one past the last frame
    experiment: Experiment
    recipe: PhosphorRecipe
    seed: int


class SimulatedBlock(NamedTuple):
    """What a worker makes of a `Block`."""

    block: Block
    packed: list[bytes]  # one chunk of FinalImage for each frame
    generated: list[NDArray[np.void]]  # GENERATED_DTYPE rows, one array for each sphere
    detected: NDArray[np.void]  # DETECTED_DTYPE rows, by frame


def simulate_block(block: Block) -> SimulatedBlock:
    """Draw the electrons of some frames and take the frames.

    Electrons that miss the screen are generated, but neither detected nor seen. ``ElectronId`` counts through one
    sphere after another, so that it is the row of ``GeneratedElectrons``.
    """
    experiment, recipe = block.experiment, block.recipe
    rng = np.random.default_rng(np.random.SeedSequence(block.seed, spawn_key=(block.number,)))
    frames = block.stop - block.start
    generated, columns = [], []
    first_id = 0
    for index, sphere in enumerate(experiment.spheres):
        n = frames * sphere.electrons_per_frame
        rows = np.empty(n, GENERATED_DTYPE)
        rows["SphereId"] = index
        rows["ElectronId"] = first_id + block.start * sphere.electrons_per_frame + np.arange(n)
        rows["r"], rows["costheta"] = sample_sphere(np.array(sphere.beta), sphere.R, sphere.sigma_R, n, rng=rng)
        x, z = project(rows["r"], rows["costheta"], rng=rng)
        generated.append(rows)
        columns.append([values.reshape(frames, -1) for values in (rows["ElectronId"], x, z)])
        first_id += experiment.frames * sphere.electrons_per_frame
    ids, x, z = (np.concatenate(parts, axis=1) for parts in zip(*columns, strict=True))

    half_height, half_width = (recipe.pitch * pixels / 2 for pixels in recipe.frame_shape)
    on_screen = (np.abs(x) <= half_height) & (np.abs(z) <= half_width)
    detected = np.empty(np.count_nonzero(on_screen), DETECTED_DTYPE)
    detected["ImageId"] = block.start + np.nonzero(on_screen)[0]
    detected["ElectronId"], detected["x"], detected["z"] = ids[on_screen], x[on_screen], z[on_screen]

    packed = []
    for frame in range(frames):
        seen = on_screen[frame]
        spots = draw_spots(recipe, int(np.count_nonzero(seen)), rng=rng)
        image = render(recipe, x[frame, seen], z[frame, seen], *spots, rng=rng)
        packed.append(pack_frame(block.start + frame, image))
    return SimulatedBlock(block, packed, generated, detected)
