"""The edge of a round plate inside the camera: a sharp circle beyond which there is no light, or an even dark level.

An image intensifier or a microchannel plate that is smaller than the camera cuts off whatever the electrons throw
there. To a fit that does not know of it the cut looks like spheres. The edge differs from the end of a sphere: it is
a step over a pixel or two, with light behind it that goes on, where a sphere has its ring and falls off behind it as
one over the square root of the distance. So circles are found where, seen from outside, light begins; each is put
where the step is steepest, and taken for an edge only if a step describes the light along it much better than the
end of a sphere of any width.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from util.fit.detection import Detection, Plate
from util.fit.light_about import FANS, LightAbout
from util.fit.map_data import Hits

_SECTORS = 24  # in which light is looked for
_OCTANTS = 8
_OUTERMOST = 0.1  # share of what is seen, which tells the dark level
_STEP = 2  # pixels, of the radii at which light is looked for
_BANDS = (6, 24)  # steps: bright light is told in narrow bands, faint light in wide ones
_LIT = 3.5  # standard deviations above the dark level
_FEWEST = 4.0  # electrons
_OUTER = 2.5  # electrons, beyond which a sector's light is taken to end
_TOLERANCES = (16.0, 6.0)  # pixels between a circle and what lies on it: to begin with, and once it is about its centre
_STRAY = 2  # sectors in which light may begin farther outside, by chance
_FEWEST_SECTORS = 5  # that lie on a circle and on none before it
_CANDIDATES = 3
_FARTHEST = 0.3  # centre of a plate from the camera's [half screens]
_RADII = (0.3, 1.1)  # of a plate [half screens]
_ONE_SIDED = 0.8  # length of the mean direction in which light ends at an edge: of an arc of 130 degrees
# Pixels outside and inside between which a circle is moved, the steps [pixels] and the width of the edge.
_MOVES = ((20, 8, (4.0, 2.0), 3.0), (12, 8, (1.0, 0.5), 2.0), (10, 8, (0.3, 0.15), 1.0))
_MOST_MOVES = 15
_NEAR, _HALF = 5.0, 0.4  # pixels inside a circle; part of the level there that counts as light
_BEYOND = 12.0  # pixels outside an edge that are judged
_WIDTHS_OF_EDGE = (0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)  # pixels, standard deviation
_WIDTHS_OF_SPHERE = (0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0, 4.0, 5.5, 8.0, 12.0)
_SHARP = 1.0  # pixels
_PLACES = np.arange(-1.0, 1.1, 0.5)  # pixels, of a step
_APART = 3.0  # pixels, by multiples of which two spheres lie apart
_DEPTHS = (12.0, 20.0, 40.0)  # pixels inside an edge that are judged
_SEEN = 0.8  # of a sector, on both sides of an edge
_GROUPS, _IN_GROUP = (1, 2, 3, 4, 6, 8, 12, 24), 300  # of sectors, each of so many electrons at least
_LEAST = 0.3  # electrons in a bin, as far as its variance goes
# Chi-square by which a step is better than a sphere's end, at least and per bin; more where it is blurred.
_CLEAR, _CLEAR_PER_BIN, _BLURRED = 25.0, 0.04, (0.5, 2.5)
_LEFT = 0.2  # of the misfit of a sphere's end: most that a step may leave
_FEWEST_OCTANTS = 3  # in which there is light


def find_plate(hits: Hits, detection: Detection, pixel: float) -> Plate | None:
    """Return the circle at which the light ends, if there is one.

    Parameters
    ----------
    hits : Hits
    detection : Detection
        What is known of the detector; what it does not show tells nothing.
    pixel : float
        Pitch of the camera's pixels [detector units].
    """
    about = LightAbout(hits, detection, pixel)
    dark = about.dark_level(_OUTERMOST)
    for begin in _circles(about, (0.0, 0.0), dark, pixel * _TOLERANCES[0]):
        for circle in _circles(about, begin[:2], dark, pixel * _TOLERANCES[1]):
            for outside, inside, steps, width in _MOVES:
                circle = _moved(about, circle, dark, (outside, inside), steps, width)
            if _is_edge(about, circle, dark):
                return circle
    return None


def _circles(about: LightAbout, centre: tuple[float, float], dark: float, tolerance: float) -> list[Plate]:
    """Return circles on which light begins, seen from outside, in many sectors, and beyond which it does in none.

    Where no light falls on the edge of a plate, light begins farther inside: that tells nothing.
    """
    radius = _outer_ends(about, centre, dark)
    angle = (np.arange(_SECTORS) + 0.5) * 2 * np.pi / _SECTORS
    lit = np.flatnonzero(np.isfinite(radius))
    if lit.size < _FEWEST_SECTORS:
        return []
    x, z = radius[lit] * np.sin(angle[lit]), radius[lit] * np.cos(angle[lit])
    triples = np.array(list(itertools.combinations(range(lit.size), 3)))
    # x^2 + z^2 = 2 x a + 2 z b + c through three points
    system = np.stack((2 * x[triples], 2 * z[triples], np.ones(triples.shape)), axis=-1)
    sound = np.abs(np.linalg.det(system)) > 1e-3
    a, b, c = np.linalg.solve(system[sound], (x**2 + z**2)[triples[sound]][:, :, None])[:, :, 0].T
    size = np.sqrt(np.maximum(c + a**2 + b**2, 0))
    off = np.hypot(x - a[:, None], z - b[:, None]) - size[:, None]
    on = np.abs(off) < tolerance
    worth = (np.maximum(1 - (off / tolerance) ** 2, 0) - (off > tolerance)).sum(axis=1)
    likely = (np.hypot(a + centre[0], b + centre[1]) < _FARTHEST) & (size > _RADII[0]) & (size < _RADII[1])
    toward = np.stack((np.sin(angle[lit]), np.cos(angle[lit])))
    likely &= np.hypot(*(toward @ on.T)) < _ONE_SIDED * on.sum(axis=1)
    likely &= (off > tolerance).sum(axis=1) <= _STRAY
    found: list[Plate] = []
    taken = np.zeros(lit.size, bool)
    for index in np.argsort(-np.where(likely, worth, -np.inf), kind="stable"):
        if len(found) == _CANDIDATES or not likely[index]:
            break
        if (on[index] & ~taken).sum() >= _FEWEST_SECTORS:
            found.append(Plate(centre[0] + float(a[index]), centre[1] + float(b[index]), float(size[index])))
            taken |= on[index]
    return found


def _outer_ends(about: LightAbout, centre: tuple[float, float], dark: float) -> NDArray[np.float64]:
    """Return the radius (24,) at which light begins in each sector, seen from outside; NaN where there is none."""
    step = _STEP * about.pixel
    rings = about.rings(centre, 0.0, step, int(np.ceil(about.farthest / step)) + max(_BANDS))
    counts, area = (part.reshape(_SECTORS, -1, part.shape[1]).sum(axis=1) for part in (rings.counts, rings.area))
    found = np.full(_SECTORS, np.nan)
    for width in _BANDS:

        def band(values: NDArray[np.float64], width: int = width) -> NDArray[np.float64]:
            total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
            return total[:, width:] - total[:, :-width]

        excess = band(counts - dark * area)
        variance = about.variance(np.maximum(excess, about.per_electron), band(area), dark)
        lit = (excess > _LIT * np.sqrt(variance)) & (excess > _FEWEST * about.per_electron)
        for sector in np.flatnonzero(lit.any(axis=1)):
            last = int(np.flatnonzero(lit[sector])[-1])
            # The light goes on to about where the outermost electrons of the band are.
            own = slice(last, last + width)
            outer = np.cumsum((counts[sector, own] - dark * area[sector, own])[::-1])[::-1]
            noise = about.variance(0 * outer, np.cumsum(area[sector, own][::-1])[::-1], dark)
            clear = outer > np.maximum(_OUTER * about.per_electron, 2 * np.sqrt(noise))
            if clear.any():
                found[sector] = np.fmax(found[sector], (last + np.flatnonzero(clear)[-1] + 1) * step)
    return found


def _moved(
    about: LightAbout, circle: Plate, dark: float, window: tuple[int, int], steps: tuple[float, ...], width: float
) -> Plate:
    """Return the circle near by that holds as much light, and as little area without any, as can be.

    What counts as light is, in each sector, a part of the level just inside: so a ring farther in does not weigh.
    """
    outside, inside = window
    rings = about.rings(circle[:2], circle.radius - inside * about.pixel, about.pixel / 2, 2 * (outside + inside))
    distance = (circle.radius - rings.radius) / about.pixel
    angle = (np.arange(FANS) + 0.5) * 2 * np.pi / FANS
    y = rings.counts - dark * rings.area
    near = (distance > 0) & (distance < _NEAR)
    light, area = (part[:, near].reshape(_SECTORS, -1).sum(axis=1) for part in (y, rings.area))
    level = np.maximum(light, 0) / np.maximum(area, 1e-300)
    worth = y - _HALF * level.repeat(FANS // _SECTORS)[:, None] * rings.area

    def gain(moves: NDArray[np.float64]) -> float:
        shift = moves[0] * np.sin(angle) + moves[1] * np.cos(angle) + moves[2]
        return float((np.clip((distance + shift[:, None]) / width + 0.5, 0, 1) * worth).sum())

    best = np.zeros(3)
    for step in steps:
        for _ in range(_MOST_MOVES):
            around = [best + step * np.array(move) for move in itertools.product((0, -1, 1), repeat=3)]
            nearest = around[int(np.argmax([gain(moves) for moves in around]))]
            if (nearest == best).all():
                break
            best = nearest
    x, z, radius = np.array(circle) + about.pixel * best
    return Plate(float(x), float(z), float(radius))


@functools.cache
def _sphere_end() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distances from R in sigma_R, positive outside, and the light of a sphere there: a projected Gaussian."""
    place, depth = np.linspace(-60, 8, 3000), np.linspace(0, 8, 400)
    return place, np.trapezoid(np.exp(-((place[:, None] + depth**2) ** 2) / 2), depth, axis=1)


def _is_edge(about: LightAbout, circle: Plate, dark: float) -> bool:
    """Whether light ends at a circle in a step, and not as spheres do, in each group of sectors wherever it likes.

    Looked at to small depths first: at larger ones there may be more spheres than are compared.
    """
    for depth in _DEPTHS:
        rings = about.rings(
            circle[:2], circle.radius - depth * about.pixel, about.pixel / 2, int(2 * (depth + _BEYOND))
        )
        distance = (circle.radius - rings.radius) / about.pixel
        light, area = (part.reshape(_SECTORS, -1, distance.size).sum(axis=1) for part in (rings.counts, rings.area))
        inside = distance > 0.5
        seen = (area[:, ~inside] > 0).mean(axis=1) * (area[:, inside] > 0).mean(axis=1) > _SEEN
        area = np.where(seen[:, None], area, 0)
        light = np.where(seen[:, None], light, 0) - dark * area
        held, within = (part[:, inside].sum(axis=1).reshape(_OCTANTS, -1).sum(axis=1) for part in (light, area))
        if (held > _LIT * np.sqrt(about.variance(held, within, dark))).sum() < _FEWEST_OCTANTS:
            continue
        groups = max(
            number for number in _GROUPS if number == 1 or number * _IN_GROUP <= held.sum() / about.per_electron
        )
        light, area = (part.reshape(groups, -1, distance.size).sum(axis=1) for part in (light, area))
        level = ndimage.uniform_filter1d(np.maximum(light, 0), 7, axis=1)
        variance = about.variance(np.maximum(level, _LEAST * about.per_electron), area, dark)
        step, width, sphere = _misfits(_Profile(distance, depth, light, area, np.where(area > 0, variance, np.inf)))
        if width > _SHARP or sphere < step - groups:
            return False
        free = float((area > 0).sum()) - 3 * groups
        clear = max(_CLEAR, _CLEAR_PER_BIN * free) * (_BLURRED[1] if width > _BLURRED[0] else 1)
        if sphere - step > clear and step - free < _LEFT * (sphere - free):
            return True
    return False


class _Profile(NamedTuple):
    """Light about a circle: distances (bins,) inwards and depth [pixels]; light, area, variance (groups, bins)."""

    distance: NDArray[np.float64]
    depth: float
    light: NDArray[np.float64]
    area: NDArray[np.float64]
    variance: NDArray[np.float64]

    def gain(self, columns: NDArray[np.float64], *, positive: bool = False) -> NDArray[np.float64]:
        """Return what columns (n, m, bins) gain in chi-square in each group: (n, groups).

        If `positive`, nothing where one of them would have to hold less than no light.
        """
        design = columns[:, None] * (self.area / np.sqrt(self.variance) / self.area.max())[:, None]
        system = design @ np.swapaxes(design, -1, -2)
        right = design @ (self.light / np.sqrt(self.variance))[:, :, None]
        ridge = 1e-9 * np.trace(system, axis1=-2, axis2=-1)[..., None, None] + 1e-300
        solved = np.linalg.solve(system + ridge * np.eye(columns.shape[1]), right)
        allowed = (solved >= 0).all(axis=(-2, -1)) if positive else True
        return np.asarray((solved * right).sum(axis=(-2, -1)) * allowed)


def _misfits(profile: _Profile) -> tuple[float, float, float]:
    """Return the chi-square of a step, its width [pixels], and the chi-square of the ends of one or two spheres."""
    whole = float((profile.light**2 / profile.variance).sum())
    powers = [(profile.distance / profile.depth) ** k for k in range(3)]
    steps = []
    for width in _WIDTHS_OF_EDGE:
        edges = special.ndtr((profile.distance - _PLACES[:, None]) / width)
        steps.append(float(profile.gain(np.stack([edges * power for power in powers], axis=1)).sum(axis=1).max()))
    spheres = []
    for apart in (0.0, *np.arange(_APART, profile.depth, _APART)):
        best = np.zeros(len(profile.light))
        for width in _WIDTHS_OF_SPHERE:
            places = np.arange(-4, profile.depth, max(0.5, width / 4))[:, None]
            ends = [
                np.interp((places + more - profile.distance) / width, *_sphere_end()) for more in sorted({0.0, apart})
            ]
            best = np.maximum(best, profile.gain(np.stack(ends, axis=1), positive=True).max(axis=0))
        spheres.append(float(best.sum()))
    return whole - max(steps), _WIDTHS_OF_EDGE[int(np.argmax(steps))], whole - max(spheres)
