"""Accumulated images are read from every format, and what is none is refused in one line."""

import bz2
import codecs
import gzip
import re

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from util.entries.image_file import read_image
from util.runtime.errors import InputError

RNG = np.random.default_rng(3)
COUNTS = RNG.integers(0, 250, (20, 30)).astype(np.uint8)
REAL = np.where(RNG.random((20, 30)) < 0.1, np.nan, RNG.normal(0, 5, (20, 30)).round(3))


def text(separator, image=REAL, head=""):
    return (head + "\n".join(separator.join(f"{value:g}" for value in row) for row in image) + "\n").encode()


WRITERS = {
    "white space.txt": lambda path: path.write_bytes(text("  ", head="# an image\n")),
    "comma.csv": lambda path: path.write_bytes(text(", ")),
    "semicolon.csv": lambda path: path.write_bytes(text(";")),
    "tab.tsv": lambda path: path.write_bytes(text("\t")),
    "old mac.txt": lambda path: path.write_bytes(text(" ", head="# an image\n").replace(b"\n", b"\r")),
    "marked.txt": lambda path: path.write_bytes(codecs.BOM_UTF8 + text(" ")),
    "marked before a remark.csv": lambda path: path.write_bytes(codecs.BOM_UTF8 + text(",", head="# a remark\n")),
    "remark in Latin-1.txt": lambda path: path.write_bytes("# µm\n".encode("latin-1") + text(" ")),
    "small.txt.gz": lambda path: path.write_bytes(gzip.compress(text(" "))),
    "small.txt.bz2": lambda path: path.write_bytes(bz2.compress(text(" "))),
    "misnamed.dat": lambda path: path.write_bytes(bz2.compress(text("\t"))),
    "double.npy": lambda path: np.save(path, REAL),
    "real.tif": lambda path: tifffile.imwrite(path, REAL),
    "single.h5": lambda path: h5py.File(path, "w").create_dataset("sums/image", data=REAL).file.close(),
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_image_with_negative_values_and_blind_pixels_is_read_from(tmp_path, name):
    WRITERS[name](tmp_path / name)
    found = read_image(tmp_path / name)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, REAL)


NUMBERS = np.arange(30)
AXES = {
    "a first row of 1, 2 .. 29": lambda: np.vstack([NUMBERS, REAL]),
    "a first row of -1.45, -1.35 .. 1.35": lambda: np.vstack([(NUMBERS - 15.5) / 10, REAL]),
    "a first column of 1, 2 .. 19": lambda: np.column_stack([NUMBERS[:20], REAL]),
    "a first column of 24, 21 .. -30": lambda: np.column_stack([27 - 3 * NUMBERS[:20], REAL]),
    "a first row of 0, 1 .. 29 and a first column of 0, 1 .. 19": lambda: np.block(
        [[np.full((1, 1), np.nan), NUMBERS[None]], [NUMBERS[:20, None], REAL]]
    ),
}


@pytest.mark.parametrize("found", AXES)
def test_numbers_of_rows_and_columns_are_not_taken_for_counts(tmp_path, found):
    (tmp_path / "a.csv").write_bytes(text(",", AXES[found]()))
    with pytest.raises(InputError, match=re.escape(f"a.csv: expected counts alone, found {found}, which numbers")):
        read_image(tmp_path / "a.csv")


def test_a_ramp_is_an_image(tmp_path):
    ramp = np.add.outer(NUMBERS[:20], NUMBERS)
    (tmp_path / "a.txt").write_bytes(text(" ", ramp))
    np.testing.assert_array_equal(read_image(tmp_path / "a.txt"), ramp)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32])
def test_every_type_of_counts_is_read_from_tiff_and_npy(tmp_path, kind):
    np.save(tmp_path / "a.npy", COUNTS.astype(kind))
    tifffile.imwrite(tmp_path / "a.tif", COUNTS.astype(kind))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy"), COUNTS)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COUNTS)


@pytest.mark.parametrize("factor", [1, 257])
def test_grey_png_of_8_and_16_bits_is_read(tmp_path, factor):
    counts = COUNTS if factor == 1 else COUNTS.astype(np.uint16) * 257
    Image.fromarray(counts).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), counts)


def test_one_of_several_datasets_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["first"], file["second"], file["other"] = COUNTS, REAL, [1, 2]
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5", "second"), REAL)
    with pytest.raises(InputError, match=r"a\.h5: expected one dataset of shape \(H, W\), found first .*--dataset"):
        read_image(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"--dataset third: no such dataset; there are first"):
        read_image(tmp_path / "a.h5", "third")


def save(array):
    return lambda path: np.save(path, array)


BAD = {
    "nothing.txt": (lambda path: path.write_bytes(b" \n"), "expected data, found an empty file"),
    "comments.txt": (lambda path: path.write_bytes(b"# none\n"), "expected rows of numbers, found comments alone"),
    "ragged.txt": (lambda path: path.write_bytes(b"1 2 3\n1 2\n"), "expected rows of as many numbers each, found"),
    "words.txt": (lambda path: path.write_bytes(b"1 two 3\n"), "could not convert"),
    "complex.txt": (lambda path: path.write_bytes(b"1+2j 3 4\n"), "found complex numbers"),
    "complex.npy": (save(COUNTS * 1j), "expected integers or real numbers, found complex numbers"),
    "true.npy": (save(COUNTS > 3), "expected integers or real numbers, found bool"),
    "stack.npy": (save(np.zeros((5, 20, 30))), "found shape (5, 20, 30); search a stack of camera frames with "),
    "stack.tif": (lambda path: tifffile.imwrite(path, np.zeros((5, 20, 30))), "search a stack of camera frames"),
    "stack.h5": (
        lambda path: h5py.File(path, "w").create_dataset("a", data=np.zeros((5, 20, 30))).file.close(),
        "search a stack of camera frames with script/gen_finaltest_npy.sh",
    ),
    "tiny.npy": (save(np.ones((5, 20))), "at least 16 x 16 pixels, found shape (5, 20)"),
    "line.npy": (save(np.ones(99)), "expected an image (H, W)"),
    "blind.npy": (save(np.full((20, 30), np.nan)), "expected counts, found NaN alone"),
    "dark.npy": (save(np.zeros((20, 30))), "expected counts above 0, found zeros alone"),
    "negative.npy": (save(np.full((20, 30), -2)), "expected counts above 0, found none, the highest is -2"),
    "endless.npy": (save(np.full((20, 30), np.inf)), "expected finite counts, found 600 infinite pixels"),
    "colour.png": (
        lambda path: Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path),
        "expected grey values of 8 or 16 bits, found RGB",
    ),
    "colour.tif": (
        lambda path: tifffile.imwrite(path, np.zeros((20, 30, 3), np.uint8), photometric="rgb"),
        "expected grey values, one per pixel, found RGB with 3",
    ),
    "cut.npy": (lambda path: path.write_bytes(b"\x93NUMPY\x01"), "expected a whole file, found one that cannot be"),
    "cut.png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "expected a whole file"),
    "cut.tif": (lambda path: path.write_bytes(b"II*\0\x08"), "expected a whole file"),
    "cut.txt.gz": (lambda path: path.write_bytes(gzip.compress(text(" "))[:99]), "expected a whole file"),
    "other.bin": (lambda path: path.write_bytes(b"\x01\x00\x02"), "expected text, NPY, NPZ, TIFF, HDF5, PNG or"),
    "table.npz": (lambda path: np.savez(path, COUNTS), "expected an image as text, NPY, TIFF, HDF5 or PNG, found zip"),
    "folder": (lambda path: path.mkdir(), "expected a file, found a folder"),
    "missing": (lambda _: None, "no such file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_is_refused_in_one_line(tmp_path, name):
    write, message = BAD[name]
    write(tmp_path / name)
    with pytest.raises(InputError, match=re.escape(message)) as told:
        read_image(tmp_path / name)
    assert str(told.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(told.value)


def test_a_dataset_of_a_file_without_any_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", COUNTS)
    with pytest.raises(InputError, match="--dataset image: expected an HDF5 file, found npy"):
        read_image(tmp_path / "a.npy", "image")
