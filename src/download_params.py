"""Fetch the released weights that the manifest names.

usage: python -m src.download_params --param DIR [--base URL]

reads   DIR/weights.json
writes  DIR/NAME for each file it names that does not yet exist, whole and with the right SHA-256

A partial download is resumed. The address is --base, else the manifest's.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from util.runtime import console
from util.runtime.atomic_file import replacing, resuming
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options
from util.runtime.progress import Progress
from util.training.released import Piece, ReleasedWeights, read_manifest

_CHUNK = 1 << 20
_TIMEOUT_S = 60
# What PyTorch's files, and so their first parts, begin with.
_ZIP, _FIRST = b"PK\x03\x04", (".pt", ".000")


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    param: Path
    base: str


def is_whole(path: Path, piece: Piece) -> bool:
    """Return whether a file exists with the size and SHA-256 that the manifest says."""
    return (
        path.exists()
        and path.stat().st_size == piece.bytes
        and hashlib.sha256(path.read_bytes()).hexdigest() == piece.sha256
    )


def fetch(base: str, piece: Piece, path: Path) -> None:
    """Fetch one file to `path`, resuming from what `path`.download holds of it.

    Raises
    ------
    InputError
        It cannot be fetched, or is not what the manifest says; a wrong one is not kept, nor the start of one.
    """
    url = f"{base.rstrip('/')}/{piece.name}"
    partial = path.with_name(f"{path.name}.download")
    with resuming(partial) as file:
        have = file.seek(0, os.SEEK_END)
        if have > piece.bytes:
            have = file.truncate(0)
        try:
            if have < piece.bytes:
                have = _receive(url, file, have, piece)
            if have == piece.bytes and not is_whole(partial, piece):
                raise _Wrong(f"expected SHA-256 {piece.sha256}, found another")
        except _Wrong as error:
            partial.unlink()
            raise InputError(f"{url}: {error}, which was not kept; check the address or the manifest") from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise InputError(f"{url}: cannot be fetched ({reason}); check the address, or run again to go on") from None
        if have < piece.bytes:
            raise InputError(f"{url}: expected {piece.bytes} bytes, found {have}; run again to go on")
        partial.replace(path)


class _Wrong(Exception):
    """What a server sends is not the file."""


def _receive(url: str, file: BinaryIO, have: int, piece: Piece) -> int:
    """Add to the first `have` bytes of a file what a server sends of the rest; return how many there are then."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with (
        urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer,
        Progress(f"fetching {piece.name}", piece.bytes, "byte", done=have) as progress,
    ):
        if answer.status != 206:  # a server that knows no ranges sends the whole file
            have = file.truncate(0)
        told = answer.headers.get("Content-Length")
        if told is not None and have + int(told) != piece.bytes:
            raise _Wrong(f"expected {piece.bytes} bytes, found {have + int(told)}")
        while some := answer.read(_CHUNK):
            if not have and piece.name.endswith(_FIRST) and not some.startswith(_ZIP):
                raise _Wrong(f"expected a file of weights, found one that begins with {some[:16]!r}")
            have += len(some)
            if have > piece.bytes:
                raise _Wrong(f"expected {piece.bytes} bytes, found more")
            file.write(some)
            progress.update(len(some))
    file.flush()
    return have


def fetch_whole(base: str, file: ReleasedWeights, folder: Path) -> None:
    """Fetch a file, by its parts where it has any."""
    path = folder / file.name
    if not file.parts:
        fetch(base, file, path)
        return
    pieces = [folder / f".{part.name}" for part in file.parts]
    for part, piece in zip(file.parts, pieces, strict=True):
        if not is_whole(piece, part):
            fetch(base, part, piece)
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
        if not is_whole(temporary, file):
            raise InputError(f"{path}: the parts do not make the file that the manifest names; make the manifest anew")
    for piece in pieces:
        piece.unlink()


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("download_params.sh", __doc__)
    parser.add_argument("--param", type=Path, default=Path("param"), metavar="DIR")
    parser.add_argument("--base", default="", metavar="URL", help="address of the folder with the files")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    path = options.param / "weights.json"
    manifest = read_manifest(path)
    base = options.base or manifest.base
    for file in manifest.files:
        target = options.param / file.name
        if is_whole(target, file):
            console.conclude(f"{target}: already there")
            continue
        if not base:
            raise InputError(f"{path}: names no address, and none was given; set PARAMS_URL or give --base")
        fetch_whole(base, file, options.param)
        console.conclude(f"{target}: {file.bytes / 1e6:.1f} MB, checked")


if __name__ == "__main__":
    run_program(main)
