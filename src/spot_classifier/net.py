"""The spot classifier, which says whether the cell in the middle of a patch holds an electron, and where in it.

Four times 3 x 3 convolution, pooling, activation; then two linear layers. No padding and no stride, and the linear
layers are written as convolutions: so the same network reads a patch, or a whole frame in one pass, with one answer for
each cell that a patch fits around.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.network.checkpoint import read_checkpoint
from src.spot_classifier.patch_file import TaskName
from src.spot_classifier.patches import GaussSettings
from util.runtime.errors import InputError
from util.training.course import Course


@dataclass(frozen=True, kw_only=True)
class SpotFacts(Course):
    """How a classifier was trained.

    Attributes
    ----------
    task : {"pixel", "finder"}
    seed : int
    patches : (training, validation)
    settings : GaussSettings
    """

    task: TaskName
    seed: int
    patches: tuple[int, int]
    settings: GaussSettings


class SpotNet(nn.Module):
    """Images (n, h, w) in counts to (n, 3, h - 2 half_width, w - 2 half_width): logit, and offset in cells.

    Parameters
    ----------
    settings : GaussSettings
    """

    def __init__(self, settings: GaussSettings) -> None:
        super().__init__()
        self.scale = settings.scale
        layers: list[nn.Module] = []
        before = 1
        for channels in settings.channels:
            layers += [nn.Conv2d(before, channels, 3), nn.MaxPool2d(2, stride=1), nn.ReLU()]
            before = channels
        left = settings.side - 3 * len(settings.channels)
        self.blocks = nn.Sequential(*layers)
        self.linear = nn.Sequential(
            nn.Conv2d(before, settings.hidden, left), nn.ReLU(), nn.Conv2d(settings.hidden, 3, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Answer for every cell that a whole patch fits around."""
        answers: Tensor = self.linear(self.blocks(images[:, None] / self.scale))
        return answers


def losses(output: Tensor, targets: Tensor, offset_weight: float) -> Tensor:
    """Return the loss of each patch (n,): binary cross entropy, and the squared error of the offset where one is known.

    Parameters
    ----------
    output : tensor (n, 3, 1, 1)
    targets : tensor (n, 3)
        1 or 0, and the offset; nan where no electron is near.
    offset_weight : float
    """
    output = output.flatten(1).float()
    entropy = F.binary_cross_entropy_with_logits(output[:, 0], targets[:, 0], reduction="none")
    known = targets[:, 1:].isfinite()
    squares = torch.where(known, output[:, 1:] - targets[:, 1:].nan_to_num(), 0.0).square().sum(1)
    return entropy + offset_weight * squares


def read_spot_net(path: Path) -> tuple[SpotNet, SpotFacts]:
    """Read a trained classifier and the facts of its training.

    Raises
    ------
    InputError
        Missing, or no weights of this network.
    """
    maker, remedy = "run_gauss_model.sh", "train it anew with script/run_gauss_model.sh"
    tensors, facts = read_checkpoint(SpotFacts, path, maker=maker, remedy=remedy)
    net = SpotNet(facts.settings)
    try:
        net.load_state_dict(tensors)
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"{path}: expected weights of the spot classifier, found others ({str(error).splitlines()[0][:100]}); "
            f"{remedy}"
        ) from None
    return net.eval(), facts
