"""A search of frames as they arrive: what cannot be read yet is waited for, what was found is kept and goes over."""

import dataclasses

import numpy as np
import pytest

from support.memory_frames import MemoryFrames
from support.processes import contents
from support.searches import RECIPE, write_frames
from support.shards import SETTINGS
from util.camera.detector import Detector
from util.camera.imperfections import Imperfections
from util.camera.phosphor import render
from util.electrons.live_search import LiveSearch
from util.electrons.parts import check_output, hand_over, kept_parts
from util.electrons.search import find_shards, wanted_shards
from util.electrons.shards import read_facts, shard_path, write_shard
from util.frames.course_file import FrameFile
from util.frames.growing import GrowingFrames
from util.runtime.errors import InputError

SHAPE = (128, 128)
SMALL = dataclasses.replace(RECIPE, frame_shape=SHAPE)
ASKED = dataclasses.replace(SETTINGS, dataset="FinalImage")
FOUND = dataclasses.replace(ASKED, detector=Detector.of_recipe(SMALL))
COUNT = 250
PATIENCE = 10.0


def images(count=COUNT):
    """Frames of one electron each, no two alike."""
    x = np.linspace(-0.8, 0.8, count)
    return [render(SMALL, *np.array([[at], [at / 2], [100.0], [0.015], [0.0]])) for at in x]


class Growing(MemoryFrames, GrowingFrames):
    """Frames in memory, the first `there` of which have come; rows in `damaged` cannot be read."""

    def __init__(self, all_images, there):
        super().__init__(all_images)
        self.damaged, self.there, self.count, self.same = set(), there, 0, None
        self.read = []

    def look(self):
        same, self.same = (self.count if self.same is None else self.same), None
        self.count = self.there
        return same

    def read_row(self, index):
        self.read.append(index)
        return super().read_row(index)


class Bench:
    """A search of such frames, with a clock that stands still."""

    def __init__(self, folder, there, parts=(), settings=FOUND):
        self.now, self.folder = 0.0, folder
        self.frames = Growing(images(), there)
        self.frames.look()
        self.search = LiveSearch(
            folder, self.frames, settings, list(parts), patience_s=PATIENCE, clock=lambda: self.now
        )

    def go_on(self):
        """Look, and search what is there; give how many frames that were."""
        self.search.look()
        return self.search.search(np.inf)

    def ranges(self):
        return [(part.start, part.stop) for part in self.search.found()]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "parts", 120)


def names(folder):
    return sorted(path.name for path in folder.glob("final_*"))


def test_what_arrives_is_searched_once_and_kept_by_the_hundred(bench):
    assert bench.go_on() == 120
    assert names(bench.folder) == ["final_0_100.npz"]
    assert bench.go_on() == 0
    bench.frames.there = 230
    assert bench.go_on() == 110
    assert names(bench.folder) == ["final_0_100.npz", "final_100_200.npz"]
    assert bench.ranges() == [(0, 100), (100, 200), (200, 230)]
    counts = bench.search.counts()
    assert (counts.frames, counts.empty, sum(len(part.events) for part in bench.search.found())) == (230, 0, 230)
    bench.search.close_part()
    assert names(bench.folder)[-1] == "final_200_230.npz"


def test_a_frame_that_cannot_be_read_is_waited_for_and_so_are_those_after_it(bench):
    bench.frames.damaged = {50}
    assert bench.go_on() == 50
    bench.now += PATIENCE / 2
    assert bench.go_on() == 0 and not bench.search.left_out
    bench.frames.damaged = set()
    assert bench.go_on() == 70
    assert bench.ranges() == [(0, 100), (100, 120)]


def test_frames_that_stay_broken_are_left_out_together_and_cost_no_other(bench):
    bench.frames.damaged = {50, 51, 90}
    bench.go_on()
    bench.now += PATIENCE - 1
    bench.frames.there = 122  # what comes meanwhile does not make them younger
    assert bench.go_on() == 0
    bench.now += 1
    assert bench.go_on() == 69
    assert bench.search.left_out == {row: f"frame {row} is damaged" for row in (50, 51, 90)}
    bench.search.close_part()
    assert bench.ranges() == [(0, 50), (52, 90), (91, 100), (100, 122)]
    # A frame is waited for from when it arrived.
    bench.frames.there, bench.frames.damaged = 125, {50, 51, 90, 123}
    assert bench.go_on() == 1
    bench.now += PATIENCE / 2
    assert bench.go_on() == 0


def test_nothing_is_given_up_while_the_file_itself_cannot_be_read(bench):
    bench.go_on()
    bench.frames.there, bench.frames.fault = 130, "no such file"
    bench.now += 10 * PATIENCE
    assert bench.go_on() == 0 and not bench.search.left_out


def test_a_search_ends_between_two_frames(bench):
    bench.search.look()
    assert bench.search.search(0.0) == 0
    asked = iter([False, False, True])
    assert bench.search.search(np.inf, lambda: next(asked)) == 2


def test_what_changed_is_forgotten_and_searched_again(bench):
    bench.frames.there = 230
    bench.go_on()
    bench.frames.same = 150  # from there on others
    assert bench.go_on() == 130
    assert bench.ranges() == [(0, 100), (100, 200), (200, 230)]


def test_a_search_goes_on_where_it_was_stopped(bench):
    bench.go_on()
    again = Growing(images(), COUNT)
    again.look()
    parts, detector = kept_parts(bench.folder, again, ASKED)
    assert detector == FOUND.detector
    other = Bench(bench.folder, COUNT, parts)
    assert other.go_on() == 150
    assert min(other.frames.read) == 100


def test_parts_of_frames_that_are_others_now_are_removed_and_refused_where_all_are(bench):
    bench.frames.there = COUNT
    bench.go_on()
    bench.search.close_part()
    changed = Growing(images(), COUNT)
    changed.look()
    changed.images[100] = changed.images[100] + 1
    parts, _ = kept_parts(bench.folder, changed, ASKED)
    assert [(part.start, part.stop) for part in parts] == [(0, 100), (200, 250)]
    assert names(bench.folder) == ["final_0_100.npz", "final_200_250.npz"]
    other = Bench(bench.folder, COUNT, parts)
    assert other.go_on() == 100
    changed.images = [frame + 1 for frame in images()]
    with pytest.raises(
        InputError, match=r"final_0_100\.npz: expected a part of the same frames, found another; remove"
    ):
        kept_parts(bench.folder, changed, ASKED)
    with pytest.raises(InputError, match=r"final_0_100\.npz: expected a part of the same settings, found another"):
        kept_parts(bench.folder, bench.frames, dataclasses.replace(ASKED, spots="learn"))


@pytest.mark.parametrize("row", [0, 37, 98])
def test_a_frame_that_was_not_whole_when_it_was_searched_is_searched_again(bench, row):
    whole = bench.frames.images[row]
    bench.frames.images[row] = whole // 2
    bench.frames.there = 99
    bench.go_on()
    bench.frames.images[row], bench.frames.there = whole, COUNT  # before its part is kept
    bench.go_on()
    bench.search.close_part()
    parts, _ = kept_parts(bench.folder, bench.frames, ASKED)
    assert [(part.start, part.stop) for part in parts] == [(100, 200), (200, 250)]


def test_what_was_left_of_a_frame_in_those_after_it_is_part_of_how_they_were_searched(tmp_path):
    camera = dataclasses.replace(FOUND.detector, imperfections=Imperfections(afterglow=(0.2,)))
    bench = Bench(tmp_path / "parts", 250, settings=dataclasses.replace(FOUND, detector=camera))
    whole = bench.frames.images[99]
    bench.frames.images[99] = np.zeros_like(whole)
    bench.go_on()
    bench.search.close_part()
    bench.frames.images[99] = whole
    parts, _ = kept_parts(bench.folder, bench.frames, ASKED)
    assert [(part.start, part.stop) for part in parts] == [(200, 250)]


def test_what_was_found_is_kept_though_the_file_cannot_be_read_by_then(bench):
    bench.go_on()
    bench.frames.damaged = set(range(120))
    bench.search.close_part()
    bench.frames.damaged = set()
    parts, _ = kept_parts(bench.folder, bench.frames, ASKED)
    assert [(part.start, part.stop) for part in parts] == [(0, 100), (100, 120)]


def test_a_frame_that_takes_the_place_of_one_not_searched_yet_is_waited_for_as_long(bench):
    bench.frames.damaged = {50}
    bench.go_on()
    bench.now += PATIENCE
    bench.frames.same = 50
    assert bench.go_on() == 0 and not bench.search.left_out
    bench.now += PATIENCE
    assert bench.go_on() == 69


@pytest.fixture
def finished(tmp_path, bench):
    """Search all frames; give their file, the shards of it, and the folder to hand over to."""
    path = write_frames(tmp_path / "f.h5", images())
    with FrameFile(path) as file:
        found = list(
            find_shards(file, [(0, 100), (100, 250)], FOUND, source=file.fingerprint(), keep_events=True, workers=1)
        )
    for span, shard in found:
        write_shard(shard_path(tmp_path / "searched", *span), shard)
    bench.frames.there = COUNT
    bench.go_on()
    bench.search.close_part()
    return path, tmp_path / "searched", tmp_path / "shards"


def test_parts_become_the_shards_that_a_search_of_the_finished_file_makes(bench, finished):
    path, searched, output = finished
    with FrameFile(path) as file:
        assert hand_over(bench.folder, file, output, FOUND, shards=3) == []
        assert names(output) == ["final_0_100.npz", "final_100_200.npz", "final_200_250.npz"]
        assert contents(output)["final_0_100.npz"] == contents(searched)["final_0_100.npz"]
        shards = {name: path.stat().st_mtime_ns for name, path in ((path.name, path) for path in output.iterdir())}
        assert hand_over(bench.folder, file, output, FOUND, shards=3) == []
        assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == shards
        assert wanted_shards(output, [(0, 25), (25, 250)], file.fingerprint(), FOUND, overwrite=False) == []


def test_parts_beside_a_shard_that_is_there_already_are_handed_over_too(bench, finished):
    path, searched, output = finished
    output.mkdir()
    with FrameFile(path) as file:
        hand_over(bench.folder, file, output, FOUND, shards=3)
        (output / "final_100_200.npz").unlink()
        (output / "final_200_250.npz").unlink()
        assert hand_over(bench.folder, file, output, FOUND, shards=1) == []
    assert names(output) == ["final_0_100.npz", "final_100_250.npz"]
    assert contents(output) == contents(searched)


def test_only_frames_that_are_in_the_finished_file_as_they_were_searched_are_handed_over(bench, finished, tmp_path):
    _, _, output = finished
    changed = images()
    changed[100] = changed[0]
    with FrameFile(write_frames(tmp_path / "changed.h5", changed)) as file:
        assert hand_over(bench.folder, file, output, FOUND, shards=2) == [(100, 200)]
    assert names(output) == ["final_0_100.npz", "final_200_250.npz"]


def test_shards_of_a_file_that_has_grown_since_are_replaced_and_those_of_others_refused(bench, finished, tmp_path):
    path, _, output = finished
    with FrameFile(write_frames(tmp_path / "part.h5", images()[:200])) as file:
        assert hand_over(bench.folder, file, output, FOUND, shards=1) == []
        assert names(output) == ["final_0_200.npz"]
    check_output(bench.folder, output)
    with FrameFile(path) as file:
        hand_over(bench.folder, file, output, FOUND, shards=1)
        assert names(output) == ["final_0_250.npz"]
        assert read_facts(output / "final_0_250.npz").source == file.fingerprint()
    (bench.folder / "handed_over.txt").unlink()
    with pytest.raises(InputError, match=r"final_0_250\.npz: expected no shard but those of an earlier watch, found"):
        check_output(bench.folder, output)
