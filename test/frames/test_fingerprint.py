"""A fingerprint tells a file of frames from one with another frame in it, though it looks at 16 frames alone."""

import numpy as np
import pytest
from PIL import Image

from support.hdf5_frames import write
from util.frames.open import open_frames


def packed(path, images):
    write(path, images, chunks=(1, *images.shape[1:]), compression="gzip")
    with path.open("ab") as file:
        file.truncate(60_000)  # of one size, whatever is in it


def folder(path, images):
    path.mkdir()
    for index, frame in enumerate(images):
        Image.fromarray(frame).save(path / f"{index}.png")


@pytest.mark.parametrize("write_frames", [packed, folder])
def test_another_frame_between_those_of_the_fingerprint_makes_another_file(tmp_path, write_frames):
    images = np.random.default_rng(0).integers(0, 50, (40, 20, 30), np.uint8)
    fingerprints = []
    for name in ("before", "after"):
        write_frames(tmp_path / name, images)
        with open_frames(tmp_path / name) as file:
            assert 4 not in file.spread_out(16)
            fingerprints.append(file.fingerprint())
        images[4] = 7
    assert fingerprints[0] != fingerprints[1]
