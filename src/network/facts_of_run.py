"""How a run's network was trained, without loading PyTorch before anybody asks."""

from pathlib import Path

from util.training.course import TrainingFacts


def facts_of_run(path: Path) -> TrainingFacts:
    """Read how weights were trained; errors as in `src.network.weights.read_weights`."""
    from src.network.weights import read_facts  # loads PyTorch, which takes seconds

    return read_facts(path)
