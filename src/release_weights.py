"""Release weights: copy them beside the manifest and enter them there, in place of earlier ones of their names.

usage: python -m src.release_weights --weights FILE .. --manifest param/weights.json [--base URL] [--parts DIR]

reads   FILE .weights.pt of run_model.sh, and the manifest, if there is one
writes  param/FILE, with what a measurement will be judged by, how far readings of samples lie from fits to them; the
        manifest: for each file its SHA-256, size, settings, prior, training curve, what it was trained on, for how
        long, and its validation distance; DIR/NAME.000 ..: parts under 16 MB, where single files must stay small
        (`download_params.sh` joins them)
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from src.network.checkpoint import write_checkpoint
from src.network.model import SphereNet
from src.network.reference import SAMPLES, measure_reference
from src.network.weights import half, read_facts, read_weights
from util.runtime import console
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError, run_program
from util.runtime.facts import to_json
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name
from util.runtime.progress import working
from util.training.released import Manifest, Piece, ReleasedWeights, read_manifest

PART_BYTES = 15_000_000


@dataclass(frozen=True)
class Options:
    """Options of the command line; `--help` says what they mean."""

    weights: tuple[Path, ...]
    manifest: Path
    base: str | None
    parts: Path | None
    reference: int


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


def release(source: Path, target: Path, samples: int) -> None:
    """Copy a file of weights, unless it is there already, with the reference of `samples` samples if it has none."""
    facts = read_facts(source)
    net = read_weights(source)[0] if samples and facts.reference is None else None
    if isinstance(net, SphereNet) and facts.prior is not None:
        console.say(f"{source.name}: compares its readings with fits to {samples} samples")
        try:
            with working("comparing"):
                reference = measure_reference(net, facts.prior, facts.seed, samples)
        except ValueError as error:
            raise InputError(f"{source}: {error}; use a larger --reference, or 0 for none") from None
        write_checkpoint(target, half(net.state_dict()), replace(facts, reference=reference))
    elif target.resolve() != source.resolve():
        content = source.read_bytes()
        with replacing(target) as temporary:
            temporary.write_bytes(content)


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("release_weights.sh", __doc__)
    parser.add_argument("--weights", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--manifest", type=Path, default=Path("param/weights.json"), metavar="FILE")
    parser.add_argument("--base", metavar="URL", help="where the files will be found (default: as before)")
    parser.add_argument("--parts", type=folder_name, metavar="DIR", help="write parts under 16 MB there")
    parser.add_argument(
        "--reference",
        type=number(int, 0),
        default=SAMPLES,
        metavar="N",
        help="samples that tell how far its readings may lie from a fit (default %(default)s; 0: none)",
    )
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    options = parse_args(argv)
    before = read_manifest(options.manifest) if options.manifest.exists() else Manifest("", ())
    targets = [options.manifest.parent / path.name for path in options.weights]
    for path, target in zip(options.weights, targets, strict=True):
        release(path, target, options.reference)
    new = {target.name: describe(target, options.parts) for target in targets}
    files = {file.name: file for file in before.files} | new
    manifest = Manifest(before.base if options.base is None else options.base, tuple(files.values()))
    with replacing(options.manifest) as temporary:
        temporary.write_text(to_json(manifest, indent=1) + "\n", encoding="utf-8")
    for file in new.values():
        console.conclude(
            f"{file.name}: {file.bytes / 1e6:.1f} MB, validation distance {file.validation_distance:.4f}, "
            f"{file.samples} samples, {file.hours:.2f} hours, {len(file.parts)} parts"
        )


if __name__ == "__main__":
    run_program(main)
