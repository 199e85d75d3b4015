"""From hits to a spectrum.

The hits are folded into polar bins about the centre of the image and described by shells side by side, none of which
is negative in any direction (`util.spectrum.shell_model`), by the Poisson likelihood
(`util.spectrum.interior_point`). Nothing is inverted: what the projection hides is not amplified. The geometry is
found first, then the resolution, then the curves with their errors.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.detection import Detection
from util.fit.map_data import Hits, MapData, fold_hits
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins
from util.runtime.errors import InputError
from util.spectrum.curves import line_shapes, weighted
from util.spectrum.interior_point import Solution, climb
from util.spectrum.line_widths import SPACING, LineWidths
from util.spectrum.order import LOWEST, Beyond, beyond
from util.spectrum.peaks import find_peaks
from util.spectrum.placement import pattern
from util.spectrum.polar_counts import PolarCounts, polar_counts
from util.spectrum.resolution import RATIO, Choice, choose_widths, narrowest_of, told
from util.spectrum.settling import CENTRE, ROWS, bins_of, settle, settled_centre
from util.spectrum.shell_model import ShellModel, shell_model
from util.spectrum.spectrum import Lines, Spectrum

FEWEST = 300  # electrons of which anything can be said
_FEWEST_A_DEGREE = 100
_MOST_TERMS = 2000  # lines times degrees: more of them take longer than anybody waits, unless a width is told
_ROUGH = LineWidths((0.02,))  # of lines while the order is sought, which any width tells
BARRIER = 0.01  # of the log likelihood: where the curvature gives the errors
_FWHM = 2.3548  # of a Gaussian line, in sigma
_COST = 10.0  # of an electron in a line, over the square root of all
_CLEAR = 4.5  # errors from which on a rotation or an ellipse is taken for real
_WITHIN = 0.6827  # of what a line becomes lies within its sigma
_TESTED = ("rotation_rad", "ellipse_2")


def fit_spectrum(
    hits: Hits,
    detection: Detection,
    *,
    order: int | None = None,
    odd: bool = False,
    resolution: float | None = None,
    pixel: float = 0.0,
    is_round: bool = False,
    geometry: ImageGeometry | None = None,
    seed: int = 0,
) -> Spectrum:
    """Fit a spectrum to hits.

    Parameters
    ----------
    hits : Hits
    detection : Detection
        What the detector shows of the image.
    order : int or None
        Highest Legendre degree, even, 0 to 24; None: 4, or more where the image shows more.
    odd : bool
        Whether odd degrees are fitted as well.
    resolution : float or None
        sigma of the lines [detector units]; None: as held-out electrons allow.
    pixel : float
        Of the camera [detector units]; no line is narrower than that at half its height. 0: not known.
    is_round : bool
        Whether rings are known to be round: no ellipse that would make them sharper is taken out.
    geometry : ImageGeometry or None
        How the image lies on the detector; None: found.
    seed : int
        Of the choice of what is held out.

    Raises
    ------
    InputError
        Too few electrons, or lines narrower than a pixel.
    """
    hits = hits.seen_by(detection)
    now = LOWEST if order is None else order
    variance, scatter = _check(hits, _degrees(now, odd=odd))
    narrowest = _narrowest(resolution, pixel)
    fitted: tuple[str, ...] = ()
    if geometry is None:
        fitted = CENTRE
        geometry = settled_centre(hits, detection, variance=variance, order=now, is_round=is_round)
    raised = None
    if order is None:
        now, raised = _shown(hits, detection, geometry, scatter, odd=odd)
    rng = np.random.default_rng(seed)
    while True:
        choice, rows = _choice(hits, detection, geometry, resolution, narrowest, order=now, odd=odd, rng=rng)
        fit = _fit_lines(hits, detection, geometry, choice.widths, order=now, rows=rows, odd=odd)
        clear = _clear(fit.best, fit.data) if fitted == CENTRE else ()
        if not clear:
            return _spectrum(fit, choice, fitted, raised)
        # Rings that are not round are blurred: their resolution is to be chosen anew.
        fitted += clear
        geometry = settle(hits, detection, geometry, fitted, order=now, widths=choice.widths, rows=rows)


class _Fit(NamedTuple):
    """Lines at their likeliest, the hits that they were fitted to, and even light."""

    best: Solution
    data: MapData
    light: "_Light"


def _degrees(order: int, *, odd: bool) -> tuple[int, ...]:
    return tuple(range(0, order + 1, 1 if odd else 2))


def _shown(
    hits: Hits, detection: Detection, geometry: ImageGeometry, scatter: float, *, odd: bool
) -> tuple[int, Beyond | None]:
    """Return the order that the image shows, as far as electrons allow, and by what it is above the lowest."""
    found = beyond(_fit_lines(hits, detection, geometry, _ROUGH, order=LOWEST, rows=ROWS[0], odd=odd).best)
    if found is None:
        return LOWEST, None
    degrees = int(scatter / _FEWEST_A_DEGREE)
    most = degrees - 1 if odd else 2 * (degrees - 1)
    return max(LOWEST, min(found.degree + found.degree % 2, most - most % 2)), found


def _choice(
    hits: Hits,
    detection: Detection,
    geometry: ImageGeometry,
    resolution: float | None,
    narrowest: float,
    *,
    order: int,
    odd: bool,
    rng: np.random.Generator,
) -> tuple[Choice, int]:
    """Return the widths of the lines, and how many bins of rho are fine enough for it."""
    rows = [rows for rows in ROWS if (resolution or np.inf) >= narrowest_of(bins_of(order, rows))]
    if resolution is not None:
        return told(resolution), rows[0]
    degrees = _degrees(order, odd=odd)
    narrowest = max(narrowest, len(degrees) / (SPACING * _MOST_TERMS))
    winner = None
    for fineness in rows:
        bins = bins_of(order, fineness)
        least = max(narrowest, narrowest_of(bins))
        counts = polar_counts(fold_hits(hits, geometry, bins, detection), odd=odd)
        finer = least > narrowest and fineness != rows[-1]
        choice = choose_widths(counts, degrees, narrowest=least, rng=rng, near=winner, finer=finer)
        if not choice.is_narrowest or not finer:
            break
        winner = choice.winner
    return choice, fineness


def _fit_lines(
    hits: Hits, detection: Detection, geometry: ImageGeometry, widths: LineWidths, *, order: int, rows: int, odd: bool
) -> _Fit:
    """Fit lines of given widths."""
    bins = bins_of(order, rows)
    data = fold_hits(hits, geometry, bins, detection)
    counts = polar_counts(data, odd=odd)
    model = shell_model(bins, _degrees(order, odd=odd), widths)
    light = _even_light(model, counts)
    return _Fit(climb(model, counts.over(light.counts)), data, light)


def _narrowest(resolution: float | None, pixel: float) -> float:
    """Return the narrowest lines that there may be, if those that are told are not narrower."""
    least = narrowest_of(bins_of(LOWEST, ROWS[-1]))
    narrowest = max(pixel / _FWHM, least)
    if resolution is not None and resolution < narrowest:
        what = "a line as wide as a pixel" if narrowest > least else "the narrowest there are"
        raise InputError(f"--resolution: expected at least {narrowest:.5f}, {what}, found {resolution:g}")
    return narrowest


def _check(hits: Hits, degrees: tuple[int, ...]) -> tuple[NDArray[np.float64], float]:
    """Return what each hit adds to the variance of a sum of weights, and of how many electrons all scatter as."""
    electrons = float(hits.weight.sum())
    variance = hits.weight**2 if hits.variance is None else hits.variance
    squares = float(variance.sum())
    scatter = max(electrons, 0.0) ** 2 / max(squares, 1e-300)
    if scatter < FEWEST:
        raise InputError(
            f"found the scatter of {scatter:.0f} electrons, expected at least {FEWEST} for a spectrum; measure longer"
        )
    if scatter < _FEWEST_A_DEGREE * len(degrees):
        raise InputError(
            f"--order: found the scatter of {scatter:.0f} electrons, expected at least "
            f"{_FEWEST_A_DEGREE * len(degrees)} for {len(degrees)} degrees; ask for a lower one"
        )
    return variance, scatter


class _Light(NamedTuple):
    """Even light, in counts, its error, and how the parameters (P,) of the lines follow it."""

    counts: float
    error: float
    response: NDArray[np.float64]


def _even_light(model: ShellModel, counts: PolarCounts) -> _Light:
    """Return how much of the image may be even light.

    A smooth spectrum that ends at the edge of the screen looks just like it, and noise would decide. It is taken for
    light, by a cost of electrons in lines, which is left out once the light is known.
    """
    cost = _COST / np.sqrt(max(counts.counts.sum(), 1.0))
    found = climb(model, counts, barrier=BARRIER, cost=cost)
    covariance = found.system.inverse()
    error = float(np.sqrt(covariance[-1, -1]))
    return _Light(float(found.q[-1]), error, covariance[:, -1] / error**2)


def _even_fit(best: Solution, data: MapData, *, barrier: float = 0.0) -> Solution:
    """Return the fit without odd degrees, which tells of the geometry.

    With them, rings that are a little off along z and rings of which one end is brighter look the same.
    """
    even = _even(best.model, data.bins)
    if even is best.model:
        return best
    return climb(even, polar_counts(data, odd=False).over(best.data.light), barrier=barrier)


def _even(model: ShellModel, bins: PolarBins) -> ShellModel:
    degrees = tuple(degree for degree in model.degrees if degree % 2 == 0)
    return model if degrees == model.degrees else shell_model(bins, degrees, model.widths)


def _clear(best: Solution, data: MapData) -> tuple[str, ...]:
    """Return the numbers of the geometry, besides the centre, that clearly are not what was assumed."""
    seen = pattern(_even_fit(best, data), data, (*CENTRE, *_TESTED))
    pulls = np.abs(seen.step) / np.sqrt(np.diag(seen.covariance))
    return tuple(name for name, pull in zip(_TESTED, pulls[len(CENTRE) :], strict=True) if pull > _CLEAR)


def _resolution_at(r: NDArray[np.float64], solution: Solution) -> NDArray[np.float64]:
    """Return sigma (n,) of what the fit makes of a line of no width at radii (n,)."""
    model = solution.model
    first = np.arange(model.lines) * len(model.degrees)
    kernel = np.abs(solution.system.solve(solution.curvature[:, first])[first])
    apart = np.abs(model.radii[:, None] - model.radii)
    order = np.argsort(apart, axis=0, kind="stable")
    within = np.cumsum(np.take_along_axis(kernel, order, axis=0), axis=0)
    reached = (within < _WITHIN * within[-1]).sum(axis=0)
    spread = np.take_along_axis(apart, order, axis=0)[np.minimum(reached, model.lines - 1), np.arange(model.lines)]
    return np.interp(r, model.radii, np.hypot(model.widths.at(model.radii), spread))


def _blur(best: Solution, r: NDArray[np.float64], intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what narrower lines would add to the intensity (n,) at radii (n,): noise, or what these blur."""
    model, counts = best.model, best.data
    narrower = shell_model(counts.bins, model.degrees, model.widths.narrower(RATIO, narrowest_of(counts.bins)))
    terms = 2 * counts.per_count * narrower.terms(climb(narrower, counts).q)
    lines = Lines(narrower.widths.at(narrower.radii), narrower.radii, terms, np.zeros((0, 0)))
    return line_shapes(r, lines) @ terms[:, 0] - intensity


def _spectrum(fit: _Fit, choice: Choice, names: tuple[str, ...], raised: Beyond | None) -> Spectrum:
    """Return the curves, peaks and errors of the likeliest parameters."""
    best, data, light = fit
    model, counts = best.model, best.data
    inner = climb(model, counts, barrier=BARRIER)
    common = light.error**2 * np.outer(light.response, light.response)
    geometry_errors = dict[str, float]()
    if names:
        of_geometry = pattern(_even_fit(inner, data, barrier=BARRIER), data, names).covariance
        response = pattern(inner, data, names).response
        common += response @ of_geometry @ response.T
        geometry_errors = dict(zip(names, np.sqrt(np.diag(of_geometry)).tolist(), strict=True))
    covariance, per_count = inner.system.inverse() + common, counts.per_count
    # N / 2 and N beta / 2 (field normalisation) are fitted, in counts.
    unit = 2 * per_count
    lines = Lines(model.widths.at(model.radii), model.radii, unit * model.terms(best.q), unit**2 * covariance[:-1, :-1])
    bins = data.bins
    r = (bins.rho[:-1] + bins.rho[1:]) / 2
    curves = weighted(line_shapes(r, lines), lines)
    blur = _blur(best, r, curves.intensity)
    return Spectrum(
        r=r,
        intensity=curves.intensity,
        intensity_error=np.hypot(curves.intensity_error, blur),
        blur=blur,
        degrees=model.degrees[1:],
        raised=raised,
        missed=beyond(best),
        beta=curves.beta,
        beta_error=curves.beta_error,
        resolution=_resolution_at(r, inner),
        lines=lines,
        peaks=find_peaks(best, lines, r, curves, common, barrier=BARRIER),
        background=(light.counts + float(best.q[-1])) * per_count,
        background_error=light.error * per_count,
        geometry=data.geometry,
        geometry_errors=geometry_errors,
        electrons=float(data.folded.quadrants.sum()),
        tried=choice.tried,
        parts=choice.parts,
        held_out=choice.held_out,
        is_narrowest=choice.is_narrowest,
        gap=best.gap,
        converged=best.converged and inner.converged,
        image=counts.counts * per_count,
        model=best.expected * per_count,
        variance=best.expected * per_count**2,
    )
