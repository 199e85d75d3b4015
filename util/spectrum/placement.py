"""How the image lies on the detector: where its centre is, how far it is turned, how far from round.

A wrong geometry leaves a pattern in the residuals of the four quadrants. One step of Newton takes it out, with the
spectrum free to follow; then the hits are folded anew.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from util.fit.map_data import MapData
from util.physics import thin_shells
from util.physics.image_geometry import ImageGeometry
from util.spectrum.interior_point import Solution

NAMES = ("centre_x", "centre_z", "rotation_rad", "ellipse_1", "ellipse_2")
_USUAL = np.array([np.inf, np.inf, 0.1, 0.05, 0.05])  # scatter that is known before any hit
_FARTHEST = np.array([0.01, 0.01, 0.05, 0.01, 0.01])  # step, for it holds to first order


class Pattern(NamedTuple):
    """What a geometry that is a little off would do.

    Attributes
    ----------
    step : (g,)
        From the geometry assumed to the likeliest, of the numbers asked for.
    covariance : (g, g)
    response : (P, g)
        How the parameters of the spectrum follow.
    """

    step: NDArray[np.float64]
    covariance: NDArray[np.float64]
    response: NDArray[np.float64]


def _derivatives(data: MapData, terms: NDArray[np.float64], degrees: tuple[int, ...]) -> NDArray[np.float64]:
    """Return d(expected counts)/d(`NAMES`), array (5, 4, n_rho, n_angle), for Legendre terms (n_rho, K) of the bins."""
    bins, geometry = data.bins, data.geometry
    rho = (bins.rho[:-1] + bins.rho[1:])[:, None] / 2
    area = rho * np.diff(bins.rho)[:, None] * np.diff(bins.angle_rad)
    quarter = (bins.angle_rad[:-1] + bins.angle_rad[1:]) / 2
    out = np.empty((len(NAMES), 4, bins.n_rho, bins.n_angle))
    radial = terms / (rho * np.diff(bins.rho)[:, None])
    slope = np.gradient(radial, rho[:, 0], axis=0)
    for quadrant, alpha in enumerate((quarter, -quarter, np.pi - quarter, quarter - np.pi)):
        h = 1e-4
        here, before, after = (thin_shells.polynomials(degrees, np.cos(alpha + d)) for d in (0, -h, h))
        turn = (after - before) / (2 * h)
        D, by_rho, by_alpha = radial @ here, slope @ here, radial @ turn
        sine, cosine, twice_s, twice_c = np.sin(alpha), np.cos(alpha), np.sin(2 * alpha), np.cos(2 * alpha)
        k1, k2 = geometry.shear_1, geometry.shear_2
        flow = {
            "centre_x": sine * by_rho + cosine * by_alpha / rho,
            "centre_z": cosine * by_rho - sine * by_alpha / rho,
            "rotation_rad": by_alpha,
            "ellipse_1": twice_c * (2 * D + rho * by_rho) - k1 * (twice_s * by_alpha + 2 * twice_c * D),
            "ellipse_2": twice_s * (2 * D + rho * by_rho) + k2 * (twice_c * by_alpha - 2 * twice_s * D),
        }
        for number, name in enumerate(NAMES):
            out[number, quadrant] = -flow[name] * area
    return out * data.exposure


def pattern(solution: Solution, data: MapData, names: tuple[str, ...]) -> Pattern:
    """Return what the quadrants say of the numbers `names` of the geometry.

    Parameters
    ----------
    solution : Solution
        The spectrum at its likeliest, fitted to the same hits.
    data : MapData
        By quadrants.
    names : tuple of str
        Of `NAMES`.
    """
    chosen = [NAMES.index(name) for name in names]
    model, per_count = solution.model, solution.data.per_count
    slopes = _derivatives(data, solution.terms, model.degrees)[chosen]
    sign = np.array([1.0, 1.0, -1.0, -1.0])[:, None] ** np.array(model.degrees)
    by_quadrant = sign[:, :, None] * thin_shells.angular_integrals(data.bins.angle_rad, model.degrees)
    expected = np.einsum("rm,qma->qra", solution.terms, by_quadrant)
    mu = np.maximum(data.exposure * expected + data.pedestal / per_count, 1e-3)
    score = np.einsum("gqra,qra->g", slopes, data.counts / per_count / mu - 1)
    weight = slopes / mu
    information = np.einsum("gqra,hqra->gh", weight, slopes)
    information += np.diag(1 / _USUAL[chosen] ** 2)
    rows = np.einsum("gqra,qma->rmg", weight * data.exposure, by_quadrant, optimize=True)
    cross = np.tensordot(model.design, rows, axes=([0, 1], [0, 1]))
    response = -solution.system.solve(cross)
    covariance = np.linalg.inv(information + cross.T @ response)
    now = np.array([getattr(data.geometry, name) for name in names])
    step = covariance @ (score - now / _USUAL[chosen] ** 2)
    step = np.clip(step, -_FARTHEST[chosen], _FARTHEST[chosen])
    return Pattern(step, covariance, response)


def moved(geometry: ImageGeometry, names: tuple[str, ...], step: NDArray[np.float64]) -> ImageGeometry:
    """Return a geometry after a step of some of its numbers."""
    return replace(
        geometry, **{name: float(getattr(geometry, name) + by) for name, by in zip(names, step, strict=True)}
    )
