"""What an answer or a spectrum was made from, and how: `MadeBy` of final.h5 and spectrum.h5."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from util.electrons.hits import HitWeights
from util.runtime import facts, program
from util.training.priors import Prior

Method = Literal["likelihood", "resnet", "integrated"]
Orders = Literal["all", "auto"]
SubtractBias = Literal["clear", "always", "never"]


@dataclass(frozen=True)
class AnswerSettings:
    """The options of the answer stage that an answer depends on; `prior`, `mask`, `efficiency` are names of files."""

    method: Method
    spheres: int | Literal["auto"]
    order: int
    hit_weights: HitWeights
    orders: Orders
    nonnegative: bool
    bias: int | None
    subtract_bias: SubtractBias
    bootstrap: int | None
    check_integrated: bool
    seed: int
    prior: str | None
    orders_of_spheres: tuple[int, ...] = ()
    start: tuple[float, ...] = ()
    fit: tuple[str, ...] = ()
    mask: str | None = None
    efficiency: str | None = None
    plate: Literal["auto", "none"] = "none"
    follow_drift: bool = False
    further: tuple[str, ...] = ()
    turned: int = 0


@dataclass(frozen=True)
class UsedPrior:
    """A prior of the betas that went into an answer: normal, mean and spread of each sphere's betas.

    `p` is the probability that data lie as far from it where it holds.
    """

    file: str
    mu: tuple[tuple[float, ...], ...]
    sigma: tuple[tuple[float, ...], ...]
    p: float


@dataclass(frozen=True)
class UsedNetwork:
    """The network that answered: how it was trained (`src.network`)."""

    stage: str
    arch: str
    seed: int
    samples: int
    prior: Prior | None


@dataclass(frozen=True)
class MadeBy:
    """All that one needs to make an answer again.

    Attributes
    ----------
    settings : AnswerSettings
    versions : dict of str to str
        Of Python and the libraries, by name.
    source : str
        Fingerprint of the file of frames.
    shards : dict of str to str, or None
        Checksum of each shard by its name; None where the frames themselves were summed.
    orders : tuple of int, or None
        Highest Legendre degree that the data support, of each sphere; None where that was not asked.
    prior : UsedPrior or None
    weights : str or None
        Name of the file of the network's weights.
    network : UsedNetwork or None
    """

    settings: AnswerSettings
    versions: dict[str, str]
    source: str
    shards: dict[str, str] | None = None
    orders: tuple[int, ...] | None = None
    prior: UsedPrior | None = None
    weights: str | None = None
    network: UsedNetwork | None = None

    def to_json(self) -> str:
        """Return the text that `from_json` reads, keys in alphabetical order; what an answer lacks is left out."""
        told = {name: value for name, value in facts.unstructure(self).items() if value is not None}
        return facts.to_json(told, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, path: Path) -> "MadeBy":
        """Read what the answer at `path` was made by.

        Raises
        ------
        InputError
            Text that does not hold these facts.
        """
        remedy = "answer again with script/gen_finaltest_answer.sh"
        return facts.from_json(cls, text, f"{path}: MadeBy", remedy=remedy)


@dataclass(frozen=True)
class SpectrumSettings:
    """The options that a spectrum depends on; `mask`, `efficiency` and `calibration` are names of files."""

    order: int | Literal["auto"]
    odd: bool
    round: bool
    resolution: float | None
    hit_weights: HitWeights
    seed: int
    mask: str | None
    efficiency: str | None
    plate: str
    calibration: str | None
    merge: tuple[str, ...]


@dataclass(frozen=True)
class SpectrumMadeBy:
    """All that one needs to make a spectrum again; attributes as those of `util.answer.made_by.MadeBy`."""

    settings: SpectrumSettings
    versions: dict[str, str]
    source: str
    shards: dict[str, str]

    def to_json(self) -> str:
        """Return the text of `MadeBy` in spectrum.h5."""
        return facts.to_json(self, sort_keys=True)

    @classmethod
    def from_json(cls, text: object, path: Path) -> "SpectrumMadeBy":
        """Read what `to_json` wrote to a file; parameters and errors as those of `MadeBy.from_json`."""
        return facts.from_json(cls, text, f"{path}: MadeBy", remedy="make it again with script/gen_spectrum.sh")


def root_attributes(made_by: MadeBy | SpectrumMadeBy) -> dict[str, str]:
    """Return what final.h5 or spectrum.h5 says of itself as a whole (`util.runtime.program.told_of_file`)."""
    if isinstance(made_by, MadeBy):
        text = "radius, width and anisotropy parameters of each Newton sphere, with their covariance"
        return program.told_of_file(text, "gen_finaltest_answer", method=made_by.settings.method)
    text = "electrons and their anisotropy parameters against their speed, with covariance"
    return program.told_of_file(text, "gen_spectrum", method="spectrum")
