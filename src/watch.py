"""Search frames while a camera writes them, and show on a page what they tell so far.

usage: python -m src.watch --finaltest FILE --output FOLDER --parts FOLDER [--port N] [--target ERROR] ...

reads   FILE (HDF5 that is written for readers to follow, SWMR; TIFF of many pages; a folder of TIFF or PNG, one frame
        each), param/finder.toml; param/phosphor.toml
writes  PARTS/final_START_STOP.npz while it searches; in the end, of those, FOLDER/final_START_STOP.npz, as
        script/gen_finaltest_npy.sh makes them
shows   on http://127.0.0.1:PORT/, to this machine alone: the image, the radial spectrum, electrons a frame, the running
        answer with errors, and how many frames it takes until beta_2 is known well enough

Ends at Ctrl-C, or with --idle once no frame comes any more. Run again it goes on: frames of parts are not searched
again (util/electrons/parts.py says how it knows them). One process does everything in turn: it searches what is there,
for a second at most, answers, at most a third of the time, and tells the page.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from src.answer_steps.command_line import add_model
from src.answer_steps.live import LiveAnswer
from src.answer_steps.options import Model
from util.camera.detector import Detector
from util.camera.phosphor import PhosphorRecipe
from util.electrons.hits import HitWeights
from util.electrons.live_search import LiveSearch
from util.electrons.parts import check_output, hand_over, kept_parts
from util.electrons.search import SHARDS
from util.electrons.shard_facts import FrameCounts, SearchSettings
from util.finder.finder import FinderSettings
from util.finder.run_checks import check_frames
from util.frames.growing import growing_frames
from util.frames.open import open_frames
from util.report.live import Kind, Progress, State, body, page
from util.runtime import console, settings
from util.runtime.errors import InputError, run_program
from util.runtime.interruption import Interruption
from util.runtime.local_page import LocalPage, serving
from util.runtime.options import Parser, as_options, number
from util.runtime.output_names import folder_name
from util.runtime.pace import Pace

SEARCH_S = 1.0  # at a stretch
PAUSE_S = 0.25  # where nothing came
QUIET_S = 3.0  # without a frame, after which the page says so
FAREWELL_S = 3.0  # for which an open page is answered after the end
ENDS = "ends, and keeps what was found; a second signal ends at once"


@dataclass(frozen=True)
class Options:
    """Which frames are watched, how they are searched and answered, and when the watch ends."""

    finaltest: Path
    dataset: str | None
    frame_axis: int | None
    output: Path
    parts: Path
    spots: Literal["learn", "recipe"]
    phosphor: Path
    finder: Path
    hit_weights: HitWeights
    port: int
    target: float
    wait: bool
    idle: float
    patience: float
    learn_from: int
    every: float
    model: Model

    def __post_init__(self) -> None:
        if self.output.resolve() == self.parts.resolve():
            raise ValueError(f"--parts: expected another folder than --output, found {self.parts}")


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("watch.sh", __doc__)
    add = parser.add_argument
    seconds, default = number(float, 0), " (default %(default)s)"
    add(
        "--finaltest", type=Path, required=True, metavar="FILE", help="camera frames: HDF5, TIFF, folder of TIFF or PNG"
    )
    add("--dataset", metavar="NAME", help="HDF5 dataset (default: FinalImage, or the only one)")
    add("--frame-axis", type=int, choices=(0, 1, 2), help="axis of a plain dataset along which frames lie (default: 0)")
    add("--output", type=folder_name, required=True, metavar="FOLDER", help="folder of the shards")
    add("--parts", type=folder_name, required=True, metavar="FOLDER", help="folder of what is kept meanwhile")
    add("--spots", choices=("learn", "recipe"), default="learn", help=f"as in gen_finaltest_npy.sh{default}")
    add("--phosphor", type=Path, default=Path("param/phosphor.toml"), metavar="FILE", help="an electron's spot")
    add("--finder", type=Path, default=Path("param/finder.toml"), metavar="FILE", help="how to search")
    add("--hit-weights", choices=get_args(HitWeights), default="flux", help=f"as in gen_finaltest_answer.sh{default}")
    add("--port", type=number(int, 0, 65535), default=0, metavar="N", help="of the page (default: one that is free)")
    add("--target", type=number(float, 1e-6), default=0.01, metavar="ERROR", help=f"wanted of beta_2{default}")
    add("--wait", action="store_true", help="wait for a file or folder that is not there yet")
    add(
        "--idle",
        type=seconds,
        default=math.inf,
        metavar="S",
        help="end once none came for S seconds (default: not)",
    )
    add(
        "--patience",
        type=seconds,
        default=10.0,
        metavar="S",
        help=f"for a frame that cannot be read{default}",
    )
    add(
        "--learn-from",
        type=number(int, 1),
        default=200,
        metavar="N",
        help=f"frames to learn the detector from{default}",
    )
    add("--every", type=seconds, default=5.0, metavar="S", help=f"from an answer to the next, at least{default}")
    add_model(parser)
    return as_options(Options, parser, vars(parser.parse_args(argv)))


class Watch:
    """A watch under way."""

    def __init__(self, options: Options, shown: LocalPage, ended: Callable[[], bool]) -> None:
        self._options, self._page, self._ended = options, shown, ended
        self._recipe = settings.load(PhosphorRecipe, options.phosphor)
        self._finder = settings.load(FinderSettings, options.finder)
        self.frames = growing_frames(options.finaltest, options.dataset, options.frame_axis)
        self.search: LiveSearch | None = None
        self._answer = LiveAnswer(options.model, options.parts, hit_weights=options.hit_weights, every_s=options.every)
        self._arriving, self._searching = Pace(), Pace()
        self._report, self._trouble, self._tried, self._told = "", "", 0, ""
        self._figures: dict[str, int] = {}

    def run(self) -> None:
        """Search, answer and tell until a signal comes, or no frame any more."""
        while not self._ended():
            searched = self._step()
            self.tell()
            if not searched:
                if self._arriving.still_s >= self._options.idle:
                    return
                self._tell_fault()
                time.sleep(PAUSE_S)

    def _tell_fault(self) -> None:
        """Say once why no frames come, if that is known and lasts."""
        fault = self.trouble
        if fault != self._told and self._arriving.still_s > QUIET_S:
            self._told = fault
            print(f"waiting: {fault}" if fault else "waiting no more", file=sys.stderr)

    def _step(self) -> int:
        """Do what there is to do; return how many frames were searched, 0 where there was nothing to do."""
        if self.search is None:
            self.frames.look()
            self._arriving.count(self.frames.count)
            self._begin()
            return int(self.search is not None)
        self.search.look()
        self._arriving.count(self.frames.count)
        known = set(self.search.left_out)
        searched = self.search.search(time.monotonic() + SEARCH_S, self._ended)
        for row in sorted(set(self.search.left_out) - known):
            console.warn(f"frame {row} is left out: {self.search.left_out[row]}")
        frames = self.search.counts().frames
        self._searching.count(frames)
        if self._answer.is_due(frames):
            self._show_answer(self.search)
        return searched

    def _show_answer(self, search: LiveSearch) -> None:
        drawn = self._answer.renew(search)
        self._page.show("image/png", {f"{name}.png": content for name, content in drawn.items()})
        self._figures = dict.fromkeys(drawn, search.counts().frames)

    def _begin(self) -> None:
        """Begin to search once there are frames enough to know the detector."""
        count, options = self.frames.count, self._options
        if not count or self.frames.fault:
            return
        asked = SearchSettings(self._recipe, self._finder, self.frames.dataset, options.spots)
        parts, detector = kept_parts(options.parts, self.frames, asked)
        if detector is None:
            detector = self._detector()
        else:
            self._report = "detector: as learnt for the frames that were searched already"
        if detector is not None:
            found = replace(asked, detector=detector)
            self.search = LiveSearch(options.parts, self.frames, found, parts, patience_s=options.patience)
            console.say(self._report)

    def _detector(self) -> Detector | None:
        """Return the recipe's, or learn it from as many frames as are asked for, or as there are; None: not yet."""
        count = self.frames.count
        if self._options.spots == "recipe":
            self._report = "detector: as the recipe says; nothing was learnt from the frames"
            own = Detector.of_recipe(replace(self._recipe, frame_shape=self.frames.frame_shape))
            return replace(own, saturation=2**self.frames.bits - 1)
        enough = count >= self._options.learn_from or self._arriving.still_s >= self._options.patience
        if not enough or count < 2 * self._tried:
            return None
        try:
            learned, _ = check_frames(self.frames, self._recipe, self._finder)
        except InputError as error:  # of too few electrons
            self._trouble, self._tried = str(error), count
            return None
        self._report, self._trouble = learned.report(), ""
        return learned.detector

    @property
    def trouble(self) -> str:
        """Why nothing is searched; empty where nothing is amiss."""
        return self._trouble or self.frames.fault

    def tell(self, over: str = "") -> None:
        """Bring the page up to date; `over` says why the watch has ended."""
        counts, electrons = FrameCounts(0, 0, 0, 0), math.nan
        if self.search is not None and (counts := self.search.counts()).frames:
            electrons = sum(float(part.events["weight"].sum()) for part in self.search.found()) / counts.frames
        progress = Progress(
            self.frames.count,
            counts.frames,
            len(self.search.left_out) if self.search else 0,
            self._arriving.per_second,
            self._searching.per_second,
            electrons,
        )
        kind: Kind
        kind, text = ("over", over) if over else self._state()
        target, answer = self._options.target, self._answer.running
        told = body(progress, answer, target=target, said=self._said())
        self._page.show_state("state.json", asdict(State(kind, text, self._figures, told, self._report)))

    def _state(self) -> tuple[Kind, str]:
        if not self.frames.count:
            return "waits", f"Waiting for frames. {self.frames.fault}"
        if self._arriving.still_s > QUIET_S:
            return "waits", f"No new frame for {self._arriving.still_s:.0f} s. {self.frames.fault}"
        return "good", "The camera delivers."

    def _said(self) -> list[str]:
        said = [self._trouble] if self._trouble else []
        if self.search is None:
            if self.frames.count and not self._trouble:
                said.append(f"The detector will be learnt once there are {self._options.learn_from} frames.")
            return said
        if self._answer.trouble:
            said.append(f"No answer yet: {self._answer.trouble}" if not self._answer.running else self._answer.trouble)
        said += self._answer.said
        return said + [f"Left out: {why}" for why in self.search.left_out.values()]


def finish(watch: Watch, options: Options) -> str:
    """Keep what was found, hand it over to the shards of the file as it is now, and say in a line what that is."""
    search = watch.search
    if search is None or not search.counts().frames:
        return f"{options.finaltest}: no frame was searched; {watch.trouble or 'none came'}"
    search.close_part()
    counts = search.counts()
    try:
        with open_frames(options.finaltest, watch.frames.dataset) as frames:
            lacking = hand_over(options.parts, frames, options.output, search.settings, shards=SHARDS)
    except InputError as error:
        kept = f"the {counts.frames} frames that were searched are kept in {options.parts}"
        raise InputError(f"{error}; {kept}") from None
    hits = sum(len(part.events) for part in search.found())
    line = f"{options.output}: {counts.frames} frames searched: {hits} hits, {hits / counts.frames:.2f} per frame"
    if lacking:
        left = sum(stop - start for start, stop in lacking)
        line += f"; {left} are in no shard yet: run script/gen_finaltest_npy.sh, or this again where more frames come"
    return line


def wait_for(path: Path, ended: Callable[[], bool]) -> None:
    """Wait until there is something to watch, or a signal comes."""
    while not (path.exists() or ended()):
        time.sleep(PAUSE_S)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    options = parse_args(argv)
    check_output(options.parts, options.output)
    if not (options.wait or options.finaltest.exists()):
        raise InputError(
            f"{options.finaltest}: no such file or folder; name the one that the camera writes, or wait for it with "
            "--wait"
        )

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    with Interruption(say, ENDS) as interruption, serving(options.port) as shown:
        shown.show("text/html; charset=utf-8", {"index.html": page(str(options.finaltest))})
        console.say(f"watch {options.finaltest} on {shown.url}")
        shown.show_state("state.json", asdict(State("waits", f"Waiting for {options.finaltest}.")))
        wait_for(options.finaltest, interruption.caught)
        if interruption.caught():
            interruption.end()
        watch = Watch(options, shown, interruption.caught)
        watch.run()
        line = finish(watch, options)
        if watch.search:
            console.conclude(line)
        watch.tell(f"The watch ended at {time.strftime('%H:%M:%S')}. {line}.")
        if shown.asked_s < FAREWELL_S:
            time.sleep(FAREWELL_S)
    if interruption.caught():
        interruption.end()
    if watch.search is None:
        raise InputError(line)
    if watch.search.left_out:
        first = next(iter(watch.search.left_out.values()))
        raise InputError(f"{first}; left out {len(watch.search.left_out)} frame(s), searched all others")


if __name__ == "__main__":
    run_program(main)
