"""Does the model describe the hits? Tests on all four quadrants, calibrated by simulation, that say where it does not.

The fit sees folded hits only; here they are binned over the full circle, so that what folding hides (a tilt, spheres
about different centres) shows too. Tests without a name for the fault: deviance, radial profile, angular profile, and
the worst of all rings and sectors of many sizes. Tests for a named fault measure its size: background, tilt, centres
apart. All null distributions come from maps drawn at the fit, with one step of refitting.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import xlogy

from util.fit.map_model import MapModel
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, coarsen

N_RHO, QUARTER = 125, 24  # bins in rho, and in angle a quadrant
N_PHI = 4 * QUARTER
SIMULATIONS = 200
ALARM = 1e-3  # p below which a warning is given; with eight tests, one sound answer in about 150 gets one
_FINE = PolarBins()
_FLOOR = 1e-3  # of the mean bin; a stray hit where nothing is expected is no catastrophe
_LEAST = 0.3  # electrons that a region of the scan is taken to expect at least, for the same reason
_FEWEST = 5.0  # electrons that a bin of the deviance must expect
_RINGS = (2, 4, 8, 16)  # bins of rho that a ring of the scan is wide
_SECTORS = (6, 12, 24)  # bins of phi that a sector of the scan is wide; besides whole rings


@dataclass(frozen=True)
class Test:
    """One test.

    Attributes
    ----------
    name : str
    value, error : float
        The statistic, or the size of a named fault with its error (nan where there is none).
    p : float
        Probability of a value as extreme where the model is right.
    text : str
        What was found, for people.
    """

    name: str
    value: float
    error: float
    p: float
    text: str


@dataclass(frozen=True)
class Goodness:
    """Tests, and the profiles that figures show.

    Attributes
    ----------
    tests : tuple of Test
    rho, radial, radial_model, radial_error : arrays (125,)
        Ring middles; electrons found, expected, and the standard deviation of their difference.
    phi_rad, angular, angular_model, angular_error : arrays (96,)
        Angle from +z towards +x, -pi .. pi.
    """

    tests: tuple[Test, ...]
    rho: NDArray
    radial: NDArray
    radial_model: NDArray
    radial_error: NDArray
    phi_rad: NDArray
    angular: NDArray
    angular_model: NDArray
    angular_error: NDArray

    @property
    def warnings(self) -> list[str]:
        """One sentence for each test that the model fails."""
        return [f"the model does not describe the data: {t.text} (p = {t.p:.1g})" for t in self.tests if t.p < ALARM]

    def rows(self) -> NDArray:
        """Structured array of the tests, for final.h5."""
        kind = [("Name", "S16"), ("Value", "<f8"), ("Error", "<f8"), ("P", "<f8"), ("Text", "S160")]
        return np.array([(t.name.encode(), t.value, t.error, t.p, t.text.encode()) for t in self.tests], kind)

    def table(self) -> str:
        """One line a test."""
        return "\n".join(f"{test.name:<16}p = {test.p:<10.3g}{test.text}" for test in self.tests)


def circle_map(x: NDArray, z: NDArray, weight: NDArray, centre: NDArray) -> NDArray:
    """Sum weights in bins (125, 96) of rho and of the angle from +z towards +x about `centre`."""
    dx, dz = x - centre[0], z - centre[1]
    row = (np.hypot(dx, dz) * (N_RHO / _FINE.rho_max)).astype(np.int64)
    column = np.minimum(((np.arctan2(dx, dz) / np.pi + 1) * (N_PHI / 2)).astype(np.int64), N_PHI - 1)
    inside = row < N_RHO
    index = row[inside] * N_PHI + column[inside]
    return np.bincount(index, weight[inside], N_RHO * N_PHI).reshape(N_RHO, N_PHI)


def _unfold(quadrant: NDArray, sign: tuple[int, int]) -> NDArray:
    """Folded map (.., n_rho, 24), angle from the z axis, to the circle; `sign` is its parity in x and in z."""
    half = np.concatenate((quadrant, sign[1] * quadrant[..., ::-1]), axis=-1)  # phi 0 .. pi
    return np.concatenate((sign[0] * half[..., ::-1], half), axis=-1) / 4


def _model(result: FitResult) -> tuple[NDArray, NDArray, NDArray]:
    """Give expected counts (125, 96), derivatives (P, 125, 96) and templates (faults, 125, 96) of named faults."""
    spheres, n = result.beta.shape
    background = "background" in result.names
    model = MapModel(_FINE, 2 * n, spheres, background)
    q = result.values[: model.size].copy()
    for part in model.split(q):
        part[3:] *= part[0]
    merge = (_FINE.n_rho // N_RHO, _FINE.n_angle // QUARTER)
    mu = _unfold(coarsen(model.counts(q), *merge), (1, 1))
    even = np.array([_unfold(coarsen(row, *merge), (1, 1)) for row in model.jacobian(q)])
    shifts = []
    for own in range(spheres):
        alone = q.copy()
        for s, part in enumerate(model.split(alone)):
            if s != own:
                part[[0, *range(3, model.block)]] = 0
        if background:
            alone[-1] = 0
        moved = model.shift(alone)
        shifts.append([_unfold(coarsen(moved[a], *merge), ((-1, 1), (1, -1))[a]) for a in range(2)])
    shifts = np.array(shifts)  # (spheres, 2, n_rho, n_phi)
    jacobian = np.concatenate((even, shifts.sum(axis=0)))
    templates = [_unfold(coarsen(model.flat, *merge), (1, 1))]
    # Turning the image by one radian from +z towards +x moves its content along phi.
    step = 2 * np.pi / N_PHI
    templates.append(-(np.roll(mu, -1, axis=1) - np.roll(mu, 1, axis=1)) / (2 * step))
    templates += [shifts[s, axis] for s in range(1, spheres) for axis in range(2)]
    return mu, jacobian, np.array(templates)


class _Refit:
    """Takes out of residuals what a fit would have taken up."""

    def __init__(self, jacobian: NDArray, variance: NDArray):
        flat = jacobian.reshape(len(jacobian), -1)
        scale = np.sqrt((flat**2 / variance.ravel()).sum(axis=1))
        keep = scale > 0
        self._flat = flat[keep] / scale[keep, None]
        self._weighted = self._flat / variance.ravel()
        self._inverse = np.linalg.pinv(self._weighted @ self._flat.T, rcond=1e-10, hermitian=True)

    def __call__(self, residual: NDArray) -> NDArray:
        """Residuals (.., n_rho, n_phi) after one step of the fit."""
        flat = residual.reshape(-1, self._flat.shape[1])
        left = flat - ((flat @ self._weighted.T) @ self._inverse) @ self._flat
        return left.reshape(residual.shape)


def _root(found: NDArray, wanted: NDArray) -> NDArray:
    """Signed root of the Poisson deviance: about N(0, 1), and finite where nothing is expected."""
    wanted = np.maximum(wanted, _LEAST)
    found = np.maximum(found, 0)
    return np.sign(found - wanted) * np.sqrt(np.maximum(2 * (xlogy(found, found / wanted) - found + wanted), 0))


def _blocks(values: NDArray) -> list[tuple[tuple[int, int, bool], NDArray]]:
    """Sum over half-overlapping rings and sectors of all sizes: ((ring width, sector width, folded), sums)."""
    folded = values[..., N_PHI // 2 :] + values[..., : N_PHI // 2][..., ::-1]
    folded = folded[..., :QUARTER] + folded[..., QUARTER:][..., ::-1]
    wrapped = np.concatenate((values, values[..., : max(_SECTORS)]), axis=-1)
    out = []
    for width in _RINGS:
        for array, sectors, is_folded in ((folded, (4, 8, QUARTER), True), (wrapped, _SECTORS, False)):
            for sector in sectors:
                total = np.zeros((*array.shape[:-2], array.shape[-2] + 1, array.shape[-1] + 1))
                total[..., 1:, 1:] = array.cumsum(axis=-2).cumsum(axis=-1)
                rows = np.arange(0, N_RHO - width + 1, width // 2)
                last = QUARTER - sector if is_folded else N_PHI - 1
                columns = np.arange(0, last + 1, sector // 2)
                corner = lambda r, c, t=total: t[..., r[:, None], c]  # noqa: E731
                sums = corner(rows + width, columns + sector) - corner(rows, columns + sector)
                out.append(((width, sector, is_folded), sums - corner(rows + width, columns) + corner(rows, columns)))
    return out


def _worst(found: NDArray, wanted: NDArray) -> tuple[float, str]:
    """Give the largest |pull| of the scan and its region; both maps in units of effective counts."""
    best, where = 0.0, "none"
    for (shape, n), (_, m) in zip(_blocks(found), _blocks(wanted), strict=True):
        pulls = _root(n, m)
        top = np.unravel_index(np.abs(pulls).argmax(), pulls.shape)
        if abs(pulls[top]) > best:
            best, where = float(abs(pulls[top])), _region(shape, top, float(n[top] - m[top]))
    return best, where


def _region(shape: tuple[int, int, bool], index: tuple, excess: float) -> str:
    width, sector, folded = shape
    low = index[0] * (width // 2) / N_RHO
    start = index[1] * (sector // 2) * 360 / N_PHI
    stop = start + sector * 360 / N_PHI
    where = f"radius {low:.3f} to {low + width / N_RHO:.3f}"
    if folded and sector == QUARTER:
        where += ", all round" + (": another sphere?" if excess > 0 else "")
    elif folded:
        where += f", {start:.0f} to {stop:.0f} degrees from the z axis, all four quadrants together"
    else:
        where += f", {start - 180:.0f} to {stop - 180:.0f} degrees from +z towards +x"
    return f"{'more' if excess > 0 else 'fewer'} electrons than expected at {where}"


def _tail(value: float, simulated: NDArray) -> float:
    """P(statistic >= value) from a scaled chi-square of the simulated mean and variance."""
    mean, variance = simulated.mean(), max(simulated.var(ddof=1), 1e-300)
    scale = variance / (2 * mean)
    return float(stats.chi2.sf(value / scale, mean / scale))


def _tail_of_largest(value: float, simulated: NDArray) -> float:
    """P(largest >= value) from a Gumbel distribution of the simulated mean and variance."""
    scale = simulated.std(ddof=1) * math.sqrt(6) / math.pi
    mode = simulated.mean() - np.euler_gamma * scale
    return float(-np.expm1(-np.exp(-(value - mode) / scale)))


def assess(
    x: NDArray,
    z: NDArray,
    weight: NDArray,
    result: FitResult,
    *,
    rng: np.random.Generator,
    variance: NDArray | None = None,
    simulations: int = SIMULATIONS,
) -> Goodness:
    """Test whether the fitted spheres describe the hits.

    Parameters
    ----------
    x, z, weight : arrays (n,)
        The hits that were fitted.
    result : FitResult
    rng : numpy.random.Generator
        Draws the maps that calibrate the tests.
    variance : array (n,) or None
        As in `util.fit.likelihood.fit`.
    simulations : int
        Maps to draw.
    """
    variance = weight**2 if variance is None else variance
    # Sums of weights behave like s times a Poisson number.
    s = float(variance.sum() / weight.sum())
    data = circle_map(x, z, weight, result.centre)
    mu, jacobian, templates = _model(result)
    mu = np.maximum(mu, 0)
    spread = s * np.maximum(mu, _FLOOR * mu.mean())
    refit = _Refit(jacobian, spread)
    drawn = s * rng.poisson(mu / s, (simulations, *mu.shape)) - mu
    drawn = refit(drawn) + mu
    full = mu / s >= _FEWEST

    def deviance(values: NDArray) -> NDArray:
        return (_root(values / s, mu / s) ** 2 * full).sum(axis=(-2, -1))

    def profile(values: NDArray, axis: int) -> NDArray:
        wanted = spread.sum(axis=axis)
        part = (mu.sum(axis=axis) / s >= _FEWEST) / wanted
        return (values - mu).sum(axis=axis) ** 2 @ part

    tests = []
    for name, statistic, what in (
        ("deviance", deviance, "deviance of the map"),
        ("radial profile", lambda values: profile(values, -1), "chi-square of the rings"),
        ("angular profile", lambda values: profile(values, -2), "chi-square of the sectors"),
    ):
        found, null = float(statistic(data)), statistic(drawn)
        if not null.any():  # no cell holds enough electrons
            continue
        text = f"{what} {found:.0f}, expected {null.mean():.0f} +- {null.std():.0f}"
        tests.append(Test(name, found, float("nan"), _tail(found, null), text))
    largest, where = _worst(data / s, mu / s)
    null = np.array([_worst(values / s, mu / s)[0] for values in drawn])
    text = f"{where}: {largest:.1f} standard deviations"
    tests.append(Test("worst region", largest, float("nan"), _tail_of_largest(largest, null), text))
    tests += _named_faults(refit(data - mu), templates, refit(templates), spread, result)

    step = 2 * np.pi / N_PHI
    return Goodness(
        tests=tuple(tests),
        rho=(np.arange(N_RHO) + 0.5) / N_RHO,
        radial=data.sum(axis=1),
        radial_model=mu.sum(axis=1),
        radial_error=np.sqrt(spread.sum(axis=1)),
        phi_rad=-np.pi + (np.arange(N_PHI) + 0.5) * step,
        angular=data.sum(axis=0),
        angular_model=mu.sum(axis=0),
        angular_error=np.sqrt(spread.sum(axis=0)),
    )


def _named_faults(
    residual: NDArray, raw: NDArray, templates: NDArray, spread: NDArray, result: FitResult
) -> list[Test]:
    """Sizes of the faults, as one step of a fit that allowed each alone would give them.

    Where next to nothing is expected the variance is taken too large, so that the p of a background errs on the safe
    side. `raw` are the templates (faults, 125, 96) as they are, `templates` what the fit cannot take up of them.
    """
    before = (raw**2 / spread).sum(axis=(1, 2))
    information = (templates**2 / spread).sum(axis=(1, 2))
    score = (templates * residual / spread).sum(axis=(1, 2))
    # A fault that the fit allows for already leaves no template.
    known = information > 1e-6 * before
    size = np.where(known, score / np.where(known, information, 1), 0)
    error = np.where(known, 1 / np.sqrt(np.where(known, information, 1)), np.inf)
    p = 2 * stats.norm.sf(np.abs(size / error))
    total = result.electrons.sum()
    tests = []
    if "background" not in result.names:
        share, share_error = 100 * size[0] / total, 100 * error[0] / total
        text = f"an even background of {share:.2f} +- {share_error:.2f} % of the electrons"
        tests.append(Test("background", share, share_error, float(p[0]), text))
    degrees, degrees_error = np.degrees(size[1]), np.degrees(error[1])
    text = f"the image is turned by {degrees:.2f} +- {degrees_error:.2f} degrees from +z towards +x"
    tests.append(Test("tilt", float(degrees), float(degrees_error), float(p[1]), text))
    for s in range(1, len(result.electrons)):
        shift, shift_error = size[2 * s : 2 * s + 2], error[2 * s : 2 * s + 2]
        chi2 = float(((shift / shift_error) ** 2).sum())
        text = (
            f"sphere {s + 1} lies ({shift[0]:.5f} +- {shift_error[0]:.5f}, {shift[1]:.5f} +- {shift_error[1]:.5f}) "
            "beside the others"
        )
        tests.append(Test(f"centre of {s + 1}", chi2, float("nan"), float(stats.chi2.sf(chi2, 2)), text))
    return tests
