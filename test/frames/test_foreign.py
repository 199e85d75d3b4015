"""Formats that are not read: each is named, with what is read and how to convert it."""

import gzip
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from support.refusals import refused
from util.frames.open import open_frames

STARTS = {
    "run.avi": (b"RIFF\x10\0\0\0AVI LIST", "an AVI video", "ImageJ"),
    "run.mp4": (b"\0\0\0\x20ftypisom", "an MP4 or MOV video", "raw counts"),
    "run.mkv": (b"\x1aE\xdf\xa3\x01", "a Matroska or WebM video", "raw counts"),
    "run.sif": (b"Andor Technology Multi-Channel File\n65538 1\n", "Andor SIF", "Solis"),
    "run.spe": (b"\0\0\x01\0" + bytes(4100), "Princeton SPE", "LightField"),
    "run.cine": (b"CI\x2c\0\0\0", "a Phantom cine file", "TIFF of 16 bits"),
    "run.fits": (b"SIMPLE  =                    T", "FITS", "ImageJ"),
    "run.mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "MATLAB's older format", "-v7.3"),
    "run.raw": (bytes(9600), "raw data", "h5py"),
}


@pytest.mark.parametrize("name", STARTS)
def test_a_format_that_is_not_read_is_named_with_those_that_are(tmp_path, name):
    start, found, remedy = STARTS[name]
    (tmp_path / name).write_bytes(start)
    refused(tmp_path / name, f"expected frames as HDF5, TIFF, PNG, found {found}, which is not read; ", remedy)


def test_what_libraries_write_is_known_by_its_start_whatever_its_name(tmp_path):
    path = tmp_path / "frames.h5"
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 20, 30), np.uint8))
    refused(path, "found a NumPy array", "write its array (N, H, W) to HDF5 with h5py")
    for kind, found in (("JPEG", "JPEG, which loses counts"), ("GIF", "GIF"), ("BMP", "a bitmap (BMP)")):
        Image.new("L", (30, 20)).save(path, kind)
        refused(path, f"found {found}, which is not read")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("frame.tif", "")
    refused(path, "found a ZIP archive, which is not read; unpack it")
    path.write_bytes(gzip.compress(b"frames"))
    refused(path, "found a gzip archive, which is not read; unpack it")


def test_hdf5_behind_a_block_of_the_users_is_hdf5_whatever_its_name(tmp_path):
    path = tmp_path / "frames.raw"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = np.ones((3, 20, 30), np.uint8)
    data = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + data[512:])
    with open_frames(path) as file:
        assert (file.count, file.frame_shape) == (3, (20, 30))


def test_a_file_that_nobody_knows_is_expected_to_be_hdf5(tmp_path):
    (tmp_path / "frames").write_bytes(b"what is this?")
    refused(tmp_path / "frames", "expected an HDF5 file, found one that begins with b'what is '")
