"""Small HDF5 files of frames, and what opening them must give."""

import h5py
import numpy as np
import pytest

from util.frames.open import open_frames
from util.runtime.errors import InputError

SHAPE = (20, 30)
COUNT = 12


def frames(count=COUNT):
    return np.random.default_rng(0).integers(1, 4096, (count, *SHAPE), np.uint16)


def write(path, images, name="images", **layout):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=images, **layout)
    return path


def assert_holds(path, expected, dataset=None, frame_axis=None):
    with open_frames(path, dataset, frame_axis) as file:
        assert (file.count, file.frame_shape) == (len(expected), expected.shape[1:])
        file.check_written()
        assert all(np.array_equal(frame, expected[index]) for index, frame in file.rows())
        with open_frames(path, file.dataset) as again:  # as a worker does
            assert again.fingerprint() == file.fingerprint()


def unwritten(path, *words, start=0, stop=None, dataset=None):
    """Return nothing; frames that were never written must be named in one line with the words."""
    with open_frames(path, dataset) as file, pytest.raises(InputError) as caught:
        file.check_written(start, stop)
    line = str(caught.value)
    assert "\n" not in line and str(path) in line
    for word in words:
        assert word in line, line
