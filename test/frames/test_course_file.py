"""Reading and writing camera frames and truth tables: every layout, every fault."""

import logging
import re

import h5py
import numpy as np
import pytest

from util.frames.course_file import FRAMES, FrameFile, frame_dtype
from util.frames.course_writer import pack_frame, writing_frames
from util.physics.sphere import Sphere
from util.runtime.errors import FrameError, InputError
from util.simulation.truth_tables import (
    DETECTED_DTYPE,
    GENERATED_DTYPE,
    read_detected_electrons,
    read_generated_electrons,
    read_truth,
    truth_rows,
)

SHAPE = (20, 30)
COUNT = 7
IDS = np.array([3, 1, 4, 15, 9, 2, 6])


def frames():
    return np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), np.uint8) // 8


def write_ours(path, attributes=None):
    with writing_frames(path, SHAPE, COUNT, attributes or {}) as writer:
        for index, (image_id, frame) in enumerate(zip(IDS, frames(), strict=True)):
            writer.write(index, pack_frame(image_id, frame))


def write_h5py(path, dtype=None, **layout):
    rows = np.zeros(COUNT, dtype or frame_dtype(SHAPE))
    rows["ImageId"], rows["Image"] = IDS, frames()
    with h5py.File(path, "w") as file:
        file.create_dataset(FRAMES, data=rows, **layout)


def assert_holds_the_frames(path):
    with FrameFile(path) as file:
        assert (file.count, len(file), file.frame_shape) == (COUNT, COUNT, SHAPE)
        assert np.array_equal(file.image_ids(), IDS)
        assert np.array_equal(file.image_ids(2, 5), IDS[2:5])
        for index, (image_id, frame) in enumerate(file.rows()):
            assert image_id == IDS[index]
            assert np.array_equal(frame, frames()[index])
        frame = file.read(4)
        assert np.array_equal(frame, frames()[4])
        assert frame.flags.c_contiguous and frame.flags.writeable and frame.flags.aligned


REORDERED = np.dtype([("Image", "u1", SHAPE), ("ImageId", ">i8")])
PADDED = np.dtype(
    {
        "names": ["Gain", "ImageId", "Image"],
        "formats": ["<f8", "<u2", ("u1", SHAPE)],
        "offsets": [0, 11, 17],
        "itemsize": 640,
    }
)


def test_written_frames_are_read_back_by_this_reader_and_by_h5py(tmp_path):
    path = tmp_path / "new" / "f.h5"
    write_ours(path, {"seed": 5})
    assert_holds_the_frames(path)
    with h5py.File(path) as file:
        assert file[FRAMES].dtype == frame_dtype(SHAPE)
        assert (file[FRAMES].chunks, file[FRAMES].compression) == ((1,), "gzip")
        assert np.array_equal(file[FRAMES]["Image"], frames())
        assert np.array_equal(file[FRAMES]["ImageId"], IDS)
        assert dict(file.attrs) == {"seed": 5}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "layout",
    [
        {"chunks": (1,), "compression": "gzip"},
        {"chunks": (1,), "compression": "gzip", "shuffle": True},
        {"chunks": (1,), "compression": "gzip", "fletcher32": True},
        {"chunks": (1,), "compression": "lzf"},
        {"chunks": (1,)},
        {"chunks": (3,), "compression": "gzip"},
        {"chunks": (100,), "maxshape": (None,), "compression": "gzip", "fletcher32": True},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [frame_dtype(SHAPE), REORDERED, PADDED], ids=["official", "reordered", "padded"])
def test_frames_are_read_from_any_layout(tmp_path, layout, dtype):
    write_h5py(tmp_path / "f.h5", dtype, **layout)
    assert_holds_the_frames(tmp_path / "f.h5")


def test_rows_that_skipped_the_filter_are_read_and_those_never_written_are_not(tmp_path):
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(FRAMES, (3,), frame_dtype(SHAPE), chunks=(1,), compression="gzip")
        row = np.zeros(1, frame_dtype(SHAPE))
        row["ImageId"], row["Image"] = 7, 9
        dataset.id.write_direct_chunk((1,), row.tobytes(), filter_mask=1)
        dataset.id.write_direct_chunk((2,), pack_frame(8, row["Image"][0]))
    with FrameFile(path) as file:
        assert (file.read(1) == 9).all() and (file.read(2) == 9).all()
        assert file.image_ids(1).tolist() == [7, 8]
        for read in (lambda: file.read(0), file.image_ids):
            with pytest.raises(FrameError, match=r"f\.h5: FinalImage: frame 0 was never written"):
                read()


def test_fingerprint_tells_files_apart_and_not_readers(tmp_path):
    write_ours(tmp_path / "a.h5")
    write_ours(tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        changed = file[FRAMES][3]
        changed["Image"][0, 0] ^= 1
        file[FRAMES].id.write_direct_chunk((3,), pack_frame(changed["ImageId"], changed["Image"]))
    prints = []
    for name in ("a.h5", "a.h5", "b.h5"):
        with FrameFile(tmp_path / name) as file:
            prints.append(file.fingerprint())
    assert prints[0] == prints[1] != prints[2]
    assert re.fullmatch("[0-9a-f]{64}", prints[0])


def refused(path, *words):
    """Return the one line with which a file is refused; it must name the file and hold the words."""
    with pytest.raises(InputError) as caught:
        FrameFile(path)
    line = str(caught.value)
    assert "\n" not in line and str(path) in line
    for word in words:
        assert word in line, line
    return line


def test_missing_file_is_refused(tmp_path):
    refused(tmp_path / "f.h5", "no such file", "simulate_finaltest.sh")
    refused(tmp_path, "found a folder")


def test_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "f.h5").write_bytes(b"\x89PNG not HDF5" * 100)
    refused(tmp_path / "f.h5", "expected an HDF5 file", "PNG")
    (tmp_path / "f.h5").write_bytes(b"")
    refused(tmp_path / "f.h5", "expected an HDF5 file")


def test_truncated_file_is_refused(tmp_path):
    write_h5py(tmp_path / "f.h5")
    whole = (tmp_path / "f.h5").read_bytes()
    (tmp_path / "f.h5").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "f.h5", "cut short at", "copy it again")


def test_file_without_frames_is_refused(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["Other"] = 1
    refused(tmp_path / "f.h5", "expected a dataset FinalImage", "found Other")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_group(FRAMES)
    refused(tmp_path / "f.h5", "expected a dataset FinalImage")


@pytest.mark.parametrize(
    ("dtype", "shape", "words"),
    [
        (np.dtype("u1"), (3, 20, 20), ["expected a compound", "found uint8"]),
        (np.dtype([("Id", "i4"), ("Image", "u1", SHAPE)]), (3,), ["expected a compound", "Id, Image"]),
        (np.dtype([("ImageId", "f4"), ("Image", "u1", SHAPE)]), (3,), ["ImageId to be an integer", "float32"]),
        (np.dtype([("ImageId", "i4"), ("Image", "<f4", SHAPE)]), (3,), ["(uint8, uint16)", "float32", "(20, 30)"]),
        (np.dtype([("ImageId", "i4"), ("Image", "u1", (400,))]), (3,), ["shape (H, W)", "(400,)"]),
        (np.dtype([("ImageId", "i4"), ("Image", "u1", (15, 20))]), (3,), ["at least 16 pixels", "(15, 20)"]),
        (np.dtype([("ImageId", "i4"), ("Image", "u1")]), (3,), ["shape (H, W)"]),
        (frame_dtype(SHAPE), (0,), ["one row per frame", "(0,)"]),
        (frame_dtype(SHAPE), (2, 2), ["one row per frame", "(2, 2)"]),
        (frame_dtype(SHAPE), (), ["one row per frame", "()"]),
    ],
)
def test_frames_of_another_kind_are_refused(tmp_path, dtype, shape, words):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset(FRAMES, shape, dtype)
    refused(tmp_path / "f.h5", FRAMES, *words)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, COUNT + 1), (5, 4), (COUNT + 1, COUNT + 1)])
def test_range_outside_the_file_is_refused(tmp_path, start, stop):
    write_ours(tmp_path / "f.h5")
    with FrameFile(tmp_path / "f.h5") as file:
        for ask in (file.check_range, file.image_ids, file.rows):
            with pytest.raises(InputError, match=rf"f\.h5: FinalImage.*within 0\.\.7, found {start}\.\.{stop}"):
                ask(start, stop)
        with pytest.raises(InputError, match=r"found 7\.\.8"):
            file.read(7)


@pytest.mark.parametrize("damage", ["flip", "short", "long", "rubbish"])
@pytest.mark.parametrize("chunks", [1, 2], ids=["direct", "through HDF5"])
def test_damaged_chunk_is_refused_with_its_frame(tmp_path, damage, chunks):
    path = tmp_path / "f.h5"
    write_h5py(path, chunks=(chunks,), compression="gzip")
    with h5py.File(path, "r+") as file:
        packed = file[FRAMES].id.read_direct_chunk((4,))[1]
        if damage == "flip":
            packed = packed[:200] + bytes([packed[200] ^ 0x55]) + packed[201:]
        elif damage == "short":
            packed = packed[: len(packed) // 2]
        elif damage == "long":
            packed = pack_frame(0, np.zeros((40, 40), np.uint8)) if chunks == 1 else b"\0" * 10
        else:
            packed = b"rubbish"
        file[FRAMES].id.write_direct_chunk((4,), packed)
    with FrameFile(path) as file:
        with pytest.raises(
            InputError, match=r"f\.h5: FinalImage: frame 4 is damaged: expected .*, found .*again$"
        ) as e:
            file.read(4)
        assert "\n" not in str(e.value)
        assert np.array_equal(file.read(1), frames()[1])


@pytest.mark.parametrize("chunks", [1, 2], ids=["direct", "through HDF5"])
def test_numbers_of_frames_are_not_read_from_rubbish(tmp_path, chunks):
    path = tmp_path / "f.h5"
    write_h5py(path, chunks=(chunks,), compression="gzip")
    with h5py.File(path, "r+") as file:
        file[FRAMES].id.write_direct_chunk((4,), b"rubbish")
    with FrameFile(path) as file, pytest.raises(InputError, match="frame 4 is damaged"):
        file.image_ids()


def test_failed_writing_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), writing_frames(tmp_path / "f.h5", SHAPE, COUNT, {}) as writer:
        writer.write(0, pack_frame(0, frames()[0]))
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


SPHERES = [Sphere(0.8, 0.011, 2, (0.5, 0.1)), Sphere(0.5, 0.01, 3, (0.1, 0.2))]


def write_tables(path, rename=lambda name: name):
    def renamed(rows):
        return rows.view(
            np.dtype([(rename(n), *([rows.dtype[n].base, rows.dtype[n].shape])) for n in rows.dtype.names])
        )

    write_ours(path)
    generated = np.zeros(5 * COUNT, GENERATED_DTYPE)
    generated["SphereId"] = np.repeat([0, 1], [2 * COUNT, 3 * COUNT])
    generated["costheta"] = np.linspace(-1, 1, len(generated))
    detected = np.zeros(4, DETECTED_DTYPE)
    detected["x"], detected["z"] = [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]
    with h5py.File(path, "r+") as file:
        file["Truth"] = renamed(truth_rows(SPHERES))
        file["GeneratedElectrons"] = renamed(generated)
        file["DetectedElectrons"] = renamed(detected)
    return generated, detected


def test_truth_tables_are_read_back_smaller_radius_first(tmp_path):
    generated, detected = write_tables(tmp_path / "f.h5")
    assert read_truth(tmp_path / "f.h5") == [SPHERES[1], SPHERES[0]]
    assert np.array_equal(read_generated_electrons(tmp_path / "f.h5"), generated)
    assert np.array_equal(read_detected_electrons(tmp_path / "f.h5"), detected)


@pytest.mark.parametrize(
    "spelling",
    [
        {"sigma_R": "σ_R", "beta": "β", "costheta": "cosθ"},
        {"SphereId": "sphere_id", "sigma_R": "sigmaR", "beta": "Beta", "costheta": "cos_theta"},
        {
            "sigma_R": "sigma",
            "beta": "betas",
            "costheta": "CosTheta",
            "ImageId": "image_id",
            "ElectronId": "electronID",
        },
        {"sigma_R": "sigma_r", "R": "r"},
    ],
    ids=str,
)
def test_truth_tables_are_read_under_other_spellings_and_it_is_said(tmp_path, spelling, caplog):
    generated, detected = write_tables(tmp_path / "f.h5", lambda name: spelling.get(name, name))
    with caplog.at_level(logging.WARNING):
        assert read_truth(tmp_path / "f.h5") == [SPHERES[1], SPHERES[0]]
    assert f"taking {spelling['sigma_R']} for sigma_R" in caplog.text
    assert np.array_equal(read_generated_electrons(tmp_path / "f.h5"), generated)
    assert np.array_equal(read_detected_electrons(tmp_path / "f.h5"), detected)


def test_file_without_truth_tables_is_a_normal_answer(tmp_path):
    write_ours(tmp_path / "f.h5")
    for read in (read_truth, read_generated_electrons, read_detected_electrons):
        assert read(tmp_path / "f.h5") is None


def test_truth_that_cannot_be_made_out_is_refused(tmp_path):
    path = tmp_path / "f.h5"
    write_tables(path, lambda name: {"sigma_R": "width"}.get(name, name))
    with pytest.raises(InputError, match=r"f\.h5: Truth: expected one field for sigma_R, found none among .*width"):
        read_truth(path)
    write_tables(path, lambda name: {"sigma_R": "sigmaR", "beta": "σ"}.get(name, name))
    with pytest.raises(InputError, match="Truth: expected one field for sigma_R, found sigmaR, σ among"):
        read_truth(path)
    write_ours(path)
    with h5py.File(path, "r+") as file:
        file["Truth"] = np.zeros(3)
    with pytest.raises(InputError, match="Truth: expected a compound"):
        read_truth(path)
    del file
    with h5py.File(path, "r+") as file:
        del file["Truth"]
        rows = truth_rows(SPHERES)
        rows["R"] = -1
        file["Truth"] = rows
    with pytest.raises(InputError, match="Truth: sphere 0: R must be above 0"):
        read_truth(path)
