"""Simulated frames of an experiment, in the course's format."""

import math
from pathlib import Path

from util.camera.exposure import counts_kind
from util.camera.phosphor import PhosphorRecipe
from util.frames.course_writer import writing_frames
from util.physics.sphere import Experiment
from util.runtime.executor import map_in_order, open_executor
from util.runtime.facts import to_json
from util.runtime.progress import Progress
from util.simulation.frame_block import BLOCK, Block, simulate_block
from util.simulation.provenance import attributes_of, check_room
from util.simulation.simulated_detector import RECIPES_OWN, SimulatedDetector
from util.simulation.truth_tables import DETECTED, DETECTED_DTYPE, GENERATED, GENERATED_DTYPE, TRUTH, truth_rows


def simulate(
    output: Path,
    experiment: Experiment,
    recipe: PhosphorRecipe,
    detector: SimulatedDetector = RECIPES_OWN,
    *,
    seed: int,
    workers: int,
    scheduler: str = "",
) -> None:
    """Simulate all frames of an experiment into `output`, in `workers` processes or on a Dask `scheduler`.

    Raises
    ------
    InputError
        Not enough room on the disk, before or during the work; nothing is left behind.
    """
    blocks = [
        Block(number, min(BLOCK, experiment.frames - start), experiment, recipe, detector, seed)
        for number, start in enumerate(range(0, experiment.frames, BLOCK))
    ]
    _check_room(output, blocks[0])
    attributes = attributes_of(settings_text(experiment, recipe, detector), seed)
    kind = counts_kind(detector.saturation)
    with (
        writing_frames(output, recipe.frame_shape, experiment.frames, attributes, kind) as writer,
        open_executor(workers, scheduler) as executor,
        Progress("simulating", experiment.frames, "frame") as progress,
    ):
        truth = truth_rows(experiment.spheres)
        writer.put(writer.create_table(TRUTH, truth.dtype, len(truth)), 0, truth)
        electrons = experiment.frames * experiment.electrons_per_frame
        generated_table = writer.create_table(GENERATED, GENERATED_DTYPE, electrons)
        detected_table = writer.create_table(DETECTED, DETECTED_DTYPE)
        for done in map_in_order(executor, simulate_block, blocks, in_flight=lambda: 2 * executor.concurrency):
            for index, packed in enumerate(done.packed, start=done.block.start):
                writer.write(index, packed)
            for rows in done.generated:
                writer.put(generated_table, int(rows["ElectronId"][0]), rows)
            writer.append(detected_table, done.detected)
            progress.update(len(done.packed))


def _check_room(output: Path, block: Block) -> None:
    """Refuse to begin what the disk cannot hold, judging by one frame."""
    one = simulate_block(block._replace(frames=1))
    tables = block.experiment.electrons_per_frame * (GENERATED_DTYPE.itemsize + DETECTED_DTYPE.itemsize)
    needed = math.ceil(1.05 * block.experiment.frames * (len(one.packed[0]) + tables))
    check_room(output, needed, "fewer frames")


def settings_text(experiment: Experiment, recipe: PhosphorRecipe, detector: SimulatedDetector = RECIPES_OWN) -> str:
    """Return, as JSON, all that determines the file but the seed; the detector where it is not the recipe's own."""
    settings: dict[str, object] = {"experiment": experiment, "phosphor": recipe}
    if detector != RECIPES_OWN:
        settings["detector"] = detector
    return to_json(settings)
