"""Fetch the released weights that the manifest names.

usage: python -m src.download_params --param DIR [--base URL]

reads   DIR/weights.json
writes  DIR/NAME for each file it names that does not yet exist, whole and with the right SHA-256

A partial download is resumed. The address is --base, else the manifest's.
"""

import contextlib
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError, run_program
from util.runtime.options import Parser, as_options
from util.training.released import Piece, ReleasedWeights, read_manifest

_CHUNK = 1 << 20
_TIMEOUT_S = 60


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
        It cannot be fetched, or is not what the manifest says; a wrong one is not kept.
    """
    url = f"{base.rstrip('/')}/{piece.name}"
    partial = path.with_name(f"{path.name}.download")
    path.parent.mkdir(parents=True, exist_ok=True)
    have = partial.stat().st_size if partial.exists() else 0
    if have > piece.bytes:
        partial.unlink()
        have = 0
    try:
        if have < piece.bytes:
            request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
            with contextlib.ExitStack() as stack:
                answer = stack.enter_context(urllib.request.urlopen(request, timeout=_TIMEOUT_S))
                # A server that knows no ranges sends the whole file.
                file = stack.enter_context(partial.open("ab" if answer.status == 206 else "wb"))
                while some := answer.read(_CHUNK):
                    file.write(some)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{url}: cannot be fetched ({reason}); check the address, or run again to go on") from None
    if partial.stat().st_size < piece.bytes:
        raise InputError(f"{url}: expected {piece.bytes} bytes, found {partial.stat().st_size}; run again to go on")
    if not is_whole(partial, piece):
        partial.unlink()
        raise InputError(
            f"{url}: expected SHA-256 {piece.sha256}, found another, which was not kept; "
            "check the address or the manifest"
        )
    partial.replace(path)


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
            print(f"{target}: already there")
            continue
        if not base:
            raise InputError(f"{path}: names no address, and none was given; set PARAMS_URL or give --base")
        fetch_whole(base, file, options.param)
        print(f"{target}: {file.bytes / 1e6:.1f} MB, checked")


if __name__ == "__main__":
    run_program(main)
