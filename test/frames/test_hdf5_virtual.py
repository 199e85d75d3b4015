"""Virtual HDF5 datasets, whose frames lie in other files: read while these are there, refused by name where not."""

import h5py
import numpy as np

from support.hdf5_frames import COUNT, SHAPE, assert_holds, frames, unwritten, write
from support.refusals import refused
from util.frames.open import open_frames


def virtual(path, sources, count=COUNT, name="images"):
    """Write a virtual dataset: of (file, first row, last row) each."""
    layout = h5py.VirtualLayout((count, *SHAPE), "u2")
    for source, start, stop in sources:
        layout[start:stop] = h5py.VirtualSource(source, "images", (stop - start, *SHAPE))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset(name, layout)
    return path


def test_a_virtual_dataset_is_read_while_its_sources_are_there(tmp_path):
    expected = frames()
    write(tmp_path / "a.h5", expected[:5])
    write(tmp_path / "b.h5", expected[5:])
    assert_holds(virtual(tmp_path / "v.h5", [("a.h5", 0, 5), ("b.h5", 5, 12)]), expected)


def test_a_virtual_dataset_whose_source_is_gone_is_refused_with_its_name(tmp_path):
    write(tmp_path / "a.h5", frames()[:5])
    path = virtual(tmp_path / "v.h5", [("a.h5", 0, 5), ("gone.h5", 5, 9), ("lost.h5", 9, 12)])
    refused(path, "images: expected the sources", "found none at images in gone.h5 (and 1 more): no such file")
    write(tmp_path / "gone.h5", frames()[5:9], name="others")
    write(tmp_path / "lost.h5", frames()[9:])
    refused(path, "found none at images in gone.h5: no such dataset")
    (tmp_path / "gone.h5").write_text("no HDF5")
    refused(path, "found none at images in gone.h5: ")


def test_frames_that_no_source_of_a_virtual_dataset_holds_were_never_written(tmp_path):
    write(tmp_path / "a.h5", frames()[:3])  # of five
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("images", (4, *SHAPE), "u2", chunks=(1, *SHAPE))[1:] = 7
    path = virtual(tmp_path / "v.h5", [("a.h5", 0, 5), ("b.h5", 5, 9)])
    unwritten(path, "found 6 of them declared and never written: 3..5, 9..11", "--range 0 3")
    unwritten(path, "found 1 of them declared and never written: 5;", start=5, stop=9)
    with open_frames(path) as file:
        file.check_written(6, 9)


def test_tiles_of_a_frame_from_several_sources_must_all_be_there(tmp_path):
    expected = frames()
    layout = h5py.VirtualLayout(expected.shape, "u2")
    for name, part in (("left", np.s_[:, :, :10]), ("right", np.s_[:, :, 10:])):
        write(tmp_path / f"{name}.h5", expected[part])
        layout[part] = h5py.VirtualSource(tmp_path / f"{name}.h5", "images", expected[part].shape)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
    assert_holds(tmp_path / "v.h5", expected)
    write(tmp_path / "right.h5", expected[:8, :, 10:])
    unwritten(tmp_path / "v.h5", "4 of them declared and never written: 8..11", "--range 0 8")


def test_frames_of_two_sources_in_turn_are_read(tmp_path):
    expected = frames()
    layout = h5py.VirtualLayout(expected.shape, "u2")
    for first in (0, 1):
        write(tmp_path / f"{first}.h5", expected[first::2])
        layout[first::2] = h5py.VirtualSource(tmp_path / f"{first}.h5", "images", expected[first::2].shape)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
    assert_holds(tmp_path / "v.h5", expected)
    (tmp_path / "1.h5").unlink()
    refused(tmp_path / "v.h5", "found none at images in", "1.h5: no such file")


def test_a_virtual_dataset_of_one_file_a_frame_misses_the_one_that_is_gone(tmp_path):
    expected = frames()
    layout = h5py.VirtualLayout(expected.shape, "u2")
    for index in range(COUNT):
        write(tmp_path / f"{index}.h5", expected[index])
        layout[index] = h5py.VirtualSource(f"{index}.h5", "images", SHAPE)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
    assert_holds(tmp_path / "v.h5", expected)
    (tmp_path / "7.h5").unlink()
    refused(tmp_path / "v.h5", "found none at images in 7.h5: no such file")


def test_a_virtual_dataset_of_numbered_files_misses_the_one_that_is_gone(tmp_path):
    expected = frames()
    for number in range(3):
        write(tmp_path / f"run_{number}.h5", expected[4 * number : 4 * number + 4])
    space = h5py.h5s.create_simple(expected.shape, (h5py.h5s.UNLIMITED, *SHAPE))
    space.select_hyperslab((0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), (4, *SHAPE), (4, *SHAPE))
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_virtual(space, b"run_%b.h5", b"images", h5py.h5s.create_simple((4, *SHAPE)))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        h5py.h5d.create(file.id, b"images", h5py.h5t.NATIVE_UINT16, space, made)
    assert_holds(tmp_path / "v.h5", expected)
    (tmp_path / "run_1.h5").unlink()
    with h5py.File(tmp_path / "v.h5") as file:
        assert file["images"].shape == (4, *SHAPE)  # HDF5 ends before the first file that is missing
    refused(tmp_path / "v.h5", "found none at images in run_1.h5: no such file")
    (tmp_path / "run_2.h5").unlink()
    assert_holds(tmp_path / "v.h5", expected[:4])


def test_a_virtual_dataset_of_itself_is_refused(tmp_path):
    refused(
        virtual(tmp_path / "v.h5", [("v.h5", 0, COUNT)]), "expected a virtual dataset of others, found one of itself"
    )
