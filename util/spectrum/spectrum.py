"""A spectrum: electrons and anisotropy against speed, with errors."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.physics.image_geometry import ImageGeometry
from util.spectrum.order import Beyond


class Peaks(NamedTuple):
    """Peaks of a spectrum, arrays (p,), ascending in R [detector units]; the betas are (degrees, p).

    `overlap` is the height at the higher end of a peak over that at its top: where it is not small, a neighbour is
    near, and what is the one's and what the other's is not resolved.
    """

    R: NDArray[np.float64]
    R_error: NDArray[np.float64]
    sigma_R: NDArray[np.float64]
    sigma_R_error: NDArray[np.float64]
    electrons: NDArray[np.float64]
    electrons_error: NDArray[np.float64]
    beta: NDArray[np.float64]
    beta_error: NDArray[np.float64]
    overlap: NDArray[np.float64]


class Lines(NamedTuple):
    """What the curves consist of: J Gaussian lines with K terms each.

    Attributes
    ----------
    widths : (J,)
        Their sigma [detector units].
    radii : (J,)
        Their middles [detector units].
    terms : (J, K)
        Electrons, and electrons times beta (field normalisation) of each further degree.
    covariance : (J * K, J * K)
        Of `terms`, line by line.
    """

    widths: NDArray[np.float64]
    radii: NDArray[np.float64]
    terms: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Electrons and anisotropy against speed.

    Attributes
    ----------
    r : (n,)
        Speed, as the radius at which it lands [detector units], in even steps.
    intensity, intensity_error : (n,)
        Electrons per detector unit of r.
    blur : (n,)
        What lines narrower by a fifth would add to the intensity; part of its error.
    degrees : tuple of int
        Legendre degrees of the betas.
    raised, missed : Beyond or None
        What the image showed beyond the lowest order, so that a higher one was chosen; what it shows beyond this one.
    beta, beta_error : (degrees, n)
        Field normalisation, I(c) ~ 1 + sum beta_l P_l(c); NaN where there are no electrons to tell.
    resolution : (n,)
        sigma of what a line of no width becomes at r [detector units].
    lines : Lines
    peaks : Peaks
    background, background_error : float
        Electrons of the even background over the screen.
    geometry : ImageGeometry
        How the image lies on the detector.
    geometry_errors : mapping of the name of a number of the geometry that was fitted to its error
    electrons : float
        Electrons on the screen, background and all.
    tried, parts, held_out : (m,)
        Single widths that were tried for all lines; how many parts of the electrons were held out from each; and
        their log likelihood over that with the one that won, before stretches were cut. Empty where it was told.
    is_narrowest : bool
        Whether narrower lines might have been chosen, had there been any.
    gap : float
        Duality gap: by how much the log likelihood may be below its maximum.
    converged : bool
        Whether the fit, and that of its errors, came to their ends.
    image, model : (n_rho, n_angle)
        Electrons seen in polar bins, and expected there.
    variance : (n_rho, n_angle)
        That of `image`, as expected.
    gain_error : float
        Relative error that all numbers of electrons share. Part of the errors of `peaks.electrons` and `background`,
        and of no other: it changes no shape.
    """

    r: NDArray[np.float64]
    intensity: NDArray[np.float64]
    intensity_error: NDArray[np.float64]
    blur: NDArray[np.float64]
    degrees: tuple[int, ...]
    raised: Beyond | None
    missed: Beyond | None
    beta: NDArray[np.float64]
    beta_error: NDArray[np.float64]
    resolution: NDArray[np.float64]
    lines: Lines
    peaks: Peaks
    background: float
    background_error: float
    geometry: ImageGeometry
    geometry_errors: dict[str, float]
    electrons: float
    tried: NDArray[np.float64]
    parts: NDArray[np.int64]
    held_out: NDArray[np.float64]
    is_narrowest: bool
    gap: float
    converged: bool
    image: NDArray[np.float64]
    model: NDArray[np.float64]
    variance: NDArray[np.float64]
    gain_error: float = 0.0


def with_gain_error(spectrum: Spectrum, gain_error: float) -> Spectrum:
    """Return a spectrum whose numbers of electrons share a relative error, as of an image's counts per electron."""
    peaks = spectrum.peaks
    return replace(
        spectrum,
        peaks=peaks._replace(electrons_error=np.hypot(peaks.electrons_error, gain_error * peaks.electrons)),
        background_error=float(np.hypot(spectrum.background_error, gain_error * spectrum.background)),
        gain_error=gain_error,
    )
