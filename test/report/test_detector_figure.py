"""The figure of a detector: every panel says in words and in colour what was found, and what frames do not tell."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from support.figures import saved_figures
from support.param import PARAM
from util.camera.detector import Detector
from util.camera.imperfections import Imperfections, Term
from util.camera.phosphor import Normal, PhosphorRecipe
from util.finder.afterglow import Afterglow
from util.finder.calibration import Learned
from util.finder.finder import EVENT, FinderSettings
from util.finder.findings import Finding, of_afterglow, of_response, of_spots
from util.finder.linearity import Gamma
from util.finder.run_checks import Run, Series
from util.report.captions import DETECTOR
from util.report.detector_figure import draw_detector
from util.report.style import SMALLEST, TRUTH
from util.runtime.settings import load

SETTINGS = load(FinderSettings, PARAM / "finder.toml")
IDEAL = Detector.of_recipe(load(PhosphorRecipe, PARAM / "phosphor.toml"))
AXES = ("rate of hits", "brightness of hits", "centre along x", "centre along z")


def series(rms, clear, count=80):
    """Return four quantities that fall steadily through a run, all as clear."""
    values = np.linspace(1, -1, count) * rms
    return tuple(Series(Finding(f"drift of the {name}", rms, 0.1, "", clear), values) for name in AXES)


def hits(number, detector):
    rng = np.random.default_rng(6)
    found = np.zeros(number, EVENT)
    found["x"], found["z"] = rng.uniform(-0.6, 0.6, (2, number))
    found["A"], found["sigma"] = rng.normal(detector.A.mean, detector.A.std, number), detector.sigma.mean
    return found


def figure_of(folder, detector, afterglow, response, run, *, spots=2000):
    told = (of_afterglow(afterglow), of_response(response), *of_spots(detector, spots, 0.3, ()))
    learned = Learned(detector, spots, 64, (*told, *(part.finding for part in run.series)), afterglow, response)
    with saved_figures(whole=False) as drawn:
        path = draw_detector(folder, learned, run, SETTINGS)
    assert {part.name for part in folder.iterdir()} == {f"{name}{end}" for name in DETECTOR for end in (".png", ".pdf")}
    return drawn[path.stem]


@pytest.fixture(scope="module")
def faulty(module_folder):
    imperfections = Imperfections(gain=(Term(2, 0, 0.1), Term(0, 2, -0.1)), gamma=0.8)
    glows = Afterglow(0.1, 0.001, (0.1, 0.01), ((0.1, 0.001), (0.01, 0.002)))
    detector = replace(IDEAL, imperfections=imperfections)
    run = Run((), hits(500, detector), series(4.0, clear=True))
    return figure_of(module_folder("figures"), detector, glows, Gamma(0.8, 0.002, 200), run)


def panels(figure):
    return {ax.get_title().lstrip("! ").partition("\n")[0]: ax for ax in figure.axes if ax.get_title()}


def test_what_was_found_is_marked_in_words_and_colour(faulty):
    found = {name: ax.get_title() for name, ax in panels(faulty).items()}
    assert found["gain over the screen"].endswith("\n10.0(5) % up and down")
    assert found["afterglow"].endswith("\n10.00(10) % left in the next frame")
    marked = {name for name, title in found.items() if title.startswith("! ")}
    assert marked == set(found) - {"heights of lone electrons"} and len(found) == 6
    assert {ax.title.get_color() for name, ax in panels(faulty).items() if name in marked} == {TRUTH}


def test_the_panels_show_what_their_titles_say(faulty):
    axes = panels(faulty)
    image = axes["gain over the screen"].images[0]
    shown = np.asarray(image.get_array())  # its rows are z
    assert shown[128, -3] == pytest.approx(1.1, abs=0.005) and shown[-3, 128] == pytest.approx(0.9, abs=0.005)
    assert sum(image.get_clim()) == pytest.approx(2)  # no colour where nothing changes
    camera, linear = axes["the camera's answer to light"].lines
    assert camera.get_ydata()[-1] == pytest.approx(4**0.8) and linear.get_ydata()[-1] == 4
    law = axes["heights of lone electrons"].lines[0]
    assert law.get_xdata()[law.get_ydata().argmax()] == pytest.approx(100, abs=1)
    bins = [bar.get_height() for bar in axes["heights of lone electrons"].patches]
    assert law.get_ydata().max() == pytest.approx(max(bins), rel=0.2)
    low, high = axes["centre over the run"].get_ylim()
    assert low < -4 and high > 4
    ends = axes["centre over the run"].containers[0].lines[0].get_ydata()[[0, -1]]
    assert ends == pytest.approx([3.5, -3.5], abs=0.1)


def test_no_text_is_too_small_or_cut(faulty):
    texts = [text for text in faulty.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= SMALLEST
    for ax in panels(faulty).values():
        box = ax.title.get_window_extent()
        assert box.x0 > 0 and box.x1 < faulty.bbox.width


def test_frames_that_tell_nothing_are_said_to(tmp_path):
    none = Gamma(1.0, float("inf"), 0)
    silent = tuple(Series(replace(part.finding, error=float("inf")), part.values[:0]) for part in series(0.0, False))
    law = replace(IDEAL, A=Normal(100.0, 100.0), flux=Normal(IDEAL.flux.mean, IDEAL.flux.mean))
    detector = replace(law, imperfections=Imperfections(pulse_heights="gamma", threshold=0.2))
    figure = figure_of(tmp_path, detector, Afterglow(), none, Run((), hits(0, detector), silent))
    told = {name: ax.get_title().partition("\n")[2] for name, ax in panels(figure).items()}
    assert told.pop("heights of lone electrons") == "the flux spreads by 100.0(1.6) %"
    assert set(told.values()) == {"these frames do not tell"}
    labels = [text.get_text() for text in panels(figure)["heights of lone electrons"].get_legend().get_texts()]
    assert "the plate's threshold" in labels
