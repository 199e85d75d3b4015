"""A prior for fine-tuning from the first answer."""

from pathlib import Path

import h5py
import numpy as np

from util.runtime.errors import InputError
from util.runtime.hdf5 import open_hdf5
from util.training.priors import Prior, around


def prior_of_answer(path: Path, *, widen: float) -> Prior:
    """Prior about the parameters that final.h5 tells, as wide as their errors times `widen`.

    Raises
    ------
    InputError
        Missing, not HDF5, or an answer without errors, as the network gives it.
    ValueError
        The answer, so widened, leaves the screen.
    """
    remedy = "make it with METHOD=likelihood script/gen_finaltest_answer.sh"
    if not path.exists():
        raise InputError(f"{path}: no such file; {remedy}")
    with open_hdf5(path) as file:
        rows = file.get("Parameters")
        if not isinstance(rows, h5py.Dataset) or not {"Name", "Value", "Error"} <= set(rows.dtype.names or ()):
            found = ", ".join(file) or "nothing"
            raise InputError(f"{path}: expected a dataset Parameters with errors, found {found}; {remedy}")
        table = rows[()]
    values = {row["Name"].decode(): (float(row["Value"]), float(row["Error"])) for row in table}
    spheres = sum(name.startswith("R_") for name in values)
    betas = sum(name.startswith("beta_") and name.endswith("_1") for name in values)
    try:
        single = {
            name: np.array([values[f"{name}_{s}"] for s in range(1, spheres + 1)]) for name in ("N", "R", "sigma_R")
        }
        beta = np.array(
            [[values[f"beta_{2 * i}_{s}"] for i in range(1, betas + 1)] for s in range(1, spheres + 1)]
        ).reshape(spheres, betas, 2)
    except KeyError as error:
        raise InputError(f"{path}: Parameters: expected {error.args[0]}, found no such row; {remedy}") from None
    if not spheres or not betas or not all(np.isfinite(part).all() for part in (*single.values(), beta)):
        raise InputError(f"{path}: Parameters: expected spheres with finite values and errors, found none; {remedy}")
    return around(
        single["R"][:, 0],
        single["sigma_R"][:, 0],
        single["N"][:, 0],
        beta[..., 0],
        (single["R"][:, 1], single["sigma_R"][:, 1], beta[..., 1]),
        widen=widen,
    )
