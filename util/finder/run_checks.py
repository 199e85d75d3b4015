"""Whether a run stays the same from its first frame to its last: order, gaps, repeats, clipping, and drift.

A sample of frames, in short runs spread over the file, is searched. Drift is what the means of successive blocks of
them vary by beyond the scatter of frames within blocks (analysis of variance).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import fdtrc

from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.finder.calibration import Learned, lone
from util.finder.corrected_frames import corrected
from util.finder.finder import Finder, FinderSettings
from util.finder.findings import AFTERGLOW, Finding, moves_beta_2, moves_sigma_R
from util.finder.real_detector import learn_real_detector
from util.frames.source import FrameSource
from util.runtime.errors import FrameError
from util.runtime.progress import over, working

RUNS, RUN = 40, 5  # runs of frames that follow one another
RINGS, SMOOTHED = 300, 2.0  # in which the density of hits is taken, and over how many
_STEPS = np.array([[[0.01], [0.0]], [[0.0], [0.01]]])  # along x and z
BLOCKS = 8
FEWEST_FRAMES = 3 * BLOCKS
CHANCE = 1e-4  # p below which a drift is clear
CLIPPED = 0.01  # of the hits
# sigma_R moves by 14 of its errors where the centre wanders evenly by 6 of 1024 pixels. The wandering adds its variance
# to the line's, so that it is the square that counts.
WANDERING = 14 / (6 / 512) ** 2 * 12  # errors per variance [detector units^2]


class Series(NamedTuple):
    """What may drift: a quantity of each frame of the sample (n,), in the order of the run."""

    finding: Finding
    values: NDArray[np.float64]


class Run(NamedTuple):
    """What a sample of a run's frames shows: what was found, hits (n,) that stand alone, and what may drift."""

    findings: tuple[Finding, ...]
    lone: NDArray[np.void]
    series: tuple[Series, ...]


class _Sampled(NamedTuple):
    """A frame of the sample: `row` in the file, `image_id`, and `hits` (n,), None where it is too bright."""

    row: int
    image_id: int
    hits: NDArray[np.void] | None


def check_frames(frames: FrameSource, recipe: PhosphorRecipe, settings: FinderSettings) -> tuple[Learned, Run]:
    """Learn a detector, and check the run as well; parameters and errors are those of `learn_real_detector`.

    Returns
    -------
    learned : Learned
        With the findings of the run after its own.
    run : Run
    """
    with working("learning the detector"):
        learned = learn_real_detector(frames, recipe, settings)
    run = check_run(frames, learned.detector, settings)
    return replace(learned, findings=(*learned.findings, *run.findings)), run


def check_run(frames: FrameSource, detector: Detector, settings: FinderSettings) -> Run:
    """Check order, gaps, clipping and drift of a run.

    Parameters
    ----------
    frames : FrameSource
        As they are in the file; those that cannot be read are left out.
    detector : Detector
        As it was learnt from them.
    settings : FinderSettings
    """
    sample = list(_sample(corrected(frames, detector), Finder(detector, settings)))
    series = tuple(_drifts(sample, detector))
    findings = (*_order(sample), _repeats(sample), _clipping(sample, detector), *(part.finding for part in series))
    return Run(findings, lone((frame.hits for frame in sample), detector), series)


def _sample(frames: FrameSource, finder: Finder) -> Iterator[_Sampled]:
    written = frames.written()
    rows = {start + step for start in frames.spread_out(RUNS) for step in range(RUN)}
    for row in over(sorted(rows), "checking the run", len(rows), "frame"):
        if any(start <= row < stop for start, stop in written):
            try:
                image_id, image = frames.read_row(row)
            except FrameError:
                continue
            yield _Sampled(row, image_id, finder.find(image))


def _order(sample: Sequence[_Sampled]) -> tuple[Finding, ...]:
    rows, ids = (np.array([getattr(frame, name) for frame in sample], np.int64) for name in ("row", "image_id"))
    step, missing = np.diff(ids), np.diff(ids) - np.diff(rows)
    back, gaps = int(np.sum(step <= 0)), int(missing[missing > 0].sum())
    error = 0.0 if step.size else math.inf
    return (
        Finding(
            "order of ImageId",
            back,
            error,
            f" of {step.size} steps go back",
            back > 0,
            f"afterglow cannot be subtracted: 10 % {moves_beta_2(0.1, AFTERGLOW)}" if back else "",
            "store the frames in the order in which they were taken",
        ),
        Finding(
            "gaps in ImageId",
            gaps,
            error,
            " frames are missing",
            gaps > 0,
            "a frame after a gap keeps its afterglow" if gaps else "",
            "see why the camera dropped them",
        ),
    )


def _repeats(sample: Sequence[_Sampled]) -> Finding:
    lit = [frame.hits[["x", "z"]].tobytes() for frame in sample if frame.hits is not None and len(frame.hits)]
    repeats = len(lit) - len(set(lit))
    return Finding(
        "repeated frames",
        repeats,
        0.0 if lit else math.inf,
        f" of {len(lit)} frames show what another does",
        repeats > 0,
        "errors are too small: electrons count more than once" if repeats else "",
        "keep each frame once, and see why the camera repeats them",
    )


def _clipping(sample: Sequence[_Sampled], detector: Detector) -> Finding:
    heights = np.concatenate([np.zeros(0), *(frame.hits["A"] for frame in sample if frame.hits is not None)])
    share = float(np.mean(heights + detector.background[0] >= detector.saturation)) if heights.size else 0.0
    return Finding(
        "clipping",
        100 * share,
        100 * math.sqrt((share * (1 - share) + 1 / max(heights.size, 1)) / heights.size) if heights.size else math.inf,
        " % of the hits",
        share > CLIPPED,
        "their light is guessed from their flanks" if share else "",
        "expose shorter, or lower the gain",
    )


def _drifts(sample: Sequence[_Sampled], detector: Detector) -> Iterator[Series]:
    """Yield rate, brightness and mean position over the sample, about their means, in the unit of their drift."""
    lit = [frame.hits for frame in sample if frame.hits is not None and len(frame.hits)]
    rate = np.array([len(frame.hits) for frame in sample if frame.hits is not None], float)
    brightness = np.array([np.median(hits["flux"]) for hits in lit])
    for name, values in (("rate of hits", rate), ("brightness of hits", brightness)):  # alike all over the screen
        rms, error, clear = _drift(values)
        scale = 100 / values.mean() if values.any() else 0.0
        finding = Finding(f"drift of the {name}", scale * rms, scale * error, " % (rms)", clear, "", "nothing to do")
        yield Series(finding, scale * (values - values.mean()) if values.size else values)
    for axis, centres in zip("xz", _centres(lit), strict=True):
        rms, error, clear = _drift(centres)
        finding = Finding(
            f"drift of the centre along {axis}",
            rms / detector.pitch,
            error / detector.pitch,
            " pixels (rms)",
            clear,
            moves_sigma_R(WANDERING * (rms**2 + error**2)),
            "answer with --follow-drift",
        )
        yield Series(finding, (centres - centres.mean()) / detector.pitch if centres.size else centres)


def _centres(lit: Sequence[NDArray[np.void]]) -> NDArray[np.float64]:
    """Return by how much the image of each frame lies off along x and z, (2, frames) [detector units].

    Rings tell it better than the mean of all hits: each hit counts by the slope of the logarithm of the density at its
    radius, which is what a fit of the centre sums.
    """
    if not lit:
        return np.zeros((2, 0))
    at = np.stack([np.concatenate([hits[axis] for hits in lit]).astype(float) for axis in "xz"])
    at -= np.median(at, axis=1, keepdims=True)
    frame = np.repeat(np.arange(len(lit)), [len(hits) for hits in lit])
    radius = (np.arange(RINGS) + 0.5) * (1.5 / RINGS)
    number = np.histogram(np.hypot(*at), RINGS, (0, 1.5))[0]
    density = gaussian_filter1d(number / radius, SMOOTHED) + 1 / radius
    slope = -np.gradient(np.log(density), radius)

    def score(at: NDArray[np.float64]) -> NDArray[np.float64]:
        rho = np.hypot(*at)
        return np.interp(rho, radius, slope) * at / np.maximum(rho, radius[0])

    gain = [(score(at + step)[axis] - score(at - step)[axis]).mean() / 0.02 for axis, step in enumerate(_STEPS)]
    total = np.stack([np.bincount(frame, part) / np.bincount(frame) for part in score(at)])
    return total / np.array(gain)[:, None]


def in_blocks(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    """Return numbers and means (BLOCKS,) of successive blocks of values (n,), and the variance within blocks."""
    block = np.arange(values.size) * BLOCKS // values.size
    number = np.bincount(block)
    means = np.bincount(block, values) / number
    return number, means, float(np.sum((values - means[block]) ** 2)) / (values.size - BLOCKS)


def _drift(values: NDArray[np.float64]) -> tuple[float, float, bool]:
    """Return the rms by which blocks of values (n,) vary beyond chance, the error of a block, and whether clearly."""
    if values.size < FEWEST_FRAMES:
        return 0.0, math.inf, False
    number, means, within = in_blocks(values)
    between = float(number @ (means - values.mean()) ** 2) / (BLOCKS - 1)
    rms = math.sqrt(max(between - within, 0) * (BLOCKS - 1) / values.size)
    clear = between > 0 and bool(fdtrc(BLOCKS - 1, values.size - BLOCKS, between / max(within, 1e-300)) < CHANCE)
    return rms, math.sqrt(within * BLOCKS / values.size), clear
