"""What kind of file a path is, told by how its content begins, whatever its name says."""

import bz2
import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from util.runtime.errors import InputError
from util.runtime.input_file import check_file

Kind = Literal["text", "npy", "zip", "tiff", "hdf5", "png", "parquet"]

_STARTS: dict[bytes, Kind] = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\x89HDF": "hdf5",
    b"\x89PNG": "png",
    b"PAR1": "parquet",
}
_COMPRESSED: dict[bytes, Callable[[Path], object]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
STREAM_DAMAGE = (OSError, EOFError, zlib.error)  # what reading a stream that `open_text` opened may raise
_BOM = codecs.BOM_UTF8
_TEXT = 4096  # bytes at a file's beginning that must look like text


def kind_of(path: Path) -> Kind:
    """Return the kind of a file.

    Raises
    ------
    InputError
        No such file, a folder, an empty file, or one of no kind that is read.
    """
    check_file(path, f"no such file; give an existing one (a relative path starts from {Path.cwd()})")
    try:
        with open_text(path) as stream:
            start = stream.read(_TEXT)
    except STREAM_DAMAGE as error:
        raise damaged(path, error) from None
    if not start.strip():
        raise InputError(f"{path}: expected data, found an empty file; give another")
    for begins, kind in _STARTS.items():
        if start.startswith(begins):
            return kind
    if b"\0" in start:
        raise InputError(
            f"{path}: expected text, NPY, NPZ, TIFF, HDF5, PNG or Parquet, found a file that begins with "
            f"{start[:8]!r}; convert it to one of these"
        )
    return "text"


def open_text(path: Path) -> BinaryIO:
    """Open a file for reading, decompressed where it is gzip or bzip2.

    Of text, a byte order mark is left out, and lines that end with CR alone, as on old Macs, end with LF.
    """
    with path.open("rb") as packed:
        start = packed.read(3)
    opened = next((opened for begins, opened in _COMPRESSED.items() if start.startswith(begins)), None)
    stream = cast(BinaryIO, path.open("rb") if opened is None else opened(path))
    start = stream.read(_TEXT)
    stream.seek(len(_BOM) if start.startswith(_BOM) else 0)
    return cast(BinaryIO, io.BufferedReader(_Mac(stream))) if b"\r" in start and b"\n" not in start else stream


class _Mac(io.RawIOBase):
    """Text whose lines end with CR as one whose lines end with LF."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return how many bytes, 0 at the end."""
        text = self._stream.read(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(text)] = text
        return len(text)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


def damaged(path: Path, error: Exception) -> InputError:
    """Return the message that a file cannot be read, with the reader's own first line."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path}: expected a whole file, found one that cannot be read ({reason}); copy it again")


def separator_of(line: str) -> str | None:
    """Return what separates the values of a line of text: a tab, comma or semicolon; None for any white space."""
    return next((character for character in "\t,;" if character in line.strip()), None)


def fingerprint(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of the contents of files, one after the other.

    Raises
    ------
    InputError
        Two of them hold the same.
    """
    digests: list[str] = []
    for path in paths:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest in digests:
            raise InputError(
                f"{path}: expected another file than {paths[digests.index(digest)]}, found the same content; electrons "
                "would count twice: name each file once"
            )
        digests.append(digest)
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()
