"""Expected deconvolved sum of frames, and its derivatives in the parameters of the spheres."""

import numpy as np
from numpy.typing import NDArray

from util.fit.parameters import Layout
from util.physics.projection import density_gradient
from util.summed.deconvolution import Deconvolution


def expected_sum(
    view: Deconvolution, layout: Layout, q: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what a deconvolved sum is expected to be.

    Parameters
    ----------
    view : Deconvolution
    layout : Layout
        Of spheres and centre alone.
    q : array (P,)
        Internal parameters.

    Returns
    -------
    mean : array (rows, columns)
        Electrons per bin.
    slopes : array (P, rows, columns)
        Derivatives of that.
    density : array
        Electrons per unit area, on the cells of `view`.
    """
    values, _ = layout.to_public(q)
    x, z = values[layout.centre]
    mean, slopes = np.zeros(view.shape), np.zeros((layout.size, *view.shape))
    density = np.zeros((view.x.size, view.z.size))
    for s in range(layout.spheres):
        N, R, sigma_R, beta = (values[part[s]] for part in (layout.N, layout.R, layout.sigma_R, layout.beta))
        p, gradient = density_gradient(view.x, view.z, beta, R, sigma_R, (x, z))
        shown = view.see(p)
        mean += N * shown
        density += N * p
        by_beta = np.array([view.see(row) for row in gradient[:-4]])
        by_R, by_sigma_R, by_x, by_z = (N * view.see(row) for row in gradient[-4:])
        # p = isotropic part + sum beta_i dp/dbeta_i, so N p = N isotropic + sum (N beta_i) dp/dbeta_i.
        slopes[layout.N[s]] = shown - np.tensordot(beta, by_beta, 1)
        slopes[layout.R[s]], slopes[layout.sigma_R[s]], slopes[layout.beta[s]] = by_R, by_sigma_R, by_beta
        slopes[layout.centre] += np.stack((by_x, by_z))
    return mean, slopes, density
