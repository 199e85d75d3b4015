"""The law of pulse heights, from those of spots that stand alone.

A narrow law is told by its bulk. A broad one has its faint end below what the search finds, or below a threshold of the
plate, and a long bright end that no clipping may touch: a gamma law is fitted to the heights above the faintest found.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammainc, gammaincc, gammaincinv, gammaln

from util.camera.detector import Detector
from util.camera.phosphor import Normal

BROAD = 0.25  # relative spread from which heights follow a gamma law
FAINT_END = 0.01  # part of the heights left out there, for what is fainter may be no electron
CUT_OFF = 3.0  # times as many as were left out must be missing for the faint end to be a threshold

ABOVE_LIMIT = 1.5  # times what the search finds; a threshold below is not told from the search's own
# Over the mean: what is sought, however faint the law's faint end. Without it, what bright spots of an exponential law
# leave unexplained is taken for faint ones: a fifth of the hits were false, and F1 0.87 in place of 0.955.
LEAST = 0.2
PROMINENT = 0.7  # height of the faintest of a narrow law, for which the settings of the search are made


def faintest(detector: Detector) -> float:
    """Return the height of the faintest electrons to be found, over that of a narrow law's faintest; at most 1."""
    screen, A = detector.imperfections, detector.A
    if screen.pulse_heights == "normal":
        return 1.0
    k = max((A.mean / A.std) ** 2, 1.0)
    return min(max(screen.threshold, float(gammaincinv(k, FAINT_END)) / k, LEAST) / PROMINENT, 1.0)


def gamma_law(heights: NDArray[np.float64], limit: float) -> tuple[Normal, float]:
    """Fit a gamma law to heights (n,), by maximum likelihood of those above their faint end.

    Parameters
    ----------
    heights : array (n,)
    limit : float
        Height from which the search finds spots.

    Returns
    -------
    law : Normal
        Mean and spread of the whole law; the spread is not above the mean, as an exponential law's.
    threshold : float
        Over the mean: where the heights begin, 0 where they fade out.
    """
    lowest = max(float(np.quantile(heights, FAINT_END)), limit)
    kept = heights[heights > lowest]
    mean, mean_log = float(kept.mean()), float(np.log(kept).mean())

    def surprise(p: NDArray[np.float64]) -> float:
        k, scale = np.exp(p)
        inside = max(float(gammaincc(k, lowest / scale)), 1e-300)
        return float(-((k - 1) * mean_log - mean / scale - gammaln(k) - k * np.log(scale) - np.log(inside)))

    start = np.log([2.0, mean / 2])
    found = minimize(surprise, start, method="L-BFGS-B", bounds=[(0.0, 4.0), (start[1] - 5, start[1] + 3)])
    k, scale = np.exp(found.x)
    missing = float(gammainc(k, lowest / scale))
    cut_off = missing > CUT_OFF * FAINT_END and lowest > ABOVE_LIMIT * limit
    threshold = lowest / (k * scale) if cut_off else 0.0
    return Normal(float(k * scale), float(np.sqrt(k) * scale)), float(threshold)
