"""Matrices of electrons, drawn on the device that trains as they are needed.

Published, 4,500 matrices of 1024 x 1024 were 40 GB of files. Here only their parameters are drawn beforehand. A matrix
follows from these and a seed of its own, so it is the same whenever it is drawn, in whichever batch, on one device.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.network.dataset import seeded
from util.physics.pixel_maps import NODES, pixel_sums, power_to_legendre, shell_functions
from util.physics.shell_maps import power_coefficients, shell_weights
from util.training.matrix_input import MatrixInput
from util.training.priors import Draws

_CHUNK = 64


class MatrixSet(NamedTuple):
    """What the matrices of a set follow from, on the device.

    Attributes
    ----------
    power : tensor (n, S, m + 1) float64
        Coefficients of cos^{2k}.
    shells : tensor (n, S, centres) float64
        Electrons of each narrow shell.
    betas : tensor (n, S, m) float32
    seeds : list of n int
        On the CPU.
    """

    power: Tensor
    shells: Tensor
    betas: Tensor
    seeds: list[int]


class MatrixDrawer:
    """Draws matrices; nothing in it waits for the device.

    Parameters
    ----------
    settings : MatrixInput
    device : torch.device
    """

    def __init__(self, settings: MatrixInput, device: torch.device) -> None:
        self.settings, self.device = settings, device
        order = 2 * settings.betas
        sums = pixel_sums(settings.pixels, order)
        orders = np.arange(settings.betas + 1, dtype=np.int32)
        rows = (sums.node[..., None] * orders.size + orders).reshape(len(sums.node), -1)
        self._rows = torch.from_numpy(rows).to(device)
        self._weight = torch.from_numpy(sums.weight.reshape(rows.shape)).to(device)
        self._table = torch.tensor(shell_functions(order), device=device)
        self._to_legendre = torch.from_numpy(power_to_legendre(settings.betas)).to(device)
        self._generator = torch.Generator(device)

    def prepare(self, draws: Draws, seed: int, *key: int) -> MatrixSet:
        """Bring the parameters of a set to the device; its seeds depend on (seed, key, number of the sample) alone."""
        shells = shell_weights(draws.R, draws.sigma_R) * draws.electrons[..., None]
        states = seeded(seed, *key).integers(2**62, size=len(draws.R))
        return MatrixSet(
            torch.from_numpy(power_coefficients(draws.beta)).to(self.device),
            torch.from_numpy(shells).to(self.device),
            torch.from_numpy(draws.beta).float().to(self.device),
            states.tolist(),
        )

    def expected(self, power: Tensor, shells: Tensor) -> Tensor:
        """Return the electrons (n, pixels, pixels) expected in each pixel; parameters as in `MatrixSet`."""
        n, half = len(power), self.settings.pixels // 2
        spread = torch.einsum("nsk,nsc->knc", power, shells)
        # In double precision until the powers of the cosine, which cancel, are gone.
        radial = torch.bmm(spread, self._table)
        functions = torch.einsum("jk,knr->rjn", self._to_legendre, radial).float()
        quadrant = F.embedding_bag(
            self._rows,
            functions.reshape(NODES.size * len(self._to_legendre), n),
            mode="sum",
            per_sample_weights=self._weight,
        )
        right = quadrant.T.reshape(n, half, half).clamp_min(0)
        upper = torch.cat((right.flip(2), right), 2)
        return torch.cat((upper.flip(1), upper), 1)

    def draw(self, made: MatrixSet, chosen: list[int]) -> tuple[Tensor, Tensor]:
        """Draw the chosen matrices of a set, a Poisson number of electrons per pixel, and return their betas too."""
        index = torch.tensor(chosen).to(self.device, non_blocking=True)
        expected = self.expected(made.power[index], made.shells[index])
        counts = torch.empty_like(expected)
        for i, number in enumerate(chosen):
            self._generator.manual_seed(made.seeds[number])
            counts[i] = torch.poisson(expected[i], generator=self._generator)
        return counts, made.betas[index]

    def draw_all(self, made: MatrixSet) -> Tensor:
        """Draw all matrices of a set."""
        numbers = list(range(len(made.seeds)))
        parts = [self.draw(made, numbers[start : start + _CHUNK])[0] for start in range(0, len(numbers), _CHUNK)]
        return torch.cat(parts)
