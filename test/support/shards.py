"""Shards made without a search, for the tests of what reads them."""

import dataclasses

import numpy as np

from support.param import PARAM
from util.camera.phosphor import PhosphorRecipe
from util.electrons.shard_facts import FrameCounts, SearchSettings, ShardFacts
from util.electrons.shards import Shard, distribution_of, shard_path, write_shard
from util.finder.finder import EVENT, FinderSettings
from util.runtime.settings import load

SETTINGS = SearchSettings(load(PhosphorRecipe, PARAM / "phosphor.toml"), load(FinderSettings, PARAM / "finder.toml"))


def events_at(x, z, weight=1.0, image_id=0):
    """Electrons at the given positions, dtype EVENT."""
    events = np.zeros(len(x), EVENT)
    events["x"], events["z"], events["weight"], events["ImageId"] = x, z, weight, image_id
    return events


def shard_of(events, start=0, stop=10, **changes):
    """Shard of the given electrons; `changes` replace facts of it."""
    facts = {
        "source": "0123",
        "frames_in_source": 10,
        "settings": SETTINGS,
        "counts_of_frames": FrameCounts(stop - start, 0, 0, 0),
        "squared_weights": float((events["weight"].astype(float) ** 2).sum()),
    }
    return Shard(ShardFacts(start, stop, **facts | changes), events, *distribution_of(events))


def with_facts(shard, **changes):
    """Return the same shard with other facts."""
    return dataclasses.replace(shard, facts=dataclasses.replace(shard.facts, **changes))


def write(folder, shard):
    """Write a shard under the name that it must have."""
    path = shard_path(folder, shard.facts.start, shard.facts.stop)
    write_shard(path, shard)
    return path
