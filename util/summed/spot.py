"""The mean light of one electron, learnt from spots that stand alone."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.camera.phosphor import detector_to_pixel
from util.finder.finder import Finder
from util.runtime.errors import InputError
from util.summed.restore import restored

_REACH = 30  # pixels about a spot that its light may reach, for spots of 7.7 pixels; scaled to others
_SPOT_PX = 7.68
_FEWEST_SPOTS = 100
_PARTS = 8  # of the spots, for the jackknife


@dataclass(frozen=True)
class Spot:
    """Mean light of one electron.

    Attributes
    ----------
    image : array (2 m + 1, 2 m + 1)
        Counts per pixel, the electron in the middle of the middle one.
    spots : int
        How many isolated ones were averaged.
    without : array (K, 2 m + 1, 2 m + 1)
        The mean without each of K parts of them, for the jackknife: how well it is known.
    """

    image: NDArray[np.float64]
    spots: int
    without: NDArray[np.float64]


def learn_spot(frames: Iterable[NDArray[np.unsignedinteger]], finder: Finder) -> Spot:
    """Average the spots that stand alone.

    Parameters
    ----------
    frames : iterable of (H, W) arrays
    finder : Finder
        Says where spots are; only those that no other comes near are used. Its detector tells geometry, dark
        counts and about how large spots are.

    Raises
    ------
    InputError
        Fewer than 100 spots stand alone.
    """
    detector = finder.detector
    reach = int(np.ceil(_REACH * detector.sigma.mean / detector.pitch / _SPOT_PX))
    offsets = np.arange(-reach, reach + 1)
    totals, counts = np.zeros((_PARTS, 2 * reach + 1, 2 * reach + 1)), np.zeros(_PARTS, int)
    q = 2j * np.pi * np.fft.fftfreq(2 * reach + 1)
    for number, taken in enumerate(frames):
        whole = detector.without_hot_pixels(taken)
        events = finder.find(whole)
        if events is None or not events.size:
            continue
        frame = restored(whole, finder)
        x = detector_to_pixel(detector, events["x"], axis=0)
        z = detector_to_pixel(detector, events["z"], axis=1)
        near = np.maximum(np.abs(x[:, None] - x), np.abs(z[:, None] - z)) < 2 * reach
        i, k = np.rint(x).astype(int), np.rint(z).astype(int)
        inside = (np.minimum(i, k) >= reach) & (i < frame.shape[0] - reach) & (k < frame.shape[1] - reach)
        for n in np.flatnonzero((near.sum(axis=1) == 1) & inside):
            window = frame[i[n] - reach : i[n] + reach + 1, k[n] - reach : k[n] + reach + 1]
            at = i[n] + offsets[:, None], k[n] + offsets
            window = (window - detector.background_at(*at)) / detector.gain_at(*at)
            shift = np.exp(np.add.outer(q * (x[n] - i[n]), q * (z[n] - k[n])))
            totals[number % _PARTS] += np.fft.ifft2(np.fft.fft2(window) * shift).real
            counts[number % _PARTS] += 1
    count = int(counts.sum())
    if count < _FEWEST_SPOTS:
        raise InputError(
            f"expected at least {_FEWEST_SPOTS} spots that stand alone, found {count}; "
            "look at more frames, or fit electrons with METHOD=likelihood"
        )
    # On average left and right are alike: the even part has half the noise.
    totals = (totals + totals[:, ::-1, ::-1]) / 2
    total = totals.sum(axis=0)
    return Spot(total / count, count, (total - totals) / (count - counts)[:, None, None])
