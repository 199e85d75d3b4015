"""A prior for fine-tuning from the first answer."""

from pathlib import Path

import numpy as np

from util.answer.final_h5 import read_parameters
from util.runtime.errors import InputError
from util.training.priors import Prior, around


def prior_of_answer(path: Path, *, widen: float) -> Prior:
    """Return a prior about the parameters in final.h5, `widen` times as wide as their errors.

    Raises
    ------
    InputError
        Missing, not HDF5, or an answer without errors, such as the network's.
    ValueError
        The answer, widened so far, leaves the screen.
    """
    layout, values, errors = read_parameters(path)
    N, R, sigma_R, beta = layout.N, layout.R, layout.sigma_R, layout.beta
    told = layout.blocks
    if not beta.size or not (np.isfinite(values[told]) & np.isfinite(errors[told])).all():
        raise InputError(
            f"{path}: Parameters: expected spheres with finite values and errors, found none; make it with "
            "METHOD=likelihood script/gen_finaltest_answer.sh"
        )
    of_shape = (errors[R], errors[sigma_R], errors[beta])
    return around(values[R], values[sigma_R], values[N], values[beta], of_shape, widen=widen)
