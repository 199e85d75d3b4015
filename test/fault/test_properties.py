"""Files, facts and settings at random: whatever is done to them, they are read, or refused in one line."""

import copy
import functools
import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.faults import refusal
from support.inputs import INPUTS, SETTINGS
from support.param import PARAM
from support.shards import SETTINGS as SEARCH
from support.shards import events_at, shard_of
from util.camera.detector import Detector
from util.electrons.shard_facts import ShardFacts
from util.runtime.facts import to_json
from util.training.released import read_manifest

DETECTED = shard_of(events_at([0.1], [0.2]), settings=SEARCH).facts
FACTS = json.loads(to_json(DETECTED))
FACTS["settings"]["detector"] = json.loads(to_json(Detector.of_recipe(SEARCH.phosphor)))
MANIFEST = json.loads((PARAM / "weights.json").read_text())

numbers = st.integers() | st.floats() | st.sampled_from([-1, 0, 2**31, 2**63, 10**30, 1e300, -0.0, 5e-324])
scalars = st.none() | st.booleans() | numbers | st.text(max_size=8)
nonsense = st.recursive(
    scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3)
)


def places_in(content, place=()):
    """Yield the way to every key and entry of nested dicts and lists; of long lists, to the first two."""
    parts = (
        content.items() if isinstance(content, dict) else enumerate(content[:2]) if isinstance(content, list) else ()
    )
    for key, part in parts:
        yield (*place, key)
        yield from places_in(part, (*place, key))


@st.composite
def changed(draw, content):
    """Draw content with nonsense in one place of it, or without that place, or with another key beside it."""
    place = draw(st.sampled_from(list(places_in(content))))
    found = copy.deepcopy(content)
    parent = functools.reduce(lambda part, key: part[key], place[:-1], found)
    how = draw(st.sampled_from(["put", "put", "put", "remove", "add"]))
    if how == "remove":
        del parent[place[-1]]
    elif how == "add" and isinstance(parent, dict):
        parent[draw(st.text(max_size=5))] = draw(nonsense)
    else:
        parent[place[-1]] = draw(nonsense)
    return found


def as_toml(value):
    """Write JSON as TOML, in which an inline table may stand for any."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return "nothing" if value is None else json.dumps(value) if isinstance(value, str | bool) else repr(value)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder in which files come and go."""
    return tmp_path_factory.mktemp("random")


@pytest.mark.parametrize("name", INPUTS)
@given(data=st.data())
def test_bytes_at_random_are_read_or_refused(folder, whole, name, data):
    content = bytearray(whole[name].read_bytes())
    if data.draw(st.booleans(), "cut short"):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    ends = st.integers(0, max(len(content) - 1, 0))
    # Headers lie at the beginning, as a rule.
    places = st.lists(ends | ends.map(lambda place: min(place, place % 3000)), max_size=12)
    for place in data.draw(places) if content else ():
        content[place] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(content)
    refusal(INPUTS[name].read, folder / name)


@given(content=changed(FACTS))
def test_facts_of_a_shard_at_random_are_read_or_refused(folder, content):
    path = folder / "final_0_10.npz"
    facts = refusal(lambda path: ShardFacts.from_json(json.dumps(content), path), path)
    assert facts is None or facts.startswith(f"{path}: facts: ")


@given(content=changed(MANIFEST))
def test_a_manifest_at_random_is_read_or_refused(folder, content):
    (folder / "weights.json").write_text(json.dumps(content))
    refusal(read_manifest, folder / "weights.json")


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.name)
@given(data=st.data())
def test_settings_at_random_are_read_or_refused(folder, whole, settings, data):
    content = data.draw(changed(tomllib.loads(whole[settings.name].read_text())))
    text = "".join(f"{json.dumps(key)} = {as_toml(part)}\n" for key, part in content.items())
    (folder / settings.name).write_text(text, encoding="utf-8", errors="surrogatepass")
    refusal(settings.read, folder / settings.name)
