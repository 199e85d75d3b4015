"""Learning a detector from its own frames: background, noise, clipping, hot pixels, and one electron's spot.

The camera comes first, from the pixels that stay dark. The size of the spots follows from the frames' autocorrelation,
which falls off as a Gaussian of sqrt(2) times their sigma. With a wide guess made of both, the finder itself searches
the frames; the spots that no other comes near show what one electron looks like. Searching again with that sharpens it.

Nothing here is told what the detector is like; two of the recipe's facts are kept, since no frame holds them: where in
a pixel its light is taken, and, where a file holds too few electrons to learn from, the spot.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.optimize import least_squares

from util.camera.detector import Detector
from util.camera.imperfections import SmoothMap, smooth_map
from util.camera.phosphor import Normal, PhosphorRecipe, flux_of
from util.finder.afterglow import Afterglow
from util.finder.binning import bin_pixels
from util.finder.camera_calibration import (
    MOST_FRAMES,
    camera_of,
    frames_per_read,
    in_runs,
    pixel_noise,
    read_frames,
)
from util.finder.finder import EVENT, Finder, FinderSettings
from util.finder.findings import Finding, of_spots
from util.finder.gain_map import fit_gain
from util.finder.linearity import Gamma
from util.finder.pulse_heights import BROAD, faintest, gamma_law
from util.finder.spot_shape import Known, learn_growth, learn_shape
from util.finder.weighting import BROADEST
from util.frames.source import FrameSource
from util.runtime.errors import InputError

FEWEST_SPOTS = 40  # isolated ones; their mean brightness is then known to 2 %
ENOUGH_SPOTS = 2000
ACF_FRAMES = 8
LARGEST_SIGMA_PX = 40.0
ISOLATION = 5.0  # sigmas without another spot
GUESS = Normal(0.4, 0.2)  # relative spreads of A and of sigma in the first search
SEARCHES = 3
UNEVEN = 3.0  # times the noise of its pixels; a background less even than this cannot be called dark
UNLIKE = 0.5  # relative spread of sigma from which spots are not of one kind


@dataclass(frozen=True)
class Learned:
    """A detector, and what it was learnt from.

    Attributes
    ----------
    detector : Detector
    spots : int
        Isolated spots that it was learnt from; below `FEWEST_SPOTS` one electron's spot is the recipe's.
    frames : int
        Frames that were looked at.
    findings : tuple of Finding
        What was checked of it.
    afterglow : Afterglow
    response : Gamma
        As they were measured; of frames that were not asked, what an ideal detector has, with an infinite error.
    """

    detector: Detector
    spots: int
    frames: int
    findings: tuple[Finding, ...] = ()
    afterglow: Afterglow = Afterglow()  # noqa: RUF009 - frozen
    response: Gamma = Gamma(1.0, math.inf, 0)  # noqa: RUF009 - frozen

    def report(self, *, every: bool = False) -> str:
        """Say in a few lines what was learnt, and what was found: what is clear, or every check."""
        d = self.detector
        constant, along_x, along_z = d.background
        where = (
            f"learnt from {self.spots} isolated spots in {self.frames} frames"
            if self.spots >= FEWEST_SPOTS
            else f"one electron's spot is the recipe's: {self.spots} isolated spots in {self.frames} frames are too few"
        )
        lines = [
            f"detector: {where}",
            f"  one electron: A (height) = {d.A.mean:.1f} +- {d.A.std:.1f} counts; sigma (width) = "
            f"{d.sigma.mean / d.pitch:.2f} +- {d.sigma.std / d.pitch:.2f} pixels; rho (correlation) = "
            f"{d.rho.mean:.3f} +- {d.rho.std:.3f}",
            f"  camera: background {constant:.2f} counts, slopes {along_x:.2f} and {along_z:.2f} per half screen; "
            f"noise {d.noise:.2f} counts; hot pixels: {len(d.hot_pixels)}; clips at {d.saturation}",
        ]
        lines += [str(finding) for finding in self.findings if finding.clear or every]
        return "\n".join(lines)


def learn_detector(
    frames: FrameSource, recipe: PhosphorRecipe, settings: FinderSettings, *, ideal: bool = False
) -> Learned:
    """Learn a detector from a sample of its frames; the same file always gives the same detector.

    Parameters
    ----------
    frames : FrameSource
        Those of its sample that cannot be read are left out.
    recipe : PhosphorRecipe
        Where in a pixel light is taken; the spot of a file with too few electrons.
    settings : FinderSettings
    ideal : bool
        Whether spots are taken to be round Gaussians, of one size and brightness all over the screen, unchecked.

    Raises
    ------
    InputError
        There is light, but no isolated spots of one kind in it, or a few that do not look like the recipe's.
    """
    per_read = frames_per_read(frames)
    order = in_runs(frames.spread_out(MOST_FRAMES), per_read)
    images = read_frames(frames, order[:per_read])
    blank = Detector.of_recipe(replace(recipe, frame_shape=frames.frame_shape))
    camera = camera_of(frames, images, blank)
    if camera.noise > UNEVEN * pixel_noise(images) + 2:
        raise _no_basis(frames, "light all over the frames and no dark between")
    searched = [image for image in images if np.mean(image >= camera.saturation) < settings.crowded]
    guess = _guess_spot(searched, camera) if searched else None
    if guess is None:
        return Learned(camera, 0, len(images))
    detector, shape = (guess, ()) if ideal else learn_shape(searched, guess)
    for _ in range(SEARCHES):
        spots = _isolated_spots(searched, detector, settings)
        if len(spots) < 2:
            break
        growth = None if ideal else learn_growth(spots)
        detector = _with_laws(detector, spots, faintest_height(detector, settings), growth)
    seen = min(per_read, len(order))
    parts = [spots]
    while sum(map(len, parts)) < ENOUGH_SPOTS and seen < len(order):
        parts.append(_isolated_spots(read_frames(frames, order[seen : seen + per_read]), detector, settings))
        seen = min(seen + per_read, len(order))
    spots = np.concatenate(parts)
    if len(spots) >= FEWEST_SPOTS:
        growth = None if ideal else learn_growth(spots)
        limit = faintest_height(detector, settings)
        detector = _with_laws(detector, spots, limit, growth)
        if not ideal:
            detector = _with_laws(detector, spots, limit, growth, _gain_of(detector, spots))
        if detector.sigma.std < UNLIKE * detector.sigma.mean:
            known = shape if growth is None else (*shape, growth)
            findings = () if ideal else of_spots(detector, len(spots), limit / detector.A.mean, known)
            return Learned(detector, len(spots), seen, findings)
        found = f"{len(spots)} of sizes that spread by {detector.sigma.std / detector.sigma.mean:.0%}"
    else:
        if _alike(detector, blank):
            return Learned(camera, len(spots), seen)
        found = f"{len(spots)}"
    raise _no_basis(frames, f"{found} in {seen} frames")


def _no_basis(frames: FrameSource, found: str) -> InputError:
    return InputError(
        f"{frames.where}: expected at least {FEWEST_SPOTS} isolated spots of one kind to learn one electron's spot "
        f"from, found {found}; describe the spot in a file like param/phosphor.toml and give it with "
        "--spots recipe --phosphor FILE"
    )


def _guess_spot(images: Sequence[NDArray[np.unsignedinteger]], camera: Detector) -> Detector | None:
    """Guess the size from the autocorrelation, the brightness from the maxima, both wide; None without any light."""
    sigma_px = _size_of_spots(images, camera)
    if sigma_px is None:
        return None
    size = max(1, int(sigma_px / 1.5))
    s = sigma_px / size
    parts = []
    for image in images:
        # A Gaussian filtered with itself keeps half of its height.
        height = 2 * gaussian_filter(_light_of(image, camera, size), s)
        top = height == maximum_filter(height, 2 * math.ceil(s) + 1)
        parts.append(height[top & (height > 5 * camera.noise / size / s + 1)])
    heights = np.concatenate(parts)
    if heights.size == 0:
        return None
    A = float(np.median(heights[heights > 0.2 * np.percentile(heights, 90)]))
    sigma = sigma_px * camera.pitch
    return camera.with_spot(Normal(A, GUESS.mean * A), Normal(sigma, GUESS.std * sigma), Normal(0.0, GUESS.std))


def _light_of(image: NDArray[np.unsignedinteger], camera: Detector, size: int) -> NDArray[np.float64]:
    """Return the brightness above the background of bins of size x size pixels."""
    data = bin_pixels(camera.without_hot_pixels(image), size, camera.saturation)[0]
    at = np.arange(max(data.shape)) * size + (size - 1) / 2
    return data - camera.background_at(at[: data.shape[0], None], at[: data.shape[1]])


def _size_of_spots(images: Sequence[NDArray[np.unsignedinteger]], camera: Detector) -> float | None:
    """Return the spots' sigma in pixels, from the autocorrelation along both axes; None where there is no light."""
    longest = int(min(5 * LARGEST_SIGMA_PX, min(camera.frame_shape) // 2))
    total = np.zeros(longest)
    for image in images[:: math.ceil(len(images) / ACF_FRAMES)]:
        light = _light_of(image, camera, 1)
        light[light < 4 * camera.noise + 0.5] = 0.0
        for axis in (0, 1):
            n = light.shape[axis] + longest
            power = np.abs(np.fft.rfft(light, n, axis=axis)) ** 2
            total += np.fft.irfft(power.sum(axis=1 - axis), n)[:longest]
    if total[0] == 0:
        return None
    # Lag 0 holds the noise as well. Other spots make the floor on which the peak stands.
    lag = np.arange(longest)
    far = float(np.median(total[longest // 2 :]))
    low = np.flatnonzero(total[1:] - far < 0.5 * (total[1] - far))
    sigma = float(np.clip((low[0] + 1 if low.size else 1) / (2 * math.sqrt(math.log(2))), 0.6, LARGEST_SIGMA_PX))
    for _ in range(3):
        near = lag[1 : max(4, int(2.5 * sigma) + 1)]

        def misfit(p: NDArray[np.float64], near: NDArray[np.int64] = near) -> NDArray[np.float64]:
            return p[0] * np.exp(-(near**2) / (4 * p[2] ** 2)) + p[1] - total[near] / total[1]

        limits = ([0, -1, 0.3], [10, 2, LARGEST_SIGMA_PX])
        sigma = float(least_squares(misfit, [1.0, 0.1, sigma], bounds=limits).x[2])
    return sigma


def _isolated_spots(
    images: Sequence[NDArray[np.unsignedinteger]], detector: Detector, settings: FinderSettings
) -> NDArray[np.void]:
    """Search frames and return the hits (n,) that stand alone."""
    finder = Finder(detector, settings)
    return lone(map(finder.find, images), detector)


def lone(frames: Iterable[NDArray[np.void] | None], detector: Detector) -> NDArray[np.void]:
    """Return the hits (n,) whose spot lies inside the frame and far from every other, of those of each frame."""
    reach = ISOLATION * detector.sigma.mean
    half = np.array(detector.frame_shape) * detector.pitch / 2 - 0.6 * reach
    parts: list[NDArray[np.void]] = [np.zeros(0, EVENT)]
    for hits in frames:
        if hits is None:
            continue
        at = np.stack((hits["x"], hits["z"]), axis=1)
        gap = np.hypot(*(at[:, None] - at).transpose(2, 0, 1))
        np.fill_diagonal(gap, np.inf)
        parts.append(hits[(gap.min(axis=1, initial=np.inf) > reach) & (np.abs(at) < half).all(axis=1)])
    return np.concatenate(parts)


def in_the_middle(
    spots: NDArray[np.void], growth: float, gain: SmoothMap
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the heights and sizes (n,) that spots would have in the middle of the screen."""
    wider = 1 + growth * (spots["x"].astype(float) ** 2 + spots["z"].astype(float) ** 2)
    height = spots["A"].astype(float) * (wider**2 / smooth_map(gain, spots["x"], spots["z"]))
    return height, spots["sigma"].astype(float) / wider


def _with_laws(
    detector: Detector, spots: NDArray[np.void], limit: float, growth: Known | None, gain: SmoothMap = ()
) -> Detector:
    """Return the detector with growth and gain, and the laws that isolated spots follow without them."""
    rho = spots["rho"].astype(float)
    grown = growth.value if growth is not None and growth.clear else 0.0
    A, sigma = in_the_middle(spots, grown, gain)
    height, flux = _robust(A), flux_of(A, sigma, rho)
    screen = replace(detector.imperfections, gain=gain, growth=grown, pulse_heights="normal", threshold=0.0)
    flux_law = _robust(flux)
    if height.std > BROAD * height.mean:
        height, threshold = gamma_law(A, limit)
        screen = replace(screen, pulse_heights="gamma", threshold=threshold)
        flux_law = Normal(float(flux.mean()), float(flux.std()))
    return replace(detector, A=height, sigma=_robust(sigma), rho=_robust(rho), flux=flux_law, imperfections=screen)


def faintest_height(detector: Detector, settings: FinderSettings) -> float:
    """Return the brightness from which a search with this detector finds spots [counts], noise apart."""
    return settings.seed * faintest(detector) * detector.A.mean


def _gain_of(detector: Detector, spots: NDArray[np.void]) -> SmoothMap:
    """Return the gain over the screen that isolated spots tell of a detector whose laws are theirs."""
    if detector.flux_spread > BROADEST:
        return ()
    x, z, A, sigma, rho = (spots[name].astype(float) for name in ("x", "z", "A", "sigma", "rho"))
    flux = flux_of(A, sigma, rho) / detector.flux.mean
    return fit_gain(x, z, flux, detector.flux_spread, fewest=FEWEST_SPOTS).terms


def _alike(detector: Detector, recipe: Detector) -> bool:
    """Return whether a few spots, roughly known, may be the recipe's."""
    return (
        abs(math.log(detector.sigma.mean / recipe.sigma.mean)) < 0.25
        and abs(math.log(detector.A.mean / recipe.A.mean)) < 0.5
    )


def _robust(values: NDArray[np.float64]) -> Normal:
    """Return mean and spread of the bulk: pairs taken for one spot and other outliers are clipped away."""
    kept = values
    for _ in range(10):
        middle = np.median(kept)
        spread = 1.4826 * np.median(np.abs(kept - middle))
        new = values[np.abs(values - middle) <= 4 * spread + 1e-12]
        if new.size == kept.size:
            break
        kept = new
    return Normal(float(kept.mean()), float(kept.std()))
