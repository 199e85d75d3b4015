"""Shards: the electrons found in a range of frames, one ``final_START_STOP.npz`` each."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from util.electrons.shard_arrays import MAP_SIZE, check_content, check_facts, check_headers
from util.electrons.shard_facts import ShardFacts
from util.finder.finder import EVENT
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.runtime.npz import Archive, ArrayError, opening_npz

_SEARCH = "script/gen_finaltest_npy.sh"
_NAME = re.compile(r"final_(\d+)_(\d+)\.npz")


@dataclass(frozen=True)
class Shard:
    """What was found in a range of frames of one file, or imported.

    Attributes
    ----------
    facts : ShardFacts
    events : (n,) structured array
        Electrons, of dtype `util.finder.finder.EVENT`; None where they were not kept.
    distribution : (1024, 1024) float32
        Sum of weights per pixel; axis 0 is x, axis 1 is z.
    counts : (1024, 1024) int32
        Number of hits per pixel; of an image, its electrons rounded.
    image : (H, W) float32 or None
        An accumulated image in its own pixels [electrons], axis 0 is x, axis 1 is z, NaN where nothing is known; None
        where the shard holds none.
    """

    facts: ShardFacts
    events: NDArray[np.void] | None
    distribution: NDArray[np.float32]
    counts: NDArray[np.int32]
    image: NDArray[np.float32] | None = None


def shard_path(folder: Path, start: int, stop: int) -> Path:
    """Return the name under which a shard is kept."""
    return folder / f"final_{start}_{stop}.npz"


def distribution_of(events: NDArray[np.void]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Sum weights and hits, both (1024, 1024), on the detector's pixels; hits off the screen are left out."""
    # As np.histogram2d, which takes five times as long: a pixel includes its lower edge, but not its upper one.
    half = MAP_SIZE // 2
    x, z = events["x"].astype(float), events["z"].astype(float)
    on_screen = (np.abs(x) <= 1) & (np.abs(z) <= 1)
    i, j = (np.minimum(np.floor(half * c[on_screen]).astype(int) + half, MAP_SIZE - 1) for c in (x, z))
    pixel, shape = MAP_SIZE * i + j, (MAP_SIZE, MAP_SIZE)
    distribution = np.bincount(pixel, events["weight"][on_screen].astype(float), MAP_SIZE**2)
    counts = np.bincount(pixel, minlength=MAP_SIZE**2)
    return distribution.reshape(shape).astype(np.float32), counts.reshape(shape).astype(np.int32)


def write_shard(path: Path, shard: Shard) -> None:
    """Write a shard whole or not at all."""
    facts = np.array(shard.facts.to_json())
    arrays: dict[str, Any] = {"distribution": shard.distribution, "counts": shard.counts, "facts": facts}
    if shard.events is not None:
        arrays["events"] = shard.events
    if shard.image is not None:
        arrays["image"] = shard.image
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_facts(path: Path) -> ShardFacts:
    """Read what a shard says of itself, without its arrays.

    Raises
    ------
    InputError
        Missing, no whole shard, or facts that make no sense.
    """
    with _opened(path) as archive:
        return _facts(path, archive)


def read_shard(path: Path) -> Shard:
    """Read a shard.

    Raises
    ------
    InputError
        As in `read_facts`, or arrays other than its facts call for (`util.electrons.shard_arrays`).
    """
    with _opened(path) as archive:
        facts = _facts(path, archive)
        try:
            check_headers(archive.headers, facts)
            arrays = {name: archive.read(name) for name in archive.headers if name != "facts"}
            check_content(facts, arrays)
        except ArrayError as error:
            raise _broken(path, str(error), _maker(facts)) from None
    return Shard(facts, arrays.get("events"), arrays["distribution"], arrays["counts"], arrays.get("image"))


@contextmanager
def _opened(path: Path) -> Iterator[Archive]:
    try:
        with opening_npz(path, "no such shard; make it with script/gen_finaltest_npy.sh") as archive:
            yield archive
    except ArrayError as error:
        raise _broken(path, str(error), _SEARCH) from None


def _facts(path: Path, archive: Archive) -> ShardFacts:
    check_facts(archive.headers)
    facts = ShardFacts.from_json(str(archive.read("facts")), path)
    named = _NAME.fullmatch(path.name)
    if named and (facts.start, facts.stop) != tuple(map(int, named.groups())):
        raise _broken(path, f"expected frames as its name says, found {facts.start}..{facts.stop}", _maker(facts))
    return facts


def _broken(path: Path, found: str, maker: str) -> InputError:
    return InputError(f"{path}: not a whole shard: {found}; remove it and run {maker} again")


def list_shards(folder: Path) -> list[Path]:
    """Return the shards of a folder, ordered by the first frame.

    Raises
    ------
    InputError
        No such folder, or no shard in it.
    """
    named = [(match, path) for path in folder.glob("final_*.npz") if (match := _NAME.fullmatch(path.name))]
    if not named:
        raise InputError(f"{folder}: expected shards final_START_STOP.npz, found none; run script/gen_finaltest_npy.sh")
    return [path for _, path in sorted(named, key=lambda item: (int(item[0][1]), int(item[0][2])))]


def check_together(paths: Sequence[Path], facts: Sequence[ShardFacts], *, partial: bool) -> None:
    """Check that shards are of one file and one kind of search, do not overlap and leave no frame out.

    Parameters
    ----------
    paths : sequence of Path
        Ordered by the first frame.
    facts : sequence of ShardFacts
        Those of each.
    partial : bool
        Whether frames may be missing.

    Raises
    ------
    InputError
        They do not belong together, or frames are missing and `partial` is False.
    """
    first = facts[0]
    for path, fact in zip(paths, facts, strict=True):
        for same, what in (
            (fact.source == first.source, "file of frames" if first.search else "file"),
            (fact.settings == first.settings, "settings of the finder" if first.search else "kind of import"),
        ):
            if not same:
                raise InputError(
                    f"{path}: expected the same {what} as {paths[0].name}, found another; "
                    f"remove the shards that do not belong and run {_maker(first)} again"
                )
    covered = 0
    for path, fact in zip(paths, facts, strict=True):
        if fact.start < covered:
            raise InputError(
                f"{path}: expected frames from {covered} on, found {fact.start}..{fact.stop}, which are in "
                "another shard too; remove one of them"
            )
        if fact.start > covered and not partial:
            raise _missing(paths[0].parent, covered, fact.start, first)
        covered = fact.stop
    if covered < first.frames_in_source and not partial:
        raise _missing(paths[0].parent, covered, first.frames_in_source, first)


def _maker(facts: ShardFacts) -> str:
    """Return the script that makes such shards."""
    return f"script/import_{facts.imported.kind}.sh" if facts.imported else _SEARCH


def _missing(folder: Path, start: int, stop: int, facts: ShardFacts) -> InputError:
    command = f"{_maker(facts)} again" if facts.imported else f"{_maker(facts)} --range {start} {stop}"
    return InputError(
        f"{folder}: expected shards for all {facts.frames_in_source} frames, found none for {start}..{stop}; "
        f"run {command}, or answer from what is there with --partial"
    )


def empty_events() -> NDArray[np.void]:
    """Return no electrons, dtype `util.finder.finder.EVENT`."""
    return np.zeros(0, EVENT)
