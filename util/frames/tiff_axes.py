"""What a TIFF file says of its pages: how many there are, and along which axes.

A page holds one image, and nothing in TIFF itself says what the next one is: the next frame, another channel of the
same, or another slice. Programs write that into the description of the first page, each in its own way.
"""

import json
import math
import re

import tifffile

# Programs whose files tifffile can tell apart, and whose axes it alone makes out.
_OTHERS = ("lsm", "fluoview", "stk", "scanimage", "nih", "ndtiff", "mmstack")
_NAMES = {
    **{"C": "channels", "Z": "slices", "T": "frames", "S": "samples", "P": "positions", "R": "positions"},
    **{"Q": "of an unnamed axis", "I": "images"},
}


def declared_axes(file: tifffile.TiffFile) -> dict[str, int]:
    """Return the axes along which a file says that its images lie, and how many along each; those of one left out.

    Keys are tifffile's letters: T frames, C channels, Z slices, Q unnamed. Empty where the file does not say, or says
    that there is one image. Only the first page is looked at, unless a program wrote the file that is not in the field.

    Raises
    ------
    ValueError, LookupError, RuntimeError
        What it says cannot be made out.
    """
    page = file.pages.first
    if page.samplesperpixel > 1:
        return {}  # colours, which are no frames
    if page.is_ome:
        axes = _of_ome(file.ome_metadata or "")
    elif any(getattr(file, f"is_{kind}", False) for kind in _OTHERS):
        series = file.series
        axes = dict(zip(_unique(series[0].axes), series[0].shape, strict=True))
        axes |= {"P": len(series)} if len(series) > 1 and not file.is_lsm else {}  # which has thumbnails
    elif page.is_imagej:
        axes = _of_imagej(file.imagej_metadata or {})
    elif page.is_shaped:
        axes = _of_shape(page.shaped_description or "{}")
    else:
        axes = {}
    return {axis: int(size) for axis, size in axes.items() if axis not in "YX" and size > 1}


def _unique(axes: str) -> list[str]:
    """Return letters of axes, those that occur before with a number."""
    return [letter if letter not in axes[:place] else f"{letter}{place}" for place, letter in enumerate(axes)]


def _of_imagej(said: dict[str, object]) -> dict[str, int]:
    sizes = {"T": "frames", "Z": "slices", "C": "channels"}
    axes = {axis: int(float(str(said.get(name, 1)))) for axis, name in sizes.items()}
    return axes if math.prod(axes.values()) > 1 else {"I": int(float(str(said.get("images", 1))))}


def _of_ome(xml: str) -> dict[str, int]:
    """Read the sizes of the first image; a file with several has as many positions."""
    images = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    if not images:
        return {}
    sizes = dict(re.findall(r"\bSize([CZT])\s*=\s*[\"'](\d+)[\"']", images[0]))
    return {axis: int(sizes.get(axis, 1)) for axis in "TZC"} | {"P": len(images)}


def _of_shape(description: str) -> dict[str, int]:
    said = json.loads(description)
    shape = said["shape"]
    axes = said.get("axes") or "Q" * (len(shape) - 2) + "YX"
    return dict(zip(_unique(axes), shape, strict=True))


def check_axes(axes: dict[str, int]) -> None:
    """Raise ValueError, which names axes and remedy, where images lie along several axes.

    Along a single one they are frames, whatever its name: programs call it channels or slices where nobody told them.
    """
    if len(axes) < 2:
        return
    found = " x ".join(f"{size} {_NAMES.get(axis[0], 'of axis ' + axis)}" for axis, size in axes.items())
    raise ValueError(
        f"expected frames one after another, found a hyperstack of {found}; save one channel and slice alone (ImageJ: "
        "Image > Hyperstacks > Make Subset), or, where every page is a frame, tell so (ImageJ: Image > Properties)"
    )
