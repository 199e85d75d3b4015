"""Opening camera frames, whatever their format."""

import logging
from pathlib import Path
from typing import Literal

import h5py

from util.frames import png, tiff
from util.frames.course_file import FRAMES, FrameFile
from util.frames.folder import files_in, told_of_copies
from util.frames.foreign import READ, foreign_format
from util.frames.hdf5 import FrameStack
from util.frames.hdf5_axes import split_axis
from util.frames.source import FrameSource, counts_dtype
from util.runtime.errors import InputError
from util.runtime.hdf5 import reading_hdf5
from util.runtime.hdf5_names import broken_links, datasets_of, list_contents
from util.runtime.hdf5_types import check_known
from util.runtime.input_file import check_file

# TIFF and BigTIFF, either byte order.
_HDF5_START = b"\x89HDF\r\n\x1a\n"
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_MISSING = "no such file; give an existing one, or make it with script/simulate_finaltest.sh"

_log = logging.getLogger(__name__)


def open_frames(path: Path, dataset: str | None = None, frame_axis: int | None = None) -> FrameSource:
    """Open camera frames for reading.

    Parameters
    ----------
    path : Path
        The course's `finaltest.h5`; an HDF5 file with a plain dataset (N, H, W); a TIFF file of many pages; or a folder
        of TIFF files, or of PNG files where it holds no TIFF.
    dataset : str or None
        Which dataset of an HDF5 file; None: ``FinalImage``, or else the only one of plain frames, which a warning of
        this module's logger then names. It may end with the axis of the frames, as the `dataset` of a `FrameSource`.
    frame_axis : int or None
        Along which axis of a plain dataset frames lie; None: the first, where nothing speaks against it.

    Raises
    ------
    InputError
        No such file or dataset, or no frames in it; one line that names what is there instead.
    """
    images = _image_format(path)
    if images is not None:
        for value, option in ((dataset, "--dataset"), (frame_axis, "--frame-axis")):
            if value is not None:
                raise InputError(
                    f"{path}: {option} {value}: expected an HDF5 file, found {images}; leave the option out"
                )
        frames = tiff.TiffFrames(path) if images == "TIFF" else png.PngFrames(path)
        if path.is_dir():
            frames.cautions += _cautions_of(path)
        return frames
    with reading_hdf5(path) as file:
        chosen, axis = _choose(path, file, dataset)
        axis = axis if frame_axis is None else frame_axis
        compound = file[chosen].dtype.names is not None if isinstance(_get(file, chosen), h5py.Dataset) else True
    if not compound:
        return FrameStack(path, chosen, axis)
    if axis is not None:
        raise InputError(f"{path}: {chosen}: --frame-axis {axis}: expected plain frames, found records; leave it out")
    return FrameFile(path, chosen)


def log_cautions(frames: FrameSource) -> None:
    """Log, as warnings, what whoever chose the file should be told of how it was understood."""
    for caution in frames.cautions:
        _log.warning("%s", caution)


def is_course_file(path: Path) -> bool:
    """Return whether frames are in the course's format, the only one that may hold their truth.

    Raises
    ------
    InputError
        No such file, or in none of the formats that are read.
    """
    if _image_format(path) is not None:
        return False
    with reading_hdf5(path) as file:
        return FRAMES in file


def check_format(path: Path) -> None:
    """Refuse a file that will never hold frames, whatever is added to it.

    Raises
    ------
    InputError
        No such file, or in none of the formats that are read.
    """
    if _image_format(path) is not None or h5py.is_hdf5(path):
        return
    with path.open("rb") as stream:
        begun = any(stream.read(len(_HDF5_START)))  # HDF5 may write its start last
    if begun:
        raise InputError(f"{path}: expected frames as {READ}, found a file of another kind; name the one of the frames")


def frame_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold its frames, in their order: PNG where there is no TIFF.

    Raises
    ------
    InputError
        There are none.
    """
    files = files_in(folder, tiff.SUFFIXES + png.SUFFIXES)
    return [file for file in files if file.suffix.lower() in tiff.SUFFIXES] or files


def _cautions_of(folder: Path) -> tuple[str, ...]:
    files, there = frame_files(folder), files_in(folder, tiff.SUFFIXES + png.SUFFIXES)
    left = len(there) - len(files)
    mixed = f"{folder}: taking {len(files)} TIFF file(s) for the frames; {left} PNG file(s) beside them are left out"
    return (*([mixed] if left else []), *told_of_copies(files))


def _image_format(path: Path) -> Literal["TIFF", "PNG"] | None:
    """Return the format of a folder, or of a file that is no HDF5; None: HDF5, or something that no one knows.

    Raises
    ------
    InputError
        A folder without frames, or a format that is known and not read.
    """
    if path.is_dir():
        return "TIFF" if frame_files(path)[0].suffix.lower() in tiff.SUFFIXES else "PNG"
    check_file(path, _MISSING)
    with path.open("rb") as stream:
        start = stream.read(len(png.START))
    if start.startswith(_TIFF_STARTS):
        return "TIFF"
    if start == png.START:
        return "PNG"
    # HDF5 may begin further on in a file, behind what others put there.
    foreign = None if start.startswith(_HDF5_START) or h5py.is_hdf5(path) else foreign_format(path)
    if foreign is not None:
        name, remedy = foreign
        raise InputError(f"{path}: expected frames as {READ}, found {name}, which is not read; {remedy}")
    return None


def _get(file: h5py.File, name: str) -> h5py.Group | h5py.Dataset | None:
    try:
        return file.get(name)
    except OSError:
        return None


def _choose(path: Path, file: h5py.File, dataset: str | None) -> tuple[str, int | None]:
    """Return the name of the dataset to take, and the axis of its frames where `dataset` tells."""
    there, broken = datasets_of(file), broken_links(file)
    listed = list_contents(there, broken)
    if dataset is not None:
        whole = dataset.strip("/")
        check_known(file, whole)
        for name, axis in ((whole, None), split_axis(whole)):
            if name in there or isinstance(_get(file, name), h5py.Dataset):
                return name, axis
        raise InputError(f"{path}: --dataset {dataset}: no such dataset; there are {listed}")
    if FRAMES in file:
        return FRAMES, None
    plain = [name for name, found in there.items() if found.ndim == 3 and counts_dtype(found.dtype)]
    if len(plain) == 1:
        _log.warning("%s: no %s there: taking the frames in %s", path, FRAMES, plain[0])
        return plain[0], None
    if plain:
        raise InputError(
            f"{path}: expected a dataset {FRAMES} or one of frames alone, found {listed}; "
            "name the one to take with --dataset"
        )
    remedy = (
        "put the file that a link leads to in its place, or name that file itself"
        if broken
        else "give a file of camera frames, as script/simulate_finaltest.sh makes"
    )
    raise InputError(
        f"{path}: expected a dataset {FRAMES}, or one of integers of shape (N, H, W), found {listed}; {remedy}"
    )
