"""What the peer of real images is asked: the mean over each whole line, and over no other."""

import numpy as np

from benchmark.real_images import reaches


def test_a_line_goes_out_to_three_widths_or_half_way_to_the_next_ring():
    found = reaches(np.array([10.0, 20.0, 23.0]), np.array([2.0, 2.0, 0.2]))
    np.testing.assert_allclose(found, [5.0, 1.5, 0.6])


def test_a_line_by_itself_goes_out_to_three_widths():
    np.testing.assert_allclose(reaches(np.array([10.0]), np.array([2.0])), [6.0])
