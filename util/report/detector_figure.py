"""Figure of a detector as its frames show it: gain, pulse heights, afterglow, response, and drift over the run."""

import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import gammaincc, gammaln

from util.camera.detector import Detector
from util.camera.imperfections import smooth_map
from util.finder.calibration import Learned, faintest_height, in_the_middle
from util.finder.finder import FinderSettings
from util.finder.findings import Finding
from util.finder.run_checks import BLOCKS, FEWEST_FRAMES, Run, Series, in_blocks
from util.report.maps import bar, show_screen
from util.report.saving import save
from util.report.style import ANSWER, BLUE, DIFFERENCE, ORANGE, PAGE, STYLE, TRUTH
from util.runtime.value_with_error import shorthand

NAME = "detector"
_CELLS = 256  # of the map of the gain, along each axis
_LEAST_GAIN = 0.05  # up and down, that the colours show
_HIGHEST = 4.0  # mean heights that are shown
_BINS = 48
_SHOWN = 600  # hits on the map
_LEAST_AFTERGLOW = 1.0  # %, that the axis shows
_LEAST_DRIFT = (3.0, 2.0)  # % and pixels, likewise
_TITLES = (
    "gain over the screen",
    "heights of lone electrons",
    "the camera's answer to light",
    "afterglow",
    "rate and brightness over the run",
    "centre over the run",
)
# What was found, by the names of the checks, in the order of the titles.
_TOLD: tuple[dict[str, str], ...] = (
    {"gain over the screen": "{} % up and down"},
    {"pulse heights": "the flux spreads by {} %"},
    {"response": "counts as light^{}"},
    {"afterglow": "{} % left in the next frame"},
    {"drift of the rate of hits": "rms {} %", "drift of the brightness of hits": "{} %"},
    {"drift of the centre along x": "rms x {}", "drift of the centre along z": "z {} pixels"},
)


def draw_detector(folder: Path, learned: Learned, run: Run, settings: FinderSettings) -> Path:
    """Write FOLDER/detector.png and .pdf; return the first.

    Parameters
    ----------
    folder : Path
    learned, run
        As `util.finder.run_checks.check_frames` returns them.
    settings : FinderSettings
        Of that search.
    """
    found = {finding.what: finding for finding in learned.findings}
    detector = learned.detector
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 4.2), layout="constrained")
        panels = figure.subplots(2, 3, width_ratios=(1.15, 1, 1)).ravel()
        _gain(panels[0], detector, run.lone)
        _pulse_heights(panels[1], detector, run.lone, faintest_height(detector, settings))
        _response(panels[2], detector, learned.response.value, learned.response.error)
        _afterglow(panels[3], learned)
        in_percent, in_pixels = _LEAST_DRIFT
        _drift(panels[4], run.series[:2], ("rate of hits", "brightness"), "above the run's mean [%]", in_percent)
        _drift(panels[5], run.series[2:], ("along x", "along z"), "from the run's mean [pixels]", in_pixels)
        for panel, title, told in zip(panels, _TITLES, _TOLD, strict=True):
            _entitle(panel, title, {found[name]: text for name, text in told.items() if name in found})
        paths = [folder / f"{NAME}{suffix}" for suffix in (".png", ".pdf")]
        save(figure, *paths)
    return paths[0]


def _entitle(ax: Axes, title: str, told: dict[Finding, str]) -> None:
    """Say above a panel what it shows and what was found; what is clear is marked, and in colour."""
    clear = any(finding.clear for finding in told)
    sizes = [text.format(shorthand(of.value, of.error)) for of, text in told.items() if math.isfinite(of.error)]
    ax.set_title(f"{'! ' if clear else ''}{title}\n{', '.join(sizes) or 'these frames do not tell'}")
    ax.title.set_color(TRUTH if clear else "black")


def _gain(ax: Axes, detector: Detector, lone: NDArray[np.void]) -> None:
    """Draw the brightness of one electron over that in the middle, with the hits that tell it."""
    axis = (np.arange(_CELLS) + 0.5) * 2 / _CELLS - 1
    gain = smooth_map(detector.imperfections.gain, axis[:, None], axis)
    gain[np.hypot(axis[:, None], axis) > 1] = np.nan
    reach = max(_LEAST_GAIN, float(np.nanmax(np.abs(gain - 1))))
    image = show_screen(ax, gain, matplotlib.colormaps[DIFFERENCE], Normalize(1 - reach, 1 + reach), "black")
    some = lone[:: math.ceil(len(lone) / _SHOWN) or 1]
    ax.plot(some["x"], some["z"], ".", color="black", markersize=1, markeredgewidth=0, label="hits that stand alone")
    bar(ax, image, "one electron's brightness\nover that in the middle")
    ax.legend(loc="lower center", markerscale=4, handletextpad=0.1, borderaxespad=0.1)


def _pulse_heights(ax: Axes, detector: Detector, lone: NDArray[np.void], faintest: float) -> None:
    """Draw the heights of spots that stand alone, evened over the screen, and the law that they are taken to follow."""
    screen, law = detector.imperfections, detector.A
    heights, _ = in_the_middle(lone, screen.growth, screen.gain)
    top = min(_HIGHEST, 1 + 7 * max(law.std / law.mean, 0.02)) * law.mean
    edges = np.linspace(0, top, _BINS + 1)
    ax.hist(heights, edges.tolist(), color="0.75", label="found")
    at = (np.arange(10 * _BINS) + 0.5) * top / (10 * _BINS)
    begin = max(faintest, screen.threshold * law.mean)
    # Where the search ends a broad law, hits tell only the rest of it.
    seen = heights[heights > begin].size / _share_above(detector, begin)
    ax.plot(at, seen * edges[1] * _density(detector, at), color=BLUE, label="law fitted")
    ax.axvline(faintest, color=ANSWER, linestyle="--", label="faintest that is found")
    if screen.threshold:
        ax.axvline(screen.threshold * law.mean, color=ORANGE, linestyle=":", label="the plate's threshold")
    ax.set(xlabel="height [counts]", ylabel="hits", xlim=(0, top), ylim=(0, 1.5 * ax.get_ylim()[1]))  # for the legend
    ax.legend(loc="upper right")


def _density(detector: Detector, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density of the law of heights."""
    law = detector.A
    if detector.imperfections.pulse_heights == "normal":
        pulls = (heights - law.mean) / law.std
        return np.exp(-(pulls**2) / 2) / (law.std * math.sqrt(2 * math.pi))
    shape, scale = (law.mean / law.std) ** 2, law.std**2 / law.mean
    return np.exp((shape - 1) * np.log(heights / scale) - heights / scale - gammaln(shape)) / scale


def _share_above(detector: Detector, height: float) -> float:
    """Return the share of the law of heights above one."""
    law = detector.A
    if detector.imperfections.pulse_heights == "normal":
        return 0.5 * math.erfc((height - law.mean) / (law.std * math.sqrt(2)))
    return float(gammaincc((law.mean / law.std) ** 2, height * law.mean / law.std**2))


def _response(ax: Axes, detector: Detector, gamma: float, error: float) -> None:
    """Draw the counts of electrons on top of one another, over those of one, and those of a linear camera."""
    electrons = np.linspace(0, _HIGHEST, 100)
    dark, one = max(detector.background[0], 0.0), detector.A.mean  # of linear counts

    def counts(power: float) -> NDArray[np.float64]:
        total = (dark + one * np.append(electrons, 1.0)) ** power - dark**power
        return total[:-1] / total[-1]

    if math.isfinite(error):
        ax.fill_between(electrons, counts(gamma - error), counts(gamma + error), color=BLUE, alpha=0.3, linewidth=0)
        ax.plot(electrons, counts(gamma), color=BLUE, label="this camera")
    ax.plot(electrons, electrons, color=ANSWER, linestyle="--", label="a linear one")
    ax.set(xlabel="electrons on top of one another", ylabel="counts, over those of one")
    ax.set(xlim=(0, _HIGHEST), ylim=(0, _HIGHEST))
    ax.legend(loc="upper left")


def _afterglow(ax: Axes, learned: Learned) -> None:
    """Draw how much of a frame's light is left in the frames after it."""
    if learned.afterglow.decay:
        left, error = 100 * np.array(learned.afterglow.decay).T
        after = np.arange(1, left.size + 1)
        ax.errorbar(after, left, error, fmt="o", color=BLUE, label="measured")
        if learned.afterglow.clear:
            parts = 100 * np.array(learned.afterglow.parts[: left.size])
            ax.bar(after, parts, 0.6, color="0.8", label="subtracted")
        ax.legend()
        ax.set(xticks=after, ylim=(None, max(_LEAST_AFTERGLOW, 1.2 * float((left + error).max()))))
    ax.axhline(0, color="0.5", linewidth=0.5)
    ax.set(xlabel="frames later", ylabel="part of the light that is left [%]")


def _drift(ax: Axes, series: tuple[Series, ...], names: tuple[str, ...], unit: str, least: float) -> None:
    """Draw the means of successive blocks of the run, on an axis up to `least` at least."""
    middle = (np.arange(BLOCKS) + 0.5) * 100 / BLOCKS
    for (_, values), name, colour, marker, aside in zip(series, names, (BLUE, ORANGE), "os", (-1, 1), strict=True):
        if values.size >= FEWEST_FRAMES:
            number, means, within = in_blocks(values)
            error = np.sqrt(within / number)
            ax.errorbar(middle + aside, means, error, fmt=marker, color=colour, label=name)
            least = max(least, 1.2 * float((np.abs(means) + error).max()))
    ax.axhline(0, color="0.5", linewidth=0.5)
    ax.set(xlabel="part of the run [%]", ylabel=unit, xlim=(0, 100), ylim=(-least, 1.3 * least))  # room for the legend
    if ax.containers:
        ax.legend(ncols=2, loc="upper center", columnspacing=1, handletextpad=0.3)
