"""Many small frames in next to no time: twenty simulated ones, over and over."""

from src import simulate_finaltest
from support.param import EXPERIMENT
from util.frames.course_file import FrameFile
from util.frames.course_writer import pack_frame, writing_frames


def make_frames(folder, count):
    """Write `count` frames of 256 x 256 pixels; give the file's path."""
    few = ["--frames", 20, "--frame-shape", 256, 256, "--electrons", 3, 3, "--workers", 1]
    simulate_finaltest.main([str(word) for word in ["--output", folder / "few.h5", *EXPERIMENT, *few]])
    with FrameFile(folder / "few.h5") as file:
        packed = [pack_frame(*row) for row in file.rows()]
    path = folder / "finaltest.h5"
    with writing_frames(path, (256, 256), count, {}) as writer:
        for index in range(count):
            writer.write(index, packed[index % 20])
    return path
