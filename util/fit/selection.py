"""Which spheres, and which further pieces of the model, the hits call for.

Peaks of a rough radial spectrum are where spheres begin. Then each round tests every piece that may be added, and a
further sphere at every radius and of several widths, by what one step of a fit would gain (`util.fit.score_test`); it
adds what gains most, and fits anew; in the end it takes out what gained nothing: stepwise selection (Efroymson 1960).
It works on merged bins and with PADs of moderate order, enough to tell what is there; the fit comes afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from util.fit import radial_spectrum
from util.fit.chi_square import tail
from util.fit.detection import Detection
from util.fit.fit_errors import APART, AlikeError, clearness
from util.fit.further_sphere import BINS, WIDTHS, best_sphere
from util.fit.known_spheres import KnownSpheres
from util.fit.likelihood import Settled, check_hits, find_spheres, fit, settle
from util.fit.map_data import Hits, fold_hits
from util.fit.parameters import AUTOMATIC, OF_ELECTRONS, PIECES, Layout, Piece
from util.fit.result import FitResult
from util.fit.score_test import ScoreTest
from util.fit.starting_geometry import find_centre, find_ellipse
from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import PolarBins
from util.runtime.errors import InputError

MOST_SPHERES = 20
_EXHAUSTIVE = 3  # so many spheres are sought in all combinations
_ORDER = 12  # of the PADs of a selection
_TOLERANCE, _DECREMENT = 0.1, 0.01  # squared errors that folding anew, and a further step of the fit, may still move it
_MERGED, _MERGED_FOR_ELLIPSE = 1024, 512  # pixels along an axis, where there are more hits than that
# By chance a sphere (P_0, P_2, P_4; some hundred independent radii and widths) gains as much in one of 5,000 images.
_CLEAR_SPHERE = 28.0
_CLEAR_PIECE = 1e-4  # p
# Of all spheres that are asked for, the clearest peaks are taken at once: those with this part of the clearest's.
_STRONG = 0.1
_RIPPLE = (0.03, 3.0)  # how near, and how much clearer, the peak is whose ripple another may be
_NEAR = 0.05  # how far a sphere may end from the radius that was named
_WIDEST = 0.1  # sigma_R of a sphere; wider ones describe what other spheres, a background or a spectrum should
_REFUSALS = 3  # of spheres that one step promised and a fit did not confirm


@dataclass(frozen=True)
class Selection:
    """What was chosen.

    Attributes
    ----------
    start : tuple of (R, sigma_R)
        Of each sphere, ascending in R.
    pieces : tuple of str
    geometry : ImageGeometry
    said : tuple of str
        A sentence for each piece that was added, and for the number of spheres.
    """

    start: tuple[tuple[float, float], ...]
    pieces: tuple[Piece, ...]
    geometry: ImageGeometry
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What may be chosen.

    Attributes
    ----------
    spheres : int or None
        How many; None: as many as the hits call for.
    order : int
        Highest Legendre degree of the fit that follows.
    start : tuple of float
        Radii that are known.
    pieces : tuple of str
        What is fitted in any case.
    optional : tuple of str
        What is fitted where the hits call for it.
    known : KnownSpheres or None
        What is known of the spheres before.
    tries : tuple of tuple of float
        Radii to start from, one set after the other, where `start` names none; the best fit is taken.
    """

    spheres: int | None
    order: int
    start: tuple[float, ...] = ()
    pieces: tuple[Piece, ...] = ()
    optional: tuple[Piece, ...] = AUTOMATIC
    known: KnownSpheres | None = None
    tries: tuple[tuple[float, ...], ...] = ()


class _State:
    """A selection under way: what is fitted to which hits."""

    def __init__(self, hits: Hits, wanted: Wanted, detection: Detection) -> None:
        self._hits, self._detection = hits, detection
        self._order, self._required, self._known = min(wanted.order, _ORDER), wanted.pieces, wanted.known
        # Of an image from which too much was subtracted the background is negative.
        self.positive = ("blob",) if (hits.weight < 0).any() else OF_ELECTRONS

    def fit(
        self, start: Sequence[tuple[float, float]], pieces: Sequence[Piece], geometry: ImageGeometry
    ) -> Settled | None:
        """Return the fit of these spheres and pieces; None where it does not come to a sound end.

        Spheres, and a background or a blob that nobody asked for, of less than no electrons are left out.
        """
        layout = Layout(len(start), self._order, tuple(pieces))
        options = {"tolerance": _TOLERANCE, "decrement": _DECREMENT, "widest": _WIDEST}
        found = settle(self._hits, layout, start, geometry, BINS, self._detection, known=self._known, **options)
        there = (found.q[layout.N] > 0) & (found.q[layout.R] < BINS.rho_max)
        may_miss = [piece for piece in layout.pieces if piece in self.positive and piece not in self._required]
        none = [piece for piece in may_miss if found.q[layout.of_piece(piece)[0]] <= 0]
        if there.all() and not none:
            return found
        kept = [shape for shape, is_there in zip(found.shapes, there, strict=True) if is_there]
        left = [piece for piece in layout.pieces if piece not in none]
        return self.fit(kept, left, layout.geometry_of(found.q)) if kept else None


def select(hits: Hits, wanted: Wanted, detection: Detection) -> Selection:
    """Choose spheres and pieces.

    Parameters
    ----------
    hits : Hits
    wanted : Wanted
    detection : Detection

    Raises
    ------
    InputError
        There are not as many spheres, or none at all.
    """
    spheres = wanted.spheres or max(1, len(wanted.start))
    merged = check_hits(*hits, spheres=spheres).seen_by(detection).merged(_MERGED)
    state = _State(merged, wanted, detection)
    found = _begin(state, merged, wanted, detection)
    found = _grow(state, found, wanted)
    found = _prune(state, found, wanted)
    layout = found.model.layout
    if missing := [R for R in wanted.start if not (np.abs(found.q[layout.R] - R) < _NEAR).any()]:
        raise InputError(
            f"--start: expected electrons about every radius, found none about {', '.join(map(str, missing))}; leave "
            "that out"
        )
    if wanted.spheres is not None and layout.spheres != wanted.spheres:
        raise InputError(
            f"expected {wanted.spheres} spheres, found {layout.spheres} that can be told apart; take as many as "
            "there are with --spheres auto, or say where they are with --start"
        )
    said = tuple(_said(layout.spheres, layout.pieces, wanted))
    return Selection(tuple(found.shapes), layout.pieces, layout.geometry_of(found.q), said)


def fit_selected(
    hits: Hits, wanted: Wanted, detection: Detection, *, bins: PolarBins | None = None
) -> tuple[FitResult, Selection]:
    """Choose spheres and pieces, and fit them; parameters and errors as in `select` and `util.fit.likelihood.fit`.

    Where as many spheres are wanted as the hits call for, one that the fit cannot tell is left out.
    """
    chosen = select(hits, wanted, detection)
    while True:
        try:
            found = fit(
                *hits[:3],
                variance=hits.variance,
                spheres=len(chosen.start),
                order=wanted.order,
                pieces=chosen.pieces,
                start=chosen.start,
                geometry=chosen.geometry,
                bins=bins,
                detection=detection,
                known=wanted.known,
            )
        except AlikeError as error:
            if wanted.spheres is not None or not error.others:
                raise
            if wanted.start:
                raise InputError(
                    f"--start: expected spheres that can be told apart, found {len(chosen.start)} that cannot in these "
                    "hits; leave a radius out"
                ) from error
            said = _said(len(error.others), chosen.pieces, wanted)
            chosen = replace(chosen, start=tuple(error.others), said=tuple(said))
        else:
            return found, chosen


def _said(spheres: int, pieces: Sequence[Piece], wanted: Wanted) -> list[str]:
    """Say what was chosen where there was a choice."""
    out = []
    if wanted.spheres is None:
        out.append(f"{spheres} sphere(s), as many as the hits call for")
    added = [piece for piece in pieces if piece not in wanted.pieces]
    if added:
        out.append(f"fitted besides, since the hits call for it: {', '.join(added)} (--fit none leaves it out)")
    return out


def _begin(state: _State, hits: Hits, wanted: Wanted, detection: Detection) -> Settled:
    """Fit the spheres that are known, or those of the clearest peaks."""
    centre = find_centre(hits, detection)
    pieces = [piece for piece in PIECES if piece in wanted.pieces]
    if "background" in wanted.optional:
        pieces.append("background")  # without it, one that is there would make spheres of any width
    geometry = ImageGeometry(*centre)
    if "ellipse" in (*wanted.pieces, *wanted.optional):
        few = hits.merged(_MERGED_FOR_ELLIPSE)
        geometry = find_ellipse(few.x, few.z, few.weight, centre)
        if not geometry.is_shift:
            pieces.append("ellipse")
    named = (wanted.start,) if wanted.start else wanted.tries
    if named:
        tries = [[(R, width) for R in radii] for radii in named for width in WIDTHS]
    elif wanted.spheres and wanted.spheres <= _EXHAUSTIVE:
        data = fold_hits(hits, geometry, PolarBins.for_order(wanted.order), detection)
        tries = [find_spheres(data, Layout(wanted.spheres, wanted.order))]
    else:
        data = fold_hits(hits, geometry, radial_spectrum.BINS, detection)
        exposure = data.exposure if isinstance(data.exposure, float) else data.exposure.mean(axis=0)
        peaks = radial_spectrum.peaks(data.folded.weight, data.folded.variance, exposure)
        if not peaks:
            raise InputError("no sphere was found among the hits; say where one is with --start")
        strong = [peak for peak in peaks if peak[2] > _STRONG * peaks[0][2] and not _is_ripple(peak, peaks)]
        most = len(strong) if wanted.spheres is None else min(wanted.spheres, len(strong))
        tries = [[(R, sigma_R) for R, sigma_R, _ in sorted(strong[:count])] for count in range(most, 0, -1)]
    fits = (found for start in tries if (found := state.fit(sorted(start), pieces, geometry)))
    # Of known radii the best widths; of peaks as many as can be told apart.
    best = max(fits, key=_as_asked, default=None) if named else next(fits, None)
    if best is None:
        remedy = "leave a radius of --start out" if wanted.start else "say where they are with --start"
        if wanted.spheres is not None:
            remedy += ", or ask for --spheres auto or fewer"
        raise InputError(f"the spheres cannot be told apart; {remedy}")
    return best


def _as_asked(found: Settled) -> tuple[int, float]:
    """Return what the better of two fits has more of: spheres, of which a start may lose some, then likelihood."""
    return found.model.layout.spheres, found.objective


def _is_ripple(peak: tuple[float, float, float], peaks: Sequence[tuple[float, float, float]]) -> bool:
    """Whether a much clearer peak lies so near that this one may be a ripple of it."""
    return any(abs(other[0] - peak[0]) < _RIPPLE[0] and other[2] > _RIPPLE[1] * peak[2] for other in peaks)


def _grow(state: _State, found: Settled, wanted: Wanted) -> Settled:
    """Add what the hits call for, the clearest first."""
    optional, fixed = list(wanted.optional), bool(wanted.start) and wanted.spheres is None
    refused: list[tuple[float, float]] = []
    most = MOST_SPHERES if wanted.spheres is None else wanted.spheres
    while True:
        layout = found.model.layout
        test = ScoreTest(found.model, found.data, found.q, dispersed=True)
        choices: list[tuple[float, Piece | tuple[float, float]]] = []
        for piece in optional:
            lack = None if piece in layout.pieces else test.of_piece(piece)
            # Electrons there cannot be fewer of than none.
            if lack and lack.p < _CLEAR_PIECE and (piece not in state.positive or lack.size[0] > 0):
                choices.append((lack.chi2 - lack.dof, piece))
        if layout.spheres < most and not fixed:
            apart = APART if wanted.spheres is None else APART / 2
            gain, shape = best_sphere(test, np.array([*found.shapes, *refused]), apart=apart)
            if gain > (_CLEAR_SPHERE if wanted.spheres is None else 0):
                choices.append((gain, shape))
        if not choices:
            return found
        gain, choice = max(choices, key=lambda item: item[0])
        shapes, geometry = found.shapes, layout.geometry_of(found.q)
        if isinstance(choice, str):
            wider = state.fit(shapes, (*layout.pieces, choice), geometry)
        else:
            wider = state.fit(sorted((*shapes, choice)), layout.pieces, geometry)
        if wider and 2 * test.scale * (wider.objective - found.objective) > min(gain / 4, _CLEAR_SPHERE):
            found = wider
        elif isinstance(choice, str):
            optional.remove(choice)
        else:
            refused.append(choice)
            fixed = len(refused) > _REFUSALS


def _prune(state: _State, found: Settled, wanted: Wanted) -> Settled:
    """Take out spheres and pieces that are not clear beside the others, the least clear first."""
    while True:
        layout = found.model.layout
        test = ScoreTest(found.model, found.data, found.q, dispersed=True)
        shapes, geometry = found.shapes, layout.geometry_of(found.q)
        clear = clearness(found.model, found.q, test.inverse / test.scale)
        least = int(clear.argmin())
        if wanted.spheres is None and not wanted.start and layout.spheres > 1 and clear[least] < _CLEAR_SPHERE:
            fewer = state.fit(shapes[:least] + shapes[least + 1 :], layout.pieces, geometry)
        else:
            idle = [piece for piece in wanted.optional if piece in layout.pieces and not _is_clear(found, test, piece)]
            if not idle:
                return found
            fewer = state.fit(shapes, [piece for piece in layout.pieces if piece != idle[0]], geometry)
        if fewer is None:
            return found
        found = fewer


def _is_clear(found: Settled, test: ScoreTest, piece: Piece) -> bool:
    """Whether the parameters of a piece that is fitted differ from zero (Wald's test)."""
    layout = found.model.layout
    index = np.array([i for i in layout.of_piece(piece) if not layout.prior[1][i]])
    value, covariance = found.q[index], test.inverse[np.ix_(index, index)] / test.scale
    told = np.diag(covariance) > 0
    chi2 = float(value[told] @ np.linalg.solve(covariance[np.ix_(told, told)], value[told]))
    return tail(chi2, told.sum()) < _CLEAR_PIECE
