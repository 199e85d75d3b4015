"""Nothing is cut, nothing is too small to read, and colour bars belong to their panels."""

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

from support import truth
from util.finder.finder import EVENT
from util.fit.parameters import Layout
from util.physics import pad
from util.report.betas_figure import draw_betas
from util.report.frame_figure import ShownFrame, crowded_place, draw_frame
from util.report.pads_figure import Compared, draw_pads
from util.report.style import PAGE, SMALLEST, STYLE, pull_axis

LAYOUT = Layout(2, 24)


def compared(**options):
    """Return an answer at the spheres of the final test, with errors that grow towards the poles as a fit's do."""
    values = np.zeros(LAYOUT.size)
    covariance = np.diag(np.full(LAYOUT.size, 1e-6))
    for s, sphere in enumerate(truth.DESIGN):
        values[LAYOUT.R[s]], values[LAYOUT.beta[s]] = sphere.R, sphere.beta
        covariance[np.ix_(LAYOUT.beta[s], LAYOUT.beta[s])] = np.diag(np.linspace(0.003, 0.02, 12) ** 2)
    return Compared(LAYOUT, values, covariance, **options)


def drawn(draw, *args, height=2.6):
    with rc_context(STYLE):
        figure = Figure(figsize=(PAGE, height), layout="constrained")
        draw(figure, *args)
        figure.draw_without_rendering()
    return figure


def shown_within(ax):
    """Return whether all lines of an axes lie within its limits, down to their ends."""
    low, high = ax.get_ylim()
    return all(low < np.min(line.get_ydata()) and np.max(line.get_ydata()) < high for line in ax.lines)


def smallest_text(figure):
    return min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible())


KNOWN = np.array([sphere.beta for sphere in truth.DESIGN])


@pytest.mark.parametrize("away", [0.0, 0.02, 0.3])
def test_neither_the_curve_nor_its_difference_is_cut_at_the_poles(away):
    figure = drawn(draw_pads, compared(truth=KNOWN + away, others={"network": KNOWN - away / 2}))
    for s in range(2):
        upper, lower, polar = *figure.axes[2 * s : 2 * s + 2], figure.axes[4 + s]
        assert shown_within(lower)
        curves = {line.get_label(): line.get_ydata() for line in upper.lines}
        assert curves["truth"][-1] == pytest.approx(pad.intensity(KNOWN[s] + away, 1.0))
        highest = max(curve.max() for curve in curves.values())
        assert upper.get_ylim()[1] > highest and polar.get_ylim()[1] > highest
    assert smallest_text(figure) >= SMALLEST


def test_limits_that_cut_are_found():
    ax = Figure().subplots()
    ax.plot([0, 9, 0])
    pull_axis(ax, [0, 9, 0])
    assert shown_within(ax)
    ax.set_ylim(-5, 5)
    assert not shown_within(ax)


def test_differences_are_in_standard_errors_and_told_at_once():
    error = np.sqrt(np.diag(compared().covariance_of(0)))
    figure = drawn(draw_betas, compared(truth=KNOWN - 2 * error))
    upper, lower, other, _ = figure.axes
    assert lower.lines[-1].get_ydata() == pytest.approx(np.full(12, 2.0))
    assert upper.get_title() == "sphere 1, I(c) = 1/2 + Σ β P(c)" and other.get_title().startswith("sphere 2")
    assert lower.get_title() == "χ² = 48.0 for 12, p = 3.1e-06"
    assert "χ² = 96.0 for 24" in figure.get_suptitle()
    assert smallest_text(figure) >= SMALLEST


def test_without_a_truth_the_difference_is_from_the_other_method_and_has_no_p():
    figure = drawn(draw_betas, compared(others={"network": KNOWN[:, :6]}))
    upper, lower = figure.axes[:2]
    assert lower.get_ylabel().startswith("β - network")
    assert lower.lines[-1].get_ydata()[:6] == pytest.approx(np.zeros(6))
    assert lower.get_title() == "" and len(upper.lines[-1].get_ydata()) == 6


def test_with_nothing_to_compare_the_standard_errors_are_drawn():
    pads, betas = drawn(draw_pads, compared()), drawn(draw_betas, compared())
    at_pole = np.sqrt(np.diag(compared().covariance_of(0)).sum())  # each P is 1 there
    assert pads.axes[1].lines[0].get_ydata()[-1] == pytest.approx(at_pole)
    assert [bar.get_height() for bar in betas.axes[1].patches] == pytest.approx(np.linspace(0.003, 0.02, 12))


@pytest.fixture
def frame():
    """Return a frame of 200 x 100 pixels with four hits, three of them close together."""
    hits = np.zeros(4, EVENT)
    hits["ImageId"] = 7
    hits["x"], hits["z"] = (-0.8, 0.5, 0.52, 0.48), (0.3, -0.2, -0.21, -0.18)
    hits["weight"] = 1, 2, 1, 1
    image = np.zeros((200, 100), np.uint8)
    image[150, 40] = 90
    return ShownFrame(image, hits, np.array([(0.5, -0.2), (0.52, -0.21)]))


def test_the_crowded_place_is_enlarged_with_every_hit_and_electron_in_it(frame):
    assert crowded_place(frame.hits, 0.1) == pytest.approx((0.5, -0.197), abs=0.01)
    figure = drawn(draw_frame, frame, height=3.5)
    whole, part = figure.axes[:2]
    assert whole.get_title() == "frame 7: 4 hits, 5.0 electrons, 2 in truth"
    marks = {line.get_label(): len(line.get_xdata()) for line in part.lines}
    assert marks == {"electron found": 3, "found: two electrons in one spot": 1, "where an electron truly was": 2}
    assert part.get_xlim()[0] < 0.48 and part.get_xlim()[1] > 0.52
    assert part.get_ylim()[0] < -0.21 and part.get_ylim()[1] > -0.18
    assert not whole.lines
    assert smallest_text(figure) >= SMALLEST


def test_a_colour_bar_is_as_tall_as_its_panel(frame):
    figure = drawn(draw_frame, frame, height=3.5)
    part = figure.axes[1]
    (beside,) = part.child_axes
    panel, beside = (ax.get_window_extent() for ax in (part, beside))
    assert (beside.y0, beside.y1) == pytest.approx((panel.y0, panel.y1))
    assert beside.x0 > panel.x1


def test_a_frame_without_hits_is_drawn(frame):
    figure = drawn(draw_frame, ShownFrame(frame.image, frame.hits[:0]), height=3.5)
    assert figure.axes[0].get_title() == "0 hits, 0.0 electrons"
    assert not figure.axes[1].lines
