"""What the answer stage says and shows of an answer."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.answer_steps.step import Step
from src.answer_steps.truth import distance_to
from util.electrons.hits import Hits
from util.fit.result import FitResult, floor_distance
from util.frames.open import open_frames
from util.physics.sphere import Sphere
from util.runtime.errors import FrameError

FLOOR_DRAWS = 4000


def say(step: Step) -> None:
    """Print what a step has to say; warnings go to standard error."""
    for line in step.lines:
        print(line)
    for warning in step.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def frame_with_hits(path: Path | None, hits: Hits) -> tuple[NDArray[np.unsignedinteger], NDArray[np.void]] | None:
    """Return the first frame that holds hits, with these; None where there are no frames or no events."""
    if path is None or not path.exists() or hits.events is None or not hits.events.size:
        return None
    first = hits.events["ImageId"][0]
    with open_frames(path, hits.dataset) as frames:
        for index in range(frames.count):
            with suppress(FrameError):  # not searched, since it cannot be read
                image_id, frame = frames.read_row(index)
                if image_id == first:
                    return frame, hits.events[hits.events["ImageId"] == first]
    return None


def verdict(result: FitResult, truth: Sequence[Sphere] | None) -> str:
    """Return the last line: the distance from the truth, where that is known, and the statistical floor."""
    rng = np.random.default_rng(0)
    floor = floor_distance(result.beta_covariance(floor=True), FLOOR_DRAWS, rng, spheres=len(result.R))
    if truth is None:
        return f"statistical floor {floor:.4f}"
    return f"distance {distance_to(truth, result.R, result.beta):.4f} (statistical floor {floor:.4f})"
