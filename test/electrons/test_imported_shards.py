"""Shards of imported images and events: what they say of themselves, what is refused, and the hits that they hold."""

import dataclasses
import json
import re

import numpy as np
import pytest

from support.shards import SETTINGS, events_at, shard_of, write
from util.camera.detector import Detector
from util.electrons import hits
from util.electrons.hits import hits_of_pixels, read_hits
from util.electrons.import_folder import lacking, remove_others
from util.electrons.imported_image import image_shard, on_standard_grid
from util.electrons.shard_facts import ImportSettings, ShardFacts
from util.electrons.shards import check_together, read_facts, read_shard, shard_path
from util.entries.noise_law import NoiseLaw
from util.finder.finder import EVENT
from util.runtime.errors import InputError

LAW = NoiseLaw(4.0, 2.0, 0.8, 2, True)
IMAGE = ImportSettings("image", (20, 40), 0, LAW)
EVENTS = ImportSettings("events", (20, 40), 1, columns=("x", "y"))
COUNTS = np.random.default_rng(2).normal(8, 2, (20, 40))


@pytest.fixture
def blind():
    """Return counts of which two pixels are not known."""
    counts = COUNTS.copy()
    counts[3, 30] = counts[10, 11] = np.nan
    return counts


def test_an_image_is_read_back_in_electrons_with_what_is_not_known(tmp_path, blind):
    shard = image_shard(blind, IMAGE, "0123")
    found = read_shard(write(tmp_path, shard))
    assert found.facts == shard.facts
    assert found.facts.imported == IMAGE
    assert found.facts.search is None
    np.testing.assert_array_equal(found.image, (blind / 4).astype(np.float32))
    assert [path.name for path in tmp_path.iterdir()] == ["final_0_1.npz"]
    assert found.distribution.sum() == pytest.approx(np.nansum(blind) / 4, rel=1e-5)


def test_searched_shards_say_what_they_said_before():
    facts = shard_of(events_at([0.1], [0.2])).facts
    content = json.loads(facts.to_json())
    assert content["settings"].keys() == {"phosphor", "finder", "dataset", "spots", "detector"}
    assert ShardFacts.from_json(facts.to_json(), "here") == facts
    assert (facts.search, facts.imported) == (SETTINGS, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "picture"}, "expected 'image' or 'events' at 'settings.kind', found 'picture'"),
        ({"axis": 2}, "expected 0 or 1 at 'settings.axis', found 2"),
        ({"pixels": [20]}, "expected 2 values at 'settings.pixels', found [20]"),
        ({"pixels": [20, 0]}, "settings: expected at least one pixel along each axis, found (20, 0)"),
        ({"noise": None}, "settings: expected a noise law of an image and of nothing else, found None"),
        ({"kind": "events"}, "settings: expected a noise law of an image and of nothing else, found NoiseLaw"),
        ({"phosphor": 1}, "unknown key 'settings.phosphor'"),
    ],
)
def test_facts_of_an_import_are_checked_as_strictly(changes, message):
    content = json.loads(image_shard(COUNTS, IMAGE, "0123").facts.to_json())
    content["settings"] |= changes
    with pytest.raises(InputError, match=re.escape(f"a.npz: facts: {message}")):
        ShardFacts.from_json(json.dumps(content), "a.npz")


def test_events_in_pixels_need_the_pixels():
    assert dataclasses.replace(EVENTS, pixels=None, units="detector").reach == (1, 1)
    with pytest.raises(ValueError, match="expected pixels, found none"):
        dataclasses.replace(EVENTS, pixels=None)


@pytest.mark.parametrize("image", [None, COUNTS.astype(np.float32)[:, 1:], COUNTS])
def test_a_shard_without_the_image_that_it_promises_is_refused(tmp_path, image):
    shard = dataclasses.replace(image_shard(COUNTS, IMAGE, "0123"), image=image)
    with pytest.raises(InputError, match=r"not a whole shard: expected image as float32 of shape \(20, 40\), found"):
        read_shard(write(tmp_path, shard))


@pytest.mark.parametrize("kind", ["image", "events"])
def test_a_damaged_shard_names_the_script_that_imports_it_anew(tmp_path, kind):
    if kind == "image":
        shard = image_shard(COUNTS, IMAGE, "0123")
    else:
        shard = shard_of(events_at([0.1], [0.2]))
        shard = dataclasses.replace(shard, facts=dataclasses.replace(shard.facts, settings=EVENTS))
    path = write(tmp_path, dataclasses.replace(shard, counts=-1 - shard.counts))
    remedy = re.escape(f"; remove it and run script/import_{kind}.sh again")
    with pytest.raises(InputError, match=f"not a whole shard: counts: expected finite .*{remedy}"):
        read_shard(path)
    moved = path.rename(tmp_path / "final_7_9.npz")
    with pytest.raises(InputError, match=f"not a whole shard: expected frames as its name says, .*{remedy}"):
        read_facts(moved)


def test_imported_and_searched_shards_do_not_belong_together(tmp_path):
    kinds = [shard_of(events_at([0.1], [0.2]), i, i + 1, settings=s) for i, s in enumerate((EVENTS, SETTINGS))]
    paths = [shard_path(tmp_path, i, i + 1) for i in range(2)]
    facts = [shard.facts for shard in kinds]
    with pytest.raises(InputError, match=r"expected the same kind of import as .* run script/import_events\.sh again"):
        check_together(paths, facts, partial=True)
    with pytest.raises(InputError, match="expected the same settings of the finder as"):
        check_together(paths, facts[::-1], partial=True)
    other = dataclasses.replace(facts[0], start=1, stop=2, source="4567")
    with pytest.raises(InputError, match=r"expected the same file as .*, found another"):
        check_together(paths, [facts[0], other], partial=True)
    with pytest.raises(InputError, match=r"found none for 1\.\.10; run script/import_events\.sh again, or answer"):
        check_together(paths[:1], facts[:1], partial=False)


def test_hits_of_an_image_know_reach_noise_and_blind_pixels(tmp_path, blind):
    write(tmp_path, image_shard(blind, IMAGE, "0123"))
    for weights in ("flux", "unit"):
        found = read_hits(tmp_path, hit_weights=weights, partial=False)
        assert found.count == round(np.nansum(blind) / 4)
        assert found.weight.sum() == pytest.approx(np.nansum(blind) / 4, rel=1e-2)
        assert found.reach == (0.5, 1)
        assert np.abs(found.x).max() < 0.5 and 0.97 < np.abs(found.z).max() < 1
        np.testing.assert_array_equal(found.blind, np.isnan(blind))
        assert found.noise == pytest.approx(0.8 / 4**2 / 0.05**2)
        # Two of each electron, and 2 x 0.8 / 16 of the camera in each of 798 pixels.
        assert found.variance.sum() == pytest.approx(2 * np.nansum(blind) / 4 + 798 * 0.1, rel=1e-5)
        assert (found.search, found.dataset, found.events, found.frames) == (None, None, None, 1)
    write(tmp_path, image_shard(COUNTS, IMAGE, "0123"))
    assert read_hits(tmp_path, hit_weights="flux", partial=False).blind is None


def test_hits_of_frames_and_events_have_the_reach_of_their_camera(tmp_path):
    detector = dataclasses.replace(Detector.of_recipe(SETTINGS.phosphor), frame_shape=(300, 200))
    searched = dataclasses.replace(SETTINGS, detector=detector)
    for settings, reach in ((SETTINGS, (1, 1)), (searched, (1, 2 / 3)), (EVENTS, (0.5, 1))):
        write(tmp_path, shard_of(events_at([0.1], [0.2]), settings=settings))
        found = read_hits(tmp_path, hit_weights="unit", partial=False)
        assert (found.reach, found.noise, found.blind) == (reach, 0, None)


@pytest.mark.parametrize("shape", [(20, 40), (40, 20), (33, 33)])
def test_the_points_of_a_pixel_are_in_it_and_hold_what_it_holds(shape):
    matrix = np.zeros(shape)
    matrix[4:7, 8:11] = np.arange(9).reshape(3, 3)
    x, z, weight, variance = hits_of_pixels(matrix, 3.0, 0.0)
    pitch = 2 / max(shape)
    i, j = np.floor(x / pitch + shape[0] / 2).astype(int), np.floor(z / pitch + shape[1] / 2).astype(int)
    for sums, expected in ((weight, matrix), (variance, 3 * matrix)):
        found = np.zeros(shape)
        np.add.at(found, (i, j), sums)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    rising = hits_of_pixels(np.add.outer(np.arange(20.0), np.zeros(30)), 1.0, 0.0)
    one = (np.abs(rising[0] - pitch_of(30) * (10 + 0.5 - 10)) < pitch_of(30) / 2) & (np.abs(rising[1]) < 0.06)
    assert np.corrcoef(rising[0][one], rising[2][one])[0, 1] == pytest.approx(1)


def pitch_of(pixels):
    return 2 / pixels


def test_a_large_image_is_spread_over_fewer_points(monkeypatch):
    assert hits._MOST_POINTS * 4 * 8 < 1e9
    monkeypatch.setattr(hits, "_MOST_POINTS", 2000)
    per_pixel = [hits_of_pixels(np.ones((2, size)), 1.0, 1.0).shape[1] / (2 * size) for size in (111, 250, 251)]
    assert per_pixel == [8, 3, 3]


def test_an_image_is_shared_out_to_the_standard_grid_where_it_belongs():
    image = np.zeros((20, 40))
    image[0, 0], image[19, 39], image[10, 20] = 1, 2, 4
    found = on_standard_grid(image)
    assert found.shape == (1024, 1024)
    side = 1024 / 40
    for (i, j), value in (((0, 0), 1), ((19, 39), 2), ((10, 20), 4)):
        rows, columns = (
            (np.arange(1024) >= first - 1) & (np.arange(1024) < first + side + 1)
            for first in (256 + i * side, j * side)
        )
        assert found[np.ix_(rows, columns)].sum() == pytest.approx(value)
    assert found.sum() == pytest.approx(7)
    exact = np.random.default_rng(0).random((1024, 1024))
    np.testing.assert_allclose(on_standard_grid(exact), exact, atol=1e-12)


def test_a_folder_takes_only_shards_that_belong_together(tmp_path):
    ranges = [(0, 5), (5, 10)]
    assert lacking(tmp_path, ranges, "0123", EVENTS, overwrite=False) == ranges
    write(tmp_path, shard_of(np.zeros(0, EVENT), 0, 5, settings=EVENTS))
    assert lacking(tmp_path, ranges, "0123", EVENTS, overwrite=False) == [(5, 10)]
    for wanted, source, settings, message in (
        (ranges, "4567", EVENTS, "of the same file"),
        (ranges, "0123", IMAGE, "imported in the same way"),
        ([(0, 10)], "0123", EVENTS, "imported in the same way"),
    ):
        with pytest.raises(InputError, match=rf"final_0_5\.npz: expected a shard {message}, found another; remove it"):
            lacking(tmp_path, wanted, source, settings, overwrite=False)
        assert lacking(tmp_path, wanted, source, settings, overwrite=True) == wanted
    remove_others(tmp_path, [(0, 10)])
    assert list(tmp_path.iterdir()) == []


def test_facts_of_an_import_are_read_without_the_arrays(tmp_path):
    assert read_facts(write(tmp_path, image_shard(COUNTS, IMAGE, "0123"))).settings == IMAGE
