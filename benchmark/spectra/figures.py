"""Figures of spectra: the fit's curves with their errors beside a peer's, and the truth where it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

from benchmark.spectra.truth import PIXELS_A_RADIUS, Curves, Truth
from util.report.style import STYLE
from util.runtime.atomic_file import replacing
from util.spectrum.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SEEN = 0.02  # of the highest intensity: betas of less are not drawn


@dataclass
class Shown:
    """What one column of a figure shows: a spectrum by two methods; `truth` is a name where it is not known."""

    truth: Truth | str
    fit: Spectrum | None = None
    peer: Curves | None = None
    peer_name: str = ""


def _above(curves: Curves) -> np.ndarray:
    """Return beta_2 (n,) where there is enough to see, else NaN."""
    return np.where(curves.intensity > _SEEN * np.nanmax(curves.intensity), curves.beta[0], np.nan)


def _draw_column(intensity: "Axes", beta: "Axes", shown: Shown) -> None:
    """Draw one spectrum: intensity above, beta_2 below."""
    px = PIXELS_A_RADIUS
    if isinstance(shown.truth, Truth):
        title = f"{shown.truth.name}, {shown.truth.electrons:g} electrons"
        true = shown.truth.curves(np.linspace(0, 1, 8 * px + 1))
        intensity.plot(true.r * px, true.intensity / px, color="0.6", lw=2.5, label="truth")
        beta.plot(true.r * px, _above(true), color="0.6", lw=2.5)
    else:
        title = shown.truth
    if shown.peer is not None:
        r = shown.peer.r * px
        intensity.plot(r, shown.peer.intensity / px, color="tab:orange", lw=0.9, ls="--", label=shown.peer_name)
        beta.plot(r, _above(shown.peer), color="tab:orange", lw=0.9, ls="--")
    if shown.fit is not None:
        fit, r = shown.fit, shown.fit.r * px
        curves = Curves(fit.r, fit.intensity, fit.beta)
        intensity.plot(r, fit.intensity / px, color="tab:blue", lw=1, label="this fit, one error shaded")
        low, high = fit.intensity - fit.intensity_error, fit.intensity + fit.intensity_error
        intensity.fill_between(r, low / px, high / px, color="tab:blue", alpha=0.3, lw=0)
        beta.plot(r, _above(curves), color="tab:blue", lw=1)
        low, high = _above(curves) - fit.beta_error[0], _above(curves) + fit.beta_error[0]
        beta.fill_between(r, low, high, color="tab:blue", alpha=0.3, lw=0)
    last = max((part.r[-1] for part in (shown.fit, shown.peer) if part is not None), default=1.0)
    intensity.set(title=title, ylabel="electrons per pixel of radius", xlim=(0, last * px))
    beta.set(xlabel="radius [pixels]", ylabel=r"$\beta_2$", ylim=(-1.3, 2.3), xlim=(0, last * px))
    intensity.legend(frameon=False)


def draw(path: Path, columns: Sequence[Shown]) -> None:
    """Draw spectra side by side; the suffix of `path` sets the format."""
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5 * len(columns), 6), layout="constrained")
        axes = figure.subplots(2, len(columns), sharex="col", squeeze=False, height_ratios=(2, 1))
        for (intensity, beta), shown in zip(axes.T, columns, strict=True):
            _draw_column(intensity, beta, shown)
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix.removeprefix("."))
