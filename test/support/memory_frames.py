"""Frames in memory, as a file offers them."""

import hashlib
from pathlib import Path

import numpy as np

from util.frames.source import FrameSource
from util.runtime.errors import FrameError


class MemoryFrames(FrameSource):
    """Frames of an eight-bit camera, with their ``ImageId`` (default: their number); some rows may be damaged."""

    def __init__(self, images, ids=None, damaged=()):
        self.path = Path("frames in memory")
        self.images, self.ids, self.damaged = images, range(len(images)) if ids is None else ids, damaged
        self.count, self.frame_shape, self.dtype, self.bits = len(images), images[0].shape, images[0].dtype, 8
        self.closed = False

    def read_row(self, index):
        if index in self.damaged:
            raise FrameError(f"frame {index} is damaged")
        return self.ids[index], self.images[index]

    def image_ids(self, start=0, stop=None):
        return np.array(self.ids[start:stop])

    def close(self):
        self.closed = True

    def _layout(self):
        return [hashlib.sha256(np.stack(self.images)).hexdigest()]
