"""The figure of a spectrum: intensity and betas with their errors, and what the fit makes of the image."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from util.report.maps import CELLS
from util.report.saving import save
from util.report.style import (
    ANSWER,
    BANDS,
    BLUE,
    DIFFERENCE,
    ELECTRONS,
    GREEN,
    PAGE,
    PULL_LIMIT,
    PURPLE,
    SMALLEST,
    STYLE,
    TRUTH,
)
from util.spectrum.energy import Calibration
from util.spectrum.merge import MergedSpectrum
from util.spectrum.spectrum import Spectrum

_COLOURS = (BLUE, TRUTH, GREEN, PURPLE)
_SHOWN = 4  # betas, the lowest degrees
_MOST_NAMED = 12  # peaks
_NEAR_ELECTRONS = 0.03  # of the highest intensity, below which betas are not drawn
_ROWS = 4  # of bins in rho that the pulls are summed over


def draw_spectrum(
    folder: Path, spectrum: Spectrum, calibration: Calibration | None, merged: MergedSpectrum | None
) -> None:
    """Draw spectrum.png and spectrum.pdf into a folder.

    Parameters
    ----------
    folder : Path
    spectrum : Spectrum
    calibration : Calibration or None
        None: against the radius.
    merged : MergedSpectrum or None
        Drawn as a further panel where there is one.
    """
    with matplotlib.rc_context(STYLE):
        extra = 0 if merged is None else 1
        figure = Figure(figsize=(PAGE, 8.2 + 1.9 * extra), layout="constrained")
        curves, maps = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.9 + 0.7 * extra, 1))[:, 0]
        panels = curves.subplots(2 + extra, 1, height_ratios=(1.4, 1, *[1] * extra))
        _draw_intensity(panels[0], spectrum, calibration)
        _draw_betas(panels[1], spectrum, calibration)
        panels[1].sharex(panels[0])
        if merged is not None:
            _draw_merged(panels[2], merged)
        _draw_maps(maps, spectrum)
        save(figure, folder / "spectrum.png", folder / "spectrum.pdf")


def _axis(spectrum: Spectrum, calibration: Calibration | None) -> tuple[NDArray[np.float64], str]:
    if calibration is None:
        return spectrum.r, "speed, as the radius r [half the longer side of the screen]"
    return calibration.energy(spectrum.r), "kinetic energy [eV]"


def _draw_intensity(ax: Axes, spectrum: Spectrum, calibration: Calibration | None) -> None:
    x, label = _axis(spectrum, calibration)
    value, error, unit = spectrum.intensity, spectrum.intensity_error, "electrons per unit of r"
    if calibration is not None:
        (value, error), unit = calibration.intensity(spectrum.r, value, error), "electrons per eV"
    shown = np.isfinite(value)
    ax.fill_between(
        x[shown],
        np.maximum(value - error, 0)[shown],
        (value + error)[shown],
        color=BANDS[1],
        linewidth=0,
        label="one standard deviation",
    )
    ax.plot(x[shown], value[shown], color=ANSWER, label="intensity")
    peaks = spectrum.peaks
    at = peaks.R if calibration is None else calibration.energy(peaks.R)
    for number, place in enumerate(at[:_MOST_NAMED], 1):
        height = float(np.interp(place, x[shown], value[shown]))
        ax.annotate(str(number), (place, height), (0, 3), textcoords="offset points", ha="center", fontsize=SMALLEST)
    # Near r = 0 an energy has little width, and few electrons many an eV.
    well = shown & (spectrum.intensity > _NEAR_ELECTRONS * spectrum.intensity.max())
    top = float((value + error)[well].max(initial=0)) or 1.0
    ax.set(title="electrons", xlabel=label, ylabel=unit, ylim=(0, 1.15 * top), xlim=(0, float(x[-1])))
    ax.legend(loc="upper left")


def _draw_betas(ax: Axes, spectrum: Spectrum, calibration: Calibration | None) -> None:
    x, label = _axis(spectrum, calibration)
    held = spectrum.intensity > _NEAR_ELECTRONS * spectrum.intensity.max()
    peaks = spectrum.peaks
    at = peaks.R if calibration is None else calibration.energy(peaks.R)
    for k, degree in enumerate(spectrum.degrees[:_SHOWN]):
        colour = _COLOURS[k]
        beta, error = (np.where(held, part[k], np.nan) for part in (spectrum.beta, spectrum.beta_error))
        ax.fill_between(x, beta - error, beta + error, color=colour, alpha=0.3, linewidth=0)
        ax.plot(x, beta, color=colour, linewidth=0.8)
        ax.errorbar(
            at,
            peaks.beta[k],
            peaks.beta_error[k],
            fmt="os^D"[k],
            color=colour,
            markerfacecolor="white",
            markersize=4,
            linewidth=1,
            label=f"β{degree} of a peak",
        )
    ax.axhline(0, color="0.5", linewidth=0.6)
    values = np.concatenate([spectrum.beta[:_SHOWN][:, held].ravel(), peaks.beta[:_SHOWN].ravel()])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, (1, 99)) if values.size else (-1.0, 2.0)
    ax.set(
        title="anisotropy, I(θ) ∝ 1 + Σ β P(cos θ), where there are electrons",
        xlabel=label,
        ylabel="β (field's normalisation)",
        ylim=(min(float(low) - 0.4, -0.5), max(float(high) + 0.4, 0.5)),
    )
    if spectrum.degrees:
        ax.legend(ncols=_SHOWN, loc="best")


def _draw_merged(ax: Axes, merged: MergedSpectrum) -> None:
    ax.fill_between(
        merged.binding_energy,
        merged.intensity - merged.error,
        merged.intensity + merged.error,
        step="mid",
        color=BANDS[1],
        linewidth=0,
    )
    ax.step(merged.binding_energy, merged.intensity, where="mid", color=ANSWER)
    ax.set(
        title=f"{merged.scale.size} spectra merged",
        xlabel="binding energy [eV]",
        ylabel="electrons per eV,\nscale of the first",
    )
    ax.set_ylim(bottom=0)


def _draw_maps(figure: SubFigure, spectrum: Spectrum) -> None:
    rho = np.linspace(0, 1, spectrum.image.shape[0] + 1)
    halves = any(degree % 2 for degree in spectrum.degrees)
    angle = np.linspace(0, np.pi if halves else np.pi / 2, spectrum.image.shape[1] + 1)

    def ordered(values: NDArray[np.float64]) -> NDArray[np.float64]:
        # The second half counts its angle from -z.
        quarter = values.shape[1] // 2
        return np.concatenate((values[:, :quarter], values[:, quarter:][:, ::-1]), axis=1)

    quadrants, side = (2 if halves else 4), 2 / CELLS  # densities are told in the bins of an answer's maps
    area = quadrants * np.diff(rho**2)[:, None] / 2 * np.diff(angle)[:1] / side**2
    axes = figure.subplots(1, 3)
    densities = [(ordered(part) if halves else part) / area for part in (spectrum.image, spectrum.model)]
    top = float(np.percentile(densities[1], 99.5))
    rows = rho[::_ROWS]
    image, model, variance = (
        part.reshape(-1, _ROWS, part.shape[1]).sum(axis=1)
        for part in (spectrum.image, spectrum.model, spectrum.variance)
    )
    pulls = (image - model) / np.sqrt(np.maximum(variance, 1.0))
    pulls = ordered(pulls) if halves else pulls
    counts = f"electrons per bin of {side:.4f} × {side:.4f},\nsquare-root scale"
    for ax, edges, values, title, colours, norm, label in (
        (axes[0], rho, densities[0], "electrons found", ELECTRONS, PowerNorm(0.5, 0, top), counts),
        (axes[1], rho, densities[1], "electrons expected by the fit", ELECTRONS, PowerNorm(0.5, 0, top), counts),
        (axes[2], rows, pulls, "pulls", DIFFERENCE, Normalize(-PULL_LIMIT, PULL_LIMIT), "(found - expected) / error"),
    ):
        x, z = edges[:, None] * np.sin(angle), edges[:, None] * np.cos(angle)
        drawn = ax.pcolormesh(x, z, values, cmap=colours, norm=norm, rasterized=True)
        ax.set(title=title, xlabel="distance from the axis", aspect="equal")
        figure.colorbar(drawn, ax=ax, location="bottom", label=label)
    folded = "both halves" if halves else "all quadrants"
    axes[0].set_ylabel(f"z (laser polarisation)\n{folded} folded into one")
