"""How far a network's reading lies from a fit where all is as in its training: stored with its weights.

A network answers whatever it is shown. Where it is shown what it was not trained on, its reading and a fit to the same
hits, which knows nothing of the prior, go different ways.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

# Radii nearer than this the network itself tells badly: no guide.
APART = 0.05
PER_BETA = 10


@dataclass(frozen=True)
class Reference:
    """Reading less fit, of samples of a prior.

    Attributes
    ----------
    covariance : (k, k)
        Of the betas of all spheres, k = S m.
    mean, variance : float
        Of the squared distances in terms of that covariance.
    electrons : float
        Of all spheres, in the samples' mean.
    """

    covariance: tuple[tuple[float, ...], ...]
    mean: float
    variance: float
    electrons: float

    def p(self, read: NDArray[np.float64], fitted: NDArray[np.float64], electrons: float) -> float:
        """Return the probability that betas (S, m) read and fitted lie as far apart in samples like these.

        Fewer electrons let both scatter more. The distribution is taken as a scaled chi-square of the samples' mean
        and variance (Satterthwaite 1946, Biometrics Bulletin 2, 110).
        """
        away = (read - fitted).ravel()
        distance = float(away @ np.linalg.solve(np.array(self.covariance), away)) * min(1.0, electrons / self.electrons)
        scale = self.variance / (2 * self.mean)
        return float(chdtrc(self.mean / scale, distance / scale))


def reference_of(away: NDArray[np.float64], electrons: float) -> Reference:
    """Return the reference of readings less fits (n, S, m).

    Raises
    ------
    ValueError
        Fewer than `PER_BETA` samples for each beta: the covariance would be chance.
    """
    fewest = PER_BETA * away[0].size if len(away) else 1
    if len(away) < fewest:
        raise ValueError(f"expected at least {fewest} samples that were read and fitted, found {len(away)}")
    flat = away.reshape(len(away), -1)
    n = len(flat)
    covariance = flat.T @ flat / n
    squares = np.einsum("ni,ij,nj->n", flat, np.linalg.inv(covariance), flat)
    # Each in terms of the covariance of the others: what is measured later is none of them.
    squares = squares * (n - 1) / (n - squares)
    rows = tuple(map(tuple, covariance.tolist()))
    return Reference(rows, float(squares.mean()), float(squares.var(ddof=1)), electrons)
