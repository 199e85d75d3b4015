"""Start radii are found with nothing given by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from support import truth
from util.fit.starting_radii import candidates
from util.physics.polar_map import PolarBins, expected

BINS = PolarBins(500, 96)
# R, sigma_R, PAD and electrons of each sphere: close, unequal, narrow, wide, peaked, sparse.
CASES = {
    "design": [(0.5, 0.01, "first sphere", 2e6), (0.8, 0.011, "second sphere", 2e6)],
    "close": [(0.503, 0.010, "first sphere", 1e6), (0.553, 0.010, "second sphere", 1e6)],
    "close, narrow and peaked": [(0.704, 0.004, "peaked", 5e5), (0.756, 0.005, "isotropic", 5e5)],
    "small, a tenth inside": [(0.205, 0.009, "sine squared", 1e5), (0.602, 0.008, "peaked", 9e5)],
    "a tenth outside": [(0.305, 0.020, "peaked", 9e5), (0.895, 0.015, "isotropic", 1e5)],
    "at the edge": [(0.85, 0.007, "second sphere", 5e6), (0.945, 0.009, "cosine squared", 5e6)],
    "sparse": [(0.4, 0.012, "isotropic", 5e4), (0.72, 0.006, "first sphere", 5e4)],
}


def drawn(case, *, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.poisson(sum(n * np.maximum(expected(BINS, truth.PADS[pad], R, s), 0) for R, s, pad, n in case))


@pytest.mark.parametrize("name", CASES)
def test_the_true_pair_is_among_the_candidates(name):
    case = CASES[name]
    found = candidates(drawn(case, rng=np.random.default_rng(40)), BINS, 2)
    assert 1 <= len(found) <= 6
    assert all(pair[0] < pair[1] for pair in found)
    assert min(max(abs(R - true[0]) for R, true in zip(pair, case, strict=True)) for pair in found) <= 0.011


def test_radii_that_are_not_there_are_not_the_first_candidate():
    # The negative control: were the order of candidates arbitrary, this would fail for most pairs of spheres.
    for R1, R2 in ((0.3, 0.5), (0.3, 0.7), (0.6, 0.8)):
        case = [(R1, 0.01, "first sphere", 1e6), (R2, 0.01, "second sphere", 1e6)]
        first = candidates(drawn(case, rng=np.random.default_rng(41)), BINS, 2)[0]
        assert np.allclose(first, (R1, R2), atol=0.011)


def test_one_sphere_is_found_alone():
    for R in (0.2, 0.555, 0.95):
        found = candidates(drawn([(R, 0.008, "peaked", 1e5)], rng=np.random.default_rng(42)), BINS, 1)
        assert found[0][0] == pytest.approx(R, abs=0.011)


def test_three_spheres_are_found_together():
    case = [(0.3, 0.01, "isotropic", 1e6), (0.5, 0.01, "first sphere", 1e6), (0.8, 0.01, "second sphere", 1e6)]
    found = candidates(drawn(case, rng=np.random.default_rng(43)), BINS, 3)
    assert np.allclose(found[0], (0.3, 0.5, 0.8), atol=0.011)


def test_an_empty_map_has_no_candidates():
    assert candidates(np.zeros((500, 96)), BINS, 2) == []
