"""Does the model describe the hits? Tests on all four quadrants, calibrated by simulation, that say where it does not.

Some tests name no fault: deviance, radial profile, angular profile, and the worst of all rings and sectors of many
sizes; their null distributions come from maps drawn at the fit, with one step of refitting. Others measure the size of
a named fault: each piece of the model that was not fitted, and centres apart (`util.fit.score_test`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from util.fit.chi_square import tail
from util.fit.circle_map import BINS, N_PHI, N_RHO, around
from util.fit.detection import Detection
from util.fit.map_data import Hits, fold_hits
from util.fit.map_model import MapModel, expected_variance
from util.fit.named_faults import Test, named_faults
from util.fit.region_scan import signed_root, sums_of, worst_region
from util.fit.result import FitResult
from util.fit.score_test import ScoreTest
from util.runtime.progress import over

SIMULATIONS = 200
ALARM = 1e-3  # p below which a warning is given; with eleven tests, one sound answer in about 100 gets one
_FEWEST = 5.0  # electrons that a bin of the deviance must expect


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
        """One sentence for each test that the model fails; of named faults for the one that explains most.

        What one fault does to the image looks in part like others: these are told only once that one is fitted.
        """
        failed = [test for test in self.tests if test.p < ALARM]
        most = max((test.chi2 for test in failed), default=0.0)
        told = [test for test in failed if test.chi2 in (0.0, most)]
        return [f"the model does not describe the data: {test.text} (p = {test.p:.1g})" for test in told]

    def rows(self) -> NDArray[np.void]:
        """Return the tests as a structured array, for final.h5."""
        kind = [("Name", "S16"), ("Value", "<f8"), ("Error", "<f8"), ("P", "<f8"), ("Text", "S160")]
        return np.array([(t.name.encode(), t.value, t.error, t.p, t.text.encode()) for t in self.tests], kind)

    def summary(self) -> str:
        """Say in a line whether the tests are passed."""
        failed = sum(test.p < ALARM for test in self.tests)
        verdict = f"{failed} of them failed" if failed else "none failed"
        worst = min(self.tests, key=lambda test: test.p)
        return f"{len(self.tests)} tests of the fit, {verdict} (p < {ALARM:g}); lowest: {worst.name}, p = {worst.p:.3g}"

    def table(self) -> str:
        """Return one line per test."""
        rows = [(test.name, f"p = {test.p:.3g}", test.text) for test in self.tests]
        return tabulate(rows, tablefmt="plain", disable_numparse=True)


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
    return tail(value / scale, mean / scale)


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
    detection: Detection = Detection(),  # noqa: B008 - frozen
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
    detection : Detection
        What the detector shows of the image.
    simulations : int
        Maps to draw.
    """
    layout = result.layout
    data = fold_hits(
        Hits(x, z, weight, variance).seen_by(detection), layout.geometry_of(result.values), BINS, detection
    )
    model, q = MapModel(BINS, layout, data.geometry), layout.to_internal(result.values)
    # Sums of weights behave like s times a Poisson number; 1 / s is the effective number per electron (Kish 1965).
    s = data.variance_per_electron
    found = around(data.counts)
    mu = np.maximum(around(data.expected(model.counts(q))), 0)
    spread = s * expected_variance(mu)
    slopes = model.slopes(q).quadrants() * data.exposure
    refit = _Refit(around(slopes), spread)
    drawn = np.asarray(s * rng.poisson(mu / s, (simulations, *mu.shape)) - mu, np.float64)
    maps = Maps(found, refit(drawn) + mu, mu, spread, s)
    return goodness_of(maps, named_faults(ScoreTest(model, data, q), result))


class Maps(NamedTuple):
    """Counts found (125, 96), drawn at the fit (n, 125, 96), expected; variance of these, which is `s` times them."""

    data: NDArray[np.float64]
    drawn: NDArray[np.float64]
    mu: NDArray[np.float64]
    spread: NDArray[np.float64]
    s: float


def goodness_of(maps: Maps, faults: Sequence[Test]) -> Goodness:
    """Test maps; return these tests and then those of named faults, with the profiles."""
    found, mu = maps.data, maps.mu
    step = 2 * np.pi / N_PHI
    return Goodness(
        tests=(*_of_the_whole(maps), _of_regions(maps), *faults),
        rho=(np.arange(N_RHO) + 0.5) / N_RHO,
        radial=found.sum(axis=1),
        radial_model=mu.sum(axis=1),
        radial_error=maps.drawn.sum(axis=-1).std(axis=0),
        phi_rad=-np.pi + (np.arange(N_PHI, dtype=np.float64) + 0.5) * step,
        angular=found.sum(axis=0),
        angular_model=mu.sum(axis=0),
        angular_error=maps.drawn.sum(axis=-2).std(axis=0),
    )


def _of_the_whole(maps: Maps) -> list[Test]:
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


def _of_regions(maps: Maps) -> Test:
    """Test the worst of all rings and sectors."""
    mu, s = maps.mu, maps.s
    wanted = sums_of(mu / s)
    largest, where = worst_region(sums_of(maps.data / s), wanted)
    drawn = over(maps.drawn, "testing the fit", len(maps.drawn), "map")
    null = np.array([worst_region(sums_of(values / s), wanted)[0] for values in drawn])
    text = f"{where}: {largest:.1f} standard deviations"
    return Test("worst region", largest, float("nan"), _tail_of_largest(largest, null), text)
