"""Release weights: copy them beside the manifest and enter them there, in place of earlier ones of their names.

usage: python -m src.release_weights --weights FILE .. --manifest param/weights.json [--base URL] [--parts DIR]

reads   FILE .weights.pt of run_model.sh, and the manifest, if there is one
writes  param/FILE; the manifest: for each file its SHA-256, size, settings, prior, training curve, what it was trained
        on, for how long, and its validation distance; DIR/NAME.000 ..: parts under 16 MB, where single files must stay
        small (`download_params.sh` joins them)
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.network.weights import read_facts
from util.runtime.atomic_file import replacing
from util.runtime.errors import run_program
from util.runtime.facts import to_json
from util.runtime.options import as_options
from util.training.released import Manifest, Piece, ReleasedWeights, read_manifest

PART_BYTES = 15_000_000


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    weights: tuple[Path, ...]
    manifest: Path
    base: str | None
    parts: Path | None


def describe(path: Path, parts: Path | None) -> ReleasedWeights:
    """Describe a file of weights; write its parts if a folder is given."""
    content, facts = path.read_bytes(), read_facts(path)
    return ReleasedWeights(
        **vars(piece_of(path.name, content)),
        **vars(facts),
        validation_distance=facts.curve[-1].valid[0],
        hours=round(facts.seconds / 3600, 3),
        parts=() if parts is None else write_parts(path.name, content, parts),
    )


def piece_of(name: str, content: bytes) -> Piece:
    """Describe a file of this content."""
    return Piece(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def write_parts(name: str, content: bytes, folder: Path) -> tuple[Piece, ...]:
    """Write content in parts NAME.000 .., and describe them."""
    parts = []
    for start in range(0, len(content), PART_BYTES):
        part = content[start : start + PART_BYTES]
        parts.append(piece_of(f"{name}.{start // PART_BYTES:03d}", part))
        with replacing(folder / parts[-1].name) as temporary:
            temporary.write_bytes(part)
    return tuple(parts)


def copy_to(target: Path, source: Path) -> None:
    """Copy a file of weights, unless it is there already."""
    if target.resolve() != source.resolve():
        content = source.read_bytes()
        with replacing(target) as temporary:
            temporary.write_bytes(content)


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="release_weights.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--manifest", type=Path, default=Path("param/weights.json"), metavar="FILE")
    parser.add_argument("--base", metavar="URL", help="where the files will be found (default: as before)")
    parser.add_argument("--parts", type=Path, metavar="DIR", help="write parts under 16 MB there")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    options = parse_args(argv)
    before = read_manifest(options.manifest) if options.manifest.exists() else Manifest("", ())
    new = {path.name: describe(path, options.parts) for path in options.weights}
    files = {file.name: file for file in before.files} | new
    manifest = Manifest(before.base if options.base is None else options.base, tuple(files.values()))
    for path in options.weights:
        copy_to(options.manifest.parent / path.name, path)
    with replacing(options.manifest) as temporary:
        temporary.write_text(to_json(manifest, indent=1) + "\n", encoding="utf-8")
    for file in new.values():
        print(
            f"{file.name}: {file.bytes / 1e6:.1f} MB, validation distance {file.validation_distance:.4f}, "
            f"{file.samples} samples, {file.hours:.2f} hours, {len(file.parts)} parts"
        )


if __name__ == "__main__":
    run_program(main)
