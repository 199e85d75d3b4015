"""Reading an accumulated image: text, NPY, TIFF, HDF5 or PNG."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from util.entries.file_kind import STREAM_DAMAGE, damaged, kind_of, open_text, separator_of
from util.runtime.errors import InputError
from util.runtime.hdf5 import describe, reading_hdf5
from util.runtime.hdf5_names import datasets_of
from util.runtime.hdf5_stored import content_of
from util.runtime.hdf5_types import check_known
from util.runtime.npz import ArrayError, read_npy

SMALLEST_IMAGE = 16  # pixels along each side
_GREY = ("1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # modes of PIL


def read_image(path: Path, dataset: str | None = None, *, dark: bool = False) -> NDArray[np.float64]:
    """Read an accumulated image.

    Parameters
    ----------
    path : Path
        Text whose values are separated by white space, commas, semicolons or tabs (also .gz, .bz2), NPY, TIFF of one
        page, HDF5, or grey PNG.
    dataset : str or None
        Which dataset of an HDF5 file; None: the only one of two dimensions.
    dark : bool
        Whether no pixel need be above 0, as where the image tells something else than counts.

    Returns
    -------
    (H, W) float64
        Axes as in the file. NaN where nothing is known of a pixel; negative values are allowed.

    Raises
    ------
    InputError
        No such file or dataset, or no image in it: too small, a stack, complex, coloured, infinite; all NaN, or nowhere
        above 0, unless `dark`.
    """
    kind = kind_of(path)
    if dataset is not None and kind != "hdf5":
        raise InputError(f"{path}: --dataset {dataset}: expected an HDF5 file, found {kind}; leave the option out")
    where = str(path)
    if kind == "text":
        found: NDArray[Any] = _read_text(path)
    elif kind == "npy":
        found = _read_npy(path)
    elif kind == "tiff":
        found = _read_tiff(path)
    elif kind == "png":
        found = _read_png(path)
    elif kind == "hdf5":
        found, name = _read_hdf5(path, dataset)
        where = f"{path}: {name}"
    else:
        raise InputError(f"{path}: expected an image as text, NPY, TIFF, HDF5 or PNG, found {kind}; convert it")
    image = _checked(where, found)
    if not dark:
        _check_lit(where, image)
    return image


def _checked(where: str, found: NDArray[Any]) -> NDArray[np.float64]:
    if found.dtype.kind not in "iuf":
        what = "complex numbers" if found.dtype.kind == "c" else describe(found.dtype)
        raise InputError(f"{where}: expected integers or real numbers, found {what}; save the counts of each pixel")
    if found.ndim > 2 and found.shape[0] == 1:
        found = found[0]
    if found.ndim == 3:
        raise _stack(where, found.shape)
    if found.ndim != 2 or min(found.shape) < SMALLEST_IMAGE:
        raise InputError(
            f"{where}: expected an image (H, W) of at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels, found shape "
            f"{found.shape}; give the accumulated image"
        )
    image = found.astype(np.float64)
    if np.isinf(image).any():
        raise InputError(
            f"{where}: expected finite counts, found {np.isinf(image).sum()} infinite pixels; "
            "write NaN for a pixel of which nothing is known"
        )
    return image


def _check_lit(where: str, image: NDArray[np.float64]) -> None:
    if np.isnan(image).all():
        raise InputError(f"{where}: expected counts, found NaN alone; give an image with counts")
    highest = np.nanmax(image)
    if highest <= 0:
        what = "zeros alone" if highest == 0 == np.nanmin(image) else f"none, the highest is {highest:g}"
        raise InputError(f"{where}: expected counts above 0, found {what}; give the image as it was accumulated")


def _stack(where: str, shape: tuple[int, ...]) -> InputError:
    return InputError(
        f"{where}: expected one image (H, W), found shape {shape}; search a stack of camera frames with "
        "script/gen_finaltest_npy.sh, or sum it along the first axis"
    )


def _read_text(path: Path) -> NDArray[np.float64]:
    try:
        with open_text(path) as stream:
            line = next((line for line in stream if line.strip() and not line.lstrip().startswith(b"#")), b"")
        if not line:
            raise InputError(f"{path}: expected rows of numbers, found comments alone; give another file")
        with open_text(path) as stream:
            # Numbers are the same in any encoding, and comments may be in an old one.
            separator, encoding = separator_of(line.decode("latin-1")), "latin-1"
            found = np.loadtxt(stream, delimiter=separator, comments="#", ndmin=2, encoding=encoding)
    except STREAM_DAMAGE as error:
        raise damaged(path, error) from None
    except ValueError as error:
        if re.search(rb"\d[ij]\b", line):
            raise InputError(
                f"{path}: expected integers or real numbers, found complex numbers; save the counts of each pixel"
            ) from None
        reason = str(error).partition(";")[0].rstrip(".")
        raise InputError(
            f"{path}: expected rows of as many numbers each, found otherwise ({reason}); "
            "begin lines that are no row of the image with #"
        ) from None
    _check_axes(path, found)
    return found


def _check_axes(path: Path, image: NDArray[np.float64]) -> None:
    """Refuse an image whose first row or column tells where the others are; where all are alike, it is a ramp."""
    axes = [
        (name, lines[0])
        for name, lines in (("row", image), ("column", image.T))
        if min(image.shape) > 1 and _is_axis(lines[0, 1:]) and not _is_axis(lines[1, 1:])
    ]
    if axes:
        what = " and ".join(f"a first {name} of {line[1]:g}, {line[2]:g} .. {line[-1]:g}" for name, line in axes)
        raise InputError(
            f"{path}: expected counts alone, found {what}, which numbers pixels or tells where they are; take it out"
        )


def _is_axis(values: NDArray[np.float64]) -> bool:
    """Return whether numbers lie along a line, each beyond the one before, as counts of so many pixels never do."""
    if len(values) + 1 < SMALLEST_IMAGE:
        return False
    steps, step = np.diff(values), (values[-1] - values[0]) / (len(values) - 1)
    straight = values[0] + step * np.arange(len(values))
    return bool((steps * step > 0).all() and np.abs(values - straight).max() < abs(step) / 2)


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        return read_npy(path)
    except ArrayError as error:
        raise damaged(path, error) from None


def _read_tiff(path: Path) -> NDArray[Any]:
    try:
        with tifffile.TiffFile(path) as file:
            shape = file.series[0].shape
            pages, page = len(file.pages), file.pages[0].aspage()
            if page.samplesperpixel > 1 or page.photometric not in (
                tifffile.PHOTOMETRIC.MINISBLACK,
                tifffile.PHOTOMETRIC.MINISWHITE,
            ):
                seen = getattr(page.photometric, "name", page.photometric)
                raise InputError(
                    f"{path}: expected grey values, one per pixel, found {seen} with {page.samplesperpixel}; "
                    "save the counts, not a picture"
                )
            if pages > 1 or len(shape) > 2:
                raise _stack(str(path), shape if len(shape) > 2 else (pages, *shape))
            return page.asarray()
    except InputError:
        raise
    except Exception as error:  # whatever tifffile makes of a damaged file
        raise damaged(path, error) from None


def _read_png(path: Path) -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(path) as file:
                mode = file.mode
                found = np.array(file) if mode in _GREY else np.zeros(0)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Warning) as error:
        raise damaged(path, error) from None
    if mode not in _GREY:
        raise InputError(f"{path}: expected grey values of 8 or 16 bits, found {mode}; save the counts, not a picture")
    return found.astype(np.uint8) if found.dtype == bool else found


def _read_hdf5(path: Path, dataset: str | None) -> tuple[NDArray[Any], str]:
    with reading_hdf5(path) as file:
        there = datasets_of(file)
        shown = ", ".join(f"{name} ({describe(found.dtype)}, shape {found.shape})" for name, found in there.items())
        if dataset is not None:
            name = dataset.strip("/")
            if name not in there:
                check_known(file, name)
                raise InputError(f"{path}: --dataset {dataset}: no such dataset; there are {shown or 'none'}")
        else:
            images = [name for name, found in there.items() if found.ndim == 2 and found.dtype.kind in "iuf"]
            stacks = [found for found in there.values() if found.ndim == 3]
            if not images and len(stacks) == 1:
                raise _stack(f"{path}: {stacks[0].name.strip('/')}", stacks[0].shape)
            if len(images) != 1:
                raise InputError(
                    f"{path}: expected one dataset of shape (H, W), found {shown or 'no datasets'}; "
                    "name the one to take with --dataset"
                )
            (name,) = images
        return np.asarray(content_of(there[name])), name
