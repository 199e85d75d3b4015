"""Where lines stand: side by side, as their width is there."""

import numpy as np
import pytest

from util.spectrum.line_widths import SPACING, STEEPEST, LineWidths


def test_lines_of_one_width_stand_in_even_steps_to_just_beyond_the_edge():
    radii = LineWidths((0.02,)).radii(1.0)
    np.testing.assert_allclose(radii, (np.arange(radii.size) + 0.5) * SPACING * 0.02)
    assert 1.0 < radii[-1] < 1.0 + 2 * 0.02


def test_steps_follow_the_width():
    widths = LineWidths((0.01, 0.01, 0.03, 0.02))
    radii = widths.radii(1.0)
    between = (radii[:-1] + radii[1:]) / 2
    np.testing.assert_allclose(np.diff(radii), SPACING * widths.at(between), rtol=0.02)
    assert radii[0] == pytest.approx(0.5 * SPACING * 0.01, rel=0.02)


def test_a_sum_of_lines_whose_width_changes_is_nearly_even():
    widths = LineWidths.no_steeper(np.array([0.01, 0.01, 0.02, 0.02]))
    radii, r = widths.radii(1.0), np.linspace(0.1, 0.9, 400)
    sigma = widths.at(radii)
    shapes = np.exp(-(((r[:, None] - radii) / sigma) ** 2) / 2) / (np.sqrt(2 * np.pi) * sigma)
    total = shapes @ (SPACING * sigma)
    assert np.abs(total - 1).max() < 0.02


def test_no_width_changes_faster_than_lines_side_by_side_may():
    wanted = np.array([0.1, 0.1, 0.01, 0.1, 0.02])
    found = np.array(LineWidths.no_steeper(wanted).sigma)
    assert (found <= wanted).all()
    assert (np.abs(np.diff(found)) <= 1.001 * STEEPEST / 4).all()
    np.testing.assert_allclose(found[[2, 4]], (0.01, 0.02))
