"""What the arrays of a shard must be: told from their headers before they are read, then from what is in them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from util.electrons.shard_facts import ShardFacts
from util.finder.finder import EVENT
from util.runtime.npz import ArrayError, Header

MAP_SIZE = 1024  # pixels along each axis of the electron distribution matrix, which covers [-1, 1] x [-1, 1]

_MAPS = {"distribution": np.dtype(np.float32), "counts": np.dtype(np.int32)}
_NEEDED = ("ImageId", "x", "z", "weight")
_LONGEST_FACTS = 1 << 24  # characters; a detector of a thousand hot pixels has 2e4
_ROUNDING = 1e-3  # of weights kept in single precision, relative
_FARTHEST = 2.0  # half screens: a spot beyond the edge, of which a frame shows the tail, may be fitted out there


def check_facts(headers: Mapping[str, Header]) -> None:
    """Raise ArrayError unless there is a text of facts, not too long."""
    found = headers.get("facts")
    if found is None or found.shape or found.dtype.kind != "U" or found.dtype.itemsize > 4 * _LONGEST_FACTS:
        raise ArrayError(f"its facts cannot be read (expected a text, found {_named(found)})")


def check_headers(headers: Mapping[str, Header], facts: ShardFacts) -> None:
    """Raise ArrayError unless the arrays that a shard declares are those that its facts call for."""
    for name, dtype in _MAPS.items():
        _expect(name, headers.get(name), (MAP_SIZE, MAP_SIZE), dtype)
    pixels = facts.imported.pixels if facts.imported and facts.imported.kind == "image" else None
    if pixels is not None:
        _expect("image", headers.get("image"), pixels, np.dtype(np.float32))
    known = {*_MAPS, "facts", *(("events",) if pixels is None else ("image",))}
    unknown = sorted(headers.keys() - known)
    if unknown:
        raise ArrayError(f"expected {', '.join(sorted(known))}, found {', '.join(unknown)} as well")
    events = headers.get("events")
    if events is not None:
        fields = {name: events.dtype[name] for name in events.dtype.names or ()}
        if len(events.shape) != 1 or not set(_NEEDED) <= fields.keys() or not fields.items() <= _EVENT.items():
            raise ArrayError(f"expected events with {', '.join(_NEEDED)}, found {_named(events)}")


_EVENT = {name: EVENT[name] for name in EVENT.names or ()}


def _expect(name: str, found: Header | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if found is None or found.shape != shape or found.dtype != dtype:
        raise ArrayError(f"expected {name} as {dtype} of shape {shape}, found {_named(found)}")


def _named(found: Header | None) -> str:
    return "no such array" if found is None else f"{found.dtype} of shape {found.shape}"


def check_content(facts: ShardFacts, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ArrayError where arrays hold what no search and no import makes.

    An import may have weights and pixels below 0, a search may not. Hits counted in pixels are those of the events.
    """
    searched = facts.search is not None
    _check_range("distribution", arrays["distribution"], 0.0 if searched else -np.inf)
    _check_range("counts", arrays["counts"], 0.0)
    if "image" in arrays and np.isinf(arrays["image"]).any():
        raise ArrayError("expected a finite image, NaN where nothing is known, found infinite pixels")
    events = arrays.get("events")
    if searched or events is not None:
        _check_squares(facts.squared_weights, arrays)
    if events is None:
        return
    lowest = dict.fromkeys(("x", "z"), -_FARTHEST) | dict.fromkeys(("weight", "flux"), 0.0 if searched else -np.inf)
    # Of the spots of imported events nothing is known.
    for name in (events.dtype.names or ()) if searched else _NEEDED:
        if name != "ImageId":
            highest = _FARTHEST if name in ("x", "z") else np.inf
            _check_range(f"events: {name}", events[name], lowest.get(name, -np.inf), highest)
    if (counted := int(arrays["counts"].sum(dtype=np.int64))) > events.size:
        raise ArrayError(f"expected counts of its {events.size} events, found {counted}")


def _check_squares(found: float, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ArrayError where a sum of squared weights is not that of the events, or, without them, none of such maps.

    A sum of squares is at least that of equal weights (Cauchy and Schwarz), and at most that of none but the largest;
    hits beyond the screen, which maps leave out, are few.
    """
    if "events" in arrays:
        low = high = float((arrays["events"]["weight"].astype(np.float64) ** 2).sum())
    else:
        total = float(arrays["distribution"].sum(dtype=np.float64))
        low = total**2 / max(int(arrays["counts"].sum(dtype=np.int64)), 1)
        high = 2 * total * float(arrays["distribution"].max())
    if not low * (1 - _ROUNDING) <= found <= high * (1 + _ROUNDING):
        raise ArrayError(f"expected squared_weights of {low:g} to {high:g} by its arrays, found {found:g}")


def _check_range(name: str, values: NDArray[Any], low: float, high: float = np.inf) -> None:
    """Raise ArrayError for values that are not finite or beyond a range."""
    bad = ~np.isfinite(values) | (values < low) | (values > high)
    if bad.any():
        limits = "finite numbers" + ("" if low == -np.inf else f" of at least {low:g}")
        limits += "" if high == np.inf else f" and at most {high:g}"
        raise ArrayError(f"{name}: expected {limits}, found {values[bad][0]}")
