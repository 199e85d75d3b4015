"""Maps of electrons, drawn on the device that trains: the distribution of `src.network.dataset.fresh_samples`.

A GPU reads tens of thousands of maps a second, and the cores beside it draw a few thousand. So parameters are drawn
on the GPU by the same rules as `util.training.priors.draw`, and maps follow from a table of narrow shells
(`util.physics.shell_maps`). Its angular functions are Legendre polynomials instead of powers of the cosine: those of
degree 24 cancel to nine digits, and single precision holds seven.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from util.physics import pad
from util.physics.polar_map import angular_factors
from util.physics.shell_maps import CENTRES, SHELL, STEP, shell_table
from util.training.map_inversion import InputSettings
from util.training.priors import Prior, SpherePrior

_PART = 4096  # draws at a time whose I(c) is looked at
_ANGLES_PER_PERIOD = 64  # where I(c) >= 0 is asked for, in the shortest period of a PAD
_MOST_ROUNDS = 200
_FARTHEST = 35  # standard deviations of limits from mu: beyond, probabilities underflow


class DeviceDraws(NamedTuple):
    """As `util.training.priors.Draws`, float32 on the device; R, sigma_R, electrons (n, S), beta (n, S, m)."""

    beta: Tensor
    R: Tensor
    sigma_R: Tensor
    electrons: Tensor


class PriorDrawer:
    """Draws the parameters of spheres on a device, in double precision."""

    def __init__(self, prior: Prior, device: torch.device) -> None:
        self._prior, self._device = prior, device
        angles = torch.linspace(0, math.pi / 2, _ANGLES_PER_PERIOD * prior.betas // 2 + 1, dtype=torch.float64)
        values = pad.polynomials(prior.betas, np.cos(angles.numpy()))
        self._legendre = torch.from_numpy(values).to(device)
        for sphere in prior.spheres:
            for mu, sigma, (low, high) in zip(sphere.mu, sphere.sigma, sphere.limits, strict=True):
                if max(low - mu, mu - high) > _FARTHEST * sigma:
                    raise ValueError(
                        f"limits [{low}, {high}] lie more than {_FARTHEST} sigma from mu = {mu}, where a GPU cannot "
                        "draw; correct them, or train with NGPU=0"
                    )

    def draw(self, n: int, generator: torch.Generator) -> DeviceDraws:
        """Draw the parameters of `n` samples; waits for the device a few times.

        Raises
        ------
        ValueError
            Hardly any draw from this prior is a density, or its radii hardly ever ascend.
        """
        spheres = self._prior.spheres
        R = self._redraw(n, generator, self._radii, "radii that ascend")
        betas = [
            self._redraw(n, generator, functools.partial(self._densities, sphere), "betas that are a density")
            for sphere in spheres
        ]
        sigma_R = self._uniform([sphere.sigma_R for sphere in spheres], n, generator)
        electrons = self._uniform([sphere.electrons for sphere in spheres], n, generator)
        return DeviceDraws(*(part.float() for part in (torch.stack(betas, 1), R, sigma_R, electrons)))

    def _uniform(self, ranges: list[tuple[float, float]], n: int, generator: torch.Generator) -> Tensor:
        low, high = torch.tensor(ranges, dtype=torch.float64, device=self._device).T
        share = torch.rand(n, len(ranges), dtype=torch.float64, device=self._device, generator=generator)
        return low + share * (high - low)

    def _radii(self, n: int, generator: torch.Generator) -> Tensor:
        R = self._uniform([sphere.R for sphere in self._prior.spheres], n, generator)
        return R[(R.diff(dim=1) >= max(self._prior.closest, 1e-9)).all(1)]

    def _densities(self, sphere: SpherePrior, n: int, generator: torch.Generator) -> Tensor:
        beta = self._betas(sphere, n, generator)
        lowest = torch.cat([(part @ self._legendre).amin(1) for part in beta.split(_PART)]) + 0.5
        return beta[lowest >= -pad.TOLERANCE]

    def _betas(self, sphere: SpherePrior, n: int, generator: torch.Generator) -> Tensor:
        """Draw normal numbers within limits (n, m), as `util.training.priors` does."""
        mu, sigma, limits = (
            torch.tensor(values, dtype=torch.float64, device=self._device)
            for values in (sphere.mu, sphere.sigma, sphere.limits)
        )
        low, high = (limits.T - mu) / sigma
        # In the tail where the distribution function is small, and keeps its digits.
        flip = low > 0
        low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
        below, top = torch.special.ndtr(low), torch.special.ndtr(high)
        share = torch.rand(n, len(mu), dtype=torch.float64, device=self._device, generator=generator)
        t = torch.special.ndtri(below + share * (top - below))
        return torch.clamp(mu + sigma * torch.where(flip, -t, t), *limits.T)

    def _redraw(
        self, n: int, generator: torch.Generator, draw: Callable[[int, torch.Generator], Tensor], what: str
    ) -> Tensor:
        kept: list[Tensor] = []
        have, tried = 0, 0
        for _ in range(_MOST_ROUNDS):
            if have >= n:
                return torch.cat(kept)[:n]
            # As many as should do, by what was accepted so far.
            some = min(math.ceil((n - have) * 1.1 * (tried + 1) / (have + 1)) + 64, 4 * n + 64)
            kept.append(draw(some, generator))
            have, tried = have + len(kept[-1]), tried + some
        raise ValueError(f"this prior hardly ever gives {what}; correct its ranges")


class MapDrawer:
    """Draws maps on a device; nothing in it waits for the device.

    Parameters
    ----------
    settings : InputSettings
    device : torch.device
    """

    def __init__(self, settings: InputSettings, device: torch.device) -> None:
        self._settings, betas = settings, len(settings.beta_mean)
        to_power = pad.legendre_to_power(betas)
        shells = shell_table(settings.bins, 2 * betas)  # (k, centres, n_rho)
        table = np.einsum("jk,kcr,kl->lcjr", np.linalg.inv(to_power), shells, to_power, optimize=True)
        angular = to_power.T @ angular_factors(settings.bins, 2 * betas).value

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self._table = tensor(table.reshape((betas + 1) * CENTRES.size, -1))
        self._angular, self._centres = tensor(angular), tensor(CENTRES)

    def expected(self, draws: DeviceDraws) -> Tensor:
        """Return the electrons (n, n_rho, n_angle) expected in each bin, as `util.physics.shell_maps.expected_maps`."""
        spread = torch.sqrt(draws.sigma_R[..., None] ** 2 - SHELL**2)
        away = (self._centres - draws.R[..., None]) / spread
        weights = torch.exp(-(away**2) / 2) * (STEP / math.sqrt(2 * math.pi)) / spread * draws.electrons[..., None]
        terms = F.pad(draws.beta, (1, 0), value=0.5)
        shells = torch.einsum("nsl,nsc->nlc", terms, weights).flatten(1)
        radial = (shells @ self._table).view(len(shells), len(self._angular), -1)
        return torch.einsum("njr,ja->nra", radial, self._angular).clamp_min(0)

    def observe(self, draws: DeviceDraws, generator: torch.Generator) -> Tensor:
        """Draw maps (n, n_rho, n_angle), as `util.physics.shell_maps.observe`."""
        counts = torch.poisson(self.expected(draws), generator=generator)
        noise = torch.randn(counts.shape, dtype=counts.dtype, device=counts.device, generator=generator)
        return counts + self._settings.weight_spread * counts.sqrt() * noise
