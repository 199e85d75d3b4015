"""Training files of the second kind: many spheres of random parameters with their electrons, no frames.

`simulate_finaltest.sh --kind 2` writes them. A sphere may hold millions of electrons, so it is drawn in pieces; each
has random numbers of its own, so that the file does not depend on the number of workers.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.physics.sampling import project, sample_sphere
from util.runtime.errors import InputError
from util.runtime.executor import map_in_order, open_executor
from util.runtime.facts import to_json
from util.runtime.hdf5_tables import writing_tables
from util.runtime.progress import Progress
from util.simulation.provenance import attributes_of, check_room
from util.simulation.training_tables import (
    DETECTED,
    DETECTED_DTYPE,
    DISTRIBUTIONS,
    GENERATED,
    GENERATED_DTYPE,
    distribution_dtype,
)
from util.training.priors import Prior, draw

PIECE = 200_000  # electrons drawn at a time; another number gives other electrons for the same seed
# Spawn keys of the parameters and of the electrons.
_PARAMETERS, _ELECTRONS = 0, 1


class Piece(NamedTuple):
    """Part of a sphere's electrons to draw; travels to the workers."""

    row: np.void  # of DistributionParameters
    number: int  # within the sphere
    first: int  # ElectronId of the first
    size: int
    seed: int


def draw_piece(piece: Piece) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Draw generated and detected electrons; those that miss the screen are not detected."""
    sphere = int(piece.row["DistributionId"])
    key = (_ELECTRONS, sphere, piece.number)
    rng = np.random.default_rng(np.random.SeedSequence(piece.seed, spawn_key=key))
    generated = np.empty(piece.size, GENERATED_DTYPE)
    generated["DistributionId"] = sphere
    generated["ElectronId"] = piece.first + np.arange(generated.size)
    generated["r"], generated["costheta"] = sample_sphere(
        piece.row["beta"], piece.row["R"], piece.row["sigma_R"], generated.size, rng=rng
    )
    x, z = project(generated["r"], generated["costheta"], rng=rng)
    on_screen = (np.abs(x) <= 1) & (np.abs(z) <= 1)
    detected = np.empty(np.count_nonzero(on_screen), DETECTED_DTYPE)
    detected["ElectronId"] = generated["ElectronId"][on_screen]
    detected["x"], detected["z"] = x[on_screen], z[on_screen]
    return generated, detected


def draw_parameters(prior: Prior, spheres: int, *, seed: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Draw ``DistributionParameters`` of `spheres` spheres, and how many electrons each holds.

    A prior of several spheres gives them in turn: row i belongs to its sphere i modulo their number.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_PARAMETERS,)))
    each = len(prior.spheres)
    draws = draw(prior, -(-spheres // each), rng=rng)
    rows = np.empty(spheres, distribution_dtype(prior.betas))
    rows["DistributionId"] = np.arange(spheres)
    for name, values in (("R", draws.R), ("sigma_R", draws.sigma_R)):
        rows[name] = values.reshape(-1)[:spheres]
    rows["beta"] = draws.beta.reshape(-1, prior.betas)[:spheres]
    return rows, np.maximum(draws.electrons.reshape(-1)[:spheres].round().astype(np.int64), 1)


def simulate_spheres(output: Path, prior: Prior, spheres: int, *, seed: int, workers: int, scheduler: str = "") -> int:
    """Write a training file of the second kind; return the number of its electrons.

    Raises
    ------
    InputError
        Draws that are hardly ever a density, more electrons than ids, or no room on the disk; nothing is left behind.
    """
    try:
        rows, electrons = draw_parameters(prior, spheres, seed=seed)
    except ValueError as error:
        raise InputError(f"{output}: {error}") from None
    total = int(electrons.sum())
    if total > np.iinfo(np.int32).max:
        raise InputError(
            f"{output}: expected fewer electrons than ElectronId can count (2^31), found {total}; "
            "ask for fewer spheres or electrons"
        )
    bytes_each = GENERATED_DTYPE.itemsize + DETECTED_DTYPE.itemsize
    check_room(output, int(1.05 * total * bytes_each) + rows.nbytes, "fewer electrons")
    firsts = np.concatenate(([0], np.cumsum(electrons)[:-1])).tolist()
    pieces = (
        Piece(row, index, first + start, min(PIECE, n - start), seed)
        for row, first, n in zip(rows, firsts, electrons.tolist(), strict=True)
        for index, start in enumerate(range(0, n, PIECE))
    )
    with (
        writing_tables(output, attributes_of(settings_text(prior, spheres), seed)) as writer,
        open_executor(workers, scheduler) as executor,
        Progress("simulating", total, "electron") as progress,
    ):
        writer.put(writer.create_table(DISTRIBUTIONS, rows.dtype, spheres), 0, rows)
        generated_table = writer.create_table(GENERATED, GENERATED_DTYPE, total)
        detected_table = writer.create_table(DETECTED, DETECTED_DTYPE)
        for generated, detected in map_in_order(
            executor, draw_piece, pieces, in_flight=lambda: 2 * executor.concurrency
        ):
            writer.put(generated_table, int(generated["ElectronId"][0]), generated)
            writer.append(detected_table, detected)
            progress.update(len(generated))
    return total


def settings_text(prior: Prior, spheres: int) -> str:
    """Return, as JSON, all that determines the file but the seed."""
    return to_json({"kind": 2, "prior": prior, "spheres": spheres})
