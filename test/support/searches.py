"""The search stage in this process or one of its own, on small frames."""

from src import gen_finaltest_npy
from support import ROOT
from support.param import FINDER
from support.processes import stage, start
from util.camera.phosphor import PhosphorRecipe
from util.frames.course_writer import pack_frame, writing_frames
from util.runtime import settings

RECIPE = settings.load(PhosphorRecipe, ROOT / "param" / "phosphor.toml")
SMALL_SHAPE = (256, 256)


def run(finaltest, output, *options, workers=1):
    argv = ["--finaltest", finaltest, "--output", output, *FINDER, "--workers", workers, *options]
    gen_finaltest_npy.main([str(word) for word in argv])


def begin(finaltest, output, *options, **how):
    return start(stage("gen_finaltest_npy", "--finaltest", finaltest, "--output", output, *options), **how)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def write_frames(path, frames):
    with writing_frames(path, frames[0].shape, len(frames), {}) as writer:
        packed = {}
        for index, frame in enumerate(frames):
            if id(frame) not in packed:
                packed[id(frame)] = pack_frame(index, frame)
            writer.write(index, packed[id(frame)])
    return path
