"""Where the centre of the image is, settled from hits and a rough spectrum together.

`util.fit.starting_geometry` tells where to begin.
"""

import numpy as np
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.map_data import Hits, fold_hits
from util.fit.starting_geometry import find_centre, find_ellipse
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins
from util.runtime.errors import InputError
from util.spectrum.interior_point import climb
from util.spectrum.line_widths import LineWidths
from util.spectrum.placement import moved, pattern
from util.spectrum.polar_counts import polar_counts
from util.spectrum.shell_model import shell_model

CENTRE = ("centre_x", "centre_z")
ROWS = (500, 1000)  # of bins in rho: the finer where lines are too narrow for the others
_FARTHEST = 0.9  # of the centre, along either axis
_ROUGH = LineWidths((0.01,))  # of lines while the centre is sought
_ROUGH_ORDER = 4
_ROUNDS = 8
# Log likelihood, an electron of the rings, by which an ellipse may make the image less likely. One that is there does
# so by 0.001 at most, as it is found in steps; rings of unlike PADs, which only look like one, by 0.009.
_FALL = 0.003
_SETTLED = 0.1  # squared errors by which the geometry may still move


def bins_of(order: int, rows: int = ROWS[0]) -> PolarBins:
    """Return bins for PADs up to a Legendre degree."""
    return PolarBins(rows, max(20, 5 * order))


def settle(
    hits: Hits,
    detection: Detection,
    geometry: ImageGeometry,
    names: tuple[str, ...],
    *,
    order: int,
    widths: LineWidths,
    rows: int = ROWS[0],
) -> ImageGeometry:
    """Fold the hits anew until the numbers `names` of the geometry move no more.

    Parameters
    ----------
    hits : Hits
    detection : Detection
    geometry : ImageGeometry
        To begin with.
    names : tuple of str
        Of `util.spectrum.placement.NAMES`.
    order : int
        Highest degree of the spectrum.
    widths : LineWidths
        Of its lines.
    rows : int
        Of bins in rho.

    """
    # What the image lies off shows in how its quadrants differ, which no even degree explains: a few tell it.
    order = min(order, _ROUGH_ORDER)
    bins = bins_of(order, rows)
    model = shell_model(bins, tuple(range(0, order + 1, 2)), widths)
    for _ in range(_ROUNDS):
        data = fold_hits(hits, geometry, bins, detection)
        seen = pattern(climb(model, polar_counts(data, odd=False)), data, names)
        geometry = moved(geometry, names, seen.step)
        if seen.step @ np.linalg.solve(seen.covariance, seen.step) < _SETTLED:
            break
    return geometry


def _extent(values: NDArray[np.float64]) -> str:
    return f"{values.min():.4g} .. {values.max():.4g}"


def settled_centre(
    hits: Hits, detection: Detection, *, variance: NDArray[np.float64], order: int, is_round: bool
) -> ImageGeometry:
    """Return centre and ellipse of an image of which nothing is known.

    Parameters
    ----------
    hits : Hits
    detection : Detection
    variance : (n,)
        That of the weights of the hits.
    order : int
        Highest degree of the spectrum.
    is_round : bool
        Whether no ellipse is to be taken out.

    Raises
    ------
    InputError
        The image lies at the edge of the screen.
    """
    centre = find_centre(hits, detection)
    if max(map(abs, centre)) > _FARTHEST:
        raise InputError(
            f"expected an image about the middle of the screen, found x in {_extent(hits.x)} and z in "
            f"{_extent(hits.z)}; check their units and the size of the camera"
        )
    found = settle(hits, detection, ImageGeometry(*centre), CENTRE, order=order, widths=_ROUGH)
    start = ImageGeometry(*centre) if is_round else find_ellipse(*hits[:3], centre, variance=variance)
    if start.is_shift:
        return found
    elliptic = settle(hits, detection, start, CENTRE, order=order, widths=_ROUGH)
    fall = _per_electron(hits, detection, found, order) - _per_electron(hits, detection, elliptic, order)
    return elliptic if fall < _FALL else found


def _per_electron(hits: Hits, detection: Detection, geometry: ImageGeometry, order: int) -> float:
    """Return the log likelihood, an electron of the rings, of where all land on the detector, by rough lines."""
    order = min(order, _ROUGH_ORDER)
    bins = bins_of(order)
    data = fold_hits(hits, geometry, bins, detection)
    counts = polar_counts(data, odd=False)
    found = climb(shell_model(bins, tuple(range(0, order + 1, 2)), _ROUGH), counts)
    electrons = 2 * counts.per_count * found.model.terms(found.q)[:, 0].sum()
    quarter = (bins.angle_rad[:-1] + bins.angle_rad[1:]) / 2
    areas = geometry.magnification(np.stack((quarter, -quarter, np.pi - quarter, quarter - np.pi)))
    by_angle = data.folded.quadrants.sum(axis=1)
    likelihood = counts.per_count * counts.log_likelihood(found.expected) - (by_angle * np.log(areas)).sum()
    return float(likelihood / max(electrons, 1.0))
