"""What speaks against a spectrum, in sentences."""

import numpy as np

from util.spectrum.spectrum import Spectrum

_HELD = 5.0  # electrons in a bin of the image, fewer of which do not scatter as chi-square takes it
_MISFIT = 4.0  # standard deviations
_OUTERMOST = 1.5  # widths of a line within the edge of the screen, where it is not told from even background
_ENDS, _FAINT = 2.0, 0.03  # intensity there, in its errors and over the highest, from which on this is said


def cautions(spectrum: Spectrum) -> tuple[str, ...]:
    """Return what a reader should know before trusting the errors of a spectrum, most serious first."""
    out = []
    if not spectrum.converged:
        out.append(
            f"the fit did not settle: its log likelihood may be {spectrum.gap:.2g} below its maximum; trust neither "
            "curves nor errors, and try another --resolution"
        )
    if (missed := spectrum.missed) is not None:
        out.append(
            f"the image shows degree {missed.degree}, which the fit leaves out: by {missed.pull:.1f} errors at r = "
            f"{missed.r:.2f}; --order {missed.degree + missed.degree % 2} fits it, unless it is the detector's own"
        )
    if (off := misfit(spectrum)) > _MISFIT:
        out.append(
            f"the fit does not describe the image (chi-square {off:.1f} standard deviations too high): its errors are "
            "too small; lines may be too wide (--resolution), --order too low, or the detector not as told: see the "
            "figure's last map"
        )
    intensity, error = spectrum.intensity, spectrum.intensity_error
    outermost = spectrum.r > spectrum.r[-1] - _OUTERMOST * spectrum.lines.widths[-1]
    if (intensity > np.maximum(_ENDS * error, _FAINT * intensity.max()))[outermost].any():
        out.append(
            "electrons land up to the edge of the screen: the outermost ones, those beyond it and an even background "
            "look alike, so that their numbers and betas are uncertain by more than their errors"
        )
    return tuple(out)


def misfit(spectrum: Spectrum) -> float:
    """Return by how many standard deviations chi-square of the image in wide bins is above what chance makes it."""
    rows, columns = spectrum.image.shape
    wide = (rows // 5, 5, columns // 4, 4) if rows % 5 == 0 and columns % 4 == 0 else (rows, 1, columns, 1)
    image, model, variance = (
        part.reshape(wide).sum(axis=(1, 3)) for part in (spectrum.image, spectrum.model, spectrum.variance)
    )
    held = model**2 > _HELD * variance
    if not held.any():
        return 0.0
    chi2 = ((image - model)[held] ** 2 / variance[held]).mean()
    return float((chi2 - 1) * np.sqrt(held.sum() / 2))
