"""Does the model describe the hits? Tests on all four quadrants, calibrated by simulation, that say where it does not.

Some tests name no fault: deviance, radial profile, angular profile, and the worst of all rings and sectors of many
sizes; their null distributions come from maps drawn at the fit, with one step of refitting. Others measure the size of
a named fault: each piece of the model that was not fitted, and centres apart (`util.fit.score_test`).
"""

import math
from collections.abc import Callable
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
from util.fit.parameters import PIECES, Layout, Piece
from util.fit.region_scan import signed_root, sums_of, worst_region
from util.fit.result import FitResult
from util.fit.score_test import Lack, ScoreTest
from util.runtime.progress import over
from util.runtime.value_with_error import shorthand

SIMULATIONS = 200
ALARM = 1e-3  # p below which a warning is given; with eleven tests, one sound answer in about 100 gets one
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
    chi2 : float
        Of a named fault: how much better a fit that allowed it would be; 0 otherwise.
    """

    name: str
    value: float
    error: float
    p: float
    text: str
    chi2: float = 0.0


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
    maps = _Maps(found, refit(drawn) + mu, mu, spread, s)
    step = 2 * np.pi / N_PHI
    return Goodness(
        tests=(*_of_the_whole(maps), _of_regions(maps), *_named_faults(ScoreTest(model, data, q), result)),
        rho=(np.arange(N_RHO) + 0.5) / N_RHO,
        radial=found.sum(axis=1),
        radial_model=mu.sum(axis=1),
        radial_error=np.sqrt(spread.sum(axis=1)),
        phi_rad=-np.pi + (np.arange(N_PHI, dtype=np.float64) + 0.5) * step,
        angular=found.sum(axis=0),
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
    wanted = sums_of(mu / s)
    largest, where = worst_region(sums_of(maps.data / s), wanted)
    drawn = over(maps.drawn, "testing the fit", len(maps.drawn), "map")
    null = np.array([worst_region(sums_of(values / s), wanted)[0] for values in drawn])
    text = f"{where}: {largest:.1f} standard deviations"
    return Test("worst region", largest, float("nan"), _tail_of_largest(largest, null), text)


def _named_faults(test: ScoreTest, result: FitResult) -> list[Test]:
    """Measure each fault by one step of a fit that allowed it alone.

    Where next to nothing is expected the variance is taken too large, so that the p of a background errs on the safe
    side.
    """
    tests = []
    for piece in PIECES:
        lack = None if piece in result.layout.pieces else test.of_piece(piece)
        if lack:
            value, error, text = _TEXTS[piece](lack, result)
            # There are no fewer slow electrons than none: no piece describes that.
            remedy = "" if piece == "blob" and value < 0 else f": --fit {piece}"
            tests.append(Test(piece, value, error, lack.p, text + remedy, lack.chi2))
    for s in range(1, len(result.electrons)):
        lack = test.of_centre(s)
        if lack is None:
            continue
        along_x, along_z = (shorthand(*pair) for pair in zip(lack.size, lack.error, strict=True))
        text = f"sphere {s + 1} lies beside the others, by {along_x} along x and {along_z} along z"
        tests.append(Test(f"centre of {s + 1}", lack.chi2, float("nan"), lack.p, text, lack.chi2))
    return tests


def _share(lack: Lack, result: FitResult) -> tuple[float, float]:
    """Return size and error of the first parameter in percent of the electrons."""
    total = result.electrons.sum()
    return 100 * float(lack.size[0]) / total, 100 * float(lack.error[0]) / total


def _background(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    share = _share(lack, result)
    return *share, f"an even background of {shorthand(*share)} % of the electrons"


def _blob(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    share = _share(lack, result)
    return *share, f"slow electrons about the centre, {shorthand(*share)} % of all"


def _rotation(lack: Lack, _: FitResult) -> tuple[float, float, str]:
    turned = float(np.degrees(lack.size[0])), float(np.degrees(lack.error[0]))
    return *turned, f"the image is turned by {shorthand(*turned)} degrees from +z towards +x"


def _ellipse(lack: Lack, _: FitResult) -> tuple[float, float, str]:
    size = float(np.hypot(*lack.size[:2]))
    toward = lack.size[:2] / max(size, 1e-300)
    error = float(np.sqrt(toward @ lack.covariance[:2, :2] @ toward))
    # One axis is longer by as much as the other is shorter.
    longer = 200 * size, 200 * error
    return *longer, f"the image is an ellipse, one axis longer by {shorthand(*longer)} %"


def _odd(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    layout = Layout(result.layout.spheres, result.layout.order, ("odd",))
    pulls = np.abs(lack.size / np.where(lack.error > 0, lack.error, np.inf))
    clearest = int(pulls.argmax())
    electrons = result.electrons[clearest // len(layout.odd_degrees)]
    beta = float(lack.size[clearest] / electrons), float(lack.error[clearest] / electrons)
    name = layout.nuisances[clearest]
    return *beta, f"forward and backward differ, {name} is about {shorthand(*beta)}"


def _shape(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    layout = Layout(result.layout.spheres, result.layout.order, ("shape",))
    pulls = np.abs(lack.size / np.where(lack.error > 0, lack.error, np.inf))
    clearest = int(pulls.argmax())
    found = float(lack.size[clearest]), float(lack.error[clearest])
    return *found, f"the lines are not Gaussian, {layout.nuisances[clearest]} is about {shorthand(*found)}"


_TEXTS: dict[Piece, Callable[[Lack, FitResult], tuple[float, float, str]]] = {
    "background": _background,
    "rotation": _rotation,
    "ellipse": _ellipse,
    "blob": _blob,
    "odd": _odd,
    "shape": _shape,
}
