"""Learning the shape of one electron's spot, of which a search must be told: its axis ratio, wings, and growth.

A search that takes spots for round Gaussians splits those that are not, so axis ratio and wings are learnt before it:
from the brightest maxima that no other comes near, each fitted alone with a shape of its own. What all of them have in
common is the detector's; their scatter tells how well it is known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.special import ndtr

from util.camera.detector import Detector
from util.finder.binning import bin_pixels

FINENESS = 2.5  # bins of a stamp in a spot's size, at least
RADIUS = 2.6  # sizes, of a stamp: farther out the light of spots of 40 counts is lost in rounding
ISOLATION = 5.0  # sizes without another maximum
NEIGHBOUR = 0.1  # of a maximum's height; what is lower is none beside it
FEWEST, MOST = 60, 400  # stamps; of the fewest, axis ratio and wings of the published spots are known to 1 and 2 %
CLEAR = 5.0  # errors by which a shape must differ from the ideal one
SLIGHT = {"aspect": 0.02, "wings": 0.03, "growth": 0.03}  # what is less moves no answer, and is not told from rounding


@dataclass(frozen=True)
class Known:
    """A number of the shape, with its standard error."""

    name: str
    value: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether it differs from that of round Gaussians of one size by more than chance and what is negligible."""
        if self.name == "aspect":
            off, error = abs(math.log(self.value)), self.error / self.value
        else:  # wings below 0 are noise, and no detector has them
            off, error = self.value if self.name == "wings" else abs(self.value), self.error
        return off > max(CLEAR * error, SLIGHT[self.name])


def learn_shape(images: Sequence[NDArray[np.unsignedinteger]], guess: Detector) -> tuple[Detector, tuple[Known, ...]]:
    """Learn axis ratio and wings of the spots.

    Parameters
    ----------
    images : sequence of (H, W) arrays
    guess : Detector
        The camera, with a rough size and brightness of the spots.

    Returns
    -------
    detector : Detector
        The guess with what was found clear; size and brightness too are then those of the spots that were fitted.
    known : tuple of Known
        What was measured, clear or not; none from too few spots.
    """
    bin_size = max(1, int(guess.sigma.mean / guess.pitch / FINENESS))
    stamps, offset, background = _stamps(images, guess, bin_size)
    if len(stamps) < FEWEST:
        return guess, ()
    s = guess.sigma.mean / guess.pitch / bin_size
    spots, misfit = _fit_alone(stamps, offset, background, s, guess)
    spots = spots[misfit < 3 * np.median(misfit)]
    averaged = ((bin_size**2 - 1) + 4 * guess.sample_centre * (1 - guess.sample_centre)) / 12 / bin_size**2
    wings, wings_error = _middle(spots[:, 6])
    ratio, ratio_error = _middle(spots[:, 5])
    size, _ = _middle(spots[:, 3] ** 2)
    averaged *= 1 + 2 * max(wings, 0)
    along = size * math.exp(ratio) - averaged, size * math.exp(-ratio) - averaged
    ratio = 0.5 * math.log(along[0] / along[1])
    sigma = math.sqrt(math.sqrt(along[0] * along[1])) * bin_size * guess.pitch
    aspect = float(np.clip(math.exp(ratio), 0.25, 4.0))
    known = (
        Known("aspect", aspect, aspect * ratio_error),
        Known("wings", min(wings * (1 + 2 * averaged / size), 0.8), wings_error),
    )
    values = {number.name: number.value for number in known if number.clear}
    if not values:
        return guess, known
    A = float(np.median(spots[:, 0]))
    spread = [value.std / value.mean for value in (guess.A, guess.sigma)]
    look = guess.imperfections
    found = replace(look, aspect=values.get("aspect", look.aspect), wings=values.get("wings", look.wings))
    shaped = replace(guess, imperfections=found)
    return (
        shaped.with_spot(
            replace(guess.A, mean=A, std=spread[0] * A),
            replace(guess.sigma, mean=sigma, std=spread[1] * sigma),
            guess.rho,
        ),
        known,
    )


def learn_growth(spots: NDArray[np.void]) -> Known | None:
    """Return how the size of isolated spots grows from the middle to the edge; None of too few to tell.

    The size falls on a straight line over the squared radius; outliers are clipped away.
    """
    if len(spots) < FEWEST:
        return None
    square = spots["x"].astype(float) ** 2 + spots["z"].astype(float) ** 2
    sigma = spots["sigma"].astype(float)
    kept = np.ones(sigma.size, bool)
    for _ in range(5):
        (slope, at_middle), covariance = np.polyfit(square[kept], sigma[kept], 1, cov=True)
        left = sigma - at_middle - slope * square
        kept = np.abs(left) < 3 * max(1.4826 * float(np.median(np.abs(left))), 1e-12)
    growth, error = float(slope / at_middle), float(math.sqrt(covariance[0, 0]) / at_middle)
    return Known("growth", max(growth, -0.45), error)


def _stamps(
    images: Sequence[NDArray[np.unsignedinteger]], guess: Detector, size: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return bins (n, m) about bright maxima that stand alone, their offsets (m, 2), and the background (n, 1)."""
    s = guess.sigma.mean / guess.pitch / size
    radius, gap = RADIUS * s, math.ceil(ISOLATION * s)
    side = np.arange(-math.ceil(radius), math.ceil(radius) + 1)
    offset = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    offset = offset[np.hypot(*offset.T) <= radius]
    stamps, backgrounds = [np.zeros((0, len(offset)))], [np.zeros((0, 1))]
    for image in images:
        if sum(map(len, stamps)) >= MOST:
            break
        data, clipped = bin_pixels(guess.without_hot_pixels(image), size, guess.saturation)
        at = np.arange(max(data.shape)) * size + (size - 1) / 2
        background = guess.background_at(at[: data.shape[0], None], at[: data.shape[1]])
        smooth = gaussian_filter(data - background, 0.5 * s)
        lowest = 5 * guess.noise / size / s + 1
        top = (smooth == maximum_filter(smooth, 3)) & (smooth > lowest)
        where = np.argwhere(top)
        height = smooth[top]
        away = np.abs(where[:, None] - where).max(axis=2)
        lonely = (np.sum((away <= gap) & (height > NEIGHBOUR * height[:, None]), axis=1) == 1) & (
            height > 0.5 * guess.A.mean
        )
        lonely &= ((where >= gap) & (where < np.array(data.shape) - gap)).all(axis=1)
        rows, columns = (where[lonely, axis, None] + offset[:, axis] for axis in (0, 1))
        whole = ~clipped[rows, columns].any(axis=1)
        stamps.append(data[rows, columns][whole])
        middle = where[lonely][whole]
        backgrounds.append(background[middle[:, 0], middle[:, 1]][:, None])
    return np.concatenate(stamps), offset, np.concatenate(backgrounds)


def _fit_alone(
    stamps: NDArray[np.float64],
    offset: NDArray[np.int64],
    background: NDArray[np.float64],
    s: float,
    camera: Detector,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit each stamp (m,) with a spot of its own shape, all at once, by Levenberg and Marquardt's method.

    Returns
    -------
    spots : (n, 8)
        A, x, z, s, rho, logarithm of the axis ratio, wings, and light beneath.
    misfit : (n,)
        Mean squared deviation over the brightness squared.
    """
    spots = np.zeros((len(stamps), 8))
    spots[:, 0], spots[:, 3], spots[:, 6] = (stamps - background).max(axis=1), s, 0.02
    low = np.array([0.0, -2 * s, -2 * s, 0.4 * s, -0.9, -1.4, -0.1, -np.inf])
    high = np.array([np.inf, 2 * s, 2 * s, 2.5 * s, 0.9, 1.4, 1.2, np.inf])
    damping = np.full(len(stamps), 1e-2)
    light, slopes = _light(spots, offset, background, camera)
    misfit = np.mean((stamps - light) ** 2, axis=1)
    for _ in range(25):
        normal = np.einsum("nmi,nmj->nij", slopes, slopes)
        diagonal = np.einsum("nii->ni", normal)
        diagonal *= 1 + damping[:, None]
        diagonal += 1e-9
        gradient = np.einsum("nmi,nm->ni", slopes, stamps - light)
        trial = np.clip(spots + np.linalg.solve(normal, gradient[..., None])[..., 0], low, high)
        new_light, new_slopes = _light(trial, offset, background, camera)
        new = np.mean((stamps - new_light) ** 2, axis=1)
        better = new < misfit
        damping = np.where(better, damping / 5, damping * 8).clip(1e-7, 1e7)
        spots[better], light[better], slopes[better] = trial[better], new_light[better], new_slopes[better]
        misfit = np.minimum(misfit, new)
    return spots, misfit / spots[:, 0] ** 2


def _light(
    spots: NDArray[np.float64], offset: NDArray[np.int64], background: NDArray[np.float64], camera: Detector
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean counts (n, m) of stamps with spots (n, 8), and their derivatives (n, m, 8)."""
    A, x, z, s, rho, ratio, wings, beneath = (column[:, None] for column in spots.T)
    stretch = np.exp(ratio / 2)
    dx, dz = (offset[:, 0] - x) / stretch, (offset[:, 1] - z) * stretch
    u = (dx**2 + dz**2 + 2 * rho * dx * dz) / (2 * s**2)
    wings = np.where(np.abs(wings) < 1e-4, 1e-4, wings)
    base = np.maximum(1 + wings * u, 1e-3)
    height = np.exp(-np.log(base) / wings)
    fall = A * height / base
    derivatives = [
        height,
        fall * (dx + rho * dz) / s**2 / stretch,
        fall * (dz + rho * dx) / s**2 * stretch,
        fall * 2 * u / s,
        -fall * dx * dz / s**2,
        fall * (dx**2 - dz**2) / (2 * s**2),
        A * height * (np.log(base) / wings - u / base) / wings,
        np.ones_like(u),
    ]
    level = A * height + beneath + background
    slopes = np.stack(derivatives, axis=-1)
    if camera.noise > 0:
        slopes *= ndtr(level / camera.noise)[..., None]
    return camera.mean_of(level), slopes


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median and its standard error, as of a normal law with the scatter of the bulk."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle, 1.2533 * spread / math.sqrt(values.size)
