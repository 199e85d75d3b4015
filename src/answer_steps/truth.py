"""The truth of simulated frames, which scores an answer and never reaches it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.answer.final_h5 import BETAS, answer_rows
from util.frames.open import is_course_file, open_frames
from util.physics import pad
from util.physics.sphere import Sphere
from util.runtime import console
from util.runtime.errors import InputError
from util.simulation.truth_tables import read_detected_electrons, read_truth


def truth_of(path: Path | None, dataset: str | None, source: str, spheres: int | None) -> list[Sphere] | None:
    """Read the truth in the file of frames, ascending in R; None where there is no such file or no truth.

    Parameters
    ----------
    path : Path or None
    dataset : str or None
        As `util.frames.open.open_frames` takes it.
    source : str
        Fingerprint of the file that the answer is made from.
    spheres : int or None
        How many the answer is to have; None: not known yet.

    Raises
    ------
    InputError
        It is another file, or its truth has another number of spheres.
    """
    if path is None:
        return None
    if not path.exists():
        console.say(f"{path}: not there, so that nothing tells whether the shards were made from it")
        return None
    with open_frames(path, dataset) as frames:
        if frames.fingerprint() != source:
            raise InputError(
                f"{path}: expected the file that the shards were made from, found another; "
                "run script/gen_finaltest_npy.sh for it, or name the right file"
            )
    truth = read_truth(path) if is_course_file(path) else None
    if truth is not None and spheres is not None and len(truth) != spheres:
        raise InputError(f"{path}: Truth: expected {spheres} sphere(s), found {len(truth)}; use --spheres {len(truth)}")
    return truth


def electrons_in(path: Path, image_id: int) -> NDArray[np.float64] | None:
    """Return the true positions (n, 2) of the electrons in a frame, x and z; None where the file does not tell."""
    rows = read_detected_electrons(path) if is_course_file(path) else None
    if rows is None:
        return None
    held = rows[rows["ImageId"] == image_id]
    return np.column_stack((held["x"], held["z"])).astype(float)


def betas_of(spheres: Sequence[Sphere]) -> NDArray[np.float64]:
    """Return betas (S, 12) of spheres, ascending in R; missing ones are 0, those beyond the twelfth do not count."""
    betas = np.zeros((len(spheres), BETAS))
    for row, sphere in zip(betas, sorted(spheres, key=lambda sphere: sphere.R), strict=True):
        row[: len(sphere.beta)] = sphere.beta[:BETAS]
    return betas


def distance_to(truth: Sequence[Sphere], R: NDArray[np.float64], beta: NDArray[np.float64]) -> float:
    """Return the distance (`util.physics.pad.distance`) of radii (S,) with betas (S, n), n <= 12, from the truth."""
    return float(pad.distance(answer_rows(R, beta)["beta"], betas_of(truth)))
