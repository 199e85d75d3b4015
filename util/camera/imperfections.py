"""What sets a real detector apart from an ideal one, each effect by its physical parameter.

The way of the light, in this order: an electron meets the microchannel plate, which registers it with the probability
`efficiency`; its pulse has a height, the law's times `gain` at that place; pulses below `threshold` light nothing.
The spot is `aspect` times as wide along x as along z, its flank has `wings`, and its size grows towards the edge. The
screen still shows `afterglow` of the light of the last frames. The camera answers to light with the power `gamma`.

`Detector` carries what was learnt of them from the frames; simulated detectors are described by the same numbers.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

HIGHEST_POWER = 6  # of x or z in a smooth map


@dataclass(frozen=True)
class Term:
    """One term of a smooth map of the screen, ``size x^i z^j`` with i, j the powers `x` and `z` [detector units]."""

    x: int
    z: int
    size: float

    def __post_init__(self) -> None:
        if not (0 <= self.x <= HIGHEST_POWER and 0 <= self.z <= HIGHEST_POWER and self.x + self.z > 0):
            raise ValueError(f"expected powers of x and z from 0 to {HIGHEST_POWER}, not both 0, found {self}")
        if not math.isfinite(self.size):
            raise ValueError(f"size must be a finite number, found {self.size}")


SmoothMap = tuple[Term, ...]  # 1 + the sum of its terms


def smooth_map(terms: SmoothMap, x: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
    """Return ``1 + sum of terms`` at positions x, z [detector units], as they broadcast."""
    x, z = np.asarray(x, np.float64), np.asarray(z, np.float64)
    return sum((term.size * x**term.x * z**term.z for term in terms), np.ones(np.broadcast(x, z).shape))


@dataclass(frozen=True)
class Imperfections:
    """What sets a detector apart from an ideal one; the defaults are the ideal one.

    Attributes
    ----------
    pulse_heights : {"normal", "gamma"}
        Law of the brightness A of one electron, with the detector's mean and spread. A microchannel plate that is
        saturated gives a narrow peak; one that is not, heights that fall off exponentially: a gamma law of spread 1.
    threshold : float
        Height of a pulse, over the mean one, below which it lights nothing.
    gain : SmoothMap
        Mean pulse height over the screen; vignetting of the lens acts the same way.
    efficiency : SmoothMap
        Probability, over that in the middle, that an electron is registered. No frame tells it.
    aspect : float
        Width of a spot along x over that along z; their product stays.
    wings : float
        Shape of a spot's flank, ``(1 + wings u)^(-1/wings)`` with u = r^2 / (2 sigma^2): 0 is a Gaussian; a Moffat
        profile of exponent b has wings = 1 / b.
    growth : float
        Relative growth of a spot's size from the middle to the edge, with the square of the radius.
    afterglow : tuple of float
        Parts of the light of the last frame, of the one before it, and so on, that the screen still shows. Exponential
        decay by f a frame is (f, f^2, f^3 ..): P43 decays in about 1 ms.
    gamma : float
        The camera's counts rise with this power of the light, background and noise included; full scale stays full
        scale.

    Raises
    ------
    ValueError
        A value that no detector has.
    """

    pulse_heights: Literal["normal", "gamma"] = "normal"
    threshold: float = 0.0
    gain: SmoothMap = ()
    efficiency: SmoothMap = ()
    aspect: float = 1.0
    wings: float = 0.0
    growth: float = 0.0
    afterglow: tuple[float, ...] = ()
    gamma: float = 1.0

    def __post_init__(self) -> None:
        ranges = {
            "threshold": (0.0, 10.0),
            "aspect": (0.25, 4.0),
            "wings": (0.0, 0.8),  # from 1 on, the light of a spot is infinite
            "growth": (-0.9, 10.0),
            "gamma": (0.1, 10.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must lie from {low:g} to {high:g}, found {getattr(self, name)}")
        if not (all(0 <= part < 1 for part in self.afterglow) and sum(self.afterglow) < 1):
            raise ValueError(f"afterglow must be parts from 0 to 1 that sum to less than 1, found {self.afterglow}")
        side = np.linspace(-1, 1, 41)
        for name in ("gain", "efficiency"):
            lowest = float(smooth_map(getattr(self, name), side[:, None], side).min())
            if not lowest > 0:
                raise ValueError(f"{name} must be above 0 all over the screen, found {lowest:.3g}")

    def turned(self) -> "Imperfections":
        """Return those of the detector turned by 90 degrees, so that what lies along +x lies along +z."""
        gain, efficiency = (
            tuple(Term(term.z, term.x, (-1) ** term.z * term.size) for term in terms)
            for terms in (self.gain, self.efficiency)
        )
        return replace(self, gain=gain, efficiency=efficiency, aspect=1 / self.aspect)


IDEAL = Imperfections()
