"""What spheres a network is trained on: priors of the parameters, and draws from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from util.physics import pad
from util.runtime.atomic_file import replacing
from util.runtime.facts import to_json, unstructure

# Redrawing for ever would hide a prior that allows nothing.
_MOST_ROUNDS = 200
_PART = 4000
# In a prior about an answer no parameter is taken to be known better than this.
_LEAST_R, _LEAST_SIGMA_R, _LEAST_BETA = 0.005, 0.001, 0.005
_ELECTRONS_WITHIN = 0.15


@dataclass(frozen=True)
class SpherePrior:
    """Prior of one sphere.

    Attributes
    ----------
    R, sigma_R, electrons : (low, high)
        Uniform between these; detector units, and electrons of the whole measurement.
    mu, sigma : tuples of n floats
        beta_{2i} ~ N(mu_i, sigma_i), redrawn until it lies within the limits.
    limits : tuple of n (low, high)

    Raises
    ------
    ValueError
        Ranges that are empty or leave the screen, lists of different lengths.
    """

    R: tuple[float, float]
    sigma_R: tuple[float, float]
    electrons: tuple[float, float]
    mu: tuple[float, ...]
    sigma: tuple[float, ...]
    limits: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        for name in ("R", "sigma_R", "electrons"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name}: expected 0 < low <= high, found [{low}, {high}]")
        if not self.R[0] - 5 * self.sigma_R[1] > 0 or not self.R[1] + 5 * self.sigma_R[1] <= 1:
            raise ValueError(f"R +- 5 sigma_R must stay within 0 and 1, found R {self.R} and sigma_R {self.sigma_R}")
        if not self.mu or not len(self.mu) == len(self.sigma) == len(self.limits):
            raise ValueError(
                f"expected mu, sigma and limits of one length, found {len(self.mu)}, {len(self.sigma)} and "
                f"{len(self.limits)}"
            )
        for i, (spread, (low, high)) in enumerate(zip(self.sigma, self.limits, strict=True)):
            if not (spread > 0 and low < high):
                raise ValueError(
                    f"beta_{2 * i + 2}: expected sigma above 0 and low < high, found {spread}, [{low}, {high}]"
                )


@dataclass(frozen=True)
class Prior:
    """Prior of all spheres of a sample; read from param/pretraining.toml and the like by `util.runtime.settings.load`.

    Attributes
    ----------
    training, validation : int
        Samples of the two sets, unless told otherwise.
    closest : float
        Least distance of neighbouring radii; draws that are closer, or not ascending, are redrawn.
    spheres : tuple of SpherePrior

    Raises
    ------
    ValueError
        No spheres, different numbers of betas, radii that cannot ascend.
    """

    training: int
    validation: int
    closest: float
    spheres: tuple[SpherePrior, ...]

    def __post_init__(self) -> None:
        if self.training < 1 or self.validation < 1:
            raise ValueError(f"expected at least one sample of each set, found {self.training}, {self.validation}")
        if not self.spheres:
            raise ValueError("no spheres; add a [[spheres]] table for each")
        if len({len(sphere.mu) for sphere in self.spheres}) != 1:
            raise ValueError("all spheres must have equally many betas")
        lowest = self.spheres[0].R[0]
        for sphere in self.spheres[1:]:
            lowest = max(lowest + self.closest, sphere.R[0])
            if lowest > sphere.R[1]:
                raise ValueError(f"no ascending radii that are {self.closest} apart fit into the ranges of R")

    @property
    def betas(self) -> int:
        """Number of betas of each sphere."""
        return len(self.spheres[0].mu)

    def first(self, spheres: int) -> "Prior":
        """Return the prior of the first `spheres` of its spheres alone.

        Raises
        ------
        ValueError
            It has fewer.
        """
        if spheres > len(self.spheres):
            raise ValueError(f"expected {spheres} spheres, found {len(self.spheres)}; use --spheres")
        return replace(self, spheres=self.spheres[:spheres])


class Draws(NamedTuple):
    """Parameters of n samples: beta (n, S, m); R ascending, sigma_R, electrons (n, S)."""

    beta: NDArray[np.float64]
    R: NDArray[np.float64]
    sigma_R: NDArray[np.float64]
    electrons: NDArray[np.float64]


def draw(prior: Prior, n: int, *, rng: np.random.Generator) -> Draws:
    """Draw the parameters of `n` samples.

    Raises
    ------
    ValueError
        Hardly any draw from this prior is a density, or its radii hardly ever ascend.
    """
    radii = _redraw(
        lambda m: np.stack([rng.uniform(*sphere.R, size=m) for sphere in prior.spheres], axis=1),
        lambda R: np.all(np.diff(R, axis=1) >= max(prior.closest, 1e-9), axis=1),
        n,
        "radii that ascend",
    )
    betas = [draw_betas(sphere, n, rng=rng) for sphere in prior.spheres]
    sigma_R = np.stack([rng.uniform(*sphere.sigma_R, size=n) for sphere in prior.spheres], axis=1)
    electrons = np.stack([rng.uniform(*sphere.electrons, size=n) for sphere in prior.spheres], axis=1)
    return Draws(np.stack(betas, axis=1), radii, sigma_R, electrons)


def draw_betas(sphere: SpherePrior, n: int, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the betas (n, m) of one sphere: normal, within the limits, I(c) >= 0.

    Raises
    ------
    ValueError
        Hardly any draw is a density.
    """
    return _redraw(lambda some: _draw_betas(sphere, some, rng), _are_densities, n, "betas that are a density")


def _are_densities(beta: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return `pad.is_density` of betas (n, m), taken in parts: it looks at hundreds of angles per draw."""
    return np.concatenate([pad.is_density(beta[start : start + _PART]) for start in range(0, len(beta), _PART)])


def _draw_betas(sphere: SpherePrior, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw normal numbers within limits (n, m) by the inverse distribution function: none is thrown away."""
    mu, sigma, limits = np.array(sphere.mu), np.array(sphere.sigma), np.array(sphere.limits)
    low, high = (limits.T - mu) / sigma
    # In the tail where the distribution function is small, and keeps its digits.
    flip = low > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    # In logarithms: forty standard deviations out a probability underflows.
    below, top = np.exp(log_ndtr(low) - log_ndtr(high)), log_ndtr(high)
    t = ndtri_exp(top + np.log(below + rng.uniform(size=(n, mu.size)) * (1 - below)))
    return np.clip(mu + sigma * np.where(flip, -t, t), *limits.T)


def _redraw(
    draw_some: Callable[[int], NDArray[np.float64]],
    accepts: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    n: int,
    what: str,
) -> NDArray[np.float64]:
    kept: list[NDArray[np.float64]] = []
    have = 0
    for _ in range(_MOST_ROUNDS):
        if have >= n:
            break
        some = draw_some(max(n - have + 8, 16))
        some = some[accepts(some)]
        kept.append(some)
        have += len(some)
    else:
        raise ValueError(f"this prior hardly ever gives {what}; correct its ranges")
    return np.concatenate(kept)[:n] if kept else draw_some(0)


def around(
    R: NDArray[np.float64],
    sigma_R: NDArray[np.float64],
    electrons: NDArray[np.float64],
    beta: NDArray[np.float64],
    errors: Sequence[NDArray[np.float64]],
    *,
    widen: float,
) -> Prior:
    """Return a prior about an answer, as wide as its errors times `widen`.

    Parameters
    ----------
    R, sigma_R, electrons : arrays (S,)
    beta : array (S, m)
    errors : R, sigma_R (S,) and beta (S, m)
        Standard errors. However small they are, no range is narrower than a fraction of the detector's resolution.
    widen : float
        How many errors a standard deviation of beta is; R and sigma_R may lie 3 times as far from the answer.

    Raises
    ------
    ValueError
        The answer, so widened, leaves the screen.
    """
    R_error, sigma_error, beta_error = errors
    spheres = []
    for s in range(len(R)):
        reach = max(3 * widen * R_error[s], _LEAST_R)
        width = max(3 * widen * sigma_error[s], _LEAST_SIGMA_R)
        spread = np.maximum(widen * beta_error[s], _LEAST_BETA)
        lowest, highest = max(sigma_R[s] - width, 0.003), sigma_R[s] + width
        spheres.append(
            SpherePrior(
                R=(float(R[s] - reach), float(min(R[s] + reach, 1 - 5 * highest))),
                sigma_R=(float(lowest), float(highest)),
                electrons=(
                    float(electrons[s] * (1 - _ELECTRONS_WITHIN)),
                    float(electrons[s] * (1 + _ELECTRONS_WITHIN)),
                ),
                mu=tuple(beta[s].tolist()),
                sigma=tuple(spread.tolist()),
                limits=tuple((float(b - 3 * d), float(b + 3 * d)) for b, d in zip(beta[s], spread, strict=True)),
            )
        )
    return Prior(4000, 500, 0.0, tuple(spheres))


def write_prior(path: Path, prior: Prior, heading: str) -> None:
    """Write a prior as TOML that `util.runtime.settings.load` reads; `heading` becomes its comment."""
    keys = unstructure(prior)
    spheres = keys.pop("spheres")
    # A list or number in JSON is one in TOML too.
    lines = [f"# {heading}", *(f"{key} = {to_json(value)}" for key, value in keys.items())]
    for sphere in spheres:
        lines += ["", "[[spheres]]", *(f"{key} = {to_json(value)}" for key, value in sphere.items())]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
