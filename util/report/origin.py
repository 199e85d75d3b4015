"""What an answer is of, in the words of a report: which frames, how many, simulated or measured, when answered."""

from datetime import datetime
from pathlib import Path

import numpy as np

from util.answer.final_h5 import read_answer, read_made_by, read_parameters, read_tables
from util.electrons.shard_facts import ShardFacts
from util.electrons.shards import list_shards, read_facts
from util.fit.result import floor_distance
from util.frames.open import is_course_file, open_frames
from util.physics import pad
from util.simulation.truth_tables import read_truth

_FLOOR_DRAWS = 1000


def shards_of(folder: Path, source: str) -> list[ShardFacts]:
    """Return the facts of all shards in a folder, if they are of this source; else none."""
    if not any(folder.glob("final_*_*.npz")):
        return []
    facts = [read_facts(path) for path in list_shards(folder)]
    return facts if facts[0].source == source else []


def origin_of(answer: Path, data: Path, finaltest: Path) -> list[tuple[str, str]]:
    """Return names and texts of what an answer is of.

    Parameters
    ----------
    answer : Path
        final.h5.
    data : Path
        Folder of data, with the shards.
    finaltest : Path
        The file of frames; told by its name only where it is the one that the answer was made from.
    """
    made_by = read_made_by(answer)
    shards = shards_of(data / "finaltest_npy", made_by.source)
    told = [("data", f"not here; fingerprint {made_by.source[:12]}")]
    imported = shards[0].imported if shards else None
    if imported is not None:
        told = [("data", f"imported {imported.kind}; fingerprint {made_by.source[:12]}")]
    elif _is_of(finaltest, shards, made_by.source):
        told = _of_frames(answer, finaltest)
    if shards and not (imported and imported.kind == "image"):
        frames = sum(facts.counts_of_frames.frames for facts in shards)
        total = shards[0].frames_in_source
        told.append(("frames", f"{frames:,}" if frames == total else f"{frames:,} of {total:,}"))
    told.append(("answered", _day(answer)))
    return told


def _is_of(finaltest: Path, shards: list[ShardFacts], source: str) -> bool:
    if not finaltest.exists():
        return False
    search = shards[0].search if shards else None
    with open_frames(finaltest, search.dataset if search else None) as frames:
        return frames.fingerprint() == source


def _of_frames(answer: Path, finaltest: Path) -> list[tuple[str, str]]:
    truth = read_truth(finaltest) if is_course_file(finaltest) else None
    told = [("data", f"{finaltest.name}, file of {_day(finaltest)}")]
    if truth is None:
        return [*told, ("kind", "measured: no truth is known")]
    told.append(("kind", "simulated: the truth is known, and the fit never saw it"))
    rows = read_answer(answer)
    if len(rows) == len(truth):
        betas = [(*sphere.beta, *[0.0] * rows["beta"].shape[1])[: rows["beta"].shape[1]] for sphere in truth]
        told.append(("distance from the truth", f"{float(pad.distance(rows['beta'], betas)):.4f}{_floor(answer)}"))
    return told


def _floor(answer: Path) -> str:
    layout, _, _ = read_parameters(answer)
    index = layout.beta.ravel()
    covariance = read_tables(answer)["FloorCovariance"].array[np.ix_(index, index)]
    floor = floor_distance(covariance, _FLOOR_DRAWS, np.random.default_rng(0), spheres=layout.spheres)
    return f"; as many perfect hits would leave {floor:.4f} on average"


def _day(path: Path) -> str:
    return f"{datetime.fromtimestamp(path.stat().st_mtime):%-d %B %Y}"
