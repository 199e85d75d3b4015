"""Learning a detector whose screen glows on and whose camera is not linear.

Both hide each other, and both spoil what is learnt of the spots: afterglow is a part of the light, but counts need not
rise with it; overlapping spots tell the camera's response, but the last frame's spots must be gone. So each is learnt
with the other undone (`util.finder.corrected_frames`), in turn, until nothing is left; frames of a screen and a camera
without fault are gone through once.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.imperfections import IDEAL, Imperfections
from util.camera.phosphor import PhosphorRecipe
from util.finder.afterglow import learn_afterglow
from util.finder.calibration import Learned, learn_detector
from util.finder.camera_calibration import learn_camera
from util.finder.corrected_frames import corrected
from util.finder.finder import Finder, FinderSettings
from util.finder.findings import of_afterglow, of_response
from util.finder.linearity import ENOUGH, MANY, Gamma, learn_gamma
from util.frames.source import FrameSource
from util.runtime.errors import FrameError

ROUNDS = 6
GAMMA_FRAMES = 120  # at most; 2.5 pairs a frame of 86 electrons


def learn_real_detector(frames: FrameSource, recipe: PhosphorRecipe, settings: FinderSettings) -> Learned:
    """Learn a detector from a sample of its frames, afterglow and response included.

    Parameters
    ----------
    frames : FrameSource
        As they are in the file, in the order in which they were taken.
    recipe, settings
        As `util.finder.calibration.learn_detector` takes them.

    Returns
    -------
    Learned
        Background, noise and spot are those of corrected frames.

    Raises
    ------
    InputError
        As `util.finder.calibration.learn_detector` does.
    """
    gamma = 1.0
    for _ in range(ROUNDS):
        camera = _camera(frames, recipe, replace(IDEAL, gamma=gamma))
        afterglow = learn_afterglow(corrected(frames, camera), camera)
        imperfections = Imperfections(gamma=gamma, afterglow=afterglow.parts)
        linear = corrected(frames, _with(camera, imperfections))
        learned = learn_detector(linear, recipe, settings)
        left = _gamma_left(linear, learned.detector, settings)
        # Once seen, it is followed below what would have been seen.
        if not (left.clear or (gamma != 1 and abs(left.value - 1) > left.error)):
            break
        gamma *= left.value
    found = replace(learned.detector.imperfections, gamma=gamma, afterglow=afterglow.parts)
    response = replace(left, value=left.value if gamma == 1 else gamma)
    findings = (of_afterglow(afterglow), of_response(response), *learned.findings)
    return replace(
        learned, detector=_with(learned.detector, found), findings=findings, afterglow=afterglow, response=response
    )


def _camera(frames: FrameSource, recipe: PhosphorRecipe, imperfections: Imperfections) -> Detector:
    """Return the camera of frames whose response is undone; its background is that of linear counts."""
    raw = learn_camera(frames, recipe)
    if imperfections == IDEAL:
        return raw
    return _with(learn_camera(corrected(frames, _with(raw, imperfections)), recipe), imperfections)


def _with(detector: Detector, imperfections: Imperfections) -> Detector:
    return replace(detector, imperfections=imperfections)


def _gamma_left(linear: FrameSource, detector: Detector, settings: FinderSettings) -> Gamma:
    """Return the power that is left in corrected frames spread over the file; those not to be read are left out."""

    def images(most: int) -> Iterator[NDArray[np.unsignedinteger]]:
        for index in linear.spread_out(most):
            with suppress(FrameError):
                yield linear.read(index)

    finder = Finder(detector, settings)
    gamma = learn_gamma(images(GAMMA_FRAMES), finder)
    if gamma.doubtful:
        gamma = learn_gamma(images(MANY * GAMMA_FRAMES), finder, enough=MANY * ENOUGH)
    return gamma
