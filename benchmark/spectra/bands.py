"""How often the errors of fitted spectra cover the truth, and how often a peak is seen where there is none.

Spectra are drawn at random. Errors are asked about at radii where the true intensity is above 2 % of its maximum and
no two peaks are near each other; the control halves them, and has to be found wanting.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from benchmark.shared.electrons import hits_at
from benchmark.spectra.inversions import ORDER, by_us, judged
from benchmark.spectra.truth import DEGREES, Truth, drawn
from util.fit.detection import Detection
from util.runtime.errors import InputError
from util.runtime.executor import map_in_order, open_executor
from util.spectrum.spectrum import Spectrum

FIRST = 100_000  # seed of the first spectrum, away from those that --draw is given
CENTRE = np.array([[0.004], [-0.003]])
_BRIGHT = 0.02  # of the highest intensity
_CLEAR = 5.0  # errors by which a ghost has electrons
_NAMES = ("intensity", *(f"beta_{degree}" for degree in DEGREES))
_NORMAL = math.erf(1 / math.sqrt(2)), math.erf(2 / math.sqrt(2))
_ALLOWED = 0.03  # below the normal share
Row = dict[str, Any]  # what one spectrum says, as the JSON file has it


def deviations(spectrum: Spectrum, truth: Truth) -> NDArray[np.float64]:
    """Return (found - true) / error of the intensity and the betas (3, n) where they are asked about; NaN for none."""
    wanted, betas = truth.curves(spectrum.r), judged(spectrum.degrees)
    asked = (wanted.intensity > _BRIGHT * wanted.intensity.max()) & truth.is_resolved(spectrum.r)
    off = np.vstack((spectrum.intensity - wanted.intensity, spectrum.beta[betas] - wanted.beta))[:, asked]
    with np.errstate(divide="ignore", invalid="ignore"):
        return off / np.vstack((spectrum.intensity_error, spectrum.beta_error[betas]))[:, asked]


def ghosts(spectrum: Spectrum, truth: Truth) -> int:
    """Return how many clear peaks stand where the truth expects less than one electron within two resolutions."""
    peaks = spectrum.peaks
    clear = peaks.electrons > _CLEAR * peaks.electrons_error
    width = np.interp(peaks.R, spectrum.lines.radii, spectrum.lines.widths)
    reach = 2 * np.maximum(width, np.nan_to_num(peaks.sigma_R))[:, None] * np.linspace(-1, 1, 81)
    intensity = truth.curves((peaks.R[:, None] + reach).ravel()).intensity
    there = np.trapezoid(intensity.reshape(reach.shape), reach, axis=1)
    return int((clear & (there < 1)).sum())


def one(electrons: float, seed: int) -> Row:
    """Fit one drawn spectrum; return the shares within 1, 2 and 1/2 errors (3, 3), and the number of ghosts."""
    truth = Truth(f"draw {seed}", drawn(seed), electrons)
    at = truth.sample(np.random.default_rng([933, seed])) + CENTRE
    try:
        spectrum, _, seconds = by_us(hits_at(at), Detection(), seed)
    except InputError as error:
        return {"seed": seed, "error": str(error)}
    pulls = np.abs(deviations(spectrum, truth))
    if not pulls.size:
        return {"seed": seed, "error": "no radius to ask about"}
    told = [part[np.isfinite(part)] for part in pulls]
    shares = [[float((part < size).mean()) if part.size else np.nan for size in (1, 2, 0.5)] for part in told]
    known = float(np.isfinite(pulls[1:]).mean())
    return {
        "seed": seed,
        "shares": shares,
        "told": known,
        "ghosts": ghosts(spectrum, truth),
        "order": spectrum.degrees[-1],
        "seconds": seconds,
    }


def measure_bands(spectra: int, electrons: Sequence[float], seed: int, workers: int) -> list[Row]:
    """Fit `spectra` drawn spectra at each number of electrons, print what was found, and return it."""
    out: list[Row] = []
    for count in electrons:
        tasks = range(FIRST + seed, FIRST + seed + spectra)
        with open_executor(workers) as executor:
            rows = list(map_in_order(executor, partial(one, count), tasks, in_flight=2 * workers))
        answered = [row for row in rows if "shares" in row]
        print(f"\n== {count:g} electrons, {len(answered)} of {spectra} spectra")
        out.append({"electrons": count, "rows": rows})
        if len(answered) > 1:
            report(answered)
    return out


def report(rows: Sequence[Row]) -> None:
    """Print the shares, each spectrum with one vote, whether they hold, and the ghosts."""
    shares = np.array([row["shares"] for row in rows])
    mean, error = np.nanmean(shares, axis=0), np.nanstd(shares, axis=0, ddof=1) / math.sqrt(len(rows))
    lines = []
    for k, name in enumerate(_NAMES):
        told = [f"{100 * mean[k, j]:.1f} +- {100 * error[k, j]:.1f} %" for j in range(3)]
        allowed = _NORMAL[0] - np.maximum(_ALLOWED, 2 * error[k])
        verdicts = ["holds" if mean[k, j] >= allowed[j] else "wanting" for j in (0, 2)]
        lines.append((name, *told[:2], verdicts[0], told[2], verdicts[1]))
    normal = [f"{100 * share:.1f} %" for share in _NORMAL]
    headers = ("", f"1 error ({normal[0]})", f"2 errors ({normal[1]})", "", "halved errors", "")
    print(tabulate(lines, headers=headers, tablefmt="plain", disable_numparse=True))
    blind = [line[0] for line in lines if line[-1] != "wanting"]
    if blind:
        print(f"halved errors are not found wanting: {', '.join(blind)}; this says nothing of the errors then")
    print(f"betas are told at {100 * np.mean([row['told'] for row in rows]):.0f} % of these radii")
    raised = sum(row["order"] > ORDER for row in rows)
    print(f"an order above {ORDER}, which no truth has, in {raised} of {len(rows)} spectra")
    found = sum(row["ghosts"] > 0 for row in rows)
    print(f"ghost peaks in {found} of {len(rows)} spectra; {np.median([row['seconds'] for row in rows]):.1f} s each")
