"""Sums of frames are of light alone, as a camera without background and of even gain would take them."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from support import truth
from util.camera.detector import Detector
from util.camera.imperfections import Imperfections, Term
from util.camera.phosphor import PhosphorRecipe
from util.finder.finder import FinderSettings
from util.runtime import settings
from util.runtime.executor import open_executor
from util.summed.blocks import sum_frames
from util.summed.restore import cell_of

RECIPE = settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml")
FINDER = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")


def test_background_and_gain_are_taken_out(tmp_path):
    detector = replace(
        Detector.of_recipe(replace(RECIPE, frame_shape=(96, 64))),
        background=(300.0, 40.0, -25.0),
        saturation=65535,
        imperfections=Imperfections(gain=(Term(2, 0, 0.2), Term(0, 1, -0.1))),
    )
    rows, columns = np.ogrid[:96, :64]
    even = 1000 * detector.gain_at(rows, columns) + detector.background_at(rows, columns)
    path = tmp_path / "even.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.repeat(np.rint(even)[None], 40, axis=0).astype(np.uint16)
    with open_executor(1) as executor:
        found = sum_frames(path, None, detector, FINDER, executor)
    assert found.sums == pytest.approx(1000 * (2 * cell_of(detector)) ** 2, rel=1e-3)


@pytest.mark.parametrize(("count", "blocks"), [(41, 41), (300, 150), (1003, 200)])
def test_blocks_hold_equally_many_frames(tmp_path, count, blocks):
    detector = Detector.of_recipe(replace(RECIPE, frame_shape=(64, 64)))
    path = tmp_path / "even.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.ones((count, 64, 64), np.uint8)
    with open_executor(1) as executor:
        found = sum_frames(path, None, detector, FINDER, executor)
    number = np.bincount(list(found.block_of.values()))
    assert len(found.sums) == len(number) == blocks
    assert np.ptp(number) == (count % blocks > 0)
