"""Along which axis of an HDF5 dataset the frames lie: the first, unless the user or the dataset itself says another."""

import re

import h5py

FRAME_LABELS = {"n", "t", "time", "frame", "frames", "image", "images", "shot", "shots", "number", "numimages"}
_ELONGATED = 4  # no camera's frames are so many times longer than wide, as a rule
_SPELT = re.compile(r"(.+)\[axis ([0-2])\]")


def with_axis(name: str, axis: int) -> str:
    """Return a dataset's name with the axis of its frames, as it travels with shards and to workers."""
    return f"{name}[axis {axis}]"


def split_axis(dataset: str) -> tuple[str, int | None]:
    """Return name and axis of what `with_axis` made; without an axis None."""
    spelt = _SPELT.fullmatch(dataset)
    return (spelt[1], int(spelt[2])) if spelt else (dataset, None)


def likely_frame_axis(dataset: h5py.Dataset) -> tuple[int, str] | None:
    """Return an axis other than the first along which frames seem to lie, and why; None: the first may well be it.

    What the writer left behind counts before the shape: labels of axes, the axis along which the dataset may grow, and
    the shape of its chunks, which as a rule hold whole frames.
    """
    for axes, reason in (
        (_labelled(dataset), "its label says so"),
        (_growing(dataset), "the dataset may grow along it alone"),
        (_cut(dataset), f"chunks of shape {dataset.chunks} are cut along it alone"),
    ):
        if len(axes) == 1:
            return (axes[0], reason) if axes[0] != 0 else None
    first, second, third = dataset.shape
    if first == second != third:
        return 2, "the first two axes are equally long"
    if third > _ELONGATED * max(first, second):
        return 2, "it is much longer than the others"
    return None


def ambiguity(dataset: h5py.Dataset) -> bool:
    """Return whether frames along the last axis would be nearer to a square, and nothing but the shape tells."""
    first, second, third = dataset.shape
    settled = any(len(axes) == 1 for axes in (_labelled(dataset), _growing(dataset), _cut(dataset)))
    return not settled and _elongation(first, second) < _elongation(second, third)


def _elongation(height: int, width: int) -> float:
    return max(height, width) / min(height, width)


def _labelled(dataset: h5py.Dataset) -> list[int]:
    return [axis for axis in range(3) if dataset.dims[axis].label.strip().lower() in FRAME_LABELS]


def _growing(dataset: h5py.Dataset) -> list[int]:
    return [axis for axis in range(3) if dataset.maxshape[axis] != dataset.shape[axis]]


def _cut(dataset: h5py.Dataset) -> list[int]:
    if dataset.chunks is None:
        return []
    cut = [axis for axis in range(3) if dataset.chunks[axis] < dataset.shape[axis]]
    # Chunks whose shape a library chose are halved along some axis, those of a writer of frames hold few of them.
    return [axis for axis in cut if dataset.chunks[axis] * _ELONGATED <= dataset.shape[axis] or len(cut) > 1]
