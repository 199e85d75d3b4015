import numpy as np
import pytest

from util.finder.matching import match


def test_every_electron_is_matched_once_however_many_hits_are_near():
    found = match([[0, 0], [0.1, 0], [5, 5]], [[0, 0.05], [9, 9]], 1.0)
    assert found.hit.size == 1
    assert found.f1 == pytest.approx(2 / 5)


def test_as_many_pairs_as_possible_are_made_where_the_nearest_choice_would_make_fewer():
    # hit 0 is nearest to electron 0, but only hit 0 reaches electron 1
    found = match([[0.0, 0], [-0.9, 0]], [[-0.1, 0], [0.9, 0]], 1.0)
    assert sorted(zip(found.hit.tolist(), found.electron.tolist(), strict=True)) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(("hits", "electrons", "f1"), [(0, 0, 1.0), (0, 3, 0.0), (2, 0, 0.0)])
def test_nothing_found_or_nothing_there_is_a_normal_answer(hits, electrons, f1):
    assert match(np.zeros((hits, 2)), np.zeros((electrons, 2)), 1.0).f1 == f1
