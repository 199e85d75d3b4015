"""Truth that the tests share: PADs and spheres whose answers are known by construction."""

import numpy as np
from numpy.typing import NDArray

from support import ROOT
from util.physics.sampling import project, sample_sphere
from util.physics.sphere import Experiment, Sphere
from util.runtime.settings import load

# The two spheres of the final test, as the program itself reads them.
DESIGN = load(Experiment, ROOT / "param" / "experiment.toml").spheres

ISOTROPIC = (0.0,) * 12
# I = 3/2 c^2: touches zero at the equator.
COSINE_SQUARED = (1.0,) + (0.0,) * 11
# I = 3/4 (1 - c^2): touches zero at the poles.
SINE_SQUARED = (-0.5,) + (0.0,) * 11
# I = 21/2 c^20 in Legendre terms: sharp poles, an equator that is zero over a broad range.
PEAKED = (*np.polynomial.legendre.poly2leg([0.0] * 20 + [10.5])[2::2].tolist(), 0.0, 0.0)
PADS = {
    "isotropic": ISOTROPIC,
    "cosine squared": COSINE_SQUARED,
    "sine squared": SINE_SQUARED,
    "peaked": PEAKED,
    "first sphere": DESIGN[0].beta,
    "second sphere": DESIGN[1].beta,
}


def with_beta(beta: tuple[float, ...], index: int, offset: float) -> NDArray[np.float64]:
    """Copy of `beta` with `offset` added at `index`: a wrong answer."""
    wrong = np.array(beta)
    wrong[index] += offset
    return wrong


def hits(spheres: tuple[Sphere, ...], electrons: tuple[int, ...], *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Positions x and z (2, n) of perfectly detected electrons about (0, 0)."""
    return np.concatenate(
        [
            project(*sample_sphere(s.beta, s.R, s.sigma_R, n, rng=rng), rng=rng)
            for s, n in zip(spheres, electrons, strict=True)
        ],
        axis=1,
    )
