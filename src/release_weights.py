"""Make the manifest of released weights, and cut them into parts where single files must stay small.

usage: python -m src.release_weights --weights FILE .. --manifest param/weights.json [--base URL] [--parts DIR]

reads   FILE .weights.pt of run_model.sh
writes  the manifest: for each file its SHA-256, size, settings, prior, training curve, what it was trained on, for how
        long, and its validation distance; DIR/NAME.000 ..: parts under 16 MB (`download_params.sh` joins them)
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from src.network.checkpoint import read_checkpoint
from util.runtime.atomic_file import replacing
from util.runtime.errors import run_program

PART_BYTES = 15_000_000


def entry_of(path: Path, parts: Path | None) -> dict:
    """Describe a file of weights; write its parts if a folder is given."""
    content = path.read_bytes()
    _, facts = read_checkpoint(path)
    last = facts["curve"][-1]
    entry = {
        "name": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "validation_distance": last["valid"][0],
        "hours": round(facts["seconds"] / 3600, 3),
        **facts,
        "parts": [],
    }
    if parts is not None:
        for start in range(0, len(content), PART_BYTES):
            piece = content[start : start + PART_BYTES]
            name = f"{path.name}.{start // PART_BYTES:03d}"
            with replacing(parts / name) as temporary:
                temporary.write_bytes(piece)
            entry["parts"].append({"name": name, "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()})
    return entry


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m src.release_weights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--manifest", type=Path, default=Path("param/weights.json"), metavar="FILE")
    parser.add_argument("--base", default="", metavar="URL", help="where the files will be found")
    parser.add_argument("--parts", type=Path, metavar="DIR", help="write parts under 16 MB there")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    manifest = {"base": args.base, "files": [entry_of(path, args.parts) for path in args.weights]}
    with replacing(args.manifest) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for entry in manifest["files"]:
        print(
            f"{entry['name']}: {entry['bytes'] / 1e6:.1f} MB, validation distance {entry['validation_distance']:.4f}, "
            f"{entry['samples']} samples, {entry['hours']:.2f} hours, {len(entry['parts'])} parts"
        )


if __name__ == "__main__":
    run_program(main)
