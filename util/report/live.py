"""The page of a watch: where it stands, what it found so far, and the figures of that."""

import io
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from util.fit.forecast import frames_until
from util.fit.goodness import Goodness
from util.fit.result import FitResult
from util.report.maps import CELLS, show_electrons, summed
from util.report.style import ANSWER, COLUMN, SPHERES, STYLE
from util.runtime.value_with_error import shorthand

FIGURES = {
    "image": "Electrons found so far.",
    "radial": "Electrons by their distance from the centre, on the detector, and what the spheres of the answer make.",
    "rate": "Electrons a frame, in the order of the frames, with their standard errors.",
}
Kind = Literal["good", "waits", "over"]
_BETAS = 3  # shown, the lowest degrees
_BRIGHTEST = 99.8  # percentile of the cells at which colours end
_RINGS = 250  # without an answer
_LEAST_SHOWN = 0.02  # of a rate, above and below
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Progress:
    """How a watch gets on.

    Attributes
    ----------
    arrived, searched, left_out : int
        Frames.
    arriving, searching : float
        Frames a second, of late.
    electrons : float
        A frame, on average; nan where none was searched.
    """

    arrived: int
    searched: int
    left_out: int
    arriving: float
    searching: float
    electrons: float

    @property
    def backlog(self) -> int:
        """Frames that are there and still to be searched."""
        return self.arrived - self.searched - self.left_out


@dataclass(frozen=True)
class Running:
    """A running answer: `fit` and `goodness` of the first `frames` frames."""

    fit: FitResult
    goodness: Goodness
    frames: int


@dataclass(frozen=True)
class State:
    """What the page asks for once a second, as ``state.json``.

    Attributes
    ----------
    kind : {"good", "waits", "over"}
    text : str
        How the watch stands.
    figures : mapping of str to int
        Those that there are, each with a number that changes with it.
    body : str
        What `body` returns.
    detector : str
        What was learnt of it.
    updated : str
        When this was told.
    """

    kind: Kind
    text: str
    figures: Mapping[str, int] = field(default_factory=dict)
    body: str = ""
    detector: str = ""
    updated: str = field(default_factory=lambda: time.strftime("%H:%M:%S"))


def page(name: str) -> bytes:
    """Return the page, which asks once a second for ``state.json`` and for the figures that it names."""
    return _TEMPLATES.get_template("watch.html.j2").render(name=name, figures=FIGURES).encode()


def body(progress: Progress, answer: Running | None, *, target: float, said: Sequence[str] = ()) -> str:
    """Return what the page tells in words and numbers, as HTML.

    Parameters
    ----------
    progress : Progress
    answer : Running or None
    target : float
        Standard error of beta_2 that is wanted.
    said : sequence of str
        What is to be known besides.
    """
    p = progress
    numbers = [
        ("frames arrived", f"{p.arrived:,}"),
        ("frames searched", f"{p.searched:,}"),
        ("frames waiting", f"{p.backlog:,}"),
        ("frames/s arriving", f"{p.arriving:.1f}"),
        ("frames/s searched", f"{p.searching:.1f}"),
        ("electrons a frame", f"{p.electrons:.1f}" if np.isfinite(p.electrons) else "-"),
    ]
    if p.left_out:
        numbers.append(("frames left out", f"{p.left_out:,}"))
    return _TEMPLATES.get_template("watch_body.html.j2").render(
        numbers=numbers,
        spheres=_spheres(answer, target, p.arriving) if answer else [],
        degrees=answer.fit.layout.degrees[:_BETAS] if answer else (),
        target=f"±{target:g}",
        answered=f"{answer.frames:,}" if answer else "",
        said=said,
    )


def _spheres(answer: Running, target: float, rate: float) -> list[dict[str, object]]:
    fit = answer.fit
    layout, values, errors = fit.layout, fit.values, fit.errors
    text = [shorthand(value, error) for value, error in zip(values, errors, strict=True)]
    return [
        {
            "R": text[layout.R[s]],
            "sigma_R": text[layout.sigma_R[s]],
            "betas": [text[i] for i in layout.beta[s, :_BETAS]],
            "electrons": f"{fit.electrons[s]:,.0f}",
            "forecast": forecast(float(frames), answer.frames, rate),
        }
        for s, frames in enumerate(frames_until(fit, answer.frames, target))
    ]


def forecast(wanted: float, frames: int, rate: float) -> str:
    """Say when so many frames are reached that are `wanted`, at so many a second."""
    wanted = _rounded(wanted)
    if wanted <= frames:
        return "reached"
    if rate <= 0:
        return f"at {wanted:,.0f} frames"
    seconds = (wanted - frames) / rate
    time = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else _hours(seconds)
    return f"at {wanted:,.0f} frames, in {time}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 86400:.0f} days"


def _rounded(frames: float) -> float:
    """Return a number with two digits: a forecast knows no more."""
    return float(f"{frames:.1e}")


def draw_image(distribution: NDArray[np.float64]) -> bytes:
    """Draw the electrons found, (1024, 1024), as PNG."""
    cells = summed(distribution, CELLS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.9 * COLUMN), layout="constrained")
        show_electrons(figure.subplots(), cells, float(np.percentile(cells, _BRIGHTEST)), "electrons found")
        return _png(figure)


def draw_radial(
    x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64], answer: Running | None
) -> bytes:
    """Draw the radial spectrum as PNG: of the hits (n,) about the middle of the screen where there is no answer yet."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.9 * COLUMN), layout="constrained")
        ax = figure.subplots()
        if answer is None:
            number, edges = np.histogram(np.hypot(x, z), _RINGS, (0, 1), weights=weight)
            ax.stairs(number, edges, color="0.4", label="electrons found")
        else:
            found = answer.goodness
            ax.errorbar(
                found.rho,
                found.radial,
                found.radial_error,
                fmt="o",
                color="0.5",
                markersize=2,
                linewidth=0.8,
                label="electrons found",
            )
            ax.plot(found.rho, found.radial_model, color=ANSWER, linewidth=0.9, label="answer")
            errors = answer.fit.errors[answer.fit.layout.R]
            for R, error, colour in zip(answer.fit.R, errors, itertools.cycle(SPHERES), strict=False):
                ax.axvline(R, color=colour, linewidth=0.6, linestyle="--", label=f"R = {shorthand(R, error)}")
        ax.set(xlabel="distance from the centre [half the screen]", ylabel="electrons per ring", xlim=(0, 1))
        ax.set_ylim(bottom=0)
        ax.legend(loc="upper left")
        return _png(figure)


def draw_rate(frame: NDArray[np.float64], electrons: NDArray[np.float64], error: NDArray[np.float64]) -> bytes:
    """Draw the electrons a frame (n,), with their errors, against the number of the frame, as PNG."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.62 * COLUMN), layout="constrained")
        ax: Axes = figure.subplots()
        ax.errorbar(frame, electrons, error, fmt="o", color="0.3", markersize=2, linewidth=0.8)
        ax.set(xlabel="frame", ylabel="electrons a frame")
        low, high, middle = (electrons - error).min(), (electrons + error).max(), electrons.mean()
        room = max(0.2 * (high - low), _LEAST_SHOWN * middle)
        ax.set(xlim=(0, None), ylim=(max(low - room, 0), high + room))
        return _png(figure)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
