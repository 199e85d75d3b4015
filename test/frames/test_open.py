"""Camera frames of any format through one interface: the same frames, and every fault in one line."""

import logging

import h5py
import numpy as np
import pytest
import tifffile

from support.refusals import refused
from util.frames.course_file import FRAMES, FrameFile
from util.frames.hdf5 import FrameStack
from util.frames.open import open_frames
from util.frames.tiff import TiffFrames
from util.runtime.errors import FrameError, InputError

SHAPE = (20, 30)
COUNT = 12


def frames(dtype, high=None):
    rng = np.random.default_rng(0)
    return rng.integers(0, high or np.iinfo(dtype).max, (COUNT, *SHAPE), dtype, endpoint=True)


def compound(path, images):
    rows = np.zeros(COUNT, [("ImageId", "<i4"), ("Image", images.dtype, SHAPE)])
    rows["ImageId"], rows["Image"] = np.arange(COUNT), images
    with h5py.File(path, "w") as file:
        file.create_dataset(FRAMES, data=rows, chunks=(1,), compression="gzip")
    return path


def stack(path, images, name="camera/images", **layout):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=images, **layout)
        file["temperature"] = np.zeros((3, 4))
    return path


def pages(path, images, **how):
    tifffile.imwrite(path, images, photometric="minisblack", **how)
    return path


def folder(path, images, pages_each=1, **how):
    path.mkdir()
    (path / "notes.txt").write_text("no frame")
    (path / "._shot_1.tif").write_text("what a file system leaves")
    for number, start in enumerate(range(0, COUNT, pages_each)):
        suffix = "tif" if number % 2 else "TIFF"
        pages(path / f"shot_{number}.{suffix}", images[start : start + pages_each], **how)
    return path


ONE_A_CHUNK = {"chunks": (1, *SHAPE), "compression": "gzip"}
FORMATS = {
    "compound": compound,
    "stack, one frame a chunk": lambda path, images: stack(path, images, **ONE_A_CHUNK),
    "stack, shuffled": lambda path, images: stack(path, images, shuffle=True, **ONE_A_CHUNK),
    "stack, other chunks": lambda path, images: stack(path, images, chunks=(5, 7, 30), compression="gzip"),
    "stack, plain": stack,
    "pages": pages,
    "pages, BigTIFF": lambda path, images: pages(path, images, bigtiff=True),
    "pages, deflated": lambda path, images: pages(path, images, compression="zlib"),
    "pages, big-endian": lambda path, images: pages(path, images, byteorder=">"),
    "pages, ImageJ": lambda path, images: pages(path, images, imagej=True),
    "folder": folder,
    "folder of several pages each": lambda path, images: folder(path, images, pages_each=5),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
def test_frames_of_any_format_are_read_through_one_interface(tmp_path, make, dtype):
    expected = frames(dtype)
    path = make(tmp_path / "frames", expected)
    with open_frames(path) as file:
        assert (file.count, len(file), file.frame_shape, file.dtype) == (COUNT, COUNT, SHAPE, dtype)
        assert file.bits == 8 * np.dtype(dtype).itemsize
        assert np.array_equal(file.image_ids(2, 7), np.arange(2, 7))
        for index, (image_id, frame) in enumerate(file.rows()):
            assert image_id == index
            assert frame.dtype == dtype
            assert np.array_equal(frame, expected[index])
        frame = file.read(4)
        assert frame.flags.c_contiguous and frame.flags.writeable and frame.flags.aligned and frame.dtype.isnative
        for ask in (file.check_range, file.image_ids, file.rows):
            with pytest.raises(InputError, match=r"frames.* within 0\.\.12, found 5\.\.13"):
                ask(5, 13)
        fingerprint = file.fingerprint()
        with open_frames(path, file.dataset) as again:  # as a worker does
            assert again.fingerprint() == fingerprint
            assert np.array_equal(again.read(COUNT - 1), expected[COUNT - 1])
    expected[COUNT - 1, 0, 0] ^= 1
    with open_frames(make(tmp_path / "changed", expected)) as changed:
        assert changed.fingerprint() != fingerprint


def test_a_stack_beyond_imagejs_pages_is_read_whole(tmp_path):
    # What ImageJ writes beyond 4 GB: one page, and the other frames plainly behind it.
    expected = frames(np.uint16)
    path = tmp_path / "f.tif"
    description = f"ImageJ=1.54\nimages={COUNT}\nslices={COUNT}\n"
    how = {"photometric": "minisblack", "byteorder": ">", "metadata": None, "description": description}
    tifffile.imwrite(path, expected[0], **how)
    with path.open("ab") as file:
        file.write(expected[1:].astype(">u2").tobytes())
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1 and file.series[0].shape == (COUNT, *SHAPE)
    with open_frames(path) as file:
        assert (file.count, file.dtype) == (COUNT, np.uint16)
        assert all(np.array_equal(frame, expected[index]) for index, frame in file.rows())


@pytest.mark.parametrize("kind", ["<i2", ">u2", "<u4", ">i4", "<i8", "i1"])
@pytest.mark.parametrize("make", [compound, stack], ids=["compound", "stack"])
def test_counts_in_wider_and_in_signed_integers_are_taken_as_they_are(tmp_path, make, kind):
    expected = frames(np.int16, high=100)
    with open_frames(make(tmp_path / "f.h5", expected.astype(kind))) as file:
        assert file.dtype == (np.uint8 if kind == "i1" else np.uint16)
        assert all(np.array_equal(frame, expected[index]) for index, frame in file.rows())


def test_the_depth_that_an_hdf5_type_declares_is_told(tmp_path):
    twelve = h5py.h5t.STD_U16LE.copy()
    twelve.set_precision(12)
    twelve.set_offset(4)  # so that the bytes as they lie are not the counts
    expected = frames(np.uint16, high=4095)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        space = h5py.h5s.create_simple(expected.shape)
        one_per_chunk = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        one_per_chunk.set_chunk((1, *SHAPE))
        one_per_chunk.set_deflate(1)
        created = h5py.h5d.create(file.id, b"images", twelve, space, one_per_chunk)
        created.write(h5py.h5s.ALL, h5py.h5s.ALL, expected)
    with open_frames(tmp_path / "f.h5") as file:
        assert (file.bits, file.dtype) == (12, np.uint16)
        assert np.array_equal(file.read(3), expected[3])


@pytest.mark.parametrize("value", [-3, 70_000])
@pytest.mark.parametrize("make", [compound, stack], ids=["compound", "stack"])
def test_a_value_that_no_camera_counts_is_refused_with_its_frame(tmp_path, make, value):
    images = frames(np.int16, high=100).astype(np.int32)
    images[7, 3, 4] = value
    with open_frames(make(tmp_path / "f.h5", images)) as file:
        file.read(6)
        with pytest.raises(FrameError, match=rf"f\.h5: .*: frame 7: expected counts .* 0\.\.65535, found {value}"):
            file.read(7)


def test_a_damaged_chunk_of_a_stack_is_refused_with_its_frame(tmp_path):
    path = stack(tmp_path / "f.h5", frames(np.uint8), **ONE_A_CHUNK)
    with h5py.File(path, "r+") as file:
        file["camera/images"].id.write_direct_chunk((5, 0, 0), b"rubbish")
    with open_frames(path) as file:
        assert np.array_equal(file.read(4), frames(np.uint8)[4])
        with pytest.raises(FrameError, match=r"f\.h5: camera/images: frame 5 is damaged: expected a gzip chunk of 600"):
            file.read(5)


def test_the_only_dataset_of_frames_is_taken_and_that_is_said(tmp_path, caplog):
    path = stack(tmp_path / "f.h5", frames(np.uint8))
    with caplog.at_level(logging.WARNING), open_frames(path) as file:
        assert isinstance(file, FrameStack)
        assert file.dataset == "camera/images"
    assert f"{path}: no FinalImage there: taking the frames in camera/images" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        open_frames(path, "/camera/images").close()
        open_frames(compound(tmp_path / "g.h5", frames(np.uint8))).close()
    assert not caplog.text


def test_a_dataset_is_chosen_by_name(tmp_path):
    one, other = frames(np.uint8), frames(np.uint16)
    path = compound(tmp_path / "f.h5", one)
    with h5py.File(path, "a") as file:
        file["raw/second"] = other
        file["raw/third"] = other
        file.move(FRAMES, "first")
    with pytest.raises(InputError) as caught:
        open_frames(path)
    for word in ("raw/second (uint16, shape (12, 20, 30))", "raw/third", "first", "--dataset"):
        assert word in str(caught.value)
    with open_frames(path, "raw/third") as file:
        assert np.array_equal(file.read(3), other[3])
    with open_frames(path, "first") as file:
        assert isinstance(file, FrameFile)
        assert np.array_equal(file.read(3), one[3])


def test_missing_files_and_datasets_are_refused(tmp_path):
    refused(tmp_path / "f.h5", "no such file")
    (tmp_path / "f.h5").write_text("text")
    refused(tmp_path / "f.h5", "expected an HDF5 file")
    path = stack(tmp_path / "g.h5", frames(np.uint8))
    there = "no such dataset; there are camera/images (uint8, shape (12, 20, 30)), temperature (float64, shape (3, 4))"
    refused(path, "--dataset images", there, dataset="images")
    refused(path, "--dataset camera:", there, dataset="camera")  # a group
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "expected files *.tif or *.tiff or *.png, found none")
    refused(pages(tmp_path / "f.tif", frames(np.uint8)), "expected an HDF5 file, found TIFF", dataset="images")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((3, 20, 30), np.float32), ["float32", "(3, 20, 30)"]),
        (np.zeros((2, 3, 20, 30), np.uint8), ["shape (N, H, W)", "(2, 3, 20, 30)"]),
        (np.zeros((20, 30), np.uint8), ["shape (N, H, W)", "(20, 30)"]),
        (np.zeros((0, 20, 30), np.uint8), ["expected frames, found none", "(0, 20, 30)"]),
        (np.zeros((3, 20, 8), np.uint8), ["at least 16 x 16", "(3, 20, 8)"]),
    ],
)
def test_datasets_that_are_no_frames_are_refused(tmp_path, images, words):
    path = stack(tmp_path / "f.h5", images)
    refused(path, "camera/images", *words, dataset="camera/images")
    with h5py.File(path, "a") as file:
        del file["camera/images"]
    refused(path, "expected a dataset FinalImage, or one of integers of shape (N, H, W), found temperature")


@pytest.mark.parametrize(
    ("images", "how", "words"),
    [
        (np.zeros((2, 20, 30, 3), np.uint8), {"photometric": "rgb"}, ["page 0", "grey", "found RGB with 3"]),
        (np.zeros((2, 20, 30), np.uint8), {"photometric": "miniswhite"}, ["black as zero", "MINISWHITE"]),
        (np.zeros((2, 20, 30), np.float32), {}, ["integers of 8 bits or more", "float32"]),
        (np.zeros((2, 20, 30), np.complex64), {}, ["integers of 8 bits or more", "complex64"]),
        (np.zeros((2, 20, 30), bool), {}, ["integers of 8 bits or more", "bool"]),
        (np.zeros((2, 20, 8), np.uint8), {}, ["at least 16 pixels", "(20, 8)"]),
    ],
)
def test_tiff_files_that_are_no_frames_are_refused(tmp_path, images, how, words):
    tifffile.imwrite(tmp_path / "f.tif", images, **({"photometric": "minisblack"} | how))
    refused(tmp_path / "f.tif", *words)


def test_a_tiff_file_that_is_cut_short_is_refused_where_it_ends(tmp_path):
    path = pages(tmp_path / "f.tif", frames(np.uint16), compression="zlib")
    whole = path.read_bytes()
    path.write_bytes(whole[:6])
    refused(path, "expected a whole TIFF page, found one that cannot be read")
    with tifffile.TiffFile(pages(path, frames(np.uint16), compression="zlib")) as file:
        offset = file.pages[5].dataoffsets[0]
    damaged = bytearray(path.read_bytes())
    damaged[offset : offset + 50] = bytes(50)
    path.write_bytes(damaged)
    with open_frames(path) as file:
        assert np.array_equal(file.read(6), frames(np.uint16)[6])
        with pytest.raises(FrameError, match=r"f\.tif: page 5 \(frame 5\): expected a whole TIFF page"):
            file.read(5)


def test_a_compression_that_needs_a_further_package_says_which(tmp_path, monkeypatch):
    path = pages(tmp_path / "f.tif", frames(np.uint8))
    message = "<COMPRESSION.LZW: 5> requires the 'imagecodecs' package"

    def refuse(_page, **_how):
        raise ValueError(message)

    with open_frames(path) as file:
        monkeypatch.setattr(tifffile.TiffPage, "asarray", refuse)
        with pytest.raises(FrameError, match=rf"f\.tif: page 2 .*{message}; install it with .*pip install imagecodecs"):
            file.read(2)


def test_a_folder_goes_by_the_numbers_in_its_names(tmp_path):
    expected = frames(np.uint8)
    (tmp_path / "run").mkdir()
    for index in range(COUNT):
        pages(tmp_path / "run" / f"run2_{index + 5}.tif", expected[index])
    with open_frames(tmp_path / "run") as file:
        assert all(np.array_equal(frame, expected[index]) for index, frame in file.rows())


@pytest.mark.parametrize("number", [0, 6, COUNT - 1])
def test_a_folder_of_mixed_sizes_is_refused_with_the_file(tmp_path, number):
    path = folder(tmp_path / "run", frames(np.uint8))
    (odd,) = path.glob(f"shot_{number}.*")
    pages(odd, np.zeros((20, 40), np.uint8))
    odd = odd if number else next(path.glob("shot_1.*"))  # the first frame counts
    refused(path, f"{odd.name}: page 0", "keep the frames of one camera setting together", " x 30", " x 40")


def test_a_file_of_a_large_folder_that_is_unlike_the_others_is_refused_when_it_is_read(tmp_path):
    (tmp_path / "run").mkdir()
    for index in range(40):
        pages(tmp_path / "run" / f"{index}.tif", np.full(SHAPE, index, np.uint8))
    pages(tmp_path / "run" / "4.tif", np.zeros(SHAPE, np.uint16))
    pages(tmp_path / "run" / "7.tif", np.zeros((2, *SHAPE), np.uint8))
    (tmp_path / "run" / "9.tif").unlink()
    with open_frames(tmp_path / "run") as file:
        (tmp_path / "run" / "17.tif").unlink()
        for index, message in (
            (3, r"4\.tif: page 0 \(frame 4\): expected 20 x 30 pixels of uint8, .* found 20 x 30 of uint16"),
            (6, r"7\.tif: expected one page, .* found 2"),
            (15, r"17\.tif: no such file"),  # 9.tif is left out
        ):
            assert (file.read(index) == index + (index >= 9)).all()
            with pytest.raises(FrameError, match=message):
                file.read(index + 1)


def test_tiff_files_are_closed_again(tmp_path):
    path = folder(tmp_path / "run", frames(np.uint8))
    file = TiffFrames(path)
    file.read(3)
    opened = file._opened[1]._file
    file.close()
    assert opened.filehandle.closed
