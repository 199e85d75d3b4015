"""Opening camera frames, whatever their format."""

import logging
from pathlib import Path

import h5py

from util.frames.course_file import FRAMES, FrameFile
from util.frames.hdf5 import FrameStack
from util.frames.source import FrameSource, counts_dtype
from util.frames.tiff import TiffFrames
from util.runtime.errors import InputError
from util.runtime.hdf5 import datasets_of, describe, open_hdf5

# TIFF and BigTIFF, either byte order.
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_log = logging.getLogger(__name__)


def open_frames(path: Path, dataset: str | None = None) -> FrameSource:
    """Open camera frames for reading.

    Parameters
    ----------
    path : Path
        The course's `finaltest.h5`; an HDF5 file with a plain dataset (N, H, W); a TIFF file of many pages; or a folder
        of TIFF files.
    dataset : str or None
        Which dataset of an HDF5 file; None: ``FinalImage``, or else the only one of plain frames, which a warning of
        this module's logger then names.

    Raises
    ------
    InputError
        No such file or dataset, or no frames in it; one line that names what is there instead.
    """
    if path.is_dir() or _starts_as_tiff(path):
        if dataset is not None:
            raise InputError(f"{path}: --dataset {dataset}: expected an HDF5 file, found TIFF; leave the option out")
        return TiffFrames(path)
    with open_hdf5(path) as file:
        chosen = _choose(path, file, dataset)
        compound = file[chosen].dtype.names is not None if isinstance(file.get(chosen), h5py.Dataset) else True
    return FrameFile(path, chosen) if compound else FrameStack(path, chosen)


def is_course_file(path: Path) -> bool:
    """Return whether frames are in the course's format, the only one that may hold their truth.

    Raises
    ------
    InputError
        No such file, or neither TIFF nor HDF5.
    """
    if path.is_dir() or _starts_as_tiff(path):
        return False
    with open_hdf5(path) as file:
        return FRAMES in file


def _starts_as_tiff(path: Path) -> bool:
    if not path.exists():
        return False  # open_hdf5 reports it
    with path.open("rb") as stream:
        return stream.read(4) in _TIFF_STARTS


def _choose(path: Path, file: h5py.File, dataset: str | None) -> str:
    there = datasets_of(file)
    if dataset is not None:
        if dataset.strip("/") not in there:
            raise InputError(f"{path}: --dataset {dataset}: no such dataset; there are {_list(there)}")
        return dataset.strip("/")
    if FRAMES in file:
        return FRAMES
    plain = [name for name, found in there.items() if found.ndim == 3 and counts_dtype(found.dtype)]
    if len(plain) == 1:
        _log.warning("%s: no %s there: taking the frames in %s", path, FRAMES, plain[0])
        return plain[0]
    if plain:
        raise InputError(
            f"{path}: expected a dataset {FRAMES} or one of frames alone, found {_list(there)}; "
            "name the one to take with --dataset"
        )
    raise InputError(
        f"{path}: expected a dataset {FRAMES}, or one of integers of shape (N, H, W), found {_list(there)}; "
        "give a file of camera frames, as script/simulate_finaltest.sh makes"
    )


def _list(datasets: dict[str, h5py.Dataset]) -> str:
    if not datasets:
        return "no datasets"
    return ", ".join(f"{name} ({describe(found.dtype)}, shape {found.shape})" for name, found in datasets.items())
