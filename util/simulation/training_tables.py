"""Training files of the second kind: many spheres with random parameters and their electrons, no frames.

``DistributionParameters`` {``DistributionId`` <i4, ``R`` <f8, ``sigma_R`` <f8, ``beta`` <f8 (N)},
``GeneratedElectrons`` {``DistributionId`` <i4, ``ElectronId`` <i4, ``r`` <f8, ``costheta`` <f8},
``DetectedElectrons`` {``ElectronId`` <i4, ``x`` <f8, ``z`` <f8}. A detected electron tells its sphere only through the
generated one of the same id; that join is made here for all electrons at once. Other spellings are accepted as in
`util.simulation.truth_tables`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.runtime.errors import InputError
from util.runtime.hdf5 import reading_hdf5
from util.simulation.truth_tables import DETECTED, GENERATED, read_table

DISTRIBUTIONS = "DistributionParameters"
GENERATED_DTYPE = np.dtype([("DistributionId", "<i4"), ("ElectronId", "<i4"), ("r", "<f8"), ("costheta", "<f8")])
DETECTED_DTYPE = np.dtype([("ElectronId", "<i4"), ("x", "<f8"), ("z", "<f8")])


def distribution_dtype(betas: int) -> np.dtype[Any]:
    """Return the row type of ``DistributionParameters`` for spheres of `betas` anisotropy parameters."""
    return np.dtype([("DistributionId", "<i4"), ("R", "<f8"), ("sigma_R", "<f8"), ("beta", "<f8", (betas,))])


class TrainingTables(NamedTuple):
    """A training file of the second kind.

    parameters: (n,) rows of ``DistributionParameters``. generated (g,), detected (d,): the electrons, in the file's
    order. sphere_of_generated (g,), sphere_of_detected (d,): the row of `parameters` that each belongs to.
    """

    parameters: NDArray[np.void]
    generated: NDArray[np.void]
    detected: NDArray[np.void]
    sphere_of_generated: NDArray[np.intp]
    sphere_of_detected: NDArray[np.intp]

    def electrons(self) -> NDArray[np.int64]:
        """Count the generated electrons of each sphere (n,)."""
        return np.bincount(self.sphere_of_generated, minlength=len(self.parameters))

    def hits(self, sphere: int) -> NDArray[np.float64]:
        """Return x and z (2, m) of the detected electrons of row `sphere`, in detector units."""
        own = self.detected[self.sphere_of_detected == sphere]
        return np.stack((own["x"], own["z"]))


def read_parameters(path: Path) -> NDArray[np.void] | None:
    """Read ``DistributionParameters``, in the file's order.

    Returns
    -------
    structured array {DistributionId, R, sigma_R, beta}, shape (n,), or None
        None where the file has no such table.

    Raises
    ------
    InputError
        No HDF5 file, fields that cannot be made out, or an id that occurs twice.
    """
    with reading_hdf5(path) as file:
        rows = read_table(file, path, DISTRIBUTIONS, ("DistributionId", "R", "sigma_R", "beta"))
    if rows is not None and len(np.unique(rows["DistributionId"])) != len(rows):
        raise InputError(f"{path}: {DISTRIBUTIONS}: expected each DistributionId once, found some twice; make it anew")
    return rows


def count_electrons(path: Path, parameters: NDArray[np.void]) -> NDArray[np.int64] | None:
    """Count the generated electrons (n,) of each row of `parameters`; None where there is no ``GeneratedElectrons``.

    Raises
    ------
    InputError
        As in `read_tables`.
    """
    with reading_hdf5(path) as file:
        generated = read_table(file, path, GENERATED, ("DistributionId",))
    if generated is None:
        return None
    sphere = _rows_of(generated["DistributionId"], parameters["DistributionId"], path, GENERATED, "DistributionId")
    return np.bincount(sphere, minlength=len(parameters))


def read_tables(path: Path) -> TrainingTables:
    """Read a training file of the second kind: 0.2 s for a million electrons.

    Raises
    ------
    InputError
        No HDF5 file, a table that is missing or cannot be made out, or an electron without its sphere.
    """
    parameters = read_parameters(path)
    with reading_hdf5(path) as file:
        generated = read_table(file, path, GENERATED, ("DistributionId", "ElectronId", "r", "costheta"))
        detected = read_table(file, path, DETECTED, ("ElectronId", "x", "z"))
        found = ", ".join(file) or "nothing"
    if parameters is None or generated is None or detected is None:
        tables = {DISTRIBUTIONS: parameters, GENERATED: generated, DETECTED: detected}
        missing = next(name for name, table in tables.items() if table is None)
        raise InputError(
            f"{path}: expected a table {missing}, found {found}; "
            "give a training file of the second kind, as simulate_finaltest.sh --kind 2 makes"
        )
    sphere = _rows_of(generated["DistributionId"], parameters["DistributionId"], path, GENERATED, "DistributionId")
    row = _rows_of(detected["ElectronId"], generated["ElectronId"], path, DETECTED, "ElectronId")
    return TrainingTables(parameters, generated, detected, sphere, sphere[row])


def _rows_of(
    keys: NDArray[np.integer], ids: NDArray[np.integer], path: Path, table: str, field: str
) -> NDArray[np.intp]:
    """Return the row of `ids` that holds each of `keys`; most files number their rows, which needs no search."""
    if ids.size and ids[0] == 0 and np.array_equal(ids, np.arange(ids.size)):
        if not keys.size or (keys.min() >= 0 and keys.max() < ids.size):
            return keys.astype(np.intp)
        known = (keys >= 0) & (keys < ids.size)
        row = np.zeros(keys.size, np.intp)
    else:
        order = np.argsort(ids, kind="stable")
        ascending = ids[order]
        if (ascending[1:] == ascending[:-1]).any():
            twice = ascending[1:][ascending[1:] == ascending[:-1]][0]
            raise InputError(f"{path}: expected each {field} once, found {twice} twice; make the file anew")
        place = np.searchsorted(ascending, keys)
        known = place < ids.size
        known[known] = ascending[place[known]] == keys[known]
        row = order[np.where(known, place, 0)] if ids.size else np.zeros(keys.size, np.intp)
    if not known.all():
        raise InputError(
            f"{path}: {table}: expected every {field} in the table that it refers to, found {keys[~known][0]}, "
            "which is not there; make the file anew"
        )
    return row
