"""Camera frames from PNG files: the same frames, and every fault in one line."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from support.refusals import refused
from util.frames.open import open_frames
from util.frames.png import PngFrames
from util.runtime.errors import FrameError, InputError

SHAPE = (20, 30)
COUNT = 12


def frames(dtype):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (COUNT, *SHAPE), dtype, endpoint=True)


def folder(path, images):
    path.mkdir()
    (path / "notes.txt").write_text("no frame")
    for number, image in enumerate(images):
        Image.fromarray(image).save(path / f"shot_{number}.{'png' if number % 2 else 'PNG'}")
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_folder_of_png_files_is_read_by_the_numbers_in_their_names(tmp_path, dtype):
    expected = frames(dtype)
    path = folder(tmp_path / "run", expected)
    with open_frames(path) as file:
        assert isinstance(file, PngFrames)
        assert (file.count, file.frame_shape, file.dtype) == (COUNT, SHAPE, dtype)
        assert (file.bits, file.dataset) == (8 * np.dtype(dtype).itemsize, None)
        for index, (image_id, frame) in enumerate(file.rows()):
            assert image_id == index
            assert np.array_equal(frame, expected[index])
            assert frame.dtype == dtype and frame.flags.c_contiguous and frame.flags.writeable
        fingerprint = file.fingerprint()
        with open_frames(path) as again:
            assert again.fingerprint() == fingerprint
    Image.fromarray(expected[0]).save(path / "shot_11.png")
    with open_frames(path) as changed:
        assert changed.fingerprint() != fingerprint
    with open_frames(path / "shot_3.png") as one:
        assert one.count == 1 and np.array_equal(one.read(0), expected[3])


def test_a_folder_with_tiff_files_is_one_of_tiff(tmp_path):
    path = folder(tmp_path / "run", frames(np.uint8))
    tifffile.imwrite(path / "only.tif", frames(np.uint16)[0], photometric="minisblack")
    with open_frames(path) as file:
        assert (file.count, file.dtype) == (1, np.uint16)


def test_png_files_that_are_no_frames_are_refused(tmp_path):
    path = tmp_path / "f.png"
    for image, found in (
        (Image.new("RGB", (30, 20)), "found colour of 8 bits"),
        (Image.new("LA", (30, 20)), "found grey with transparency of 8 bits"),
        (Image.new("P", (30, 20)), "found a palette of"),
        (Image.new("1", (30, 20)), "found grey of 1 bits"),
    ):
        image.save(path)
        refused(path, "expected grey values of 8 or 16 bits", found, "save the camera's own counts")
    Image.new("L", (30, 8)).save(path)
    refused(path, "at least 16 pixels each way, found 8 x 30")
    refused(path, "--dataset images: expected an HDF5 file, found PNG", dataset="images")


def test_frames_of_another_size_or_depth_are_refused_with_their_file(tmp_path):
    path = folder(tmp_path / "run", frames(np.uint8))
    for odd in (np.zeros((20, 40), np.uint8), np.zeros(SHAPE, np.uint16)):
        Image.fromarray(odd).save(path / "shot_7.png")
        refused(path, "shot_7.png: expected 20 x 30 pixels of 8 bits", "keep the frames of one camera setting together")


@pytest.mark.parametrize("kept", [0, 20, 100, 400])
def test_a_png_file_that_is_cut_short_is_refused_with_its_name(tmp_path, kept):
    path = folder(tmp_path / "run", np.repeat(frames(np.uint16), 2, axis=0)) / "shot_17.png"
    with open_frames(path.parent) as file:
        path.write_bytes(path.read_bytes()[:kept])
        assert np.array_equal(file.read(16), frames(np.uint16)[8])
        with pytest.raises(FrameError, match=r"shot_17\.png: expected a whole PNG file, found one that cannot be read"):
            file.read(17)
        path.unlink()
        with pytest.raises(FrameError, match=r"shot_17\.png: no such file"):
            file.read(17)


def test_changed_bytes_of_a_png_file_are_noticed(tmp_path):
    Image.fromarray(frames(np.uint16)[0]).save(tmp_path / "f.png")
    whole = (tmp_path / "f.png").read_bytes()
    (tmp_path / "f.png").write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    with open_frames(tmp_path / "f.png") as file, pytest.raises(FrameError, match="cannot be read"):
        file.read(0)


def test_an_animation_is_refused(tmp_path):
    first, *others = (Image.fromarray(image) for image in frames(np.uint8))
    first.save(tmp_path / "f.png", save_all=True, append_images=others)
    with open_frames(tmp_path / "f.png") as file, pytest.raises(FrameError, match="found an animation of 12"):
        file.read(0)


def test_a_picture_larger_than_any_memory_is_refused(tmp_path):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 200_000, 200_000, 16, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "f.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(InputError, match=r"f\.png: expected frames of 1 to 32768 pixels each way"):
        open_frames(tmp_path / "f.png")
