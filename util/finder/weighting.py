"""How many electrons a lump of light stands for: its flux, rounded where that is safe.

One electron's flux spreads by a sixth, so that weighting every hit by its flux adds a thirtieth to the variance of any
sum. Most hits stand alone, and their flux tells beyond doubt whether they are one electron or two. So a lump, the hits
that lie so close together that the finder may have split or merged them according to their brightness, gets

    h(F) = sum_n c_n p_n(F) / sum_n q_n p_n(F),    F its flux in electrons, p_n the law of n electrons' flux,

with c_n such that the mean of h over n electrons is n, for every n: of all unbiased weights the one that scatters least
where n electrons lie together with the frequencies q_n (by Lagrange multipliers). Since each n by itself is right on
average, it does not matter how often electrons really lie together; where n can be told, h is n, and where it cannot, h
tends to F.

Where one electron's flux spreads so broadly that it does not tell one from two, as the exponential pulse heights of a
plate that is not saturated do, its scatter would more than double the variance. There every hit above some flux counts
as the electrons of which one is that bright. Flux is that of even gain, or more would be counted where the plate is
good.

p_n is a gamma distribution: closed under sums, and as skewed as the product of a brightness and a squared size.
"""

import functools
import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincc, gammaln

from util.camera.imperfections import smooth_map
from util.finder.gain_map import crowd_at, fit_gain
from util.finder.pulse_heights import FAINT_END, LEAST, gamma_law

MOST = 8  # electrons in a lump that is weighted so; more count as their flux
BROADEST = 0.3  # relative spread of one electron's flux beyond which it no longer tells how many there are
FREQUENCY = 0.1  # of n + 1 electrons in a lump, relative to n; affects the scatter alone
FAINTEST = 4.0  # spreads below the mean flux, where one electron in 100,000 lies: what is fainter counts as its flux
# Spot sizes: hits nearer than this are weighted together, for only their joint flux does not depend on how the finder
# split it. In 20,000 frames a bias of the weights shows at 1.6 (p = 1e-11 where 110 electrons crowd, 1e-38 where PADs
# are peaked like c^12), at 2.0 in the latter (0.005), at 2.4 nowhere.
LUMP = 2.4
ABOVE_FAINTEST = 1.5  # times the flux of the faintest lone hits, from which on all electrons of a broad law are found
# Of the mean flux: a quarter of the faintest height that is sought, half of where a spot may start. With exponential
# heights 1.0 to 1.4 % of the lone hits are fainter, and false: as many where the plate has a threshold far above.
NO_ELECTRON = LEAST / 4
CROWD = 1.5  # spot sizes: how far hits of a broad law hide others, or are taken with them for one
FEWEST_LONE = 2000  # hits that stand alone; from so many, the mean flux is better known than from what was learnt
STEP = 0.0025  # electrons, of the table


def multiplicity(flux: ArrayLike, spread: float) -> NDArray[np.float64]:
    """Return the electrons that lumps of light stand for.

    Parameters
    ----------
    flux : array_like
        Of each lump, over one electron's mean flux.
    spread : float
        Relative spread of one electron's flux, at least 0; above `BROADEST` the flux itself is returned.

    Returns
    -------
    ndarray of float64, the shape of `flux`
        Its mean over lumps of n electrons is n, for n up to `MOST`.
    """
    flux = np.asarray(flux, dtype=float)
    if spread > BROADEST:
        return flux.copy()
    spread = max(spread, 0.02)
    at, value = _table(round(spread, 4))
    return np.where((flux > 1 - FAINTEST * spread) & (flux < at[-1]), np.interp(flux, at, value), flux)


@functools.lru_cache(maxsize=4)
def _table(spread: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tabulate fluxes and what they stand for, up to where the flux itself takes over."""
    n = np.arange(1, MOST + 1)[:, None]
    flux = np.arange(STEP, MOST + 8 * spread * math.sqrt(MOST), STEP)
    shape = n / spread**2
    log_p = (shape - 1) * np.log(flux) - flux / spread**2 - gammaln(shape) - 2 * shape * math.log(spread)
    log_q = n * math.log(FREQUENCY)
    ratio = np.exp(log_p - np.logaddexp.reduce(log_p + log_q, axis=0))
    means = np.exp(log_p) @ ratio.T * STEP  # (n, m): of the m-th term over n electrons
    value = np.linalg.solve(means, n[:, 0]) @ ratio
    below = flux < MOST - 1.5  # from there on the constraints of the next numbers would be missed
    return flux[below], value[below]


def weight_hits(events: NDArray[np.void], sigma: float, spread: float) -> NDArray[np.float64]:
    """Return the electrons that each hit stands for: those of its lump, shared out by flux.

    Parameters
    ----------
    events : structured array (n,)
        Hits of whole frames, one frame after another, with fields ImageId, x, z and flux.
    sigma : float
        Size of one electron's spot [detector units].
    spread : float
        Relative spread of one electron's flux.

    Returns
    -------
    ndarray of float64 (n,)
        Where enough hits stand alone, these tell the mean flux anew, and how it changes over the screen
        (`util.finder.gain_map`): 2,000 learnt spots give it to 0.4 %, and an error of 0.2 % changes the weight of
        crowded electrons so much that an answer from 50,000 frames moves by 0.2 statistical floors.
    """
    flux = events["flux"].astype(float)
    lump = lumps(events["ImageId"], events["x"], events["z"], LUMP * sigma)
    alone = np.bincount(lump, minlength=flux.size)[lump] == 1
    broad = spread > BROADEST
    if broad and np.count_nonzero(alone) < FEWEST_LONE:
        return flux
    least = all_found_from(flux[alone]) if broad else 0.0
    x, z = (events[name][alone].astype(float) for name in ("x", "z"))
    crowd = crowd_at(events["x"], events["z"], CROWD * sigma) if broad else None
    gain = fit_gain(x, z, flux[alone], spread, fewest=FEWEST_LONE, least=least, crowd=crowd)
    if gain.terms:
        flux /= smooth_map(gain.terms, events["x"].astype(float), events["z"].astype(float))
    if broad:
        return _counted(flux, alone)
    light = np.bincount(lump, flux, flux.size)[lump]
    return multiplicity(light / gain.unit, spread) * flux / light


def all_found_from(flux: NDArray[np.float64]) -> float:
    """Return the flux from which on all electrons of a broad law are found, from those of lone hits (n,)."""
    return ABOVE_FAINTEST * float(np.quantile(flux[flux > NO_ELECTRON], FAINT_END))


def _counted(flux: NDArray[np.float64], alone: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weigh hits by their brightness alone: those above `all_found_from` stand for all electrons, the others for none.

    `flux` is that of even gain, `alone` tells which hits are lone; arrays (n,).
    """
    least = all_found_from(flux[alone])
    law, _ = gamma_law(flux[alone], least)
    shape = (law.mean / law.std) ** 2
    return np.where(flux > least, 1 / gammaincc(shape, shape * least / law.mean), 0.0)


@njit(cache=True)
def lumps(
    frame: NDArray[np.integer], x: NDArray[np.floating], z: NDArray[np.floating], reach: float
) -> NDArray[np.int64]:
    """Label the lumps of hits at x, z (n,), linked by steps shorter than `reach` in one `frame` (n,): int64 (n,)."""
    label = np.arange(x.size)
    first = 0
    for i in range(x.size):
        if frame[i] != frame[first]:
            first = i
        for j in range(first, i):
            if (x[i] - x[j]) ** 2 + (z[i] - z[j]) ** 2 < reach * reach and label[i] != label[j]:
                old, new = label[i], label[j]
                for m in range(first, i + 1):
                    if label[m] == old:
                        label[m] = new
    return label
