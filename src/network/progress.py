"""What a user sees of a training: a line at its start, a bar or a line per epoch, and what to do with the weights."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from tqdm import tqdm

from src.network.outputs import Outputs
from src.network.schedule import Duration
from src.network.source import SampleSource
from util.runtime import progress
from util.training.course import Change, Course, TrainingFacts
from util.training.recipe import InputKind

Batch = tuple[Tensor, Tensor]


def _time(seconds: float) -> str:
    return tqdm.format_interval(max(seconds, 0))


def counted(n: int, what: str, plural: str = "s") -> str:
    """Return how many of something."""
    return f"{n} {what}{plural * (n != 1)}"


def heading(
    facts: TrainingFacts, net: nn.Module, source: SampleSource[Any], duration: Duration, outputs: Outputs
) -> str:
    """Say what is trained, on what, and from where it goes on."""
    settings, every = facts.settings, counted(facts.processes, "process", "es")
    begun = f"resumed from epoch {facts.epoch} of {outputs.checkpoint}" if facts.epoch else "from epoch 0"
    end = counted(duration.epochs * duration.rounds, "epoch")
    if duration.minutes is not None:
        end += f" or {duration.minutes:g} minutes"
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return (
        f"{facts.stage}: {facts.arch} with {parameters:,} parameters on {facts.device} ({every}); "
        f"{source.steps(facts.epoch) * settings.batch:,} samples of {source.name} an epoch, {settings.batch} a step; "
        f"{end}, {begun}"
    )


def changed(epoch: int, changes: Iterable[Change]) -> str:
    """Say what is done otherwise from an epoch on."""
    told = ", ".join(f"{change.name} {change.before} -> {change.now}" for change in changes)
    return f"changed from epoch {epoch} on: {told}"


def finished(facts: TrainingFacts, duration: Duration, outputs: Outputs) -> str:
    """Say that nothing is left to do."""
    limit = "--minutes M" if duration.minutes is not None else "--epochs N or --rounds N"
    return (
        f"{facts.stage}: all of {counted(facts.epoch, 'epoch')} done ({outputs.checkpoint}), nothing was changed; "
        f"train on with a larger {limit}, or anew with --restart"
    )


def what_next(outputs: Outputs, kind: InputKind) -> str:
    """Say what a network that sees `kind` is for: how to answer with its weights and release them, or to measure it."""
    if kind == "matrix":
        return f"{outputs.weights}: measure it with .venv/bin/python -m benchmark.network --weights {outputs.weights}"
    return (
        f"{outputs.weights}: answer with NETWORK={outputs.folder} METHOD=resnet bash script/gen_finaltest_answer.sh; "
        f"release with bash script/release_weights.sh --weights {outputs.weights}"
    )


class Progress:
    """A bar over all samples that are left on a terminal; elsewhere a line per epoch.

    Parameters
    ----------
    course : Course
        How far the training has come.
    duration : Duration
    samples : int
        Of an epoch, in all processes.
    say : function
        Prints a line.
    shown : bool
        Whether this process is the one that tells.
    """

    def __init__(
        self, course: Course, duration: Duration, samples: int, *, say: Callable[[str], None], shown: bool
    ) -> None:
        self._duration, self._begun, self._say = duration, course, say
        epochs = duration.epochs * duration.rounds
        self._bar = progress.Progress(
            "training", epochs * samples, "sample", done=course.epoch * samples, shown=shown, lines=False
        )

    def over(self, batches: Iterable[Batch], samples: int) -> Iterator[Batch]:
        """Yield batches, each of which stands for `samples` of all processes."""
        for batch in batches:
            yield batch
            self._bar.update(samples)

    def tell(self, facts: Course) -> None:
        """Tell of an epoch."""
        line, ends = facts.curve[-1], self._duration.epochs * self._duration.rounds
        seconds = max(facts.seconds - self._begun.seconds, 1e-9)
        rate, left = (facts.samples - self._begun.samples) / seconds, ends - facts.epoch
        rest = left * seconds / (facts.epoch - self._begun.epoch)
        if self._duration.minutes is not None:
            rest = min(rest, 60 * self._duration.minutes - facts.seconds)
        self._bar.note(f"epoch {facts.epoch}/{ends}, validation {line.valid[0]:.4f}")
        text = (
            f"epoch {facts.epoch}/{ends}: training {line.train[0]:.4f}, validation {line.valid[0]:.4f}, "
            f"rate {line.rate:.2g}, {rate:.0f} samples/s, {_time(rest)} left"
        )
        self._say(text)

    def close(self) -> None:
        """End the bar."""
        self._bar.close()
