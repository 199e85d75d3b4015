"""The network's look at the electrons found: which weights read them, and what they read."""

import functools
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from util.fit.parameters import Layout
from util.fit.starting_radii import COARSE, candidates
from util.physics import pad
from util.physics.polar_map import PolarBins, fold
from util.runtime.errors import InputError
from util.training.course import TrainingFacts
from util.training.matrix_input import MatrixInput
from util.training.priors import Prior

if TYPE_CHECKING:
    from src.network.model import SphereNet

# Radii this far outside a prior are still read well: about the error of a radius read off the profile.
MARGIN = 0.003
# A network trained on few radii takes others for these. What it sees must agree with a search over all radii, which is
# good to 0.01 but cannot separate spheres closer than 0.03: of such a pair it must find the middle.
_AGREE = 0.02
_CLOSE = 0.06
# Electrons per sphere; the network was never tried with fewer.
FEWEST = 1e5
PATTERN = "*.weights.pt"


class Look(NamedTuple):
    """What a network saw.

    Attributes
    ----------
    R, beta : arrays (S,), (S, m)
        Ascending in R.
    tries : tuple of tuple of float
        Radii that a fit may start from: those seen, and where two spheres may overlap, pairs about their middle.
    weights : Path
    facts : TrainingFacts
    prior : Prior
        That the weights were trained on.
    remarks : tuple of str
    """

    R: NDArray[np.float64]
    beta: NDArray[np.float64]
    tries: tuple[tuple[float, ...], ...]
    weights: Path
    facts: TrainingFacts
    prior: Prior
    remarks: tuple[str, ...]


class Comparison(NamedTuple):
    """The network's answer beside another one.

    Attributes
    ----------
    text, details : str
        What to print of it, and what besides where every number is asked for.
    betas : dict of str to array (S, m)
        By the network's name, if it reads any.
    """

    text: str
    details: str
    betas: dict[str, NDArray[np.float64]]


def find_weights(path: Path | None) -> list[Path]:
    """List the files of weights in a folder, or the one that is named; none is a normal answer.

    Raises
    ------
    InputError
        There is no such file or folder.
    """
    if path is None:
        return []
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: expected the network's weights, or their folder, found none; name them (NETWORK)")
    return [path] if path.is_file() else sorted(found for found in path.glob(PATTERN) if found.is_file())


def fold_hits(
    bins: PolarBins, x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Fold hits about their mean position, which is a symmetric sphere's centre: float32 (n_rho, n_angle).

    Raises
    ------
    InputError
        Nothing to fold.
    """
    total = float(np.sum(weight))
    if not (np.isfinite(total) and total > 0):
        raise InputError(f"the weights of the hits sum to {total}, expected a number above 0; check the hit finder")
    centre = (float(weight @ x) / total, float(weight @ z) / total)
    return fold(x, z, weight, centre, bins).weight.astype(np.float32)


def _width(prior: Prior) -> float:
    return sum(sphere.R[1] - sphere.R[0] for sphere in prior.spheres)


def _covers(prior: Prior, R: NDArray[np.float64]) -> bool:
    ranges = np.array([sphere.R for sphere in prior.spheres])
    return bool(((ranges[:, 0] - MARGIN <= R) & (ranges[:, 1] + MARGIN >= R)).all())


def _ranges(prior: Prior) -> str:
    return " and ".join(f"[{sphere.R[0]:g}, {sphere.R[1]:g}]" for sphere in prior.spheres)


def _agree(R: NDArray[np.float64], searched: NDArray[np.float64]) -> bool:
    close = max(np.ptp(R), np.ptp(searched)) < _CLOSE and abs(R.mean() - searched.mean()) <= _AGREE
    return close or bool(np.abs(R - searched).max() <= _AGREE)


def look(
    paths: Sequence[Path],
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    spheres: int,
) -> Look:
    """Read the betas with the weights whose prior is the narrowest that covers the radii seen in the hits.

    Parameters
    ----------
    paths : sequence of Path
        Files of weights.
    x, z, weight : arrays (n,)
        Hits, in detector units.
    spheres : int

    Raises
    ------
    InputError
        No weights, or none that were trained on such radii.
    """
    import torch  # takes seconds, which an answer without a network does not need

    known = _trained_for(spheres, paths)
    if not known:
        raise InputError(
            f"no weights for {spheres} sphere(s); fetch them with script/download_params.sh, train them with "
            "script/run_model.sh, or answer with METHOD=likelihood"
        )
    coarse = PolarBins(*COARSE)
    searched = candidates(fold_hits(coarse, x, z, weight), coarse, spheres, best=1)
    tried = []
    for path, facts, prior in known:
        net = _read(path)
        maps = torch.from_numpy(fold_hits(net.input_settings.bins, x, z, weight))[None]
        net.eval()
        with torch.no_grad():
            R = net.radii(maps)[0].numpy().astype(float)
            if _covers(prior, R) and searched and _agree(R, np.array(searched[0])):
                beta = net(maps)[0].numpy().astype(float)
                tries = tuple(tuple(radii) for radii in net.starting_radii(maps)[0])
                remarks = _remarks(net, R, float(weight.sum()))
                return Look(R, beta, tries, path, facts, prior, remarks)
        tried.append(f"{path.name} {_ranges(prior)}")
    seen = " and ".join(f"{radius:.3f}" for radius in R)
    searched_for = " and ".join(f"{radius:.2f}" for radius in searched[0]) if searched else "none"
    raise InputError(
        f"radii: expected some within the prior of a network ({'; '.join(tried)}), found {seen} "
        f"(by a search over all radii {searched_for}); "
        "answer with METHOD=likelihood, or train for these radii"
    )


def _trained_for(spheres: int, paths: Sequence[Path]) -> list[tuple[Path, TrainingFacts, Prior]]:
    """List weights for so many spheres, that of the narrowest prior first."""
    from src.network.weights import read_facts

    trained = [(path, read_facts(path)) for path in paths]
    known = [
        (path, facts, facts.prior)
        for path, facts in trained
        # Not the published network: it reads matrices, and does not see radii.
        if not isinstance(facts.input, MatrixInput) and facts.prior and facts.spheres == spheres
    ]
    return sorted(known, key=lambda item: _width(item[2]))


@functools.lru_cache(maxsize=1)  # takes seconds: only those that are asked, and once
def _read(path: Path) -> "SphereNet":
    from src.network.model import SphereNet
    from src.network.weights import read_weights

    net, _ = read_weights(path)
    assert isinstance(net, SphereNet)
    return net


def load(paths: Sequence[Path], *, spheres: int) -> None:
    """Read the weights that a `look` in this process will ask first; it says what is wrong with them, if anything."""
    with suppress(InputError):
        for path, _, _ in _trained_for(spheres, paths)[:1]:
            _read(path)


def _remarks(net: "SphereNet", R: NDArray[np.float64], electrons: float) -> tuple[str, ...]:
    remarks = []
    if electrons < FEWEST * len(R):
        each = electrons / len(R)
        remarks.append(f"{each:.0f} electrons per sphere, fewer than the {FEWEST:.0f} that the network was made for")
    if len(R) > 1 and np.diff(R).min() < 2 * net.cut.apart * net.cut.width:
        remarks.append("the spheres overlap so much that its own reading is not to be trusted")
    return tuple(remarks)


def describe(seen: Look) -> str:
    """Say which weights were used and why, in a line or more."""
    radii = " and ".join(f"{radius:.4f}" for radius in seen.R)
    trained = f"{seen.weights.name} ({seen.facts.arch}): trained for radii {_ranges(seen.prior)}"
    lines = [f"network {trained}, seen {radii}"]
    return "\n".join((*lines, *(f"  note: {remark}" for remark in seen.remarks)))


def glance(
    path: Path | None,
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    spheres: int,
) -> Look | str | None:
    """Look with whatever weights there are; say why they cannot, or return None where there are none.

    Parameters
    ----------
    path : Path or None
        The weights, or the folder where they are.
    x, z, weight, spheres
        As for `look`.
    """
    paths = find_weights(path)
    if not paths:
        return None
    try:
        return look(paths, x, z, weight, spheres=spheres)
    except InputError as error:
        return f"no answer of the network beside it: {error}"


def compare(seen: Look | str | None, likelihood: NDArray[np.float64]) -> Comparison | None:
    """Compare what a `glance` saw with the betas (S, 12) of the likelihood; None where there are no weights."""
    if not isinstance(seen, Look):
        return Comparison(seen, "", {}) if seen else None
    told = table(seen, likelihood=likelihood)
    return Comparison(f"{describe(seen)}\n{distances(seen, likelihood=likelihood)}", told, {"network": seen.beta})


def distances(seen: Look, **others: NDArray[np.float64]) -> str:
    """Say how far betas (S, m) of others, by their names, are from those that the network reads."""
    lines = (f"distance network - {name} {pad.distance(seen.beta, values):.4f}" for name, values in others.items())
    return "\n".join(lines)


def table(
    seen: Look,
    likelihood: NDArray[np.float64] | None = None,
    truth: NDArray[np.float64] | None = None,
) -> str:
    """Return betas of the network, and beside them (S, m) those of the likelihood and the truth where given."""
    given = {"likelihood": likelihood, "truth": truth}
    others = {name: values for name, values in given.items() if values is not None}
    spheres, n = seen.beta.shape
    layout = Layout(spheres, 2 * n)
    betas = {"network": seen.beta, **others}
    columns = {
        "parameter": [layout.names[i] for i in layout.beta.ravel()],
        **{name: values.ravel() for name, values in betas.items()},
    }
    return tabulate(columns, headers="keys", tablefmt="plain", floatfmt=".6f")
