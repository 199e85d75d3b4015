"""What a check of the frames found: how large an imperfection is, what it would do to an answer, and what mends it.

What each does was measured (doc/detectors.md, "What each check is worth"): the worst shift of an answer when it is left
alone, at a listed size, in reported errors at 50,000 frames. Smaller ones are taken to do less in proportion.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc

from util.camera.detector import Detector
from util.camera.imperfections import smooth_map
from util.finder.afterglow import Afterglow
from util.finder.gain_map import DEGREES
from util.finder.linearity import Gamma
from util.finder.spot_shape import Known
from util.finder.weighting import BROADEST
from util.runtime.value_with_error import shorthand

BETA_2_ERROR = 0.0009  # of an answer from 50,000 frames

# Worst shift in those errors, and at which size.
AFTERGLOW = 18 / 0.1  # of the last frame's light
GAMMA = 19 / 0.2  # away from 1
GAIN = 20 / 0.1  # half of what it varies by, as a quadrupole; vignetting does two thirds of that
WINGS = 79 / 0.4  # of sigma_R; a Moffat profile of exponent 2.5


@dataclass(frozen=True)
class Finding:
    """One check of the frames.

    Attributes
    ----------
    what : str
        What was looked at.
    value, error : float
        Size and its standard error, infinite where the frames do not tell.
    unit : str
        What stands behind the number.
    clear : bool
        Whether it is there beyond doubt and large enough to matter.
    harm : str
        What it would do to an answer if left alone; empty where that is nothing.
    remedy : str
        What was done about it, or what to do, where it is clear.
    """

    what: str
    value: float
    error: float
    unit: str
    clear: bool
    harm: str = ""
    remedy: str = ""

    @property
    def size(self) -> str:
        """The size with its error and unit, in words."""
        told = math.isfinite(self.error)
        return f"{shorthand(self.value, self.error)}{self.unit}" if told else "these frames do not tell"

    def __str__(self) -> str:
        parts = [f"{'!' if self.clear else ' '} {self.what}: {self.size}"]
        if not math.isfinite(self.error):
            return parts[0]
        parts += [self.harm or "moves no beta"]
        return "; ".join([*parts, self.remedy] if self.clear else parts)


def moves_beta_2(size: float, errors_per_size: float) -> str:
    """Say by how much an imperfection of a size would move beta_2."""
    return f"would move beta_2 by up to {abs(size) * errors_per_size * BETA_2_ERROR:.1g}"


def moves_sigma_R(errors: float) -> str:
    """Say by how many of its errors at 50,000 frames an imperfection would move sigma_R."""
    return f"would move sigma_R by up to {errors:.1f} of its errors at 50,000 frames"


def of_afterglow(found: Afterglow) -> Finding:
    """Return what was found of the screen's afterglow."""
    return Finding(
        "afterglow",
        100 * found.last,
        100 * found.error,
        " % of the last frame's light",
        found.clear,
        moves_beta_2(abs(found.last) + found.error, AFTERGLOW),
        "subtracted",
    )


def of_response(found: Gamma) -> Finding:
    """Return what was found of the camera's response."""
    return Finding(
        "response",
        found.value,
        found.error,
        " is the power of the light with which counts rise",
        found.clear,
        moves_beta_2(abs(found.value - 1) + found.error, GAMMA),
        "undone",
    )


def of_spots(detector: Detector, spots: int, lowest: float, shape: Iterable[Known]) -> tuple[Finding, ...]:
    """Return what was found of gain, shape and brightness of one electron's spot.

    Parameters
    ----------
    detector : Detector
        As it was learnt.
    spots : int
        From how many isolated spots.
    lowest : float
        Height from which a spot is found, over the mean one.
    shape : iterable of Known
    """
    return (_gain(detector, spots), *map(_shape, shape), _pulse_heights(detector, spots, lowest))


def _gain(detector: Detector, spots: int) -> Finding:
    terms = detector.imperfections.gain
    x, z = np.meshgrid(*[np.linspace(-1, 1, 41)] * 2)
    within = smooth_map(terms, x, z)[np.hypot(x, z) <= 1]
    half = float(np.ptp(within)) / 2
    # A map that is not called for has as many terms as the smallest that was tried.
    number = len(terms) or (DEGREES[0] + 1) * (DEGREES[0] + 2) // 2 - 1
    error = detector.flux_spread * math.sqrt(number / spots) if detector.flux_spread <= BROADEST else math.inf
    return Finding(
        "gain over the screen",
        100 * half,
        100 * error,
        f" % up and down, from {within.min():.2f} to {within.max():.2f} of that in the middle",
        bool(terms),
        moves_beta_2(half + error, GAIN),
        "taken out",
    )


def _shape(known: Known) -> Finding:
    what, harm = {
        "aspect": (" times as wide along x as along z", "would split spots: F1 falls to 0.60 at 1.3"),
        "wings": (" is 1 / exponent of a Moffat profile", moves_sigma_R((abs(known.value) + known.error) * WINGS)),
        "growth": (" larger at the edge than in the middle", ""),
    }[known.name]
    return Finding(f"{known.name} of the spots", known.value, known.error, what, known.clear, harm, "fitted")


def _pulse_heights(detector: Detector, spots: int, lowest: float) -> Finding:
    screen, spread = detector.imperfections, detector.flux_spread
    shape = (detector.A.mean / max(detector.A.std, 1e-3 * detector.A.mean)) ** 2
    begin = f", none below {screen.threshold:.2f} of the mean" if screen.threshold else ""
    done = [f"searched as a gamma law{begin}"] if screen.pulse_heights == "gamma" else []
    if spread > BROADEST:
        done.append("hits bright enough are counted, not weighed by their flux")
    return Finding(
        "pulse heights",
        100 * spread,
        100 * spread / math.sqrt(2 * spots),
        " % is the spread of one electron's flux",
        bool(done),
        f"{gammainc(shape, shape * max(lowest, screen.threshold)):.1%} of the electrons are too faint to be found",
        "; ".join(done),
    )
