"""The truth tables of a simulated run: which spheres it holds and where each electron went. For scoring only.

``Truth`` {``SphereId`` u1, ``R`` <f8, ``sigma_R`` <f8, ``beta`` <f8 (N)}, ``GeneratedElectrons`` {``SphereId`` u1,
``ElectronId`` <i4, ``r`` <f8, ``costheta`` <f8}, ``DetectedElectrons`` {``ImageId`` <i4, ``ElectronId`` <i4, ``x`` <f8,
``z`` <f8}, beside the frames in one file. How real files spell the Greek names is not documented, so several spellings
are accepted (`read_table`); a warning of this module's logger names one that differs from the above.
`util.simulation.training_tables` reads the tables of the second kind, without frames.
"""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from util.frames.course_file import FRAMES
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.runtime.hdf5 import reading_hdf5
from util.runtime.hdf5_stored import content_of

TRUTH = "Truth"
GENERATED = "GeneratedElectrons"
DETECTED = "DetectedElectrons"

GENERATED_DTYPE = np.dtype([("SphereId", "u1"), ("ElectronId", "<i4"), ("r", "<f8"), ("costheta", "<f8")])
DETECTED_DTYPE = np.dtype([("ImageId", "<i4"), ("ElectronId", "<i4"), ("x", "<f8"), ("z", "<f8")])

# What may stand for a field besides its own name, once case, underscores and Greek letters are made alike (`_plain`).
_SPELLINGS = {
    "R": {"r", "radius", "mur", "meanr", "rmean"},
    "sigma_R": {"sigmar", "sigma", "sigmaradius", "stdr", "rstd"},
    "beta": {"beta", "betas"},
    "costheta": {"costheta", "ctheta", "cos"},
    "r": {"r", "radius", "speed"},
    "SphereId": {"sphereid", "sphere", "sphereindex"},
    "DistributionId": {"distributionid", "distribution", "distributionindex"},
    "ElectronId": {"electronid", "electron", "electronindex"},
    "ImageId": {"imageid", "image", "imageindex", "frameid"},
}
_GREEK = {"β": "beta", "μ": "mu", "σ": "sigma", "ς": "sigma", "θ": "theta", "ϑ": "theta"}

_log = logging.getLogger(__name__)


def truth_dtype(betas: int) -> np.dtype[Any]:
    """Return the row type of ``Truth`` for spheres of `betas` anisotropy parameters, in the course's field order."""
    return np.dtype([("SphereId", "u1"), ("R", "<f8"), ("sigma_R", "<f8"), ("beta", "<f8", (betas,))])


def truth_rows(spheres: Sequence[Sphere]) -> NDArray[np.void]:
    """Return ``Truth`` of the given spheres, numbered from 0 in their order.

    Raises
    ------
    ValueError
        Spheres with different numbers of betas, which one table cannot hold.
    """
    lengths = {len(sphere.beta) for sphere in spheres}
    if len(lengths) != 1:
        raise ValueError(f"spheres of one file must have equally many betas, found {sorted(lengths)}")
    rows = [(number, sphere.R, sphere.sigma_R, sphere.beta) for number, sphere in enumerate(spheres)]
    return np.array(rows, truth_dtype(*lengths))


def read_truth(path: Path) -> list[Sphere] | None:
    """Read the spheres of ``Truth``, smaller R first.

    Parameters
    ----------
    path : Path
        A simulated run.

    Returns
    -------
    list of Sphere, or None
        None where the file has no ``Truth``. ``electrons_per_frame`` is the sphere's share of ``GeneratedElectrons``
        divided by the number of frames, rounded; 1 where the file does not tell.

    Raises
    ------
    InputError
        No HDF5 file, fields that cannot be made out, or spheres that are impossible.
    """
    with reading_hdf5(path) as file:
        rows = read_table(file, path, TRUTH, ("SphereId", "R", "sigma_R", "beta"))
        if rows is None:
            return None
        generated = read_table(file, path, GENERATED, ("SphereId",))
        frames = file[FRAMES].shape[0] if FRAMES in file else 0
    spheres = []
    for row in rows:
        electrons = 1
        if generated is not None and frames:
            electrons = max(1, round(np.count_nonzero(generated["SphereId"] == row["SphereId"]) / frames))
        try:
            beta = tuple(np.atleast_1d(row["beta"]).tolist())
            spheres.append(Sphere(float(row["R"]), float(row["sigma_R"]), electrons, beta))
        except ValueError as error:
            raise InputError(f"{path}: {TRUTH}: sphere {row['SphereId']}: {error}") from None
    return sorted(spheres, key=lambda sphere: sphere.R)


def read_detected_electrons(path: Path) -> NDArray[np.void] | None:
    """Read ``DetectedElectrons``, in the file's order.

    Returns
    -------
    structured array {ImageId, ElectronId, x, z}, shape (n,), or None
        Positions in detector units. None where the file has no such table.

    Raises
    ------
    InputError
        No HDF5 file, or fields that cannot be made out.
    """
    with reading_hdf5(path) as file:
        return read_table(file, path, DETECTED, ("ImageId", "ElectronId", "x", "z"))


def read_generated_electrons(path: Path) -> NDArray[np.void] | None:
    """Read ``GeneratedElectrons``, in the file's order; see `read_detected_electrons`.

    Returns
    -------
    structured array {SphereId, ElectronId, r, costheta}, shape (n,), or None
        Speeds in detector units. None where the file has no such table.
    """
    with reading_hdf5(path) as file:
        return read_table(file, path, GENERATED, ("SphereId", "ElectronId", "r", "costheta"))


def read_table(file: h5py.File, path: Path, table: str, fields: Sequence[str]) -> NDArray[np.void] | None:
    """Read the named fields of a table under their documented names.

    Parameters
    ----------
    file : h5py.File
        Open by `util.runtime.hdf5.reading_hdf5`.
    path : Path
        Of the file, for messages.
    table : str
    fields : sequence of str
        Documented names. Other spellings are accepted too, and for ``beta`` also a field for each degree (``beta2``,
        ``beta_4`` ..); a warning names what differs.

    Returns
    -------
    structured array (n,), or None
        None where there is no such table.

    Raises
    ------
    InputError
        No table of records, a field that cannot be made out, or a damaged file.
    """
    if table not in file:
        return None
    dataset = file[table]
    found = dataset.dtype.names if isinstance(dataset, h5py.Dataset) else None
    if found is None or dataset.ndim != 1:
        raise InputError(f"{path}: {table}: expected a compound of {', '.join(fields)}, found {dataset}; convert it")
    sources = {field: _find(found, field, path, table) for field in fields}
    for names in sources.values():
        for name in names:
            if dataset.dtype[name].base.kind not in "iuf":
                raise InputError(f"{path}: {table}: {name}: expected numbers, found {dataset.dtype[name]}; convert it")
    whole = content_of(dataset, [name for names in sources.values() for name in names])
    kinds = []
    for field, names in sources.items():
        kind = dataset.dtype[names[0]]
        kinds.append((field, kind.base, kind.shape if len(names) == 1 else (len(names),)))
    rows = np.empty(len(dataset), kinds)
    for field, names in sources.items():
        rows[field] = whole[names[0]] if len(names) == 1 else np.stack([whole[name] for name in names], axis=-1)
    return rows


def _find(found: Sequence[str], field: str, path: Path, table: str) -> list[str]:
    """Return the name under which a table holds a field, or one for each degree of beta; prefer the documented one."""
    if field in found:
        return [field]
    matches = [name for name in found if _plain(name) in _SPELLINGS.get(field, {_plain(field)})]
    degrees = {_plain(name): name for name in found}
    columns = list(itertools.takewhile(degrees.__contains__, (f"beta{2 * i}" for i in itertools.count(1))))
    if field == "beta" and not matches and columns:
        matches = [degrees[column] for column in columns]
    elif len(matches) != 1:
        raise InputError(
            f"{path}: {table}: expected one field for {field}, found {', '.join(matches) or 'none'} "
            f"among {', '.join(found)}; rename the field"
        )
    _log.warning("%s: %s: taking %s for %s", path, table, ", ".join(matches), field)
    return matches


def _plain(name: str) -> str:
    plain = name.casefold()
    for letter, word in _GREEK.items():
        plain = plain.replace(letter, word)
    return "".join(character for character in plain if character.isalnum())
