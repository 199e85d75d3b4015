"""The folder that imported shards go to: nothing in it may belong to other data."""

from collections.abc import Collection, Sequence
from pathlib import Path

from util.electrons.shard_facts import ImportSettings
from util.electrons.shards import read_facts, shard_path
from util.runtime.errors import InputError

Range = tuple[int, int]  # of frames, the first and the one after the last


def lacking(
    folder: Path, ranges: Sequence[Range], source: str, settings: ImportSettings, *, overwrite: bool
) -> list[Range]:
    """Return the ranges that the folder has no shard of yet.

    Parameters
    ----------
    folder : Path
    ranges : sequence of (int, int)
        Those of all shards that are to be there.
    source : str
        Fingerprint of what is imported.
    settings : ImportSettings
    overwrite : bool
        Whether all are lacking, whatever is there.

    Raises
    ------
    InputError
        There is a shard of other data, or of the same imported otherwise.
    """
    if overwrite:
        return list(ranges)
    there = set()
    for path in sorted(folder.glob("final_*_*.npz")):
        facts = read_facts(path)
        span = facts.start, facts.stop
        for same, what in (
            (facts.source == source, "of the same file"),
            (facts.settings == settings and span in ranges, "imported in the same way"),
        ):
            if not same:
                raise InputError(
                    f"{path}: expected a shard {what}, found another; remove it, choose another --output, or replace "
                    "all with --overwrite"
                )
        there.add(span)
    return [span for span in ranges if span not in there]


def remove_others(folder: Path, ranges: Collection[Range]) -> None:
    """Remove the shards of any other ranges, as an import leaves them that is replaced by another."""
    kept = {shard_path(folder, *span) for span in ranges}
    for path in folder.glob("final_*_*.npz"):
        if path not in kept:
            path.unlink()
