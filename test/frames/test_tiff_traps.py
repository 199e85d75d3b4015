"""TIFF files that hold less than they tell of, or other pages than frames: refused in one line, or read right."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from support import ROOT
from support.refusals import damage, refused, refused_or_read
from util.frames.open import open_frames
from util.runtime.errors import FrameError

SHAPE = (20, 30)
COUNT = 12
CHANNELS = 2


def frames(dtype=np.uint16, high=4095):
    return np.random.default_rng(0).integers(1, high, (COUNT, *SHAPE), dtype)


def hyperstack(axes):
    """Return images along the axes given besides Y and X: COUNT times, CHANNELS of anything else."""
    sizes = [COUNT if axis == "T" else CHANNELS for axis in axes]
    return np.random.default_rng(0).integers(1, 4095, (*sizes, *SHAPE), np.uint16)


def assert_holds(path, expected):
    with open_frames(path) as file:
        assert (file.count, file.frame_shape) == (len(expected), expected.shape[1:])
        assert all(np.array_equal(frame, expected[index]) for index, frame in file.rows())


@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True}, {"ome": False}], ids=["ImageJ", "OME", "tifffile"])
@pytest.mark.parametrize(
    ("axes", "found"),
    [
        ("TC", "12 frames x 2 channels"),
        ("TZ", "12 frames x 2 slices"),
        ("TZC", "12 frames x 2 slices x 2 channels"),
    ],
)
def test_a_hyperstack_is_refused_with_its_axes(tmp_path, how, axes, found):
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, hyperstack(axes), photometric="minisblack", metadata={"axes": f"{axes}YX"}, **how)
    refused(path, f"found a hyperstack of {found}; save one channel", "Make Subset", "Properties")


@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True}, {"ome": False}], ids=["ImageJ", "OME", "tifffile"])
@pytest.mark.parametrize("axis", ["T", "Z", "C"])
def test_images_along_one_axis_are_frames_whatever_it_is_called(tmp_path, how, axis):
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, frames(), photometric="minisblack", metadata={"axes": f"{axis}YX"}, **how)
    assert_holds(path, frames())


def test_axes_of_one_image_do_not_make_a_hyperstack(tmp_path):
    tifffile.imwrite(tmp_path / "f.tif", frames()[:, None, None], imagej=True)
    assert_holds(tmp_path / "f.tif", frames())


def test_an_array_of_two_unnamed_axes_of_frames_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "f.tif", hyperstack("TQ"), photometric="minisblack")
    refused(tmp_path / "f.tif", "hyperstack of 12 of an unnamed axis x 2 of an unnamed axis")


def test_several_positions_of_ome_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "f.ome.tif", ome=True) as file:
        for _ in range(3):
            file.write(frames(), photometric="minisblack", metadata={"axes": "TYX"})
    refused(tmp_path / "f.ome.tif", "hyperstack of 12 frames x 3 positions")


def test_a_hyperstack_in_a_folder_is_refused_with_its_file(tmp_path):
    (tmp_path / "run").mkdir()
    for number in range(3):
        tifffile.imwrite(tmp_path / "run" / f"{number}.tif", hyperstack("TC")[:, :, None].squeeze(), imagej=True)
    refused(tmp_path / "run", "0.tif: expected frames one after another, found a hyperstack")


def image_by_image(path):
    with tifffile.TiffWriter(path) as file:
        for frame in frames():
            file.write(frame, photometric="minisblack", contiguous=False)


WRITERS = {
    "pages after all frames": lambda path: tifffile.imwrite(path, frames(), photometric="minisblack"),
    "page by page": image_by_image,
    "BigTIFF": lambda path: tifffile.imwrite(path, frames(), photometric="minisblack", bigtiff=True),
    "packed": lambda path: tifffile.imwrite(path, frames(), photometric="minisblack", compression="zlib"),
    "ImageJ": lambda path: tifffile.imwrite(path, frames(), imagej=True),
    "OME": lambda path: tifffile.imwrite(path, frames(), photometric="minisblack", ome=True),
    "one page": lambda path: tifffile.imwrite(path, frames(), photometric="minisblack", metadata={}, truncate=True),
}


@pytest.mark.parametrize("part", [0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_that_is_cut_short_is_refused(tmp_path, write, part):
    path = tmp_path / "f.tif"
    write(path)
    assert_holds(path, frames())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    refused(path, "expected ", "found ", "copy it again")


def test_a_file_that_is_cut_short_costs_one_line(tmp_path):
    path = tmp_path / "f.tif"
    image_by_image(path)
    path.write_bytes(path.read_bytes()[:-9000])
    program = "import sys; from pathlib import Path; from util.frames.open import open_frames as open_\n"
    program += "from util.runtime.errors import run_program; run_program(lambda: open_(Path(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {path}: expected a whole TIFF file")


def test_a_file_that_is_cut_short_tells_how_many_pages_are_whole(tmp_path):
    image_by_image(tmp_path / "f.tif")
    whole = (tmp_path / "f.tif").read_bytes()
    (tmp_path / "f.tif").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "f.tif", f"ends at {len(whole) // 2} bytes, with 5 whole pages and further ones beyond its end")
    (tmp_path / "f.tif").write_bytes(whole[:-1])
    refused(tmp_path / "f.tif", f"ends at {len(whole) - 1} bytes, with 11 whole pages of 12")


def imagej_beyond_4_gb(path, images, declared):
    """Write what ImageJ writes beyond 4 GB: one page, and the other frames plainly behind it."""
    description = f"ImageJ=1.54\nimages={declared}\nframes={declared}\n"
    how = {"photometric": "minisblack", "byteorder": ">", "metadata": None, "description": description}
    tifffile.imwrite(path, images[0], **how)
    with path.open("ab") as file:
        file.write(images[1:].astype(">u2").tobytes())


def test_a_stack_under_a_single_page_must_hold_the_frames_it_tells_of(tmp_path):
    path = tmp_path / "f.tif"
    imagej_beyond_4_gb(path, frames(), COUNT)
    assert_holds(path, frames())
    imagej_beyond_4_gb(path, frames()[:7], COUNT)
    refused(path, "expected the 12 frames that it tells of, found 7 whole")


def test_a_file_that_tells_of_more_pages_than_it_has_is_refused(tmp_path):
    description = f"ImageJ=1.54\nimages={COUNT}\nframes={COUNT}\n"
    how = {"photometric": "minisblack", "metadata": None, "description": description}
    tifffile.imwrite(tmp_path / "f.tif", frames()[:7], **how)
    refused(tmp_path / "f.tif", "expected the 12 frames that it tells of, found 7 whole", "give their folder")


def test_a_file_that_is_cut_short_is_refused_in_a_folder_too(tmp_path):
    (tmp_path / "run").mkdir()
    for number in range(3):
        image_by_image(tmp_path / "run" / f"{number}.tif")
    whole = (tmp_path / "run" / "2.tif").read_bytes()
    (tmp_path / "run" / "2.tif").write_bytes(whole[:-1000])
    refused(tmp_path / "run", "2.tif: expected a whole TIFF file", "with 11 whole pages of 12")


def test_a_page_without_data_is_refused(tmp_path):
    path = tmp_path / "f.tif"
    image_by_image(path)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[COUNT - 1].tags["StripByteCounts"].overwrite(0)
    refused(path, "page 11: expected a frame, found a page of which nothing or not all was ever written")


@pytest.mark.parametrize("kind", ["i1", "<i2", ">i2", "<i4", "<u4", ">u4", "<i8"])
def test_counts_in_wider_and_in_signed_integers_are_read(tmp_path, kind):
    expected = frames(high=100)
    path = tmp_path / "f.tif"
    byteorder = ">" if kind[0] == ">" else "<"
    tifffile.imwrite(path, expected.astype(kind), photometric="minisblack", byteorder=byteorder)
    with open_frames(path) as file:
        assert (file.dtype, file.bits) == ((np.uint8, 8) if kind == "i1" else (np.uint16, 16))
        assert all(np.array_equal(frame, expected[index]) for index, frame in file.rows())


@pytest.mark.parametrize(("kind", "value"), [("i2", -3), ("i4", 70_000), ("u4", 70_000)])
def test_a_value_that_no_camera_counts_is_refused_with_its_page(tmp_path, kind, value):
    images = frames(high=100).astype(kind)
    images[7, 3, 4] = value
    tifffile.imwrite(tmp_path / "f.tif", images, photometric="minisblack")
    with open_frames(tmp_path / "f.tif") as file:
        file.read(6)
        with pytest.raises(FrameError, match=rf"f\.tif: page 7 .*: expected counts of 0\.\.65535, found {value}; give"):
            file.read(7)


def test_a_set_of_files_that_each_tell_of_the_whole_set_is_read(tmp_path):
    # As OME and Micro-Manager split a run.
    (tmp_path / "run").mkdir()
    description = f"ImageJ=1.54\nimages={COUNT}\nframes={COUNT}\n"
    for number in range(COUNT):
        how = {"photometric": "minisblack", "metadata": None, "description": description}
        tifffile.imwrite(tmp_path / "run" / f"{number}.tif", frames()[number], **how)
    assert_holds(tmp_path / "run", frames())
    refused(tmp_path / "run" / "0.tif", "expected the 12 frames that it tells of, found 1 whole", "give their folder")


def test_a_description_that_cannot_be_made_out_is_a_comment(tmp_path):
    description = '{"shape": [12, 20'
    tifffile.imwrite(tmp_path / "f.tif", frames(), photometric="minisblack", metadata=None, description=description)
    assert_holds(tmp_path / "f.tif", frames())


def test_a_page_that_tells_two_widths_is_refused(tmp_path):
    path = tmp_path / "f.tif"
    image_by_image(path)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[COUNT - 1].tags["ImageWidth"].overwrite((30, 40))
    refused(path, "page 11: expected a whole TIFF page, found one that cannot be read")


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_refused_in_one_line_or_read(tmp_path, seed):
    path = tmp_path / "f.tif"
    image_by_image(path)
    rng = np.random.default_rng(seed)
    damage(path, rng.integers(4, path.stat().st_size, 40), rng)
    refused_or_read(path)


def test_a_page_whose_strips_have_no_rows_is_refused_in_one_line(tmp_path):
    path = tmp_path / "frames.tif"
    tifffile.imwrite(path, frames(), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["RowsPerStrip"].valueoffset
    content = bytearray(path.read_bytes())
    content[place : place + 2] = b"\0\0"
    path.write_bytes(content)
    with (
        open_frames(path) as file,
        pytest.raises(FrameError, match=r"frame 0\): expected a whole TIFF page, found one"),
    ):
        file.read(0)
