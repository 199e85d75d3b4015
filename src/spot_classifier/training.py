"""The training of the spot classifier: its patches as batches, its scores, and the files that it writes."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from src.network import processes
from src.network.checkpoint import TrainingState, check_same, read_checkpoint, write_checkpoint, write_curve
from src.network.dataset import TRAINING, seeded
from src.network.loop import Validation, run_epochs
from src.network.schedule import Duration
from src.network.training_step import running_average
from src.spot_classifier.net import SpotFacts, SpotNet, losses
from src.spot_classifier.patch_file import TaskName, read_patches
from src.spot_classifier.patches import KINDS, POSITIVE, GaussSettings
from util.runtime.facts import to_json
from util.runtime.progress import over


def tensors(rows: NDArray[np.void]) -> tuple[Tensor, Tensor]:
    """Return images (n, side, side) and targets (n, 3) of patches: 1 or 0, and the offset."""
    targets = np.concatenate((rows["Kind"][:, None] == POSITIVE, rows["Offset"]), axis=1, dtype=np.float32)
    return torch.from_numpy(rows["Image"].astype(np.float32)), torch.from_numpy(targets)


@torch.no_grad()
def answers(net: nn.Module, rows: NDArray[np.void], batch: int = 2048) -> NDArray[np.float32]:
    """Ask the network, on its device, about each patch (n, 3): logit and offset [cells]."""
    net.eval()
    device = next(net.parameters()).device
    images = (tensors(rows[start : start + batch])[0].to(device) for start in range(0, len(rows), batch))
    found: NDArray[np.float32] = torch.cat([net(some).flatten(1) for some in images]).cpu().numpy()
    return found


def scores(said: NDArray[np.bool_], kind: NDArray[np.uint8]) -> dict[str, float]:
    """Return F1, precision, recall and accuracy, and the accuracy of each kind of patch.

    Parameters
    ----------
    said : (n,) bool
        Whether an electron was said to be there.
    kind : (n,)
        Index into `src.spot_classifier.patches.KINDS`.
    """
    true = kind == POSITIVE
    hits, answered, holding = (int(np.count_nonzero(which)) for which in (said & true, said, true))
    precision, recall = hits / max(answered, 1), hits / max(holding, 1)
    found = {
        "accuracy": float(np.mean(said == true)),
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "precision": precision,
        "recall": recall,
    }
    for index, name in enumerate(KINDS):
        if (kind == index).any():
            found[f"accuracy_{name}"] = float(np.mean(said[kind == index] == (index == POSITIVE)))
    return found


class SpotTask:
    """The classifier's training for the loop: patches to train on and to validate with."""

    frozen = 0.0

    def __init__(self, settings: GaussSettings, rows: NDArray[np.void], valid: NDArray[np.void], *, seed: int) -> None:
        self.settings, self.rows, self.valid, self.seed = settings, rows, valid, seed
        self.losses = functools.partial(losses, offset_weight=settings.offset)

    def steps(self, _: int) -> int:
        """Return the number of batches, of which the last may not be full."""
        return -(-len(self.rows) // self.settings.batch)

    def weight(self, _: int) -> float:
        """Return 1: there is one process."""
        return 1.0

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and targets of an epoch, in an order that depends on seed and epoch alone."""
        order = seeded(self.seed, TRAINING, epoch).permutation(len(self.rows))
        starts = range(0, len(order), self.settings.batch)
        for start in over(starts, f"training, epoch {epoch + 1}", len(starts), "batch"):
            yield tensors(self.rows[order[start : start + self.settings.batch]])

    def validate(self, net: nn.Module) -> Validation:
        """Score the network on the patches that it was not trained on."""
        said = answers(net, self.valid)
        found = self.losses(torch.from_numpy(said)[:, :, None, None], tensors(self.valid)[1])
        return Validation(found.double().numpy(), scores(said[:, 0] > 0, self.valid["Kind"]))


def train(
    folder: Path,
    task: TaskName,
    settings: GaussSettings,
    *,
    device: torch.device,
    seed: int,
    resume: bool,
    say: Callable[[str], None],
) -> None:
    """Train the epochs that are left.

    Parameters
    ----------
    folder : Path
        Of the patches; `src.run_gauss_model` says what is written there after each epoch.
    task : {"pixel", "finder"}
    settings : GaussSettings
    device : torch.device
    seed : int
    resume : bool
        Whether to resume from a checkpoint, where there is one.
    say : function
        Called with a line per epoch.

    Raises
    ------
    InputError
        Patches that are missing or of another kind, a checkpoint of another run, a loss that is not finite.
    """
    rows, valid = (read_patches(folder / f"{task}_{part}.h5", settings) for part in ("train", "valid"))
    patches = len(rows), len(valid)
    torch.manual_seed(seed)
    net = processes.place(SpotNet(settings), device)
    optimiser = torch.optim.Adam([{"params": list(net.parameters()), "pace": 1.0}], lr=settings.rate)
    facts = SpotFacts(
        task=task, seed=seed, patches=patches, settings=settings, epoch=0, samples=0, seconds=0.0, curve=()
    )
    state = TrainingState(net, running_average(net, settings.ema), optimiser, facts)
    checkpoint = folder / f"{task}.checkpoint.pt"
    if resume and checkpoint.exists():
        remedy = "begin anew with --restart"
        saved, state.facts = read_checkpoint(SpotFacts, checkpoint, maker="run_gauss_model.sh", remedy=remedy)
        check_same(checkpoint, state.facts, task=task, seed=seed, patches=patches, settings=settings)
        state.load(saved, checkpoint)

    def keep(now: TrainingState[SpotFacts], _: bool) -> None:
        now.write(checkpoint)
        write_checkpoint(folder / f"{task}.weights.pt", now.average.module.state_dict(), now.facts)
        write_curve(folder / f"{task}.jsonl", now.facts)
        say(to_json(now.facts.curve[-1]))

    run_epochs(state, SpotTask(settings, rows, valid, seed=seed), Duration(settings.epochs), seed=seed, keep=keep)
