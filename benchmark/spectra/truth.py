"""Spectra of which the truth is known, their electrons, and how far curves of a spectrum are off.

A method's answer is judged by its curves alone, every method's by the same functions: the intensity on the pixels of an
image, and a peak's beta as the mean of beta(r) over R +- 3 sigma, weighted by the method's own intensity, beside the
same mean of the true curves. A list of peaks, which leaves out what lies below them, is judged by the betas of the
lines themselves. Betas are in the field's normalisation, 1 + sum beta P; radii in detector units.
"""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from util.physics.sampling import project, sample_sphere

DEGREES = (2, 4)
PIXELS_A_RADIUS = 512
RADII = np.arange(PIXELS_A_RADIUS + 1) / PIXELS_A_RADIUS  # on which intensities are compared
WINDOW = 3.0  # sigma on both sides of a peak
APART = 4.0  # sigma between peaks that count as resolved
# What mean values of 5 P_2 and 9 P_4 over directions can be.
POSSIBLE = ((-2.5, 5.0), (-27 / 7, 9.0))
_SMALLEST, _LARGEST = 0.08, 0.91  # radii that are drawn


class Line(NamedTuple):
    """A Gaussian peak of the speeds: R, sigma, share of the electrons (of any sum), beta_2 and beta_4."""

    R: float
    sigma: float
    share: float
    beta: tuple[float, float]
    is_continuum: bool = False


class Curves(NamedTuple):
    """A spectrum: radii (n,), electrons a unit of r (n,), beta_2 and beta_4 (2, n), NaN where there are none."""

    r: NDArray[np.float64]
    intensity: NDArray[np.float64]
    beta: NDArray[np.float64]

    def at(self, r: NDArray[np.float64]) -> "Curves":
        """Return the curves at radii (m,), interpolated: the betas by what they add to the image; 0 beyond the ends."""
        added = np.nan_to_num(self.beta) * self.intensity
        intensity, *parts = (np.interp(r, self.r, part, left=0, right=0) for part in (self.intensity, *added))
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = np.where(intensity != 0, np.array(parts) / intensity, np.nan)
        return Curves(r, intensity, beta)


@dataclass(frozen=True)
class Truth:
    """A spectrum that is known.

    Attributes
    ----------
    name : str
    lines : tuple of Line
    electrons : float
        Expected number in all.
    """

    name: str
    lines: tuple[Line, ...]
    electrons: float

    @property
    def numbers(self) -> NDArray[np.float64]:
        """Expected electrons of each line."""
        shares = np.array([line.share for line in self.lines])
        return self.electrons * shares / shares.sum()

    def curves(self, r: ArrayLike) -> Curves:
        """Return the true curves at radii (n,)."""
        r = np.asarray(r, dtype=float)
        sigma = np.array([line.sigma for line in self.lines])[:, None]
        pull = (r - np.array([line.R for line in self.lines])[:, None]) / sigma
        each = self.numbers[:, None] * np.exp(-(pull**2) / 2) / (math.sqrt(2 * math.pi) * sigma)
        intensity, added = each.sum(axis=0), np.array([line.beta for line in self.lines]).T @ each
        with np.errstate(divide="ignore", invalid="ignore"):
            return Curves(r, intensity, np.where(intensity > 0, added / intensity, np.nan))

    def peaks(self) -> tuple[Line, ...]:
        """Return the peaks that stand apart from all others, ascending; a continuum is no neighbour."""
        narrow = sorted(line for line in self.lines if not line.is_continuum)
        return tuple(
            line
            for line in narrow
            if all(abs(line.R - other.R) > APART * max(line.sigma, other.sigma) for other in narrow if other != line)
        )

    def is_resolved(self, r: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which radii (n,) lie outside the peaks that have a near neighbour."""
        near = [line for line in self.lines if not line.is_continuum and line not in self.peaks()]
        return np.all([np.abs(r - line.R) > APART * line.sigma for line in near] or [np.ones(r.size, bool)], axis=0)

    def sample(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw a Poisson number of electrons of each line: positions (2, n) about the centre, x and z."""
        parts = []
        for line, expected in zip(self.lines, self.numbers, strict=True):
            beta = np.array(line.beta) / 2
            speed, cosine = sample_sphere(beta, line.R, line.sigma, int(rng.poisson(expected)), rng=rng)
            parts.append(project(speed, cosine, rng=rng))
        return np.concatenate(parts, axis=1)


# R of the image VMI_art1 in pixels, of 256; electrons; electrons times beta_2 and beta_4 (PyAbel's examples).
_EIGHT = (
    (38, 1.2, (-0.4, 0.0)),
    (70, 1.5, (-1.0, 0.5)),
    (90, 1.5, (1.0, 0.4)),
    (134, 2.0, (1.0, 0.4)),
    (138, 1.8, (0.5, 0.0)),
    (143, 1.0, (0.5, 0.25)),
    (196, 2.0, (1.0, -0.5)),
    (230, 2.0, (1.0, -0.5)),
)
NAMED: dict[str, tuple[Line, ...]] = {
    "eight": tuple(Line(R / 256, 0.006, n, (two / n, four / n)) for R, n, (two, four) in _EIGHT),
    "pair": (
        Line(0.3, 0.006, 1.0, (-0.5, 0.0)),
        Line(0.5, 0.006, 1.0, (1.2, 0.0)),
        Line(0.515, 0.006, 0.7, (-0.3, 0.1)),
        Line(0.8, 0.006, 1.0, (0.4, -0.3)),
    ),
    "continuum": (
        Line(0.35, 0.006, 1.0, (1.0, 0.2)),
        Line(0.62, 0.006, 1.0, (-0.6, 0.0)),
        Line(0.5, 0.09, 3.0, (0.3, 0.0), is_continuum=True),
    ),
    "weak": (Line(0.55, 0.006, 200.0, (0.8, 0.1)), Line(0.61, 0.006, 1.0, (-0.6, 0.0))),
}


@functools.cache
def _betas_of_bernstein() -> NDArray[np.float64]:
    """Return the contributions (3, 3) of three Bernstein polynomials of c^2 to the integrals of 1, 5 P_2 and 9 P_4."""
    cosine, weight = legendre.leggauss(8)
    t = cosine**2
    shapes = np.array([(1 - t) ** 2, 2 * t * (1 - t), t**2])
    P_2, P_4 = (legendre.legval(cosine, np.eye(5)[degree]) for degree in DEGREES)
    factors = np.array([np.ones_like(t), 5 * P_2, 9 * P_4])
    return factors @ (shapes * weight).T / 2


def drawn(seed: int) -> tuple[Line, ...]:
    """Draw a spectrum: 2 to 10 peaks of random radii, widths, shares and PADs, and in half of the cases a continuum."""
    rng = np.random.default_rng([931, seed])

    def beta() -> tuple[float, float]:
        integral, beta_2, beta_4 = _betas_of_bernstein() @ rng.exponential(size=3)
        return float(beta_2 / integral), float(beta_4 / integral)

    count = int(rng.integers(2, 11))
    radii = rng.uniform(_SMALLEST, _LARGEST, count).tolist()
    widths = np.exp(rng.uniform(math.log(0.004), math.log(0.015), count)).tolist()
    shares = np.exp(rng.uniform(math.log(0.1), 0, count)).tolist()
    lines = [Line(*values, beta()) for values in zip(radii, widths, shares, strict=True)]
    if rng.random() < 0.5:
        total = sum(line.share for line in lines)
        R, sigma = float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.06, 0.1))
        lines.append(Line(R, sigma, float(rng.uniform(0.2, 1)) * total, beta(), is_continuum=True))
    return tuple(lines)


def intensity_error(found: Curves, truth: Truth) -> float:
    """Return sqrt(sum (I - I0)^2 / sum I0^2) over the pixels of a radius."""
    wanted = truth.curves(RADII).intensity
    return float(np.linalg.norm(found.at(RADII).intensity - wanted) / np.linalg.norm(wanted))


def mean_beta(found: Curves, line: Line) -> NDArray[np.float64]:
    """Return the means (2,) of the betas over a peak, weighted by intensity, within what is possible at all.

    Where nothing was found, 0: who sees no electrons can say no more.
    """
    r = line.R + line.sigma * np.linspace(-WINDOW, WINDOW, 121)
    _, intensity, beta = found.at(r)
    total = intensity.sum()
    if not total > 0:
        return np.zeros(len(DEGREES))
    return np.clip((np.nan_to_num(beta) * intensity).sum(axis=1) / total, *np.transpose(POSSIBLE))


def beta_errors(found: Curves, truth: Truth) -> NDArray[np.float64]:
    """Return the rms (2,) over the resolved peaks of the errors of beta_2 and beta_4; NaN if none is resolved."""
    wanted = truth.curves(np.linspace(0, 1, 20 * PIXELS_A_RADIUS + 1))
    off = [mean_beta(found, line) - mean_beta(wanted, line) for line in truth.peaks()]
    return np.sqrt(np.mean(np.square(off), axis=0)) if off else np.full(len(DEGREES), np.nan)


def peak_errors(R: NDArray[np.float64], beta: NDArray[np.float64], truth: Truth) -> NDArray[np.float64]:
    """Return the same of a list of peaks, R (p,) and betas (2, p), beside the line's own betas.

    Each line's peak is the nearest within its window; one that has none there is answered by 0.
    """
    off = []
    for line in truth.peaks():
        away = np.abs(R - line.R)
        found = beta[:, away.argmin()] if away.min(initial=np.inf) < WINDOW * line.sigma else np.zeros(len(DEGREES))
        off.append(np.nan_to_num(found) - np.array(line.beta))
    return np.sqrt(np.mean(np.square(off), axis=0)) if off else np.full(len(DEGREES), np.nan)
