"""The network: a folded map of electrons in, twelve betas per sphere out.

Two fixed layers come first. `MapInversion` turns the map into shares of each Legendre order at each radius.
`SphereWindows` looks for the spheres in order 0, the radial profile, and cuts a window about each, in units of that
sphere's electrons: what is left to learn no longer depends on where the spheres are. The windows, one above the other,
are an image of one channel, radius x order. A linear shortcut reads it directly; one of torchvision's networks learns
what that leaves. Outputs are in units of the spread of the betas in the prior that the network was first trained on.
"""

from collections.abc import Iterable
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util.training.map_inversion import InputSettings, inversion
from util.training.recipe import Architecture

ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
_CENTROID_CELLS = 2
# Two spheres that are closer than this cannot be told apart in the profile.
CLOSEST = 0.022
# Ridge of the shortcut's fit, in each feature's own variance and in the mean one, as sums of order 0 have none.
_RIDGE, _LEAST_RIDGE = 1e-5, 1e-8
# A window that holds less than this (units of the image) is noise.
_LEAST = 0.5
# Of a profile's highest value, what is less is noise; profiles of a smaller spread may be those of two spheres that
# overlap, at one of these distances.
_FAINT, _OVERLAP, _APART = 0.05, 0.035, (0.002, 0.006, 0.012, 0.02, 0.028)


class MapInversion(nn.Module):
    """Maps (n, n_rho, n_angle) to images (n, cells, orders); fixed, and rebuilt from its settings, so not stored."""

    angular: Tensor
    radial: Tensor

    def __init__(self, settings: InputSettings) -> None:
        super().__init__()
        angular, radial = inversion(settings)
        self.shape = (settings.cells, angular.shape[1])
        self.register_buffer("angular", torch.tensor(angular, dtype=torch.float32), persistent=False)
        self.register_buffer("radial", torch.tensor(radial, dtype=torch.float32), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the images of maps."""
        share = maps / maps.sum((1, 2), keepdim=True).clamp_min(1e-30)
        return ((share @ self.angular).flatten(1) @ self.radial).view(-1, *self.shape)


class SphereWindows(nn.Module):
    """Images (n, cells, orders) to windows (n, spheres, window, orders) about the spheres, ascending in R; fixed."""

    def __init__(self, spheres: int, settings: InputSettings) -> None:
        super().__init__()
        low, high = settings.radii
        self.spheres, self.window, self.low = spheres, settings.window, low
        self.width = (high - low) / settings.cells
        self.apart = max(3, round(CLOSEST / self.width))

    def peaks(self, image: Tensor) -> Tensor:
        """Find the spheres, in cells (n, spheres): the centroids of the highest peaks of the smoothed profile."""
        order_0 = F.pad(image[..., 0], (1, 1))
        # Not as a convolution: CUDA would round its factors to 10 bits.
        profile = (order_0[:, :-2] + order_0[:, 2:]) / 4 + order_0[:, 1:-1] / 2
        cells = torch.arange(profile.shape[1], device=image.device)
        left, found = profile, []
        for _ in range(self.spheres):
            away = (cells - left.argmax(1, keepdim=True)).abs()
            weight = profile.clamp_min(0) * (away <= _CENTROID_CELLS)
            found.append((weight * cells).sum(1) / weight.sum(1).clamp_min(1e-9))
            left = left.masked_fill(away <= self.apart, -torch.inf)
        return torch.stack(found, 1).sort(1).values

    def forward(self, image: Tensor) -> Tensor:
        """Cut the windows, interpolated so that spheres lie in their middle; each order 0 sums to `window` / 4."""
        n, _, orders = image.shape
        offset = torch.arange(self.window, device=image.device) - (self.window - 1) / 2
        position = (self.peaks(image)[:, :, None] + offset).flatten(1) + self.window
        below = position.floor()
        part = (position - below)[..., None]
        padded = F.pad(image, (0, 0, self.window, self.window))
        index = below.long().clamp(0, padded.shape[1] - 2)[..., None].expand(-1, -1, orders)
        cut = padded.gather(1, index) * (1 - part) + padded.gather(1, index + 1) * part
        cut = cut.view(n, self.spheres, self.window, orders)
        electrons = cut[..., :1].sum(2, keepdim=True).clamp_min(_LEAST)
        return cut / electrons * (self.window / 4)


class SphereNet(nn.Module):
    """Betas of the spheres, ascending in R.

    Parameters
    ----------
    arch : Architecture
    spheres : int
        1 or 2.
    settings : InputSettings
        Of the fixed layers; also says how many betas a sphere has.
    label_mean, label_std : tensors (spheres, betas) or None
        Scale of the outputs; None: to be loaded with the weights.
    shortcut : bool
        Whether there is one; without, the network alone reads the windows.
    """

    label_mean: Tensor
    label_std: Tensor

    def __init__(
        self,
        arch: Architecture,
        spheres: int,
        settings: InputSettings,
        label_mean: Tensor | None = None,
        label_std: Tensor | None = None,
        *,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        shape = (spheres, len(settings.beta_mean))
        outputs = shape[0] * shape[1]
        self.arch, self.input_settings = arch, settings
        self.invert = MapInversion(settings)
        self.cut = SphereWindows(spheres, settings)
        features = spheres * settings.window * self.invert.shape[1]
        self.shortcut = nn.Linear(features, outputs) if shortcut else None
        self.net = backbone(arch, outputs)
        self.register_buffer("label_mean", torch.zeros(shape) if label_mean is None else label_mean.float())
        self.register_buffer("label_std", torch.ones(shape) if label_std is None else label_std.float())

    def image(self, maps: Tensor) -> Tensor:
        """Make the image (n, 1, spheres * window, orders); in full precision, as the inversion's sums cancel."""
        with torch.autocast(maps.device.type, enabled=False), torch.no_grad():
            windows: Tensor = self.cut(self.invert(maps.float()))
        return windows.flatten(1, 2)[:, None]

    def forward(self, maps: Tensor) -> Tensor:
        """Return the betas (n, spheres, betas) of maps (n, n_rho, n_angle) of electrons."""
        image = self.image(maps)
        read = image
        if maps.is_cuda:
            read = read.contiguous(memory_format=torch.channels_last)
        out: Tensor = self.net(read).float()
        if self.shortcut is not None:
            with torch.autocast(maps.device.type, enabled=False):
                out = out + self.shortcut(image.flatten(1))
        return out.view(-1, *self.label_mean.shape) * self.label_std + self.label_mean

    @torch.no_grad()
    def radii(self, maps: Tensor) -> Tensor:
        """Return the radii (n, spheres) in detector units: centroids of order 0 within the windows."""
        image = self.invert(maps.float())
        profile = self.cut(image)[..., 0].clamp_min(0)
        offset = torch.arange(profile.shape[2], device=maps.device) - (profile.shape[2] - 1) / 2
        shift = (profile * offset).sum(2) / profile.sum(2).clamp_min(1e-9)
        cells: Tensor = self.cut.peaks(image) + shift + 0.5
        return self.cut.low + cells * self.cut.width

    @torch.no_grad()
    def starting_radii(self, maps: Tensor) -> list[list[list[float]]]:
        """Return radii that a fit of each map may start from, one or more sets of `spheres` each.

        The first are those that are seen. Where the whole profile is no wider than that of two spheres which overlap,
        pairs about its middle follow.
        """
        profile = self.invert(maps.float())[..., 0].clamp_min(0)
        profile = profile * (profile > _FAINT * profile.amax(1, keepdim=True))
        profile = profile / profile.sum(1, keepdim=True).clamp_min(1e-9)
        cells = self.cut.low + (torch.arange(profile.shape[1], device=maps.device) + 0.5) * self.cut.width
        middle = profile @ cells
        spread = (profile @ cells**2 - middle**2).clamp_min(0).sqrt()
        sets = [[seen] for seen in self.radii(maps).tolist()]
        if self.cut.spheres == 2:
            for own, centre, width in zip(sets, middle.tolist(), spread.tolist(), strict=True):
                own += [[centre - apart / 2, centre + apart / 2] for apart in _APART if width < _OVERLAP]
        return sets

    @torch.no_grad()
    def fit_shortcut(self, batches: Iterable[tuple[Tensor, Tensor]], *, by_cell: bool) -> None:
        """Set the shortcut to the least-squares fit to batches of maps (n, n_rho, n_angle) and betas (n, ..).

        Parameters
        ----------
        by_cell : bool
            Whether each cell of a window has a weight of its own, which takes tens of thousands of samples of a narrow
            prior; otherwise all cells of an order share one. Spheres that overlap would spoil the former.
        """
        assert self.shortcut is not None
        window, features, n = self.cut.window, 0, 0
        moments = torch.zeros((), dtype=torch.float64)
        for maps, betas in batches:
            cells = torch.cat([self.image(some) for some in torch.split(maps, 256)]).view(
                len(maps), self.cut.spheres, window, -1
            )
            seen = (cells if by_cell else cells.sum(2)).flatten(1)
            wanted = ((betas - self.label_mean) / self.label_std).flatten(1)
            values = torch.cat([seen, wanted, torch.ones_like(wanted[:, :1])], 1).double()
            moments, n, features = moments + values.T @ values, n + len(maps), seen.shape[1]
        mean = moments[-1, :-1] / n
        covariance = moments[:-1, :-1] / n - mean[:, None] * mean
        inner = covariance[:features, :features]
        inner = inner + torch.diag(_RIDGE * inner.diagonal() + _LEAST_RIDGE * inner.diagonal().mean())
        weight = torch.linalg.solve(inner, covariance[:features, features:])
        self.shortcut.bias.copy_(mean[features:] - mean[:features] @ weight)
        if not by_cell:
            blocks = weight.view(self.cut.spheres, 1, -1, weight.shape[1])
            weight = blocks.expand(-1, window, -1, -1).reshape(-1, weight.shape[1])
        self.shortcut.weight.copy_(weight.T)

    def inherit(self, body: nn.Module) -> None:
        """Take over all layers of another network's backbone but the last, which stays as it is: its answer is 0."""
        last = last_layer(self.net)
        kept = last.weight.clone(), last.bias.clone()
        self.net.load_state_dict(body.state_dict())
        with torch.no_grad():
            last.weight.copy_(kept[0])
            last.bias.copy_(kept[1])


def last_layer(net: nn.Module) -> nn.Linear:
    """Return the layer that gives the answer of one of torchvision's networks."""
    last = net.fc if hasattr(net, "fc") else net.get_submodule("classifier.1")
    assert isinstance(last, nn.Linear)
    return last


def backbone(arch: Architecture, outputs: int) -> nn.Module:
    """Return torchvision's network for one input channel, without pretrained weights; its answer is 0 at first.

    ResNets (He et al., arXiv:1512.03385) and EfficientNet (Tan and Le, arXiv:1905.11946).

    Raises
    ------
    ValueError
        Unknown architecture.
    """
    import torchvision  # takes seconds, which what only starts the processes of a training, or refuses, does not need

    if arch not in ARCHITECTURES:
        raise ValueError(f"expected an architecture of {', '.join(ARCHITECTURES)}, found {arch!r}")
    net: nn.Module = getattr(torchvision.models, arch)(num_classes=outputs)
    if isinstance(net, torchvision.models.EfficientNet):
        net.set_submodule("features.0.0", nn.Conv2d(1, 32, 3, 2, 1, bias=False))
    else:
        net.set_submodule("conv1", nn.Conv2d(1, 64, 7, 2, 3, bias=False))
    last = last_layer(net)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return net


def distance(found: Tensor, truth: Tensor) -> Tensor:
    """Return `util.physics.pad.distance`, with a gradient: (n, S, m) twice to (n,)."""
    order = torch.arange(1, truth.shape[-1] + 1, device=truth.device)
    squares = (found.float() - truth.float()).square() * (2 / (4 * order + 1))
    # The slope of the root is infinite at exactly 0.
    return (squares.sum(-1) + 1e-14).sqrt().sum(-1)


def freeze_statistics(net: nn.Module) -> None:
    """Let batch normalisation use its running averages in training too."""
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
