"""Writing the camera frames of a run to the course's `finaltest.h5`.

Frames come as packed chunks, so that the processes that make the frames also pack them; the one that owns the file
only appends. ISA-L packs a frame into 84 kB in 0.5 ms, where zlib at HDF5's usual level 4 takes 3.7 ms for 74 kB.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from util.frames.course_file import FRAMES, frame_dtype
from util.runtime.hdf5_tables import TableWriter, writing_tables

DEFLATE_LEVEL = 2  # of ISA-L, 0 .. 3


def pack_frame(image_id: int, frame: NDArray[np.unsignedinteger]) -> bytes:
    """Turn a frame into the bytes of its chunk, for `FrameWriter.write`.

    Parameters
    ----------
    image_id : int
        ``ImageId`` of the frame.
    frame : ndarray of uint8 or uint16, shape (H, W)
        The camera counts.

    Returns
    -------
    bytes
        A zlib stream of one row of ``FinalImage``. The same on every machine with the same ISA-L kernels.
    """
    row = (
        int(image_id).to_bytes(4, "little", signed=True)
        + np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).tobytes()
    )
    return isal_zlib.compress(row, DEFLATE_LEVEL)


class FrameWriter(TableWriter):
    """Writes frames, and tables beside them, into the file that `writing_frames` opened."""

    def __init__(self, tables: TableWriter, row: np.dtype[Any], count: int) -> None:
        super().__init__(tables.file, tables.disk)
        # The level only informs readers of the file: HDF5 would use it to write, but the frames come packed.
        self._frames = self.file.create_dataset(
            FRAMES, (count,), row, chunks=(1,), compression="gzip", compression_opts=DEFLATE_LEVEL
        )

    def write(self, index: int, packed: bytes) -> None:
        """Store the packed frame (see `pack_frame`) as row `index`."""
        self._frames.id.write_direct_chunk((index,), packed)
        self.disk.check()


@contextmanager
def writing_frames(
    path: Path,
    frame_shape: tuple[int, int],
    count: int,
    attributes: Mapping[str, str | int],
    counts: type[np.unsignedinteger] = np.uint8,
) -> Iterator[FrameWriter]:
    """Write a `finaltest.h5` that appears under its name once it is whole.

    Parameters
    ----------
    path : Path
        The final name. An existing file is replaced in one step at the end.
    frame_shape : (int, int)
        Pixels along x and z.
    count : int
        Number of frames.
    attributes : mapping
        Attributes of the file's root, which say how it was made.
    counts : {numpy.uint8, numpy.uint16}
        Kind of the camera's counts; the course's is the first.

    Yields
    ------
    FrameWriter
        Takes packed frames in any order, and tables.

    Raises
    ------
    InputError
        The disk is full or fails; nothing is left behind.
    """
    with writing_tables(path, attributes) as tables:
        yield FrameWriter(tables, frame_dtype(frame_shape, counts), count)
