"""Spectra at several photon energies on one axis of binding energy.

Slow electrons are resolved best, since dE/dr grows with r. SEVI therefore takes a spectrum at each of several photon
energies, every one of which shows the lines just below it sharply and the deeper ones ever more blurred. Here they
become one spectrum: put on one axis, scaled to each other where they overlap, and averaged by their errors.

Intensities alone are merged. Betas depend on the kinetic energy, which differs between spectra at the same binding
energy: they are to be read from each spectrum by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from util.runtime.errors import InputError
from util.spectrum.energy import Calibration

Array = NDArray[np.float64]

_SEEN = 3.0  # errors by which both spectra must show electrons where they overlap
_SAME = 1e-12  # eV between edges that are the same
_REACH = 6.0  # of the broadest resolution to both sides: beyond a line, short of its neighbours


@dataclass(frozen=True, eq=False)
class EnergySpectrum:
    """A spectrum against kinetic energy.

    Attributes
    ----------
    name : str
        The file, named in messages.
    energy : array (n,)
        Kinetic energies [eV], ascending.
    intensity, error : arrays (n,)
        Electrons an eV, and their standard errors.
    resolution : array (n,)
        Standard deviation [eV] of a line of no width.
    axis_error : array (n,)
        Standard error [eV] of the binding energy that a kinetic energy stands for, common to neighbours.
    photon_energy : float
        eV.
    """

    name: str
    energy: Array
    intensity: Array
    error: Array
    resolution: Array
    axis_error: Array
    photon_energy: float

    def __post_init__(self) -> None:
        columns = (self.energy, self.intensity, self.error, self.resolution, self.axis_error)
        if self.energy.size < 2 or any(column.shape != self.energy.shape for column in columns):
            raise ValueError(f"expected five arrays of one length (2 at least), found {[c.shape for c in columns]}")
        if not all(np.isfinite(column).all() for column in columns) or not (np.diff(self.energy) > 0).all():
            raise ValueError("expected finite numbers and ascending energies")


@dataclass(frozen=True, eq=False)
class MergedSpectrum:
    """Several spectra as one.

    Attributes
    ----------
    binding_energy, width : arrays (m,)
        Middles and widths of bins [eV], ascending; the steps are those of the spectrum that is finest there.
    intensity : array (m,)
        Electrons an eV on the scale of the first spectrum.
    covariance : array (m, m)
        Of the intensities. Neighbours are correlated where a spectrum of coarser steps takes part, and all points by
        the errors of `scale`. Correlations within each spectrum, by its own fit, are left out.
    resolution : array (m,)
        Standard deviation [eV] of a line of no width there: root mean square of the spectra's by their weights.
    axis_error : array (m,)
        Standard error [eV] of `binding_energy`: the spectra's by their weights, as if fully correlated.
    spectra : array (m,), int
        How many spectra take part.
    scale, scale_error : arrays (k,)
        What each spectrum was multiplied with; 1 and 0 for the first.
    """

    binding_energy: Array
    width: Array
    intensity: Array
    covariance: Array
    resolution: Array
    axis_error: Array
    spectra: NDArray[np.int64]
    scale: Array
    scale_error: Array

    @property
    def error(self) -> Array:
        """Standard errors (m,) of the intensities, each by itself."""
        return np.sqrt(np.diag(self.covariance))


def energy_spectrum(
    calibration: Calibration, r: Array, intensity: Array, error: Array, resolution: Array, *, name: str
) -> EnergySpectrum:
    """Put a spectrum of radii on an axis of energies; points at r = 0 and without finite numbers are left out.

    Parameters
    ----------
    calibration : Calibration
    r, intensity, error, resolution : arrays (n,)
        Radii [detector units]; electrons a detector unit, and their errors; sigma of the lines [detector units].
    name : str
        The file, named in messages.

    Raises
    ------
    InputError
        The calibration has no photon energy, or the spectrum fewer than two points.
    """
    if calibration.photon_energy is None:
        raise InputError(f"{name}: expected photon_energy in its calibration, found none; add it and make it again")
    per_ev, per_ev_error = calibration.intensity(r, intensity, error)
    kept = np.isfinite(per_ev) & np.isfinite(per_ev_error)
    if kept.sum() < 2:
        raise InputError(
            f"{name}: expected a spectrum, found {kept.sum()} points with electrons and errors; make it again"
        )
    r = r[kept]
    return EnergySpectrum(
        name,
        calibration.energy(r),
        per_ev[kept],
        per_ev_error[kept],
        resolution[kept] * calibration.jacobian(r),
        calibration.binding_energy_error(r),
        calibration.photon_energy,
    )


def merge(spectra: Sequence[EnergySpectrum]) -> MergedSpectrum:
    """Merge spectra into one, against binding energy.

    Each is resampled so that no electron is lost, and scaled by one number so that it holds as many electrons as the
    others where it overlaps them. That takes ratios of cross sections to be the same for all lines, which near a
    threshold they are not.

    Weights are 1 / error², of an error that is averaged over a line's width in the broadest spectrum. Weighted by the
    errors of single points, lines would lose electrons: where a sharp line is high, so is its error, and the blurred
    one, low there, would outweigh it, as the sharp one does beside the line, where it is low.

    Raises
    ------
    InputError
        Spectra without overlap, or without electrons there.
    """
    if len(spectra) < 2:
        raise InputError(f"expected two spectra at least to merge, found {len(spectra)}; name more")
    natives = [_Native.of(spectrum) for spectrum in spectra]
    scale, scale_covariance = _scales(natives)
    edges = _common_edges(natives)
    weight = _weights(natives, edges, scale)
    covered = weight.any(axis=0)
    low, high, weight = edges[:-1][covered], edges[1:][covered], weight[:, covered]
    middle, width = (low + high) / 2, high - low
    intensity, covariance = np.zeros(middle.size), np.zeros((middle.size, middle.size))
    by_scale = np.zeros((middle.size, len(natives)))
    for k, native in enumerate(natives):
        to_bins = (weight[k] * scale[k] / width)[:, None] * native.shares(low, high)
        by_scale[:, k] = to_bins @ native.electrons
        intensity += by_scale[:, k]
        covariance += (to_bins * native.variance) @ to_bins.T
    resolution = np.array([native.interpolated(native.resolution, middle) for native in natives])
    axis_error = np.array([native.interpolated(native.axis_error, middle) for native in natives])
    return MergedSpectrum(
        binding_energy=middle,
        width=width,
        intensity=intensity,
        covariance=covariance + by_scale @ scale_covariance @ by_scale.T,
        resolution=np.sqrt((weight * resolution**2).sum(axis=0)),
        axis_error=(weight * axis_error).sum(axis=0),
        spectra=(weight > 0).sum(axis=0),
        scale=scale,
        scale_error=scale * np.sqrt(np.diag(scale_covariance)),
    )


@dataclass(frozen=True, eq=False)
class _Native:
    """One spectrum in its own bins of binding energy, ascending."""

    name: str
    edges: Array
    middle: Array
    electrons: Array
    variance: Array
    resolution: Array
    axis_error: Array

    @classmethod
    def of(cls, spectrum: EnergySpectrum) -> "_Native":
        energy = spectrum.energy
        between = (energy[1:] + energy[:-1]) / 2
        first = max(energy[0] - (between[0] - energy[0]), min(0.0, energy[0]))  # no electron is slower than 0
        edges = np.concatenate(([first], between, [2 * energy[-1] - between[-1]]))
        width = np.diff(edges)
        return cls(
            spectrum.name,
            spectrum.photon_energy - edges[::-1],
            spectrum.photon_energy - energy[::-1],
            (spectrum.intensity * width)[::-1],
            ((spectrum.error * width) ** 2)[::-1],
            spectrum.resolution[::-1],
            spectrum.axis_error[::-1],
        )

    def width_at(self, at: Array) -> Array:
        """Return the width of the bin that holds each point; infinite outside."""
        index = np.searchsorted(self.edges, at, side="right") - 1
        width = np.append(np.diff(self.edges), np.inf)
        return np.where(index < 0, np.inf, width[np.minimum(index, width.size - 1)])

    def interpolated(self, column: Array, at: Array) -> Array:
        """Return a column at other binding energies."""
        return np.interp(at, self.middle, column)

    def shares(self, low: Array, high: Array) -> Array:
        """Return which share of each bin (n,) lies in each of other bins: (m, n)."""
        within = np.minimum(high[:, None], self.edges[1:]) - np.maximum(low[:, None], self.edges[:-1])
        return np.maximum(within, 0) / np.diff(self.edges)

    def noise(self, at: Array, reach: Array) -> Array:
        """Return the variance of the electrons, an eV, averaged over `reach` to both sides of each point."""
        total = np.concatenate(([0.0], np.cumsum(self.variance)))
        low, high = np.maximum(at - reach, self.edges[0]), np.minimum(at + reach, self.edges[-1])
        within = np.interp(high, self.edges, total) - np.interp(low, self.edges, total)
        # Where the errors of a whole line are 0 the spectrum tells nothing of its noise; its mean stands for it.
        least = 1e-6 * total[-1] / (self.edges[-1] - self.edges[0])
        return np.maximum(within / np.maximum(high - low, 1e-12), max(least, 1e-300))


def _common_edges(natives: list[_Native]) -> Array:
    """Return edges of bins: everywhere those of the spectrum with the narrowest, which is so not resampled."""
    found = []
    for own, native in enumerate(natives):
        widths = np.array([other.width_at(native.edges) for other in natives])
        found.append(native.edges[widths.argmin(axis=0) == own])
        found.append(native.edges[-1:])  # beyond which its width is unknown
    edges = np.unique(np.concatenate(found))
    narrowest = np.min([native.width_at(edges) for native in natives], axis=0)
    kept = [0]
    for index in range(1, edges.size):  # where one spectrum takes over from another, no slivers
        if edges[index] - edges[kept[-1]] >= 0.5 * narrowest[kept[-1]]:
            kept.append(index)
    return np.asarray(edges[kept])


def _weights(natives: list[_Native], edges: Array, scale: Array) -> Array:
    """Return weights (k, m) of spectra in bins, of sum 1; a spectrum takes part in bins that it covers wholly."""
    middle = (edges[:-1] + edges[1:]) / 2
    inside = np.array([(edges[:-1] >= n.edges[0] - _SAME) & (edges[1:] <= n.edges[-1] + _SAME) for n in natives])
    resolution = np.array([native.interpolated(native.resolution, middle) for native in natives])
    reach = _REACH * np.where(inside, resolution, 0).max(axis=0)
    noise = np.array([native.noise(middle, reach) for native in natives]) * scale[:, None] ** 2
    weight = inside / noise
    return np.asarray(weight / np.maximum(weight.sum(axis=0), 1e-300))


def _scales(natives: list[_Native]) -> tuple[Array, Array]:
    """Return factors (k,) that make spectra hold equally many electrons where they overlap.

    Also the covariance (k, k) of their logarithms; the first is 1.

    Logarithms of the ratios of all pairs, by least squares; whole overlaps are compared, not points, since the
    spectra differ in resolution.
    """
    count = len(natives)
    rows, ratios, errors = [], [], []
    for i in range(count):
        for j in range(i):
            low = max(natives[i].edges[0], natives[j].edges[0])
            high = min(natives[i].edges[-1], natives[j].edges[-1])
            shares = [natives[k].shares(np.array([low]), np.array([high]))[0] for k in (i, j)]
            electrons = np.array([share @ natives[k].electrons for share, k in zip(shares, (i, j), strict=True)])
            spread = np.sqrt([share**2 @ natives[k].variance for share, k in zip(shares, (i, j), strict=True)])
            if (electrons > _SEEN * spread).all():
                rows.append(np.eye(count)[i] - np.eye(count)[j])
                ratios.append(np.log(electrons[1] / electrons[0]))
                errors.append(max(np.hypot(*(spread / electrons)), 1e-9))
    design = np.array(rows).reshape(-1, count)
    _check_connected(natives, design)
    weighted = design[:, 1:] / np.array(errors)[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    logarithms = covariance @ weighted.T @ (np.array(ratios) / errors)
    return np.exp(np.append(0.0, logarithms)), np.pad(covariance, (1, 0))


def _check_connected(natives: list[_Native], pairs: Array) -> None:
    reached = np.arange(len(natives)) == 0
    for _ in natives:
        reached = reached | ((pairs != 0) & ((pairs != 0) & reached).any(axis=1)[:, None]).any(axis=0)
    if reached.all():
        return
    alone = natives[int(np.argmin(reached))]
    raise InputError(
        f"{alone.name}: expected binding energies at which both it and the other spectra show electrons (by {_SEEN:g} "
        f"errors), found none from {alone.edges[0]:.4g} to {alone.edges[-1]:.4g} eV, which it spans; correct "
        "photon_energy, or name a spectrum between them as well"
    )
