"""The published network: torchvision's, as it is, from the matrix of electrons to the betas."""

import torch
from torch import Tensor, nn

from src.network.model import backbone, last_layer
from util.training.matrix_input import MatrixInput
from util.training.recipe import Architecture

_BRIGHTEST = 255.0


class MatrixNet(nn.Module):
    """Betas of the spheres, ascending in R; nothing before, beside or after the network.

    Parameters
    ----------
    arch : Architecture
    spheres : int
        1 or 2.
    settings : MatrixInput
    label_mean : tensor (spheres, betas) or None
        Of the first prior that it was trained on: kept for the record, the answer does not use it. None: to be loaded
        with the weights.
    """

    label_mean: Tensor
    shortcut = None

    def __init__(
        self, arch: Architecture, spheres: int, settings: MatrixInput, label_mean: Tensor | None = None
    ) -> None:
        super().__init__()
        shape = (spheres, settings.betas)
        self.arch, self.input_settings = arch, settings
        self.net = backbone(arch, spheres * settings.betas)
        # No shortcut answers in its place at first.
        last_layer(self.net).reset_parameters()
        self.register_buffer("label_mean", torch.zeros(shape) if label_mean is None else label_mean.float())

    def forward(self, matrices: Tensor) -> Tensor:
        """Return the betas (n, spheres, betas) of matrices (n, pixels, pixels) of electrons."""
        brightest = matrices.amax((1, 2), keepdim=True).clamp_min(1e-30)
        image = (matrices * (_BRIGHTEST / brightest))[:, None]
        if image.is_cuda:
            image = image.contiguous(memory_format=torch.channels_last)
        out: Tensor = self.net(image).float()
        return out.view(-1, *self.label_mean.shape)
