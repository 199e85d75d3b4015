"""Weights of a trained network: a file of half-precision tensors and, separately, the facts of their training."""

from pathlib import Path

from torch import Tensor

from src.network.checkpoint import read_checkpoint
from src.network.matrix_net import MatrixNet
from src.network.model import SphereNet
from util.runtime.errors import InputError
from util.training.course import TrainingFacts
from util.training.matrix_input import MatrixInput

Network = SphereNet | MatrixNet
_REMEDY = "fetch them anew with script/download_params.sh or train with script/run_model.sh"


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, real ones in half precision, those of integers as they are."""
    return {
        name: value.detach().cpu().half() if value.is_floating_point() else value.detach().cpu()
        for name, value in state.items()
    }


def build(facts: TrainingFacts) -> Network:
    """Return a network of the architecture and input that these facts tell, without its weights."""
    if isinstance(facts.input, MatrixInput):
        return MatrixNet(facts.arch, facts.spheres, facts.input)
    return SphereNet(facts.arch, facts.spheres, facts.input, shortcut=facts.settings.shortcut)


def read_facts(path: Path) -> TrainingFacts:
    """Read how weights were trained; errors as in `read_weights`."""
    return read_checkpoint(TrainingFacts, path, maker="run_model.sh", remedy=_REMEDY)[1]


def read_weights(path: Path) -> tuple[Network, TrainingFacts]:
    """Read a network, in full precision, and the facts of its training.

    Raises
    ------
    InputError
        Missing, no weights, or weights of another program.
    """
    tensors, facts = read_checkpoint(TrainingFacts, path, maker="run_model.sh", remedy=_REMEDY)
    try:
        net = build(facts)
        net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected weights of this program's network, found others ({str(error).splitlines()[0][:100]}); "
            f"{_REMEDY}"
        ) from None
    return net, facts
