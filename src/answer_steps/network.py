"""The network's answer to the electrons found."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from src.network.model import SphereNet
from src.network.weights import read_weights
from util.answer.final_h5 import answer_rows
from util.fit.parameters import Layout
from util.fit.starting_radii import COARSE, candidates
from util.physics import pad
from util.physics.polar_map import PolarBins, fold
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError

# Radii this far outside a prior are still read well: about the error of a radius read off the profile.
MARGIN = 0.003
# A network that knows few radii sees even others among them. What it sees must agree with a search over all radii,
# which is good to 0.01, but tells no spheres apart that are closer than 0.03: of such a pair it must find the middle.
_AGREE = 0.02
_CLOSE = 0.06
# Below this the network was never tried.
FEWEST = 1e5
PATTERN = "*.weights.pt"


class NetworkAnswer(NamedTuple):
    """R (S,) and beta (S, m), ascending in R; the weights that gave it, the facts of their training, and remarks."""

    R: NDArray
    beta: NDArray
    weights: Path
    facts: dict
    remarks: tuple[str, ...]


def find_weights(folder: Path) -> list[Path]:
    """List the files of weights in a folder; none is a normal answer."""
    return sorted(path for path in folder.glob(PATTERN) if path.is_file())


def fold_hits(bins: PolarBins, x: NDArray, z: NDArray, weight: NDArray) -> NDArray:
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


def _width(facts: dict) -> float:
    return sum(sphere["R"][1] - sphere["R"][0] for sphere in facts["prior"]["spheres"])


def _covers(facts: dict, R: NDArray) -> bool:
    ranges = np.array([sphere["R"] for sphere in facts["prior"]["spheres"]])
    return bool(((ranges[:, 0] - MARGIN <= R) & (ranges[:, 1] + MARGIN >= R)).all())


def _agree(R: NDArray, searched: NDArray) -> bool:
    close = max(np.ptp(R), np.ptp(searched)) < _CLOSE and abs(R.mean() - searched.mean()) <= _AGREE
    return close or bool(np.abs(R - searched).max() <= _AGREE)


def answer(paths: Sequence[Path], x: NDArray, z: NDArray, weight: NDArray, *, spheres: int) -> NetworkAnswer:
    """Read the betas with the weights whose prior is the narrowest that covers the radii seen.

    Parameters
    ----------
    paths : files of weights
    x, z, weight : arrays (n,)
        Hits, in detector units.
    spheres : int

    Raises
    ------
    InputError
        No weights, or none that were trained on such radii.
    """
    known = [(path, *read_weights(path)) for path in paths]
    known = [(path, net, facts) for path, net, facts in known if facts["prior"] and facts["spheres"] == spheres]
    if not known:
        raise InputError(
            f"no weights for {spheres} sphere(s); fetch them with script/download_params.sh, train them with "
            "script/run_model.sh, or answer with METHOD=likelihood"
        )
    coarse = PolarBins(*COARSE)
    searched = candidates(fold_hits(coarse, x, z, weight), coarse, spheres, best=1)
    tried = []
    for path, net, facts in sorted(known, key=lambda item: _width(item[2])):
        maps = torch.from_numpy(fold_hits(net.input_settings.bins, x, z, weight))[None]
        net.eval()
        with torch.no_grad():
            R = net.radii(maps)[0].numpy().astype(float)
            if _covers(facts, R) and searched and _agree(R, np.array(searched[0])):
                beta = net(maps)[0].numpy().astype(float)
                return NetworkAnswer(R, beta, path, facts, _remarks(net, R, float(weight.sum())))
        ranges = " and ".join(f"[{s['R'][0]:g}, {s['R'][1]:g}]" for s in facts["prior"]["spheres"])
        tried.append(f"{path.name} {ranges}")
    seen = " and ".join(f"{radius:.3f}" for radius in R)
    searched_for = " and ".join(f"{radius:.2f}" for radius in searched[0]) if searched else "none"
    raise InputError(
        f"radii: expected some within the prior of a network ({'; '.join(tried)}), found {seen} "
        f"(by a search over all radii {searched_for}); "
        "answer with METHOD=likelihood, or train for these radii"
    )


def _remarks(net: SphereNet, R: NDArray, electrons: float) -> tuple[str, ...]:
    remarks = []
    if electrons < FEWEST * len(R):
        remarks.append(f"only {electrons:.0f} electrons: the network was made for {FEWEST:.0f} a sphere or more")
    if len(R) > 1 and np.diff(R).min() < 2 * net.cut.apart * net.cut.width:
        remarks.append("the spheres overlap so much that the network is not to be trusted; prefer METHOD=likelihood")
    return tuple(remarks)


def describe(found: NetworkAnswer) -> str:
    """Say in a line or more which weights were used, and why."""
    ranges = " and ".join(f"[{s['R'][0]:g}, {s['R'][1]:g}]" for s in found.facts["prior"]["spheres"])
    seen = " and ".join(f"{radius:.4f}" for radius in found.R)
    lines = [f"network {found.weights.name} ({found.facts['arch']}): trained for radii {ranges}, seen {seen}"]
    return "\n".join((*lines, *(f"  note: {remark}" for remark in found.remarks)))


def table(found: NetworkAnswer, likelihood: NDArray | None = None, truth: NDArray | None = None) -> str:
    """Betas of the network, beside them (S, m) those of the likelihood and the truth where they are given."""
    others = [("likelihood", likelihood), ("truth", truth)]
    others = [(name, values) for name, values in others if values is not None]
    lines = [f"{'parameter':<14}{'network':>12}" + "".join(f"{name:>12}" for name, _ in others)]
    layout = Layout(len(found.beta), 2 * found.beta.shape[1])
    for s, row in enumerate(found.beta):
        for i, value in enumerate(row):
            line = f"{layout.names[layout.beta[s, i]]:<14}{value:>12.6f}"
            lines.append(line + "".join(f"{values[s, i]:>12.6f}" for _, values in others))
    lines += [f"distance network - {name} {pad.distance(found.beta, values):.4f}" for name, values in others]
    return "\n".join(lines)


def write_network_answer(path: Path, found: NetworkAnswer, made_by: Mapping[str, object]) -> None:
    """Write final.h5 with `Answer`, `AnswerField` and `MadeBy`; the network tells no errors."""
    rows = answer_rows(found.R, found.beta)
    field = rows.copy()
    field["beta"] = pad.to_field(rows["beta"])
    network = {key: found.facts[key] for key in ("stage", "arch", "seed", "samples", "prior")}
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_dataset("Answer", data=rows).attrs["convention"] = "I(c) = 1/2 + sum beta_2i P_2i(c)"
        file.create_dataset("AnswerField", data=field).attrs["convention"] = "I(c) proportional to 1 + sum beta P(c)"
        text = json.dumps({**made_by, "weights": found.weights.name, "network": network}, sort_keys=True)
        file.create_dataset("MadeBy", data=text, dtype=h5py.string_dtype())
    with replacing(path) as temporary:
        temporary.write_bytes(image.getbuffer())
