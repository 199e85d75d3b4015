"""What is known of an image's noise reaches an answer: its offset, and the error of counts per electron."""

import numpy as np
import pytest

from support.images import accumulated
from support.truth import DESIGN
from util.electrons.hits import read_hits
from util.electrons.imported_image import image_shard
from util.electrons.shard_facts import ImportSettings
from util.electrons.shards import shard_path, write_shard
from util.entries.noise_law import learn_noise
from util.fit import map_data
from util.fit.detection import Detection
from util.fit.goodness import assess
from util.fit.likelihood import fit
from util.fit.result import with_gain_error
from util.physics.polar_map import PolarBins

SIZE, ELECTRONS = 384, 100_000
BINS = PolarBins(250, 48)
START = [(sphere.R, sphere.sigma_R) for sphere in DESIGN]


def imported(folder, *, seed, offset=0.0):
    """Import an image; return its hits as an answer reads them, the law of its noise, and its counts."""
    image = accumulated(ELECTRONS, SIZE, gain=3.7, camera=1.2, seed=seed) + offset
    law, _ = learn_noise(image, None)
    settings = ImportSettings("image", image.shape, 1, law)
    write_shard(shard_path(folder, 0, 1), image_shard(image, settings, "image"))
    return read_hits(folder, hit_weights="flux", partial=False), law, image


def fitted(hits):
    detection = Detection(noise=hits.noise)
    points = map_data.Hits(hits.x, hits.z, hits.weight, hits.variance)
    told = {"pieces": ("background",), "start": START, "order": 12, "bins": BINS, "detection": detection}
    result = fit(*points[:3], variance=points.variance, **told)
    rng = np.random.default_rng(1)
    tests = assess(*points[:3], result, rng=rng, variance=points.variance, detection=detection, simulations=50).tests
    return result, min(test.p for test in tests)


@pytest.mark.parametrize("offset", [30.0, -1.0])
def test_an_image_on_an_offset_raises_no_false_alarm(tmp_path, offset):
    hits, law, image = imported(tmp_path, seed=0, offset=offset)
    result, lowest = fitted(hits)
    assert lowest > 1e-3
    taken_off = image.sum() / law.counts_per_electron - hits.weight.sum()
    assert taken_off == pytest.approx(law.offset * SIZE**2, rel=1e-3, abs=1e-3 * image.size)
    assert hits.distribution.sum() == pytest.approx(hits.weight.sum(), rel=1e-6)
    assert (law.offset > 0) == (offset > 0)
    shape = result.layout.known([s.R for s in DESIGN], result.sigma_R, [s.beta for s in DESIGN])
    off = ((result.values - shape) / result.errors)[[*result.layout.R, *result.layout.beta[:, :2].ravel()]]
    assert np.abs(off).max() < 4


def test_errors_of_the_numbers_of_electrons_hold_that_of_counts_per_electron(tmp_path):
    pulls = []
    for seed in range(10):
        hits, law, _ = imported(tmp_path / str(seed), seed=seed)
        assert hits.gain_error == law.gain_error > 0.03
        alone, _ = fitted(hits)
        pulls.append(
            [
                (one.electrons[1] - ELECTRONS / 2) / one.errors[one.layout.N[1]]
                for one in (with_gain_error(alone, hits.gain_error), alone)
            ]
        )
    whole, without = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert 0.5 < whole < 1.6  # 1 +- 0.22
    assert without > 5
