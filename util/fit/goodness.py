"""Does the model describe the hits? Tests on all four quadrants, calibrated by simulation, that say where it does not.

The fit sees folded hits only; here they are binned over the full circle, so that what folding hides (a tilt, spheres
about different centres) shows too. Some tests name no fault: deviance, radial profile, angular profile, and the worst
of all rings and sectors of many sizes. Others measure the size of a named fault: background, tilt, centres apart. All
null distributions come from maps drawn at the fit, with one step of refitting.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from util.fit.circle_map import N_PHI, N_RHO, QUARTER, circle_map, unfold
from util.fit.map_model import MapModel
from util.fit.region_scan import signed_root, worst_region
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, coarsen
from util.runtime.value_with_error import shorthand

SIMULATIONS = 200
ALARM = 1e-3  # p below which a warning is given; with eight tests, one sound answer in about 150 gets one
_FINE = PolarBins()
_FLOOR = 1e-3  # of the mean bin; a stray hit where nothing is expected is no catastrophe
_FEWEST = 5.0  # electrons that a bin of the deviance must expect


@dataclass(frozen=True)
class Test:
    """One test.

    Attributes
    ----------
    name : str
    value, error : float
        The statistic, or the size of a named fault with its error (nan where there is none).
    p : float
        Probability of a value at least as extreme where the model is right.
    text : str
        What was found, in words.
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
    rho: NDArray[np.float64]
    radial: NDArray[np.float64]
    radial_model: NDArray[np.float64]
    radial_error: NDArray[np.float64]
    phi_rad: NDArray[np.float64]
    angular: NDArray[np.float64]
    angular_model: NDArray[np.float64]
    angular_error: NDArray[np.float64]

    @property
    def warnings(self) -> list[str]:
        """One sentence for each test that the model fails."""
        return [f"the model does not describe the data: {t.text} (p = {t.p:.1g})" for t in self.tests if t.p < ALARM]

    def rows(self) -> NDArray[np.void]:
        """Return the tests as a structured array, for final.h5."""
        kind = [("Name", "S16"), ("Value", "<f8"), ("Error", "<f8"), ("P", "<f8"), ("Text", "S160")]
        return np.array([(t.name.encode(), t.value, t.error, t.p, t.text.encode()) for t in self.tests], kind)

    def table(self) -> str:
        """Return one line per test."""
        rows = [(test.name, f"p = {test.p:.3g}", test.text) for test in self.tests]
        return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _model(result: FitResult) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return expected counts (125, 96), derivatives (P, 125, 96) and templates (faults, 125, 96) of named faults."""
    model, q = MapModel(_FINE, result.layout), result.layout.to_internal(result.values)
    merge = (_FINE.n_rho // N_RHO, _FINE.n_angle // QUARTER)
    mu = unfold(coarsen(model.counts(q), *merge), (1, 1))
    even = np.array([unfold(coarsen(row, *merge), (1, 1)) for row in model.jacobian(q)])
    # (S, 2, 125, 96): a shift in x is odd in x, one in z odd in z.
    parities = ((-1, 1), (1, -1))
    shifts = np.array(
        [
            [unfold(coarsen(moved, *merge), parity) for moved, parity in zip(own, parities, strict=True)]
            for own in model.shifts(q)
        ]
    )
    jacobian = np.concatenate((even, shifts.sum(axis=0)))
    templates = [unfold(coarsen(model.templates["background"], *merge), (1, 1))]
    # Turning the image by one radian from +z towards +x moves its content along phi.
    step = 2 * np.pi / N_PHI
    templates.append(-(np.roll(mu, -1, axis=1) - np.roll(mu, 1, axis=1)) / (2 * step))
    templates += list(shifts[1:].reshape(-1, N_RHO, N_PHI))
    return mu, jacobian, np.array(templates)


class _Refit:
    """Removes from residuals what a fit would absorb."""

    def __init__(self, jacobian: NDArray[np.float64], variance: NDArray[np.float64]) -> None:
        flat = jacobian.reshape(len(jacobian), -1)
        scale = np.sqrt((flat**2 / variance.ravel()).sum(axis=1))
        keep = scale > 0
        self._flat = flat[keep] / scale[keep, None]
        self._weighted = self._flat / variance.ravel()
        self._inverse = np.linalg.pinv(self._weighted @ self._flat.T, rcond=1e-10, hermitian=True)

    def __call__(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return residuals (.., n_rho, n_phi) after one step of the fit."""
        flat = residual.reshape(-1, self._flat.shape[1])
        left = flat - ((flat @ self._weighted.T) @ self._inverse) @ self._flat
        return left.reshape(residual.shape)


def _tail(value: float, simulated: NDArray[np.float64]) -> float:
    """Return P(statistic >= value) from a scaled chi-square of the simulated mean and variance.

    Satterthwaite 1946, Biometrics Bulletin 2, 110.
    """
    mean, variance = simulated.mean(), max(simulated.var(ddof=1), 1e-300)
    scale = variance / (2 * mean)
    return float(stats.chi2.sf(value / scale, mean / scale))


def _tail_of_largest(value: float, simulated: NDArray[np.float64]) -> float:
    """Return P(largest >= value) from a Gumbel distribution (1958) of the simulated mean and variance."""
    scale = simulated.std(ddof=1) * math.sqrt(6) / math.pi
    mode = simulated.mean() - np.euler_gamma * scale
    return float(-np.expm1(-np.exp(-(value - mode) / scale)))


def assess(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64],
    result: FitResult,
    *,
    rng: np.random.Generator,
    variance: NDArray[np.float64] | None = None,
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
    # Sums of weights behave like s times a Poisson number; 1 / s is the effective number per electron (Kish 1965).
    s = float(variance.sum() / weight.sum())
    data = circle_map(x, z, weight, result.centre)
    mu, jacobian, templates = _model(result)
    mu = np.maximum(mu, 0)
    spread = s * np.maximum(mu, _FLOOR * mu.mean())
    refit = _Refit(jacobian, spread)
    drawn = s * rng.poisson(mu / s, (simulations, *mu.shape)) - mu
    maps = _Maps(data, refit(drawn) + mu, mu, spread, s)
    faults = _named_faults(refit(data - mu), templates, refit(templates), spread, result)
    step = 2 * np.pi / N_PHI
    return Goodness(
        tests=(*_of_the_whole(maps), _of_regions(maps), *faults),
        rho=(np.arange(N_RHO) + 0.5) / N_RHO,
        radial=data.sum(axis=1),
        radial_model=mu.sum(axis=1),
        radial_error=np.sqrt(spread.sum(axis=1)),
        phi_rad=-np.pi + (np.arange(N_PHI, dtype=np.float64) + 0.5) * step,
        angular=data.sum(axis=0),
        angular_model=mu.sum(axis=0),
        angular_error=np.sqrt(spread.sum(axis=0)),
    )


class _Maps(NamedTuple):
    """Counts found (125, 96), drawn at the fit (n, 125, 96), expected; variance of these, which is `s` times them."""

    data: NDArray[np.float64]
    drawn: NDArray[np.float64]
    mu: NDArray[np.float64]
    spread: NDArray[np.float64]
    s: float


def _of_the_whole(maps: _Maps) -> list[Test]:
    """Deviance of the map, and chi-squares of its radial and its angular profile."""
    mu, spread, s = maps.mu, maps.spread, maps.s
    full = mu / s >= _FEWEST

    def deviance(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (signed_root(values / s, mu / s) ** 2 * full).sum(axis=(-2, -1))

    def profile(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        wanted = spread.sum(axis=axis)
        part = (mu.sum(axis=axis) / s >= _FEWEST) / wanted
        return (values - mu).sum(axis=axis) ** 2 @ part

    tests = []
    for name, statistic, what in (
        ("deviance", deviance, "deviance of the map"),
        ("radial profile", lambda values: profile(values, -1), "chi-square of the rings"),
        ("angular profile", lambda values: profile(values, -2), "chi-square of the sectors"),
    ):
        found, null = float(statistic(maps.data)), statistic(maps.drawn)
        if not null.any():  # no cell holds enough electrons
            continue
        text = f"{what} {found:.0f}, expected {null.mean():.0f} +- {null.std():.0f}"
        tests.append(Test(name, found, float("nan"), _tail(found, null), text))
    return tests


def _of_regions(maps: _Maps) -> Test:
    """Test the worst of all rings and sectors."""
    mu, s = maps.mu, maps.s
    largest, where = worst_region(maps.data / s, mu / s)
    null = np.array([worst_region(values / s, mu / s)[0] for values in maps.drawn])
    text = f"{where}: {largest:.1f} standard deviations"
    return Test("worst region", largest, float("nan"), _tail_of_largest(largest, null), text)


def _named_faults(
    residual: NDArray[np.float64],
    raw: NDArray[np.float64],
    templates: NDArray[np.float64],
    spread: NDArray[np.float64],
    result: FitResult,
) -> list[Test]:
    """Measure each fault by one step of a fit that allowed it alone: a score test (Rao 1948).

    Where next to nothing is expected the variance is taken too large, so that the p of a background errs on the safe
    side. `raw` are the templates (faults, 125, 96) as they are, `templates` what the fit cannot absorb of them.
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
    if "background" not in result.layout.nuisances:
        share, share_error = 100 * size[0] / total, 100 * error[0] / total
        text = f"an even background of {shorthand(share, share_error)} % of the electrons"
        tests.append(Test("background", share, share_error, float(p[0]), text))
    degrees, degrees_error = np.degrees(size[1]), np.degrees(error[1])
    text = f"the image is turned by {shorthand(degrees, degrees_error)} degrees from +z towards +x"
    tests.append(Test("tilt", float(degrees), float(degrees_error), float(p[1]), text))
    for s in range(1, len(result.electrons)):
        shift, shift_error = size[2 * s : 2 * s + 2], error[2 * s : 2 * s + 2]
        chi2 = float(((shift / shift_error) ** 2).sum())
        along_x, along_z = (shorthand(*pair) for pair in zip(shift, shift_error, strict=True))
        text = f"sphere {s + 1} lies beside the others, by {along_x} along x and {along_z} along z"
        tests.append(Test(f"centre of {s + 1}", chi2, float("nan"), float(stats.chi2.sf(chi2, 2)), text))
    return tests
