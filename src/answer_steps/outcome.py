"""What the answer stage says and shows of an answer."""

import shlex
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
from util.runtime import console
from util.runtime.errors import FrameError

FLOOR_DRAWS = 4000


def say(step: Step) -> None:
    """Print what a step has to say, and where it is asked for all of that; warnings go to standard error."""
    for text in step.details:
        console.detail(text)
    for line in step.lines:
        console.say(line)
    for warning in step.warnings:
        console.warn(warning)


def next_to_open(**things: str) -> str:
    """Return a block that says what shows a result: files or commands, by what they are."""
    width = max(map(len, things))
    return "\n".join(["open next:", *(f"  {kind:<{width}}  {where}" for kind, where in things.items())])


def tell_replaced(answer: Path, folder: Path | None) -> None:
    """Say that the figures of another answer will be replaced: one to a file that is not yet there, in their folder."""
    if folder is not None and not answer.exists() and (folder / "answer.json").exists():
        console.say(f"{folder}: replacing the figures and tables of another answer; to keep both, use --details FOLDER")


def open_after_answer(answer: Path, folder: Path) -> str:
    """Return what shows an answer whose figures lie in a folder of this name."""
    settings = f"DATA_DIR={shlex.quote(str(folder.parent))} ANSWER={shlex.quote(str(answer))}"
    return next_to_open(
        figures=f"{folder}: pads.png, betas.png ..; answer.csv, covariance.csv, answer.json",
        report=f"{settings} bash script/report.sh",
        notebook="final.ipynb, with the same settings",
    )


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
