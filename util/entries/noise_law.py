"""The noise of an accumulated image, learnt from the image itself.

An electron adds G counts, spread over a few pixels, and the camera adds its own noise to each. Over an area larger
than the spot of an electron, the variance of the summed counts is then

    camera x pixels + G x counts,

which `util.entries.scatter` measures. Where halves or quadrants of an image were averaged or copied, a sum over all of
them scatters more than the electrons in it would: by as many times as each is shown.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.entries.scatter import Scatter, measure_scatter
from util.runtime.errors import InputError

_CLEAR = 3.0  # standard errors
_MISFIT = 5.0
_LIMITS = 1e-100, 1e100  # of the highest count, beyond which squares or products of counts leave double precision
_MOST_ELECTRONS = 2**31 - 1  # in a pixel: shards count in 32 bits
_SAME = 0.999  # share of pixels that must equal their mirror image


@dataclass(frozen=True)
class NoiseLaw:
    """What the counts of an accumulated image stand for, and how they scatter.

    An image in electrons is its counts over `counts_per_electron`. Summed over an area larger than a spot, symmetric
    about the centre where there are copies, its variance is `variance_per_electron` times the sum and `pixel_noise`
    times the number of pixels.

    Attributes
    ----------
    counts_per_electron : float
    variance_per_electron : float
        At least 1: the number of copies, and more where an electron is worth less than the scatter says.
    camera : float
        Variance at 0 counts [counts^2 per pixel]; negative where the image stands on an offset.
    copies : int
        How many times the image shows each electron: 4 for one quadrant copied or averaged into all.
    learnt : bool
        Whether counts_per_electron was learnt; otherwise it was given.
    gain_error : float
        Relative standard error of counts_per_electron; 0 where it was given, where electrons are counted, and in shards
        that were imported before it was told.

    Raises
    ------
    ValueError
        A value that no image has.
    """

    counts_per_electron: float
    variance_per_electron: float
    camera: float
    copies: int
    learnt: bool
    gain_error: float = 0.0

    def __post_init__(self) -> None:
        if self.counts_per_electron <= 0:
            raise ValueError(f"expected counts_per_electron above 0, found {self.counts_per_electron}")
        if self.copies not in (1, 2, 4):
            raise ValueError(f"expected 1, 2 or 4 copies, found {self.copies}")
        if self.variance_per_electron < 1:
            raise ValueError(f"expected a variance_per_electron of at least 1, found {self.variance_per_electron}")
        if not 0 <= self.gain_error < 1:
            raise ValueError(f"expected a gain_error of at least 0 and below 1, found {self.gain_error}")

    @property
    def pixel_noise(self) -> float:
        """Variance that a pixel without electrons adds to a sum [electrons^2]."""
        return self.copies * self.camera / self.counts_per_electron**2

    @property
    def offset(self) -> float:
        """Electrons in each pixel of an image on an offset without which the rest scatters like electrons."""
        return max(-self.pixel_noise, 0.0) / self.variance_per_electron


def learn_noise(image: NDArray[np.float64], counts_per_electron: float | None) -> tuple[NoiseLaw, tuple[str, ...]]:
    """Learn the noise law of an image (H, W), NaN where nothing is known; return it and the lines that tell it.

    Parameters
    ----------
    image : (H, W) float64
    counts_per_electron : float or None
        As the user knows it; None: learnt.

    Raises
    ------
    InputError
        Counts that sum to nothing, are all the same or beyond what is computed with, or whose scatter does not tell how
        many an electron adds when the user does not either; more electrons in a pixel than are counted, or less than
        one in all. It names no file.
    """
    highest = _check_counts(image)
    copies = count_copies(image)
    found = measure_scatter(image, copies)
    clear = found is not None and found.gain > _CLEAR * found.gain_error
    if counts_per_electron is None and not clear:
        why = "it is too small" if found is None else "its pixels do not scatter more where they are brighter"
        raise InputError(
            f"the image does not tell how many counts an electron adds: {why}; give it with --counts-per-electron"
        )
    if found is None or not clear:
        gain, camera, error = counts_per_electron or 1.0, 0.0, 0.0
    else:
        error = found.gain_error / found.gain
        gain, camera = found.gain, found.camera if abs(found.camera) > _CLEAR * found.camera_error else 0.0
        if _is_counted(image, found):
            gain, camera, error = 1.0, 0.0, 0.0
    used, learnt = counts_per_electron or gain, counts_per_electron is None
    _check_electrons(image, highest, used, learnt=learnt)
    law = NoiseLaw(used, copies * max(1.0, gain / used), camera, copies, learnt, error if learnt else 0.0)
    lines = [_describe(law, found, gain)]
    if copies > 1:
        lines.append(
            f"the image shows the same {copies} times (copies: {copies}): its sums scatter as those of 1/{copies} of "
            "its electrons"
        )
    if found is not None and found.level:
        lines.append(
            f"where it is faint, the image holds {found.level:.4g} counts per pixel, which are not subtracted: let the "
            "fit have a background"
        )
    if found is not None and found.misfit > _MISFIT:
        lines.append(
            f"the scatter of the image follows no one law (chi-square per degree of freedom {found.misfit:.1f}): what "
            "is said of its noise is rough"
        )
    return law, tuple(lines)


def _check_counts(image: NDArray[np.float64]) -> float:
    """Return the highest count, of either sign, once the counts are known to hold something to learn from."""
    seen = image[np.isfinite(image)]
    highest = float(np.abs(seen).max())
    if not _LIMITS[0] <= highest <= _LIMITS[1]:
        raise InputError(
            f"expected counts whose highest is {_LIMITS[0]:g} to {_LIMITS[1]:g}, found {highest:g}; multiply the image "
            "by a number that brings them there"
        )
    total = float(seen.sum())
    if not total > 0:
        raise InputError(f"expected an image whose counts sum to more than 0, found {total:.4g}; subtract less from it")
    if np.ptp(seen) == 0:
        raise InputError(
            f"expected counts that differ from pixel to pixel, found {highest:.4g} in all of them; give the image as "
            "it was accumulated"
        )
    return highest


def _check_electrons(image: NDArray[np.float64], highest: float, counts_per_electron: float, *, learnt: bool) -> None:
    remedy = "give the image as it was accumulated, or --counts-per-electron" if learnt else "check it"
    where = f"{counts_per_electron:.4g} counts per electron, {'learnt from the scatter' if learnt else 'as told'}"
    if not highest / counts_per_electron <= _MOST_ELECTRONS:
        raise InputError(
            f"expected at most {_MOST_ELECTRONS} electrons in a pixel, found {highest:.4g} counts at {where}; {remedy}"
        )
    if not (total := float(np.nansum(image))) >= counts_per_electron:
        raise InputError(f"expected at least one electron, found {total:.4g} counts at {where}; {remedy}")


def _describe(law: NoiseLaw, found: Scatter | None, gain: float) -> str:
    how = "as told"
    if law.learnt and found is not None:
        how = f"learnt from the scatter of {found.cells} areas along circles"
        if gain == 1:
            how = f"electrons are counted: variance over mean is {found.gain:.3f} +- {found.gain_error:.3f}"
    per_electron = f"{law.counts_per_electron:.4g}"
    if law.learnt and found is not None and gain != 1:
        per_electron += f" +- {found.gain_error:.2g}"
    parts = [f"noise: {per_electron} counts per electron"]
    if law.camera < 0:
        parts.append(f"on an offset of about {-law.camera / gain:.4g} counts per pixel")
    else:
        parts.append(f"camera {np.sqrt(law.camera):.3g} counts per pixel")
    parts.append(how)
    if law.variance_per_electron > law.copies:
        parts.append(f"its scatter is that of {gain:.4g} counts per electron")
    return ", ".join(parts)


def _is_counted(image: NDArray[np.float64], found: Scatter) -> bool:
    """Return whether each count is an electron: integers whose variance is their mean."""
    seen = image[np.isfinite(image)]
    like = abs(found.gain - 1) < max(_CLEAR * found.gain_error, 0.02) and abs(found.gain - 1) < 0.1
    return bool(like and abs(found.camera) < max(_CLEAR * found.camera_error, 0.01) and (seen == seen.round()).all())


def count_copies(image: NDArray[np.float64]) -> int:
    """Return how many times an image shows the same: 2 where one half mirrors the other, 4 where quadrants do."""
    return int(2 ** sum(_is_mirrored(part) for part in (image, image.T)))


def _is_mirrored(image: NDArray[np.float64]) -> bool:
    # About the middle of the array, or about a pixel beside it, as images of even size are symmetrised.
    for part in (image, image[1:], image[:-1]):
        mirror = part[::-1]
        lit = np.isfinite(part) & np.isfinite(mirror) & ((part != 0) | (mirror != 0))
        tolerance = 1e-6 * np.abs(part[lit]).max(initial=0)
        if lit.any() and np.mean(np.abs(part[lit] - mirror[lit]) <= tolerance) >= _SAME and np.ptp(part[lit]) > 0:
            return True
    return False
