"""Folders of frames: what is told of files that are no frames of their own."""

import numpy as np
import pytest
from PIL import Image

from util.frames.folder import told_of_copies
from util.frames.open import open_frames


def folder(path, *names):
    for name in names:
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(path / name)
    return path


@pytest.mark.parametrize("copy", ["f_3 (1).png", "Copy of f_3.png", "f_3 - Copy.png", "f_3_copy.png", "f_3 copy 2.png"])
def test_a_file_that_is_named_like_a_copy_of_a_frame_is_told(tmp_path, copy):
    with open_frames(folder(tmp_path, "f_2.png", "f_3.png", copy)) as frames:
        (caution,) = frames.cautions
    assert caution.startswith(f"{tmp_path / copy}: named like a copy of a frame beside it")


def test_names_that_only_look_alike_are_no_copies(tmp_path):
    files = [tmp_path / name for name in ("copy_1.png", "copy_2.png", "run (1).png", "run (2).png", "f.png", "f_1.png")]
    assert told_of_copies(files) == ()


def test_png_files_that_are_left_out_for_a_tiff_beside_them_are_told(tmp_path):
    folder(tmp_path, "f_1.png", "f_2.png", "dark.tif")
    with open_frames(tmp_path) as frames:
        (caution,) = frames.cautions
    assert caution == f"{tmp_path}: taking 1 TIFF file(s) for the frames; 2 PNG file(s) beside them are left out"
