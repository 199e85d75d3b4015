"""Files some of whose frames were never written, at the answer."""

import logging
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from src.answer_steps.outcome import frame_with_hits
from src.answer_steps.summed_frames import learn_frames
from support import ROOT
from support.searches import RECIPE
from util.camera.detector import Detector
from util.finder.finder import EVENT, FinderSettings
from util.runtime import settings
from util.runtime.errors import InputError
from util.summed.blocks import sum_frames

FINDER = settings.load(FinderSettings, ROOT / "param" / "finder.toml")


@pytest.fixture
def half_written(tmp_path):
    """Return a file of 50 frames, the first ten never written, of a shape that may be either way."""
    with h5py.File(tmp_path / "half.h5", "w") as file:
        images = file.create_dataset("images", (50, 40, 64), "u2", chunks=(5, 40, 32))
        for index in range(10, 50):
            images[index] = index
    return tmp_path / "half.h5"


def test_the_frame_shown_may_come_after_frames_never_written(half_written):
    events = np.zeros(3, EVENT)
    events["ImageId"] = [12, 12, 13]
    frame, shown = frame_with_hits(half_written, SimpleNamespace(events=events, dataset="images"))
    assert (frame == 12).all()
    assert np.array_equal(shown, events[:2])


def test_frames_never_written_are_not_summed(half_written, caplog):
    never = r"expected 50 frames, found 10 of them declared and never written: 0\.\.9; search .* --range 10 50"
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match=never):
        learn_frames(half_written, "images", None, RECIPE, FINDER)
    assert "taking shape (50, 40, 64) for 50 frames of 40 x 64 pixels" in caplog.text
    with pytest.raises(InputError, match=never):
        sum_frames(half_written, "images", Detector.of_recipe(RECIPE), FINDER, None)
