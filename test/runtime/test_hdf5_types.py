"""What HDF5 holds and cannot be read here is named in a line, and passed over where it is not what is wanted."""

import h5py
import numpy as np
import pytest

from util.entries.event_file import open_events
from util.entries.image_file import read_image
from util.frames.open import open_frames
from util.runtime.errors import InputError

COUNTS = np.random.default_rng(0).integers(0, 200, (3, 20, 20)).astype(np.uint8)
DATA = {"frames": COUNTS, "image": COUNTS[0], "events": np.arange(40.0).reshape(20, 2)}


def read(kind, path, dataset=None):
    if kind == "frames":
        with open_frames(path, dataset) as file:
            return np.array([frame for _, frame in file.rows()])
    if kind == "image":
        return read_image(path, dataset)
    return np.concatenate(list(open_events(path, dataset).chunks((0, 1))), axis=1).T


def write_packed(path, name, data, number, mask):
    """Write a dataset of one chunk, as if through a filter of that number, or with the mask that leaves it out."""
    with h5py.File(path, "w") as file:
        filters = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        filters.set_chunk(data.shape)
        filters.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (3,))
        space, kind = h5py.h5s.create_simple(data.shape), h5py.h5t.py_create(data.dtype)
        packed = h5py.h5d.create(file.id, name.encode(), kind, space, filters)
        packed.write_direct_chunk((0,) * data.ndim, data.tobytes(), mask)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(("number", "name"), [(32015, "Zstandard"), (311, "without a name")])
def test_a_filter_that_is_not_installed_is_named(tmp_path, kind, number, name):
    write_packed(tmp_path / "a.h5", "run", DATA[kind], number, 0)
    with pytest.raises(InputError) as told:
        read(kind, tmp_path / "a.h5")
    line = str(told.value)
    assert line.startswith(f"{tmp_path / 'a.h5'}: run: expected chunks packed by a filter that is installed, found")
    assert f"found filter {number} ({name}), which is not; where it is, pack the file anew with h5repack" in line


@pytest.mark.parametrize("kind", DATA)
def test_a_filter_that_its_writer_left_out_is_not_needed(tmp_path, kind):
    write_packed(tmp_path / "a.h5", "run", DATA[kind], 32015, 1)
    np.testing.assert_array_equal(read(kind, tmp_path / "a.h5"), DATA[kind])


@pytest.mark.parametrize("kind", DATA)
def test_times_are_passed_over_unless_they_are_asked_for(tmp_path, kind):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["run"] = DATA[kind]
        h5py.h5d.create(file.id, b"stamps", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((3,)))
    np.testing.assert_array_equal(read(kind, tmp_path / "a.h5"), DATA[kind])
    with pytest.raises(InputError, match=r"a.h5: stamps: expected numbers, found times \(H5T_TIME\), which are not"):
        read(kind, tmp_path / "a.h5", "stamps")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (h5py.h5t.py_create(h5py.enum_dtype({"dark": 0}), logical=True), "values of an enumeration"),
        (h5py.h5t.STD_B8LE, "bit fields"),
    ],
)
def test_frames_of_a_type_that_is_no_integer_are_refused(tmp_path, kind, found):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.id, b"run", kind, h5py.h5s.create_simple(COUNTS.shape))
    with pytest.raises(InputError, match=f"a.h5: run: expected integers, found {found}; write the counts as unsigned"):
        read("frames", tmp_path / "a.h5")
