"""Spheres and electrons of simulated frames: the true ones and those found, frame by frame."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.electrons.shards import read_shard
from util.finder.finder import EVENT, Finder
from util.fit.map_data import Hits
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.simulation.truth_tables import read_detected_electrons, read_truth

_REMEDY = "make them with script/simulate_finaltest.sh"


def true_spheres(path: Path) -> list[Sphere]:
    """Return the spheres in a file of simulated frames, smaller R first.

    Raises
    ------
    InputError
        A file that does not tell them.
    """
    spheres = read_truth(path)
    if spheres is None:
        raise InputError(f"{path}: expected frames with a table Truth, found none; {_REMEDY}")
    return spheres


def true_electrons(path: Path) -> NDArray[np.void]:
    """Return the electrons (n,) {ImageId, ElectronId, x, z} in a file of simulated frames, frame by frame.

    Raises
    ------
    InputError
        A file that does not tell them.
    """
    table = read_detected_electrons(path)
    if table is None:
        raise InputError(f"{path}: expected frames with a table DetectedElectrons, found none; {_REMEDY}")
    return table[np.argsort(table["ImageId"], kind="stable")]


def found_electrons(shards: Iterable[Path]) -> NDArray[np.void]:
    """Return the electrons (n,), dtype `EVENT`, that shards hold, one shard after the other.

    Raises
    ------
    InputError
        A shard that cannot be read, or kept no electrons.
    """
    parts = []
    for path in shards:
        events = read_shard(path).events
        if events is None:
            raise InputError(f"{path}: expected a shard with its electrons, found one of --no-events; search anew")
        parts.append(events)
    return np.concatenate(parts)


def search_frame(finder: Finder, frame: NDArray[np.unsignedinteger]) -> NDArray[np.void]:
    """Return the electrons (n,), dtype `EVENT`, of a frame; none where too much of it is clipped."""
    events = finder.find(frame)
    return np.zeros(0, EVENT) if events is None else events


def places_of(electrons: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the positions (n, 2), x and z, of electrons, true or found."""
    return np.stack((electrons["x"], electrons["z"]), axis=1).astype(float)


def hits_at(at: NDArray[np.float64]) -> Hits:
    """Return hits of weight 1 at positions (2, n), as they are fitted."""
    x, z = at
    return Hits(x, z, np.ones(x.size), None)


def by_frame(image_id: NDArray[np.integer], count: int) -> list[slice]:
    """Return the rows of each of `count` frames, of a table that is sorted by frame."""
    edges = np.searchsorted(image_id, np.arange(count + 1)).tolist()
    return [slice(*pair) for pair in itertools.pairwise(edges)]
