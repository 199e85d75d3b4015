"""Formats that cameras and laboratories write and that are not read here: what they are, and how to convert them.

Video is packed with loss as a rule, which changes the counts of single electrons, and tells neither how many frames it
holds nor where they begin. Readers of SIF and SPE go by the position of lines and bytes in versions that they know.
"""

import re
from pathlib import Path

READ = "HDF5, TIFF, PNG"

_IMAGEJ = "open it in ImageJ and save it as TIFF"
_NUMPY = "write its array (N, H, W) to HDF5 with h5py"
_VIDEO = f"save the camera's raw counts, or, where its packing loses nothing, {_IMAGEJ} (File > Import > Movie)"
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (rb"RIFF....AVI ", "an AVI video", _VIDEO),
    (rb"....ftyp", "an MP4 or MOV video", _VIDEO),
    (rb"\x1aE\xdf\xa3", "a Matroska or WebM video", _VIDEO),
    (rb"Andor Technology Multi-Channel File", "Andor SIF", "export it as TIFF in Solis (File > Export As)"),
    (rb"CI[\x2c\x00]", "a Phantom cine file", "export it as TIFF of 16 bits in PCC"),
    (rb"\xed\xfe\0\0N\0o\0r\0p\0i\0x", "a Norpix sequence", "export it as TIFF in StreamPix"),
    (rb"SIMPLE  =", "FITS", _IMAGEJ),
    (rb"\x93NUMPY", "a NumPy array", _NUMPY),
    (rb"MATLAB 5\.0", "MATLAB's older format", "save it in MATLAB with -v7.3, which is HDF5"),
    (rb"\xff\xd8\xff", "JPEG, which loses counts", "save the camera's own counts"),
    (rb"GIF8", "GIF", "save the camera's own counts"),
    (rb"BM....\0\0\0\0", "a bitmap (BMP)", _IMAGEJ),
    (rb"PK\x03\x04", "a ZIP archive", "unpack it"),
    (rb"\x1f\x8b", "a gzip archive", "unpack it"),
)
# What has no start of its own.
_SUFFIXES = {
    ".spe": ("Princeton SPE", "export it as TIFF in LightField or WinSpec"),
    ".dat": ("raw data", _NUMPY),
    ".raw": ("raw data", _NUMPY),
    ".bin": ("raw data", _NUMPY),
}
_LONGEST_START = 64


def foreign_format(path: Path) -> tuple[str, str] | None:
    """Return what a file is and how to convert it, where it is in a format that is known and not read; else None."""
    with path.open("rb") as stream:
        start = stream.read(_LONGEST_START)
    for beginning, name, remedy in _FORMATS:
        if re.match(beginning, start, re.DOTALL):
            return name, remedy
    return _SUFFIXES.get(path.suffix.lower())
