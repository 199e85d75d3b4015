"""Shards made without a search, for the tests of what reads them."""

import dataclasses

import numpy as np

from util.electrons.shards import FrameCounts, Shard, distribution_of, shard_path, write_shard
from util.finder.finder import EVENT

SETTINGS = '{"finder": {"seed": 0.35}}'


def events_at(x, z, weight=1.0, image_id=0):
    """Electrons at the given positions, dtype EVENT."""
    events = np.zeros(len(x), EVENT)
    events["x"], events["z"], events["weight"], events["ImageId"] = x, z, weight, image_id
    return events


def shard_of(events, start=0, stop=10, **changes):
    """Shard of the given electrons; `changes` replace fields of it."""
    distribution, counts = distribution_of(events)
    shard = Shard(
        start=start,
        stop=stop,
        source="0123",
        frames_in_source=10,
        settings=SETTINGS,
        counts_of_frames=FrameCounts(stop - start, 0, 0, 0),
        events=events,
        distribution=distribution,
        counts=counts,
        squared_weights=float((events["weight"].astype(float) ** 2).sum()),
    )
    return dataclasses.replace(shard, **changes)


def write(folder, shard):
    """Write a shard under the name that it must have."""
    path = shard_path(folder, shard.start, shard.stop)
    write_shard(path, shard)
    return path
