"""Figures that show how far to trust an answer, each as PNG and as PDF."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from util.fit.circle_map import N_RHO
from util.fit.detection import Detection
from util.fit.goodness import Goodness
from util.fit.result import FitResult
from util.physics.polar_map import PolarBins, coarsen, expected
from util.physics.sphere import Sphere
from util.report.answer_figures import STYLE, draw_maps, draw_pads, pairs_of_axes, panels
from util.report.html import CAPTIONS
from util.report.saving import save

_FINE = PolarBins(1000, 24)


@dataclass(frozen=True)
class Measured:
    """What the figures show of the hits.

    Attributes
    ----------
    goodness : Goodness
    distribution : (1024, 1024)
        Sum of weights per pixel.
    mean_square_weight : float
        <w^2> / <w> of the hits.
    frame : (image (H, W), hits structured) or None
        A frame and what was found in it.
    detection : Detection
        What the detector shows of the image.
    """

    goodness: Goodness
    distribution: NDArray[np.float64]
    mean_square_weight: float
    frame: tuple[NDArray[np.unsignedinteger], NDArray[np.void]] | None = None
    detection: Detection = Detection()  # noqa: RUF009 - frozen


def draw_all(
    folder: Path,
    result: FitResult,
    measured: Measured | None = None,
    *,
    truth: Sequence[Sphere] | None = None,
    others: Mapping[str, NDArray[np.float64]] | None = None,
) -> list[Path]:
    """Draw every figure for which there is something to show, and remove those of an earlier answer.

    Parameters
    ----------
    folder : Path
    result : FitResult
    measured : Measured or None
        None: an answer without hits.
    truth : sequence of Sphere or None
    others : mapping of a method's name to its betas (S, m)
        Other answers to show beside this one, with as many betas as each has.

    Returns
    -------
    list of Path
        The files written.
    """
    rows = panels(len(result.R))
    columns, height = max(2, len(rows[0])), len(rows)
    drawings: dict[str, tuple[tuple[float, float], Callable[[Figure], None]]] = {
        "pads": ((6 * columns, 5.5 * height), lambda f: draw_pads(f, result, truth)),
        "correlations": ((8.5, 7.5), lambda f: _correlations(f, result)),
        "betas": ((5.5 * columns, 6 * height), lambda f: _betas(f, result, truth, others or {})),
    }
    if measured is not None:
        goodness, matrix, spread = measured.goodness, measured.distribution, measured.mean_square_weight
        drawings |= {
            "distribution": ((12, 4), lambda f: draw_maps(f, matrix, spread, result, measured.detection)),
            "radial_spectrum": ((8, 5.5), lambda f: _radial(f, result, goodness)),
            "angular_pulls": ((8, 3.5), lambda f: _angular(f, goodness)),
        }
        if measured.frame is not None:
            image, found = measured.frame
            drawings["frame"] = ((7.5, 7), lambda f: _frame(f, image, found))
    written = []
    with matplotlib.rc_context(STYLE):
        for name, (size, draw) in drawings.items():
            figure = Figure(figsize=size, layout="constrained")
            draw(figure)
            files = [folder / f"{name}{suffix}" for suffix in (".png", ".pdf")]
            save(figure, *files)
            written += files
    for name in CAPTIONS.keys() - drawings.keys():
        for suffix in (".png", ".pdf"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    return written


def _radial(figure: Figure, result: FitResult, goodness: Goodness) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    upper.plot(goodness.rho, goodness.radial, "o", color="0.5", markersize=3, label="electrons found")
    upper.plot(goodness.rho, goodness.radial_model, color="black", linewidth=1, label="all spheres")
    for s, style in zip(range(len(result.R)), itertools.cycle(("--", ":", "-."))):
        alone = expected(_FINE, result.beta[s], result.R[s], result.sigma_R[s]) * result.electrons[s]
        ring = coarsen(alone, _FINE.n_rho // N_RHO, _FINE.n_angle)[:, 0]
        upper.plot(goodness.rho, ring, style, color="black", label=f"sphere {s + 1}, R = {result.R[s]:.4f}")
    upper.set(ylabel="electrons per ring", title="Distance from the centre, on the detector")
    upper.legend(frameon=False)
    error = goodness.radial_error
    # Rings where nothing is expected have no pull.
    shown = goodness.radial_model > 1
    lower.bar(goodness.rho[shown], ((goodness.radial - goodness.radial_model) / error)[shown], 1 / N_RHO, color="0.4")
    for level in (-2, 2):
        lower.axhline(level, color="black", linewidth=0.6, linestyle="--")
    lower.set(xlabel="distance from the centre [half the screen]", ylabel="pull", xlim=(0, 1))


def _angular(figure: Figure, goodness: Goodness) -> None:
    ax = figure.subplots()
    pulls = (goodness.angular - goodness.angular_model) / goodness.angular_error
    ax.bar(np.degrees(goodness.phi_rad), pulls, 360 / pulls.size, color="0.4")
    for level in (-2, 2):
        ax.axhline(level, color="black", linewidth=0.6, linestyle="--")
    ax.set(
        xlabel="angle from +z towards +x [degrees]",
        ylabel="pull",
        xlim=(-180, 180),
        xticks=range(-180, 181, 45),
        title="Electrons found against the model, all radii together",
    )


def _correlations(figure: Figure, result: FitResult) -> None:
    ax = figure.subplots()
    free = result.errors > 0  # what was set to zero correlates with nothing
    scale = np.where(free, result.errors, 1)
    image = ax.imshow(result.covariance / np.outer(scale, scale), cmap="cividis", vmin=-1, vmax=1)
    ticks, size = range(len(result.names)), max(2, min(7, 250 / len(result.names)))
    ax.set_xticks(ticks, result.names, rotation=90, fontsize=size)
    ax.set_yticks(ticks, result.names, fontsize=size)
    ax.set_title(f"Correlations of the errors (condition number {result.condition:.0f})")
    figure.colorbar(image, ax=ax, shrink=0.85)


def _betas(
    figure: Figure, result: FitResult, truth: Sequence[Sphere] | None, others: Mapping[str, NDArray[np.float64]]
) -> None:
    spheres, n = result.beta.shape
    order = np.array(result.layout.degrees)
    for s, (upper, lower) in enumerate(pairs_of_axes(figure, spheres)):
        error = result.errors[result.layout.beta[s]]
        upper.bar(order, result.beta[s], 1.2, yerr=error, color="0.8", edgecolor="black", capsize=3, label="answer")
        shown = dict(others)
        if truth is not None:
            shown["truth"] = np.array([np.resize([*sphere.beta, *[0.0] * n], n) for sphere in truth])
        base = shown.get("truth", np.zeros((spheres, n)) + result.beta)[s]
        lower.errorbar(order, result.beta[s] - base, error, fmt="s", color="black", markersize=3, capsize=3)
        for (name, beta), marker in zip(shown.items(), "ovD^x", strict=False):
            told = beta[s][:n]
            place = order[: len(told)] + (0 if name == "truth" else 0.4)
            style: dict[str, Any] = {
                "color": "tab:red" if name == "truth" else "tab:blue",
                "markersize": 4,
                "label": name,
            }
            upper.plot(place, told, marker, fillstyle="none", **style)
            if name != "truth":
                lower.plot(place, told - base[: len(told)], marker, fillstyle="none", **style)
        lower.axhline(0, color="black", linewidth=0.6, linestyle="--")
        upper.axhline(0, color="black", linewidth=0.6)
        upper.set(title=f"sphere {s + 1}, I = 1/2 + Σ β P", ylabel="β")
        lower.set(xlabel="Legendre degree", xticks=order, ylabel="β - truth" if truth is not None else "β - answer")
        upper.legend(frameon=False)


def _frame(figure: Figure, image: NDArray[np.unsignedinteger], hits: NDArray[np.void]) -> None:
    ax = figure.subplots()
    half = [pixels / max(image.shape) for pixels in image.shape]
    extent = (-half[0], half[0], -half[1], half[1])
    shown = ax.imshow(image.T, origin="lower", extent=extent, cmap="Greys", vmin=0, vmax=max(255, int(image.max())))
    double = hits["weight"] > 1.5
    for part, marker, label in ((~double, "+", "electron found"), (double, "x", "two electrons in one spot")):
        if part.any():
            ax.plot(hits["x"][part], hits["z"][part], marker, color="tab:red", markersize=6, label=label)
    ax.set(xlabel="x [half the screen]", ylabel="z (laser polarisation)", title=f"one frame, {len(hits)} hits")
    if len(hits):
        ax.legend(loc="upper right")
    figure.colorbar(shown, ax=ax, shrink=0.85, label="counts")
